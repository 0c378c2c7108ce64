"""List files in JSON: those of Diving48 and of Something-Something V2."""

import json

from fragrant.data.lists.class_names import without_brackets
from fragrant.data.lists.dialects import UNLABELLED, Row, whole_number
from fragrant.data.lists.soft_rows import soft_row


def is_json(text: str) -> bool:
    return text.lstrip()[:1] == "["


class JsonListError(ValueError):
    """What is wrong, and in which line where the message does not say so itself."""

    def __init__(self, message: str, line: int | None = None):
        super().__init__(message)
        self.line = line


def json_rows(text: str) -> list[Row]:
    """Rows of a JSON list, one per entry: ``{"vid_name": "x", "label": 3, "end_frame": 90}``, ``{"id": "7",
    "template": "Holding [something]"}`` or ``{"path": "x.mp4", "probabilities": [0.9, 0.1]}``.

    Raises:
        JsonListError: the text is no JSON, or an entry is neither; the message says which, counted from 1.
    """
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise JsonListError(f"it is no valid JSON: {error}") from None
    except RecursionError:
        raise JsonListError("it is no list of videos: brackets in brackets without end", 1) from None
    except ValueError as error:  # a number of thousands of digits
        raise JsonListError(f"it is no list of videos: {error}", 1) from None
    rows = []
    for number, entry in enumerate(entries, start=1):
        try:
            if not isinstance(entry, dict):
                raise TypeError
            rows.append(_row(entry))
        except (KeyError, TypeError, ValueError) as error:
            shown = str(entry)[:100] if isinstance(entry, dict) and len(entry) < 20 else type(entry).__name__
            if isinstance(error, ValueError):
                raise JsonListError(f"entry {number}: {error}; it is {shown}", _line_of(text, number)) from None
            raise JsonListError(f"entry {number} has neither vid_name and label nor id and template: {shown}") from None
    return rows


def _row(entry: dict) -> Row:
    if "probabilities" in entry:
        if not isinstance(entry["probabilities"], list):
            raise ValueError("probabilities is no list of numbers")
        return soft_row(_text(entry["path"]), entry["probabilities"])
    return _diving48(entry) if "vid_name" in entry else _something(entry)


def _line_of(text: str, number: int) -> int:
    """In which line the entry with this number begins, as far as it can be told without reading the text anew."""
    decoder, at = json.JSONDecoder(), text.index("[") + 1
    for _ in range(number - 1):
        at = len(text) - len(text[at:].lstrip(" \t\r\n,"))
        _, at = decoder.raw_decode(text, at)
    at = len(text) - len(text[at:].lstrip(" \t\r\n,"))
    return text.count("\n", 0, at) + 1


def _text(value: object) -> str:
    """A name or an id. Raises ValueError where it is no text and no number."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{type(value).__name__} in place of a name")
    return str(value)


def _diving48(entry: dict) -> Row:
    """Row of an entry of Diving48: frames are counted from start_frame 0 on; frame folders made from the videos hold
    end_frame of them."""
    frames = entry.get("end_frame")
    return Row(
        _text(entry["vid_name"]), whole_number(entry["label"]), None if frames is None else max(0, whole_number(frames))
    )


def _something(entry: dict) -> Row:
    """Row of an entry of Something-Something; the test list has ids alone."""
    template = entry.get("template")
    return Row(_text(entry["id"]), UNLABELLED if template is None else without_brackets(_text(template)))
