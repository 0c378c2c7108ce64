"""Looks at many videos once, in several processes: facts, damage, and a preview of some."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from fragrant.data.lists.records import RecordList, each_label
from fragrant.data.prepare.probe import Probe, probe
from fragrant.data.video.frames import OpenFrames, VideoError
from fragrant.report.browse.preview import Preview, preview, preview_numbers, seconds_of
from fragrant.report.strips import evenly
from fragrant.workers import results_of


class Seen(NamedTuple):
    """What is known of a video; ``preview`` is None where none is asked for, or the video cannot be read."""

    probe: Probe
    preview: Preview | None = None


DEAD = Seen(Probe(error="reading it ends the process (a crash of the decoder)"))


def look_at(job: tuple[str, bool], *, open_frames: OpenFrames) -> Seen:
    """Probes a video, which decodes all of it; makes its preview where the job, (path, with preview), says so."""
    path, wanted = job
    found = probe(path, open_frames)
    if not wanted or found.error:
        return Seen(found)
    try:
        with open_frames(path) as frames:
            numbers = preview_numbers(len(frames), frames.fps)
            return Seen(found, preview(frames.read(numbers), seconds=seconds_of(numbers, frames.fps)))
    except VideoError as error:  # damaged where the probe did not look
        return Seen(found if found.damage else found._replace(error=str(error)))


def look_at_all(paths: Iterable[str], shown: set[str], *, workers: int, open_frames: OpenFrames) -> dict[str, Seen]:
    """path -> what is known of it; those in ``shown`` have a preview."""
    jobs = [(path, path in shown) for path in dict.fromkeys(paths)]
    results = results_of(partial(look_at, open_frames=open_frames), jobs, workers=workers, title="browse")
    return {path: seen or DEAD for (path, _), seen in results}


def some_of(records: RecordList, most: int) -> RecordList:
    """At most about ``most`` of a list, of every class its share (at least one video), evenly from the list; 0 =
    all."""
    if not most or len(records) <= most:
        return records
    by_class: dict[int, list[int]] = {}
    for at, label in enumerate(records.labels.tolist()):
        by_class.setdefault(label, []).append(at)
    ids = []
    for own in by_class.values():
        ids += [own[at] for at in evenly(len(own), max(1, len(own) * most // len(records)))]
    return records.pick(sorted(ids))


def shown_of(lists: Sequence[RecordList], per_class: int) -> set[str]:
    """The videos that have a preview: ``per_class`` of every class, evenly from all lists together."""
    by_class: dict[int, list[str]] = {}
    for records in lists:
        for record in records:
            for label in each_label(record.label):
                by_class.setdefault(label, []).append(record.path)
    shown: set[str] = set()
    for paths in by_class.values():
        own = list(dict.fromkeys(paths))
        shown |= {own[at] for at in evenly(len(own), per_class)}
    return shown
