"""ARID in its editions: v1.0, v1.5, those of the UG2+ challenges, and the subsets of the EE6222 course.

Xu et al. 2020, Action Recognition in the Dark. All editions share the videos' names and the form of their lists.
"""

import re
from typing import NamedTuple

from fragrant.data.datasets.known_set import KnownSet, Source, register_set
from fragrant.data.datasets.search import find_file, need_file, read_split
from fragrant.data.lists.class_names import ClassTable
from fragrant.data.lists.groups import GroupRule

CLASSES = ["Drink", "Jump", "Pick", "Pour", "Push", "Run", "Sit", "Stand", "Turn", "Walk", "Wave"]
CLASSES_6 = ["Jump", "Run", "Sit", "Stand", "Turn", "Walk"]  # the course set of 2023 has an order of its own


class Edition(NamedTuple):
    # split -> names that its file has, of which the first is read; train is needed, the others not
    lists: dict[str, tuple[str, ...]]
    published: dict[str, int]
    class_names: list[str] = CLASSES
    first_label: int = 0
    note: str = ""


def _v1(split: int, train: int, test: int) -> Edition:
    names = {part: (f"ARID_split{split}_{part}.txt",) for part in ("train", "test")}
    other = (f"ARID_split{split}_other.txt", f"ARID_split{split}_others.txt")  # its README says others, the files other
    return Edition(
        names | {"other": other},
        {"train": train, "test": test, "other": 673},
        note="official figure: mean of the three splits",
    )


def _v15(split: int, published: dict[str, int]) -> Edition:
    names = {part: (f"split{split}_{part}.txt",) for part in ("train", "test")}
    return Edition(names | {"other": (f"split{split}_others.txt", f"split{split}_other.txt")}, published)


EDITIONS = {
    "v1.0-split1": _v1(1, 2288, 823),
    "v1.0-split2": _v1(2, 2252, 859),
    "v1.0-split3": _v1(3, 2259, 852),
    "v1.5-split0": _v15(0, {"train": 3350, "test": 2011, "other": 846}),
    "v1.5-split1": _v15(1, {}),
    "ug2-2.1": Edition(
        {
            "train": ("ARID1.1_t1_train_pub.csv",),
            "validation": ("ARID1.1_t1_validation_gt_pub.csv",),
            "test": ("ARID1.1_t1_test_pub.csv",),
        },
        {"train": 1837, "validation": 90, "test": 1289},
        CLASSES[5:],
        5,
        "labels 5..10 became 0..5",
    ),
    "ug2-2.2": Edition(
        {
            "train": ("ug2_2022_train_labeled.csv",),
            "dark": ("ug2_2022_train_dark.csv",),
            "dry_run": ("hmdb_validate_public.csv",),
        },
        {"train": 2625, "dark": 3088, "dry_run": 330},
        note="15 malformed rows of the labelled list are mended; dark and dry_run are unlabelled",
    ),
    "6class": Edition({"train": ("train.txt",), "test": ("validate.txt",)}, {"train": 150, "test": 96}, CLASSES_6),
    "10class": Edition({"train": ("train.txt",), "test": ("validate.txt",)}, {"train": 750, "test": 320}, CLASSES[:10]),
}


def mended(line: str) -> str:
    """Repairs rows 770 to 784 of UG2+ 2.2, which hold label and file name in one field,
    ``770,,"4<TAB>-18N3scYPX8.mp4"``: the names begin with a minus."""
    match = re.fullmatch(r'(\d+),,"(\d+)\t(.+)"', line)
    return f"{match[1]},{match[3]},{match[2]}" if match else line


# Run_11_3.mp4 is clip 3 of scene 11. Some places recur in other classes under the same number (Sit_2, Stand_2), so a
# draw keeps a number together; the official lists keep it apart within a class only.
SCENES = GroupRule("scene", r"_(\d+)_\d+(?:\.\w+)?$", apart=r"([A-Za-z]+_\d+)_\d+(?:\.\w+)?$")


@register_set("arid", *EDITIONS, groups=SCENES)
def arid(source: Source) -> KnownSet:
    edition = EDITIONS[source.edition]
    ids = {edition.first_label + at: at for at in range(len(edition.class_names))}
    classes = ClassTable(edition.class_names, f"the classes of ARID {source.edition}", ids)
    splits = {}
    for split, names in edition.lists.items():
        path = need_file(source.root, *names) if split == "train" else find_file(source.root, *names)
        if path is not None:
            hint = "val" if "valid" in names[0] else split
            splits[split] = read_split(source, path, classes=classes, hint=hint, mend=mended)
    return KnownSet(splits, edition.class_names, edition.published, (edition.note,) if edition.note else ())
