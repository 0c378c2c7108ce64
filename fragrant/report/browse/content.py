"""Content of the page of a data set as plain values, for the page to draw."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from fragrant.data.lists.records import RecordList, each_label
from fragrant.data.prepare.check import Checked
from fragrant.report.browse.histogram import Bin, by_kind, histogram
from fragrant.report.browse.preview import Preview

PROBLEMS = 500  # that are listed; all are counted
LIKELIEST = 3  # classes of a target that are told
UNLABELLED = "unlabelled"


class ListContent(NamedTuple):
    """A list, whole and as far as it was looked at.

    Attributes:
        name: "train", or what the list file is called.
        whole: all of its rows.
        checked: the rows that were looked at.
    """

    name: str
    whole: RecordList
    checked: Checked


class Draw(NamedTuple):
    """A training clip as the network gets it: one preview for each of its streams."""

    epoch: int
    streams: list[Preview]
    frames: list[int]
    mean: list[float]  # of the normalised pixels of each stream
    std: list[float]


class Drawn(NamedTuple):
    """Draws of one video beside the frames of the first of them as they are read."""

    path: str
    label: str
    original: Preview | None
    draws: list[Draw]
    why: str = ""  # there are none


def class_labels(lists: Sequence[ListContent], names: Sequence[str] | None) -> list[str]:
    """Names of all classes that have a name or a video."""
    labels = [label for each in lists for record in each.whole for label in each_label(record.label)]
    count = max([len(names or ()) - 1, *labels]) + 1 if labels or names else 0
    return [names[k] if names and k < len(names) else f"class {k}" for k in range(count)]


def browse_content(
    lists: Sequence[ListContent],
    previews: dict[str, Preview],
    *,
    title: str,
    class_names: Sequence[str] | None = None,
    notes: Sequence[str] = (),
    drawn: Sequence[Drawn] = (),
    clip: str = "",
    per_class: int = 0,
) -> dict:
    """Collects everything that the page shows.

    Args:
        lists: in the order they are shown.
        previews: by path.
        notes: what is to know before all else, a line each.
        clip: what a training clip is, in words.
        per_class: previews that were asked for.
    """
    names = class_labels(lists, class_names)
    videos, shown = _videos(lists, previews)
    looked = [len(each.checked.records) for each in lists]
    rows = [len(each.whole) for each in lists]
    described = ", ".join(
        f"{_count(one)} in {each.name}" + (f" ({_count(part)} of them looked at)" if part < one else "")
        for each, one, part in zip(lists, rows, looked, strict=True)
    )
    return {
        "title": title,
        "subtitle": f"Videos: {described}",
        "lists": [each.name for each in lists],
        "notes": list(notes),
        "classes": names,
        "counts": [_class_counts(each.whole, len(names)) for each in lists],
        "cards": _cards(lists, names),
        "videos": videos,
        "previews": [preview._asdict() for preview in shown],
        "perClass": per_class,
        "problems": _problems(lists),
        "histograms": _histograms(lists),
        "drawn": [_drawn(one) for one in drawn],
        "clip": clip,
    }


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


# --------------------------------------------------------------------------------------------------------------- videos
def _videos(lists: Sequence[ListContent], previews: dict[str, Preview]) -> tuple[dict[str, list], list[Preview]]:
    """Columns of all videos that were looked at, and the previews that they name by number."""
    numbers: dict[str, int] = {}
    columns: dict[str, list[Any]] = {
        key: [] for key in ("path", "list", "labels", "target", "frames", "fps", "size", "luma", "problem", "preview")
    }
    for own, each in enumerate(lists):
        wrong = {problem.where: problem.text for problem in each.checked.problems}
        for at, (record, found) in enumerate(zip(each.checked.records, each.checked.probes, strict=True)):
            row = {
                "path": record.path,
                "list": own,
                "labels": list(each_label(record.label)),
                "target": _likeliest(each.checked.records.target(at)),
                "frames": found.frames,
                "fps": None if found.fps is None else round(found.fps, 2),
                "size": f"{found.width}x{found.height}" if found.width else "",
                "luma": None if found.luma is None else round(found.luma / 255, 4),
                "problem": wrong.get(each.checked.records.where(at), ""),
                "preview": numbers.setdefault(record.path, len(numbers)) if record.path in previews else None,
            }
            for key, value in row.items():
                columns[key].append(value)
    return columns, [previews[path] for path in numbers]


def _likeliest(target: Sequence[float] | None) -> list[list] | None:
    """The likeliest classes of a target, ``[[class, probability], ...]``."""
    if target is None:
        return None
    order = sorted(range(len(target)), key=lambda k: -target[k])[:LIKELIEST]
    return [[k, round(target[k], 3)] for k in order if target[k] > 0]


def _class_counts(records: RecordList, num_classes: int) -> list[int]:
    """Videos of every class, and of none (the last)."""
    counts = Counter(label for record in records for label in each_label(record.label))
    return [counts[k] for k in range(num_classes)] + [counts[-1]]


# ---------------------------------------------------------------------------------------------------------------- cards
def _cards(lists: Sequence[ListContent], names: Sequence[str]) -> list[dict]:
    probes = [found for each in lists for found in each.checked.probes if not found.error]
    seconds = [found.frames / found.fps for found in probes if found.fps]
    lumas = sorted(found.luma / 255 for found in probes if found.luma is not None)
    wrong = sum(len(each.checked.problems) for each in lists)
    rows = sum(len(each.whole) for each in lists)
    looked = sum(len(each.checked.records) for each in lists)
    cards: list[dict[str, Any]] = [
        {"name": "videos", "value": _count(rows), "notes": [f"{len(names)} classes, {_places(lists)}"]},
        {
            "name": "problems",
            "value": _count(wrong),
            "notes": [f"among {_count(looked)} videos looked at, every frame decoded"],
            "bad": bool(wrong),
        },
    ]
    if seconds:
        cards.append(
            {
                "name": "median duration",
                "value": f"{sorted(seconds)[len(seconds) // 2]:.1f} s",
                "notes": [f"{min(seconds):.1f} to {max(seconds):.1f} s, {_long(sum(seconds))} together"],
            }
        )
    if lumas:
        dark = sum(found.dark == 1 for found in probes)
        cards.append(
            {
                "name": "median luma",
                "value": f"{lumas[len(lumas) // 2]:.3f}",
                "notes": [
                    f"{lumas[0]:.3f} to {lumas[-1]:.3f}; 0 black, 1 white",
                    f"{_count(dark)} of {_count(len(probes))} dark by Dark-48's measure",
                ],
            }
        )
    return cards


def _places(lists: Sequence[ListContent]) -> str:
    return f"{len(lists)} list{'s' * (len(lists) > 1)}"


def _long(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.1f} min"


# ------------------------------------------------------------------------------------------------- problems, histograms
def _problems(lists: Sequence[ListContent]) -> dict:
    """Problems by kind with their counts, the first of them in words; what is unusual, with counts."""
    found = [(each.name, problem) for each in lists for problem in each.checked.problems]
    notes = Counter(note for each in lists for probe in each.checked.probes for note in probe.notes)
    return {
        "kinds": Counter(problem.kind for _, problem in found).most_common(),
        "rows": [[name, problem.kind, problem.where, problem.text] for name, problem in found[:PROBLEMS]],
        "total": len(found),
        "notes": notes.most_common(),
    }


def _histograms(lists: Sequence[ListContent]) -> list[dict]:
    """Of the readable videos: duration, frames, frame rate, size, luma."""
    found = [(own, probe) for own, each in enumerate(lists) for probe in each.checked.probes if not probe.error]
    total, num_lists = len(found), len(lists)

    def drawn(title: str, bars: Sequence[Bin], unit: str, known: int, *, rows: bool = False) -> dict:
        told = [[bar.label, bar.counts] for bar in bars]
        rows = rows or len(bars) == 1  # one column says less than a line
        return {"title": title, "unit": unit, "rows": rows, "bars": told, "missing": total - known}

    timed = [(own, probe.frames / probe.fps, probe.fps) for own, probe in found if probe.fps]
    lit = [(own, probe.luma / 255) for own, probe in found if probe.luma is not None]
    sized = [(own, f"{probe.width} x {probe.height}") for own, probe in found if probe.width]
    seconds = histogram([value for _, value, _ in timed], [own for own, *_ in timed], num_lists)
    frames = histogram([probe.frames for _, probe in found], [own for own, _ in found], num_lists, whole=True)
    rates = by_kind([f"{round(fps, 2):g} per second" for *_, fps in timed], [own for own, *_ in timed], num_lists)
    sizes = by_kind([size for _, size in sized], [own for own, _ in sized], num_lists)
    lumas = histogram([value for _, value in lit], [own for own, _ in lit], num_lists)
    return [
        drawn("Luma", lumas, "mean luma of a video, 0 black, 1 white", len(lit)),
        drawn("Duration", seconds, "seconds", len(timed)),
        drawn("Frames", frames, "frames of a video", total),
        drawn("Frame rate", rates, "frames", len(timed), rows=True),
        drawn("Size", sizes, "pixels", len(sized), rows=True),
    ]


def _drawn(one: Drawn) -> dict:
    return {
        "path": one.path,
        "label": one.label,
        "why": one.why,
        "original": one.original and one.original._asdict(),
        "draws": [{**draw._asdict(), "streams": [stream._asdict() for stream in draw.streams]} for draw in one.draws],
    }
