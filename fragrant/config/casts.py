"""Text or value -> the value of a key's kind, only where nothing is lost on the way."""

import ast
import math
import re

from fragrant.config.keys import Kind
from fragrant.files import expanded
from fragrant.registry import did_you_mean

_LONGEST = 120  # characters of a value in an error message
_LARGEST = 2**64  # of whole numbers: nothing counts further
_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def cast(value: object, kind: Kind) -> object:
    """Casts ``value`` to a value of ``kind``: 10 -> 10.0 and "8.0" -> 8, but not 8.5 -> 8.

    Args:
        value: text as it stands in a yaml file or on the command line, or a value of a Python caller.

    Raises:
        ValueError: something would be lost; the message says what was given and what is allowed.
    """
    if _is_none(value, kind):
        if kind.may_be_none:
            return None
        raise ValueError(f"{said(value)} is not allowed" + (", write '' for nothing" if kind.element is str else ""))
    if isinstance(value, str) and re.fullmatch(r"[a-z]\w*", value) and kind.named:
        return _named(value, kind.named)
    if kind.words:
        return _number_or_word(value, kind)
    if kind.is_list:
        return [_element(item, kind) for item in _items(value)]
    if kind.equal_list and (isinstance(value, (list, tuple)) or str(value).startswith("[")):
        values = {_element(item, kind) for item in _items(value)}
        if len(values) != 1:
            raise ValueError(f"{value!s:.120} is not one number, nor a list of equal numbers")
        return values.pop()
    return _element(value, kind)


def _is_none(value: object, kind: Kind) -> bool:
    if not isinstance(value, str):
        return value is None
    if kind.element is str and not kind.may_be_none:  # "none" may be a name, "" is a text
        return value in ("None", "null", "~")
    return value.lower() in ("none", "null", "~", "")


def _number_or_word(value: object, kind: Kind) -> object:
    if isinstance(value, str) and value.lower() in kind.words:
        return value.lower()
    try:
        return _element(value, kind)
    except ValueError as error:
        raise ValueError(f"{error} or {', '.join(kind.words)}") from None


def _named(name: str, known: dict[str, list[float]]) -> list[float]:
    if name not in known:
        raise ValueError(
            f"{said(name)} is not known; {did_you_mean(name, known)}known: {', '.join(known)}; or write the numbers, "
            "[...]"
        )
    return list(known[name])


def _items(value: object) -> list:
    """Splits the text of a list: ``[224, 224]``, ``(224, 224)``, ``224,224``, and names without quotes: ``[stage2,
    stage3]``.

    Read here and not by Python, whose own reader can be brought down by a long expression."""
    if isinstance(value, (list, tuple)):
        return list(value)
    text = str(value).strip()
    bracketed = text[:1] + text[-1:] in ("[]", "()")
    parts = _parts(text[1:-1] if bracketed else text)
    if parts is None or not (bracketed or "," in text):
        raise ValueError(f"{said(value)} is not a list; write [{_printable(text)}]")
    items = [_item(part) for part in parts]
    named = [item for part, item in zip(parts, items, strict=True) if item is part and _parse_number(part) is None]
    # (1) is a number in brackets; a, b may as well be one text
    if (named and not text.startswith("[")) or (text.startswith("(") and "," not in text and parts):
        raise ValueError(f"{said(value)} is not a list; write [{_printable(text.strip('()'))}]")
    return items


_QUOTED = r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\""
_PART = re.compile(rf"\s*({_QUOTED}|\[[^\[\]]*\])\s*(?:,|$)|([^,\[\](){{}}'\"]*)(?:,|$)")


def _parts(text: str) -> list[str] | None:
    """What stands between the commas, quotes included; None where brackets or quotes stand inside."""
    parts, at = [], 0
    while at < len(text):
        found = _PART.match(text, at)
        if not found:
            return None
        parts.append(found[1] or found[2].strip())
        at = found.end()
    if "" in parts[:-1]:  # a comma at the end is fine, two in a row are not
        return None
    return [part for part in parts if part]


def _printable(text: str) -> str:
    return "".join(filter(str.isprintable, text[:60]))


def _item(part: str) -> object:
    """A list inside of a list is allowed nowhere: it becomes one to be named in the message."""
    if not part.startswith("["):
        return unquoted(part)
    return [part if (number := _parse_number(part)) is None else number for part in _parts(part[1:-1]) or ()]


def unquoted(text: str) -> str:
    """``'","'`` -> ``,``: quotes that survived the shell; any other text as it is."""
    if not re.fullmatch(_QUOTED, text):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def said(value: object) -> str:
    """A value in an error message: in quotes, and cut where it is long."""
    if isinstance(value, int) and value.bit_length() > 1000:  # Python does not write numbers of any length
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 20]}... ({len(text)} characters)"


def _element(value: object, kind: Kind) -> object:
    if kind.element is bool:
        return _bool(value)
    if kind.element is str:
        return expanded(_text(value)) if kind.is_path else _text(value)
    return _number(value, kind.element)


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLS:
        return _BOOLS[value.lower()]
    raise ValueError(f"{said(value)} is not true or false")


def _text(value: object) -> str:
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError(f"{said(value)} holds a NUL character, which no path or name can")
        if re.fullmatch(r"\[.*\]|<.*>", value):
            raise ValueError(f"{said(value)} is a placeholder: put the path or name itself there")
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e300:
        return str(value)
    raise ValueError(f"{said(value)} is not a text")


def _number(value: object, element: type | str) -> int | float:
    wanted = "a whole number" if element is int else "a number"
    number = _parse_number(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise ValueError(f"{said(value)} is not {wanted}")
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"{said(value)} is not {wanted}")
    if abs(number) > _LARGEST and (isinstance(number, int) or element is int):
        raise ValueError(f"{said(value)} is too large; allowed: what fits into 64 bits")
    if element is int and number != int(number):
        raise ValueError(f"{said(value)} is not {wanted}")
    return element(number) if isinstance(element, type) else number


def _parse_number(text: str) -> int | float | None:
    for parse in (int, float):
        try:
            return parse(text)
        except ValueError:
            continue
    return None
