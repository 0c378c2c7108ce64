"""The record of an experiment in its folder, so that another one does not go on in it: OUTPUT_DIR/experiment.json."""

import json
from collections.abc import Mapping
from pathlib import Path

from fragrant.config.keys import KEYS
from fragrant.errors import UserError
from fragrant.files import read_plain, save_file

FILE = "experiment.json"
MOST_NAMED = 5  # differences in one line


def keep_record(out: Path, now: Mapping[str, object]) -> str:
    """Compares an experiment with the one that the folder holds, and writes its record. What was added, in words; ""
    where nothing was.

    Args:
        now: "seeds" (a list, to which some may be added), and whatever else it is made of, which may not change: texts,
            numbers, lists, and one level of dicts, of which the single entries are named.

    Raises:
        UserError: something differs, or the record cannot be read or written.
    """
    path, today = out / FILE, json.loads(json.dumps(now))
    before = _read(path)
    added = ""
    if before is not None:
        old, new = before.get("seeds", []), today["seeds"]
        if old and new[: len(old)] == old:
            added = f"seeds added: {', '.join(map(str, new[len(old) :]))}" if new != old else ""
            before["seeds"] = new
        if isinstance(before.get("config"), dict):
            before["config"] = _with_todays_keys(before["config"], today.get("config", {}))
        if changes := _changes(before, today):
            more = f", and {len(changes) - MOST_NAMED} more" if len(changes) > MOST_NAMED else ""
            raise UserError(
                f"{out} holds another experiment: {', '.join(changes[:MOST_NAMED])}{more}; take another OUTPUT_DIR, "
                "or give the same command"
            )
    save_file(path, json.dumps(today, indent=1))
    return added


def _read(path: Path) -> dict | None:
    try:
        found = json.loads(read_plain(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read: {error}; delete it where the folder is that of this command"
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"{path} is no record of an experiment; take another OUTPUT_DIR")
    return found


def _with_todays_keys(before: Mapping, now: Mapping) -> dict:
    """The values of a record under the keys that are compared today: one that it lacks, since its code did not have it,
    had its default."""
    defaults = {key: json.loads(json.dumps(KEYS[key].default)) for key in now if key in KEYS}
    return {key: before.get(key, defaults.get(key)) for key in now}


def _changes(before: Mapping, now: Mapping) -> list[str]:
    """What differs, as ``"SOLVER.BASE_LR 0.1 (before: 0.01)"``."""
    changes = []
    for name in dict.fromkeys([*now, *before]):
        one, other = now.get(name), before.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            changes += _changes(other, one)
        elif one != other:
            changes.append(f"{name} {_shown(one)} (before: {_shown(other)})")
    return changes


def _shown(value: object) -> str:
    text = "none" if value in (None, [], "") else json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 80 else f"{text[:77]}..."
