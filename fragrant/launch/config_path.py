"""The config that a command line means where it names none, or one that is not there: what to type instead."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from fragrant.errors import UserError
from fragrant.zoo.box import is_in_box

SHIPPED = Path(__file__).resolve().parents[2] / "configs"  # where fragrant runs from its repository
DEMO = "configs/demo/uniformer_xs.yaml"
ENDINGS = (".yaml", ".yml")
ALIKE = 0.6  # of names, from 0 to 1


def refuse_forgotten_flag(pairs: Sequence[str]) -> None:
    """Raises UserError where a config stands among KEY VALUE pairs, without --cfg before it."""
    odd = pairs[0] if pairs and pairs[0].endswith(ENDINGS) else pairs[-1] if len(pairs) % 2 else ""
    if odd.endswith(ENDINGS):
        raise UserError(f"'{odd}' stands where a key should be; for a config type: --cfg {odd}")


def refuse_missing(path: str) -> None:
    """Raises UserError where --cfg names no file, with the one that was probably meant."""
    if os.path.isdir(path):
        found = sorted(str(one) for level in ("*.yaml", "*/*.yaml") for one in Path(path).glob(level))
        raise UserError(f"--cfg {path} is a folder; type one of its files: {_named(found) or 'it has no .yaml file'}")
    if is_in_box(path) or os.path.exists(path):
        return
    found = likely(path)
    way_out = f"type: --cfg {found[0]}" if found else f"a file ends in .yaml, as --cfg {DEMO}"
    others = f" (or {', '.join(found[1:])})" if found[1:] else ""
    raise UserError(f"--cfg {path}: there is no such file; {way_out}{others}")


def _named(paths: Sequence[str]) -> str:
    return ", ".join(f"--cfg {path}" for path in paths[:3]) + (", ..." if len(paths) > 3 else "")


def likely(path: str, most: int = 3) -> list[str]:
    """The configs below configs/, here or beside the package, that look most like a path: those that end as it does,
    else those of the same name, else of names and folders that are alike."""
    places = [place for place in (Path("configs"), SHIPPED) if place.is_dir()]
    files = sorted(places[0].rglob("*.yaml")) if places else []
    wanted = Path(path).as_posix().removesuffix(".yml").removesuffix(".yaml").lstrip("./")
    stems = {file: file.as_posix().removesuffix(".yaml") for file in files}
    ends = [file for file, stem in stems.items() if f"/{stem}".endswith(f"/{wanted}")]
    same = [file for file, stem in stems.items() if os.path.basename(stem) == os.path.basename(wanted)]
    likeness = {file: _likeness(wanted, "/".join(Path(stem).parts[-2:])) for file, stem in stems.items()}
    close = sorted((file for file in files if likeness[file] > ALIKE), key=lambda file: -likeness[file])
    return [os.path.relpath(file) for file in (ends or same or close)[:most]]


def _likeness(wanted: str, other: str) -> float:
    """Of names above all; those of the same folder come first."""
    (folder, name), (other_folder, other_name) = os.path.split(wanted), os.path.split(other)
    of_names = difflib.SequenceMatcher(None, name, other_name).ratio()
    same_folder = os.path.basename(folder) == os.path.basename(other_folder)
    return of_names + (0.1 if of_names > ALIKE - 0.1 and same_folder else 0)
