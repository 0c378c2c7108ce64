"""Damaged score tables, lists and files of class names: read, or refused in one line."""

import io
import json
import random
import zipfile

import numpy as np
import torch
from fuzzing import SEEDS, examples, tried
from hypothesis import strategies as st
from mutations import mutated

from fragrant.data.lists.class_names import read_class_table
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import read_list
from fragrant.errors import UserError
from fragrant.metrics import ScoreError
from fragrant.scores import describe_summary, ensemble_views, summarise
from fragrant.scores.table import ScoreTable, grid_views, load_table, save_table


def in_one_line(error: Exception) -> None:
    assert "\n" not in str(error) and len(str(error)) < 3000


# ---- score tables


def table() -> ScoreTable:
    logits = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    return ScoreTable.whole(["a", "b", "c"], torch.arange(3), logits, grid_views(2, 1), header={"rule": "mean-softmax"})


def used_or_refused(path) -> None:
    """Refused when it is read; what is read can be ensembled and summed up."""
    try:
        found = load_table(path)
        describe_summary(summarise(ensemble_views(found, "mean-softmax")))
    except ScoreError as error:
        in_one_line(error)


@examples(80, 50_000)
def test_damaged_tables(number, tmp_path):
    path = tmp_path / "scores.npz"
    save_table(path, table())
    content = path.read_bytes()

    def check(seed: int) -> None:
        rng = random.Random(seed)
        path.write_bytes(mutated(content, [content], rng))
        used_or_refused(path)

    tried(check, SEEDS, number)


ODD = [np.zeros(0), np.zeros((3, 2, 4)), np.arange(3), np.array(["x"] * 3), np.array(7), np.zeros((2, 2), bool)]
ODD += [np.full(3, 10**12), np.full(3, -5), np.array([np.nan] * 3), np.array("{"), np.array("[1]"), np.array("{}")]
ODD += [np.zeros((3, 2, 4), np.float16), np.zeros((3, 2, 0), np.float32), np.zeros(3, complex), np.zeros(3, "M8[s]")]


@examples(150, 50_000)
def test_odd_columns_in_whole_tables(number, tmp_path):
    path = tmp_path / "scores.npz"
    save_table(path, table())
    with np.load(path) as file:
        columns = {name: file[name] for name in file.files}

    def check(seed: int) -> None:
        rng = random.Random(seed)
        changed = dict(columns)
        for _ in range(rng.choice((1, 1, 2))):
            name = rng.choice([*columns, "choice_x"])
            if rng.randrange(4):
                changed[name] = rng.choice(ODD)
            else:
                changed.pop(name, None)
        np.savez(path, **changed)
        used_or_refused(path)

    tried(check, SEEDS, number)


@examples(60, 20_000)
def test_damaged_columns_in_whole_tables(number, tmp_path):
    path, whole = tmp_path / "scores.npz", io.BytesIO()
    save_table(path, table())
    whole = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(whole) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}

    def check(seed: int) -> None:
        rng = random.Random(seed)
        which = rng.choice(list(parts))
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, mutated(content, [content], rng) if name == which else content)
        used_or_refused(path)

    tried(check, SEEDS, number)


# ---- lists

LISTS = [
    b"a/b.mp4 0\nc d.mp4 1\n",
    b"path,label\na.mp4,3\n'b,c.mp4',2\n",
    b"a.mp4 120 3\nb.mp4 64 0\n",
    b"1\tjump\tjump/1.mp4\n2\trun\trun/2.mp4\n",
    b"\xef\xbb\xbf# comment\r\na.mp4 1\r\n",
    json.dumps([{"id": "74225", "label": "holding", "template": "Holding [something]"}]).encode(),
    json.dumps([{"vid_name": "a", "label": 3, "start_frame": 0, "end_frame": 9}]).encode(),
    json.dumps({"jump": 0, "run": 1}).encode(),
    b"jump\nrun\n",
    b"0\tjump\n1\trun\n",
]
WORDS = ["a.mp4", "1", "-1", "9" * 30, "1e999", "nan", ",", "\t", " ", '"', "'", "\0", "#", "../x", "/", "\r", "[", "]"]
WORDS += ["{", "}", ":", "\u2028", "\ud800", "é", "1.5", "path", "label", "id", "true", "null", "٣", "[" * 2000]


def lists_or_refused(path) -> None:
    for separator, multi_label, classes in ((" ", False, None), (",", True, 10)):
        try:
            records = read_list(path, separator=separator, multi_label=multi_label, num_classes=classes)
            assert all("\0" not in record.path for record in records)
        except ListError as error:
            in_one_line(error)
    try:
        read_class_table(path)
    except UserError as error:
        in_one_line(error)


@examples(100, 50_000)
def test_damaged_lists(number, tmp_path):
    path = tmp_path / "list.csv"

    def check(seed: int) -> None:
        rng = random.Random(seed)
        path.write_bytes(mutated(rng.choice(LISTS), LISTS, rng))
        lists_or_refused(path)

    tried(check, SEEDS, number)


@examples(100, 50_000)
def test_made_up_lists(number, tmp_path):
    path = tmp_path / "list.csv"

    def check(lines) -> None:
        text = "\n".join("".join(words) for words in lines)
        path.write_bytes(text.encode(errors="surrogatepass"))
        lists_or_refused(path)

    tried(check, st.lists(st.lists(st.sampled_from(WORDS), max_size=6), max_size=4), number)


@examples(60, 20_000)
def test_made_up_json(number, tmp_path):
    path = tmp_path / "list.json"
    names = st.sampled_from(["id", "label", "template", "vid_name", "start_frame", "end_frame", "path", "x"])
    leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("9" * 30))
    tree = st.recursive(leaf, lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(names, deeper, max_size=4))

    def check(value) -> None:
        path.write_text(json.dumps(value))
        lists_or_refused(path)

    tried(check, tree | st.lists(st.dictionaries(names, leaf, max_size=4), max_size=3), number)
