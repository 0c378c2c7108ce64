"""Finds what is wrong with a list before a run does: its rows, its files, videos that stand in it twice."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import RecordList, VideoRecord, format_list
from fragrant.data.prepare.probe import FOLDER, Probe, probe_all
from fragrant.data.video.frames import OpenFrames, open_frames
from fragrant.files import save_file
from fragrant.remote import row_path
from fragrant.texts import csv_text


class Problem(NamedTuple):
    """A problem of a row or its video.

    Attributes:
        where: list:line
        kind: row, unreadable, damaged, no frames, frame count, too short, duplicate, leak, pair
    """

    where: str
    kind: str
    text: str


class Checked(NamedTuple):
    """Result of checking a list: its records, their videos, the problems; ``good`` are the places in ``records``
    without any."""

    records: RecordList
    probes: list[Probe]
    problems: list[Problem]
    good: list[int]


def check_list(
    records: RecordList,
    faults: Mapping[int, str],
    *,
    min_frames: int = 1,
    workers: int = 1,
    known: Mapping[str, str] | None = None,
    title: str = "check",
    open_frames: OpenFrames = open_frames,
) -> Checked:
    """Checks the rows of a list and their videos.

    Args:
        faults: line number -> what is wrong with it, for the lines that gave no record.
        min_frames: a shorter video is a problem.
        known: real path -> where it stands, of a list that must share no video with this one (``places``).
        open_frames: how a path becomes frames, as for training.
    """
    probes = probe_all([record.path for record in records], workers=workers, title=title, open_frames=open_frames)
    return judged(records, faults, probes, min_frames=min_frames, known=known)


def judged(
    records: RecordList,
    faults: Mapping[int, str],
    probes: list[Probe],
    *,
    min_frames: int = 1,
    known: Mapping[str, str] | None = None,
) -> Checked:
    """What ``check_list`` says of a list whose videos are probed already, ``probes[i]`` of ``records[i]``."""
    problems = [Problem(f"{records.source}:{line}", "row", fault) for line, fault in sorted(faults.items())]
    twice, good = dict(_duplicates(records)), []
    for at, (record, found) in enumerate(zip(records, probes, strict=True)):
        mine = [*_file_problems(record, found, min_frames)]
        if at in twice:
            mine.append(("duplicate", twice[at]))
        elif known and os.path.realpath(record.path) in known:
            mine.append(("leak", f"'{record.path}' stands in {known[os.path.realpath(record.path)]} as well"))
        problems += [Problem(records.where(at), kind, text) for kind, text in mine]
        good += [] if mine else [at]
    return Checked(records, probes, problems, good)


def as_pairs(first: Checked, second: Checked) -> tuple[Checked, Checked]:
    """Both lists of pairs with what is wrong with the pairs: of different length, or one of the two has a problem."""
    found: list[Problem] = []
    for at, (one, other) in enumerate(zip(first.probes, second.probes, strict=True)):
        if not one.error and not other.error and one.frames != other.frames:
            path, partner = first.records[at].path, second.records[at].path
            where = second.records.where(at)
            text = f"'{path}' has {one.frames} frames, its pair '{partner}' ({where}) has {other.frames}"
            found.append(Problem(first.records.where(at), "pair", text))
    apart = {problem.where for problem in found}
    both = sorted({*first.good} & {*second.good})
    good = [at for at in both if first.records.where(at) not in apart]
    return first._replace(problems=first.problems + found, good=good), second._replace(good=good)


def places(records: RecordList) -> dict[str, str]:
    """Places of the videos of a list: real path -> the row where it stands first."""
    first: dict[str, str] = {}
    for at, record in enumerate(records):
        first.setdefault(os.path.realpath(record.path), records.where(at))
    return first


def _duplicates(records: RecordList) -> Iterator[tuple[int, str]]:
    first: dict[str, int] = {}
    for at, record in enumerate(records):
        other = first.setdefault(os.path.realpath(record.path), at)
        if other != at:
            told = (
                ""
                if records[other].label == record.label
                else f" with label {records[other].label} instead of {record.label}"
            )
            yield at, f"'{record.path}' stands in {records.where(other)} as well{told}"


def _file_problems(record: VideoRecord, found: Probe, min_frames: int) -> Iterator[tuple[str, str]]:
    if found.error:
        yield "unreadable", found.error if record.path in found.error else f"'{record.path}': {found.error}"
    elif found.damage:
        yield "damaged", f"'{record.path}': {found.damage}"
    elif not found.frames:
        yield "no frames", f"'{record.path}' has no frames"
    elif found.codec == FOLDER and found.frames < (record.num_frames or 0):
        yield "frame count", f"'{record.path}' has {found.frames} frames, the list says {record.num_frames}"
    elif found.frames < min_frames:
        yield "too short", f"'{record.path}' has {found.frames} frames, {min_frames} are asked for"


# ----------------------------------------------------------------------------------------------------------- the report
def write_table(path: Path, checked: Checked) -> None:
    """One row per row of the list: path, label, what the video is, what is wrong with it, what is unusual."""
    wrong: dict[str, list[str]] = {}
    for problem in checked.problems:
        wrong.setdefault(problem.where, []).append(f"{problem.kind}: {problem.text}")
    rows: list[list] = [["where", "path", "label", *Probe._fields[:-4], "problems", "notes"]]
    for at, (record, found) in enumerate(zip(checked.records, checked.probes, strict=True)):
        numbers = [
            "" if value is None else round(value, 3) if isinstance(value, float) else value for value in found[:-4]
        ]
        where = checked.records.where(at)
        problems = "; ".join(wrong.get(where, []))
        rows.append([where, record.path, record.label, *numbers, problems, "; ".join(found.notes)])
    save_file(path, csv_text(rows), ListError)


def write_clean_list(path: Path, use: str, checked: Checked, *, remote: str = "") -> list[str]:
    """Writes a list of the rows without a problem, with the paths of this machine, or those below the address
    ``remote``. Returns where it went, in words.

    Args:
        use: the key with which a run takes it.
    """
    good = checked.records.pick(checked.good)
    save_file(path, format_list([_absolute(record, remote) for record in good], good.targets), ListError)
    kept = f"{len(good)} of {len(checked.records)} videos"
    return [f"clean list: {path}, {kept}; use it: {use}"]


def summary(checked: Checked) -> list[str]:
    """Counts, what is unusual though no problem, then every problem with its place."""
    readable = [found for found in checked.probes if not found.error]
    lines = [f"{checked.records.source}: {len(checked.records)} videos, {len(checked.good)} without a problem"]
    if readable:
        frames = sorted(found.frames for found in readable)
        luma = sorted(found.luma for found in readable if found.luma is not None)
        dark = sum(found.dark == 1 for found in readable)
        sizes = sorted({f"{found.width}x{found.height}" for found in readable})
        lines += [
            f"frames {frames[0]}..{frames[-1]} (median {frames[len(frames) // 2]}); sizes {_some(sizes)}; "
            f"mean luma {luma[0]:.1f}..{luma[-1]:.1f} of 255 (median {luma[len(luma) // 2]:.1f}); {dark} dark by "
            "Dark-48's measure"
        ]
    lines += _noted(checked)
    return lines + [f"{problem.where}: {problem.kind}: {problem.text}" for problem in checked.problems]


def _noted(checked: Checked) -> list[str]:
    """``note: 3 videos, a variable frame rate (train.csv:2, train.csv:7, train.csv:9)``"""
    places: dict[str, list[str]] = {}
    for at, found in enumerate(checked.probes):
        for note in found.notes:
            places.setdefault(note, []).append(checked.records.where(at))
    return [
        f"note: {len(where)} video{'s' * (len(where) > 1)}, {note} ({_some(where)})"
        for note, where in sorted(places.items())
    ]


def _absolute(record: VideoRecord, remote: str) -> VideoRecord:
    return record._replace(path=row_path(record.path, remote))


def _some(texts: Iterable[str], most: int = 5) -> str:
    texts = list(texts)
    return ", ".join(texts[:most]) + (", ..." if len(texts) > most else "")
