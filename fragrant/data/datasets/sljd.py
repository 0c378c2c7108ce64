"""SLJD, the phases of a standing long jump (MIE-Net): folders of frames, 10 classes."""

import os
import re
from typing import Any

from fragrant.data.datasets.known_set import KnownSet, Source, register_set
from fragrant.data.datasets.search import need_file, read_split
from fragrant.data.lists.class_names import find_class_file, read_class_table
from fragrant.data.lists.groups import GroupRule
from fragrant.data.lists.records import RecordList

NUM_CLASSES = 10


def phase_names(lists: list[RecordList]) -> list[str] | None:
    """Class names ``["phase1", ...]`` where the videos are called phase1_F_22_1 and each phase has one label: names
    were never published."""
    phases: dict[Any, str] = {}
    for record in (record for records in lists for record in records):
        match = re.match(r"phase\d+", os.path.basename(record.path))
        if match is None or phases.setdefault(record.label, match[0]) != match[0]:
            return None
    one_each = sorted(phases) == list(range(NUM_CLASSES)) and len(set(phases.values())) == NUM_CLASSES
    return [phases[label] for label in sorted(phases)] if one_each else None


@register_set("sljd", groups=GroupRule("subject", r"phase\d+_([A-Za-z]+_\d+)_\d+"))  # phase1_F_22_1
def sljd(source: Source) -> KnownSet:
    """Reads ``annotations/{train,val,test}.txt`` with rows ``frames/video num_frames label``; clips of 5 frames are no
    mistake."""
    folder = need_file(source.root, "annotations/train.txt", "train.txt").parent
    paths = {split: folder / f"{split}.txt" for split in ("train", "val", "test")}
    splits = {split: read_split(source, path) for split, path in paths.items() if path.is_file()}
    class_file = find_class_file(folder) or find_class_file(source.root)
    names = read_class_table(class_file).names if class_file else phase_names(list(splits.values()))
    notes = () if names else ("its class names are not published: write them into classes.txt, one per line",)
    return KnownSet(splits, names, {"val": 290}, notes)
