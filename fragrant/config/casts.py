"""Text or value -> the value of a key's kind, only where nothing is lost on the way."""

import ast
import math
import re

from fragrant.config.keys import Kind
from fragrant.registry import did_you_mean

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
        raise ValueError(f"{value!r} is not allowed" + (", write '' for nothing" if kind.element is str else ""))
    if isinstance(value, str) and re.fullmatch(r"[a-z]\w*", value) and kind.named:
        return _named(value, kind.named)
    if kind.is_list:
        return [_element(item, kind.element) for item in _items(value)]
    if kind.equal_list and (isinstance(value, (list, tuple)) or str(value).startswith("[")):
        values = {_element(item, kind.element) for item in _items(value)}
        if len(values) != 1:
            raise ValueError(f"{value} is not one number, nor a list of equal numbers")
        return values.pop()
    return _element(value, kind.element)


def _is_none(value: object, kind: Kind) -> bool:
    if not isinstance(value, str):
        return value is None
    if kind.element is str and not kind.may_be_none:  # "none" may be a name, "" is a text
        return value in ("None", "null", "~")
    return value.lower() in ("none", "null", "~", "")


def _named(name: str, known: dict[str, list[float]]) -> list[float]:
    if name not in known:
        raise ValueError(
            f"{name!r} is not known; {did_you_mean(name, known)}known: {', '.join(known)}; or write the numbers, [...]"
        )
    return list(known[name])


def _items(value: object) -> list:
    """Splits the text of a list: ``[224, 224]``, ``(224, 224)``, ``224,224``, and names without quotes: ``[stage2,
    stage3]``."""
    if isinstance(value, (list, tuple)):
        return list(value)
    text = str(value).strip()
    try:
        parsed = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        parsed = None
        if re.fullmatch(r"\[[^\[\]]*\]", text):
            parsed = [item.strip().strip("'\"") for item in text[1:-1].split(",") if item.strip()]
    if not isinstance(parsed, (list, tuple)):
        raise ValueError(f"{value!r} is not a list; write [{text}]")
    return list(parsed)


def _element(value: object, element: type | str) -> object:
    if element is bool:
        return _bool(value)
    if element is str:
        return _text(value)
    return _number(value, element)


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLS:
        return _BOOLS[value.lower()]
    raise ValueError(f"{value!r} is not true or false")


def _text(value: object) -> str:
    if isinstance(value, str):
        if re.fullmatch(r"\[.*\]|<.*>", value):
            raise ValueError(f"{value!r} is a placeholder: put the path or name itself there")
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{value!r} is not a text")


def _number(value: object, element: type | str) -> int | float:
    wanted = "a whole number" if element is int else "a number"
    number = _parse_number(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        raise ValueError(f"{value!r} is not {wanted}")
    if element is int and number != int(number):
        raise ValueError(f"{value!r} is not {wanted}")
    return element(number) if isinstance(element, type) else number


def _parse_number(text: str) -> int | float | None:
    for parse in (int, float):
        try:
            return parse(text)
        except ValueError:
            continue
    return None
