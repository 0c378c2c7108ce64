"""Damaged and made-up pickles of scores: a table, or a ScoreError; the interpreter lives and stays small."""

import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from fuzzing import SEEDS, examples, tried
from mutations import mutated

from fragrant.metrics import ScoreError
from fragrant.scores.pickles import import_pickle

SCORES = np.arange(12, dtype=np.float32).reshape(3, 4)
CONTENTS = [
    [SCORES, np.arange(3)],
    [torch.from_numpy(SCORES), torch.arange(3)],
    {"video_preds": SCORES, "video_labels": np.arange(3)},
    [
        {"pred_score": torch.rand(4, generator=torch.Generator().manual_seed(at)), "gt_label": torch.tensor([1])}
        for at in range(2)
    ],
    [[SCORES[:1], 1], [SCORES[1:2], np.int64(2)]],
    [np.asfortranarray(SCORES), [1, 2, 3]],
    [SCORES.astype(">f8"), np.array([True, False, True])],
    np.array([{}, "x"], dtype=object),
    np.zeros(2, dtype=[("a", "i4"), ("b", "O")]),
]
PICKLES = [pickle.dumps(content, protocol=protocol) for content in CONTENTS for protocol in (0, 2, 4, 5)]
FOLDER = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


def check_one(path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path.write_bytes(mutated(rng.choice(PICKLES), PICKLES, rng))
    try:
        table = import_pickle(path)
    except ScoreError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
    else:
        assert table.logits.dtype == torch.float32 and table.logits.shape[:2] == (len(table.labels), 1)


@examples(400, 20_000)
def test_damaged_pickles(number, tmp_path):
    tried(lambda seed: check_one(tmp_path / "results.pkl", seed), SEEDS, number)


OPCODES = [
    bytes([code])
    for code in range(256)
    if chr(code)
    in "".join(
        getattr(pickle, name).decode("latin1")
        for name in pickle.__all__
        if name.isupper() and isinstance(getattr(pickle, name), bytes)
    )
]
WORDS = [
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"cnumpy\nndarray\n",
    b"U\x02f4",
    b"K\x03",
    b"N",
]
WORDS += [b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch.storage\n_load_from_bytes\n", b"ccollections\nOrderedDict\n"]
WORDS += [
    b"cnumpy.core.multiarray\nscalar\n",
    b"cos\nsystem\n",
    b"(",
    b")",
    b"R",
    b"b",
    b"\x85",
    b"\x86",
    b"\x87",
    b"t",
]
WORDS += [
    b"K\x00\x85",
    b"C\x01b",
    b"\x89",
    b"\x88",
    b"q\x00",
    b"h\x00",
    b"J\xff\xff\xff\xff",
    b"U\x01|",
    b"]",
    b"}",
    b"a",
]


@examples(300, 50_000)
def test_made_up_pickles(number, tmp_path):
    """Rows of opcodes with the names that are known: deeper than damage gets."""
    path = tmp_path / "results.pkl"

    def check(seed: int) -> None:
        rng = random.Random(seed)
        path.write_bytes(
            b"\x80\x04" + b"".join(rng.choice(WORDS + OPCODES) for _ in range(rng.randrange(2, 25))) + b"."
        )
        with pytest.raises(ScoreError):
            import_pickle(path)

    tried(check, SEEDS, number)


CHILD = """
import resource, sys
from pathlib import Path
sys.path[:0] = {paths!r}
import test_fuzz_pickles as fuzz
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for seed in range({first}, {last}):
    fuzz.check_one(Path({path!r}), seed)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert grown < 500_000, f"{{grown}} kB more"
"""


@pytest.mark.slow
def test_the_interpreter_lives(tmp_path):
    """In a process of its own: a crash of the interpreter is a number there, and the end of all tests here."""
    path = str((FOLDER or tmp_path) / f"fragrant_fuzz_{os.getpid()}.pkl")
    paths = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]
    code = CHILD.format(paths=paths, path=path, first=0, last=1_000_000)
    try:
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    finally:
        Path(path).unlink(missing_ok=True)
    assert ended.returncode == 0, f"exit code {ended.returncode}\n{ended.stderr[-2000:]}"
