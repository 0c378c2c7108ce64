"""A data set: the videos of a folder that the demo set was drawn in."""

from pathlib import Path

from fragrant.data.datasets.known_set import KnownSet, Source, register_set
from fragrant.data.lists.records import RecordList, VideoRecord


@register_set("own_set")
def own_set(source: Source) -> KnownSet:
    paths = sorted(Path(source.root).rglob("*.mp4"))
    rows = [VideoRecord(str(path), number % 6) for number, path in enumerate(paths)]
    records = RecordList(rows, source=str(source.root))
    return KnownSet({"train": records, "test": records}, [f"kind {number}" for number in range(6)])
