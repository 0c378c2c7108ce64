"""List files in JSON: those of Diving48 and of Something-Something V2."""

import json

from fragrant.data.lists.class_names import without_brackets
from fragrant.data.lists.dialects import UNLABELLED, Row


def is_json(text: str) -> bool:
    return text.lstrip()[:1] == "["


def json_rows(text: str) -> list[Row]:
    """Rows of a JSON list, one per entry: ``{"vid_name": "x", "label": 3, "end_frame": 90}`` or ``{"id": "7",
    "template": "Holding [something]"}``.

    Raises:
        ValueError: the text is no JSON, or an entry is neither; the message says which, counted from 1.
    """
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no valid JSON: {error}") from None
    rows = []
    for number, entry in enumerate(entries, start=1):
        try:
            rows.append(_diving48(entry) if "vid_name" in entry else _something(entry))
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"entry {number} has neither vid_name and label nor id and template: {str(entry)[:100]}"
            ) from None
    return rows


def _diving48(entry: dict) -> Row:
    """Row of an entry of Diving48: frames are counted from start_frame 0 on; frame folders made from the videos hold
    end_frame of them."""
    frames = entry.get("end_frame")
    return Row(str(entry["vid_name"]), int(entry["label"]), None if frames is None else int(frames))


def _something(entry: dict) -> Row:
    """Row of an entry of Something-Something; the test list has ids alone."""
    template = entry.get("template")
    return Row(str(entry["id"]), UNLABELLED if template is None else without_brackets(template))
