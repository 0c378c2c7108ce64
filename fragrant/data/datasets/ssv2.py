"""Something-Something V2: 174 templates; left and right matter, so training clips must not be mirrored."""

from fragrant.data.datasets.known_set import KnownSet, Source, register_set
from fragrant.data.datasets.search import find_file, need_file, read_split
from fragrant.data.lists.class_names import read_class_table

PUBLISHED = {"train": 168913, "val": 24777, "unlabelled": 27157}


@register_set("ssv2")
def ssv2(source: Source) -> KnownSet:
    """Reads the JSON files of the set, under either of their names; figures are those of the validation list: the test
    list has no labels."""
    long = "something-something-v2-{}.json".format
    table = read_class_table(need_file(source.root, "labels/labels.json", "labels.json", long("labels")))
    files = {
        "train": need_file(source.root, "labels/train.json", "train.json", long("train")),
        "val": need_file(source.root, "labels/validation.json", "validation.json", long("validation")),
        "unlabelled": find_file(source.root, "labels/test.json", "test.json", long("test")),
    }
    splits = {split: read_split(source, path, classes=table) for split, path in files.items() if path}
    splits["test"] = splits["val"]
    return KnownSet(
        splits,
        table.names,
        PUBLISHED,
        ("test repeats val: the test labels are not public", "train with DATA.RANDOM_FLIP False"),
    )
