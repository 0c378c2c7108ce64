"""A run from shards is the run from the files, bit for bit; what stops it is one line."""

import shutil

import numpy as np
import pytest
import torch
from conftest import ROOT
from packed import pack
from served import serving
from tiny import TINY, run_here

from fragrant.checkpoint import checkpoint_path, load_checkpoint

DATA = ROOT / "tests" / "golden_run" / "data"
LISTS = "TRAIN.DATASET kinetics TEST.DATASET kinetics DATA.VAL_LIST test.csv".split()


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    out = tmp_path_factory.mktemp("packed")
    root = tmp_path_factory.mktemp("set")
    shutil.copytree(DATA, root, dirs_exist_ok=True)
    for split in ("train", "test"):
        rows = (root / f"{split}.csv").read_text()
        (root / f"{split}.csv").write_text(
            "".join(f"videos/{row}\n" for row in rows.splitlines()) if "videos/" not in rows else rows
        )
    assert pack(root, out, "--list", f"test={root / 'test.csv'}", "--shard-mb", "0.02") == 0
    return root, out


def run(folder, output, *pairs):
    return run_here(*TINY, *LISTS, "DATA.PATH_TO_DATA_DIR", folder, "OUTPUT_DIR", output, *pairs)


@pytest.mark.parametrize("workers", [2, pytest.param(0, marks=pytest.mark.slow)])
def test_the_same_weights_and_scores_as_from_the_files(packed, tmp_path, workers):
    more = ("DATA_LOADER.NUM_WORKERS", workers, "AUG.ENABLE", "True", "SOLVER.MAX_EPOCH", 1, "TRAIN.EVAL_PERIOD", 100)
    for name, folder in zip(("files", "shards"), packed, strict=True):
        done = run(folder, tmp_path / name, *more)
        assert done.returncode == 0, done.stderr
    files, shards = (load_checkpoint(checkpoint_path(tmp_path / name, 1)) for name in ("files", "shards"))
    assert all(torch.equal(tensor, shards["model_state"][key]) for key, tensor in files["model_state"].items())
    with np.load(tmp_path / "files" / "scores.npz") as a, np.load(tmp_path / "shards" / "scores.npz") as b:
        assert set(a.files) == set(b.files)
        for name in set(a.files) - {"paths", "header"}:
            assert np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f"), name
        assert all(path.startswith(f"{packed[1]}/shards/00") for path in b["paths"].tolist())


@pytest.mark.slow
def test_a_run_goes_on_from_shards(packed, tmp_path):
    """Its second epoch again."""
    states = []
    for _ in range(2):
        done = run(packed[1], tmp_path, "TEST.ENABLE", "False", "TRAIN.EVAL_PERIOD", 100)
        assert done.returncode == 0, done.stderr
        states.append(load_checkpoint(checkpoint_path(tmp_path, 2))["model_state"])
        checkpoint_path(tmp_path, 2).unlink()
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())


def test_what_stops_a_run_is_one_line_and_exit_code_2(packed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(packed[1], out)
    (out / "shards" / "000.index.json").rename(out / "shards" / "away")
    done = run(out, tmp_path / "run")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "has no index '000.index.json'" in done.stderr
    (out / "shards" / "001.index.json").rename(out / "shards" / "000.index.json")
    done = run(out, tmp_path / "run")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "does not belong to" in done.stderr


@pytest.mark.slow
def test_a_run_from_an_address(packed, tmp_path, monkeypatch):
    """Lists, shards and the weights to start from and to test: as with paths of this machine."""
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    more = ("DATA_LOADER.NUM_WORKERS", 2, "SOLVER.MAX_EPOCH", 1, "TRAIN.CHECKPOINT_EPOCH_RESET", "True")
    assert run(packed[1], tmp_path / "first", *more, "TEST.ENABLE", "False").returncode == 0
    weights = checkpoint_path(tmp_path / "first", 1)
    shutil.copy(weights, packed[1] / "w.pyth")
    with serving(packed[1]) as address:
        for name, folder in (("here", packed[1]), ("there", address)):
            of_file = ("DATA.PATH_PREFIX", folder, "TRAIN.CHECKPOINT_FILE_PATH", f"{folder}/w.pyth")
            done = run(folder, tmp_path / name, *more, *of_file)
            assert done.returncode == 0, done.stderr
            of_file = (
                "TRAIN.ENABLE",
                "False",
                "TEST.CHECKPOINT_FILE_PATH",
                f"{folder}/w.pyth",
                "DATA.PATH_PREFIX",
                folder,
            )
            done = run(folder, tmp_path / f"{name}_test", *more, *of_file)
            assert done.returncode == 0, done.stderr
    for kind in ("", "_test"):
        with (
            np.load(tmp_path / f"here{kind}" / "scores.npz") as a,
            np.load(tmp_path / f"there{kind}" / "scores.npz") as b,
        ):
            assert all(
                np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f")
                for name in set(a.files) - {"paths", "header"}
            )
