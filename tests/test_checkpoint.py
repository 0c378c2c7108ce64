"""Checkpoints: whole or not there, found again, and readable without running code from them."""

import logging
import os
import pickle
import random
import re
import stat
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import golden
from torch import nn

from fragrant import checkpoint, files
from fragrant.checkpoint import (
    CheckpointError,
    best_path,
    checkpoint_path,
    find_latest,
    is_due,
    load_checkpoint,
    load_latest,
    rng_state,
    save_best,
    save_checkpoint,
    set_rng_state,
)
from fragrant.models.uniformer import UniFormer
from fragrant.models.weights import load_weights


def training_state(epoch: int) -> dict:
    """Everything that a run saves."""
    torch.manual_seed(epoch)
    model = nn.Sequential(nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8), nn.Linear(100, 100))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model[2](torch.randn(4, 100)).sum().backward()
    optimizer.step()
    return {
        "epoch": epoch,
        "step": 10 * epoch,
        "model_state": model.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "scaler_state": torch.amp.GradScaler("cpu").state_dict(),
        "rng": rng_state(),
        "best": {"top1_acc": 50.0, "epoch": epoch},
        "cfg": "MODEL:\n  MODEL_NAME: Uniformer\n",
        "class_names": ["jump", "run"],
    }


def same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return one == other and type(one) is type(other)


def save_epochs(folder: Path, *epochs: int) -> list[Path]:
    paths = [checkpoint_path(folder, epoch + 1) for epoch in epochs]
    for epoch, path in zip(epochs, paths, strict=True):
        save_checkpoint(path, training_state(epoch))
    return paths


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


# ---- names and dates


@pytest.mark.parametrize("row", golden("framework/checkpoint_schedule")["rows"], ids=str)
def test_golden_schedule(row):
    due = [epoch for epoch in range(row["max_epoch"]) if is_due(epoch, row["max_epoch"], row["period"])]
    assert [checkpoint_path("out", epoch + 1).name for epoch in due] == row["saved_files"]


def test_paths():
    assert checkpoint_path("out", 3) == Path("out/checkpoints/checkpoint_epoch_00003.pyth")
    assert checkpoint_path("out", 123456) == Path("out/checkpoints/checkpoint_epoch_123456.pyth")
    assert best_path("out") == Path("out/checkpoints/best.pyth")


# ---- there and back


def test_everything_comes_back(tmp_path):
    state = training_state(4)
    save_checkpoint(checkpoint_path(tmp_path, 5), state)
    loaded = load_checkpoint(str(checkpoint_path(tmp_path, 5)))
    assert same(loaded, state)
    assert names(tmp_path) == ["checkpoint_epoch_00005.pyth"]  # no temporary is left


def test_a_file_of_weights_alone_is_read_too(tmp_path):
    weights = training_state(0)["model_state"]
    for name, kept in (("bare.pth", weights), ("model.pth", {"model": weights})):
        torch.save(kept, tmp_path / name)
        assert same(dict(load_checkpoint(tmp_path / name)), dict(kept))
    torch.save(weights, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same(dict(load_checkpoint(tmp_path / "old.pth")), dict(weights))


def test_a_checkpoint_is_a_file_of_weights(tmp_path):
    trained, model = (
        UniFormer(num_classes=3, embed_dim=(8, 8, 16, 16), depth=(1, 1, 1, 1), head_dim=8) for _ in range(2)
    )
    save_checkpoint(checkpoint_path(tmp_path, 1), {**training_state(0), "model_state": trained.state_dict()})
    report = load_weights(model, checkpoint_path(tmp_path, 1))
    assert not report.missing and not report.unexpected and not report.dropped
    assert same(dict(model.state_dict()), dict(trained.state_dict()))


def test_parts_of_a_test_write_one_file_at_once(tmp_path):
    """Each under a name of its own until it is whole: the last one stays."""
    path = tmp_path / "adapted.pyth"
    with files.written_whole(path, own_name="1-of-2") as file:
        save_checkpoint(path, {"model_state": {}, "epoch": 1}, own_name="0-of-2")
        assert load_checkpoint(path)["epoch"] == 1
        file.write(b"the other part")
    assert path.read_bytes() == b"the other part" and os.listdir(tmp_path) == ["adapted.pyth"]


def test_best_holds_what_testing_needs(tmp_path):
    state = training_state(2)
    path = save_best(tmp_path, state)
    loaded = load_checkpoint(path)
    assert loaded.keys() == state.keys() - {"optimizer_state", "scaler_state", "rng"}
    assert same(loaded["model_state"], state["model_state"])
    assert find_latest(tmp_path) is None  # it is not where a run goes on
    save_best(tmp_path, training_state(3))
    assert load_checkpoint(path)["epoch"] == 3


def test_random_numbers_go_on_where_they_were(tmp_path):
    random.seed(3)
    torch.manual_seed(3)
    save_checkpoint(tmp_path / "rng.pyth", {"model_state": {}, "epoch": 0, "rng": rng_state()})
    expected = random.random(), random.gauss(0, 1), torch.rand(3)
    random.seed(4)
    torch.manual_seed(4)
    set_rng_state(load_checkpoint(tmp_path / "rng.pyth")["rng"])
    assert same((random.random(), random.gauss(0, 1), torch.rand(3)), expected)


@pytest.mark.cuda
def test_random_numbers_of_the_gpu(tmp_path):
    save_checkpoint(tmp_path / "rng.pyth", {"rng": rng_state()})
    expected = torch.rand(3, device="cuda")
    set_rng_state(load_checkpoint(tmp_path / "rng.pyth")["rng"])
    assert torch.equal(torch.rand(3, device="cuda"), expected)


@pytest.mark.cuda
def test_saved_from_the_gpu_and_read_on_the_cpu(tmp_path):
    save_checkpoint(tmp_path / "a.pyth", {"model_state": {"w": torch.ones(3, device="cuda")}})
    assert load_checkpoint(tmp_path / "a.pyth")["model_state"]["w"].device.type == "cpu"


def test_gpu_numbers_are_left_alone_without_a_gpu(monkeypatch):
    state = {**rng_state(), "cuda": torch.zeros(16, dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    first = torch.rand(3)
    set_rng_state(state)
    assert torch.equal(torch.rand(3), first)  # the CPU's numbers are back all the same


@pytest.mark.parametrize(
    "value, message",
    [
        (Path("x"), "state['best']['top1'][1] is a PosixPath: a checkpoint holds tensors and plain Python values only"),
        (np.float64(1), "state['best']['top1'][1] is a float64"),
        (defaultdict(int), "state['best']['top1'][1] is a defaultdict"),
        ({Path("x"): 1}, "a key of state['best']['top1'][1] is a PosixPath"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, value, message):
    with pytest.raises(AssertionError, match=re.escape(message)):
        save_checkpoint(tmp_path / "a.pyth", {"best": {"top1": [1, value]}})
    assert not (tmp_path / "a.pyth").exists()


def test_all_that_may_be_written_can_be_read(tmp_path):
    values = [
        None,
        True,
        1,
        2**70,
        1.5,
        float("inf"),
        1j,
        "ä",
        b"b",
        torch.Size([2]),
        torch.float16,
        torch.device("cpu"),
        (1, [2, ()]),
    ]
    state = {
        "values": values,
        "map": OrderedDict(a={1: 2}),
        "parameter": nn.Parameter(torch.ones(2)),
        "bf16": torch.ones(2).bfloat16(),
    }
    save_checkpoint(tmp_path / "a.pyth", state)
    assert same(load_checkpoint(tmp_path / "a.pyth"), state)
    assert {type(value) for value in values} | {torch.Tensor, nn.Parameter} == checkpoint.PLAIN | {tuple}


# ---- interrupted and failing writes


class DiskFull:
    """A file that takes so many bytes and then fails like a full disk."""

    def __init__(self, file, room: int):
        self.file, self.room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, data) -> int:
        self.room -= memoryview(data).nbytes
        if self.room < 0:
            raise OSError(28, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 100, 5_000, 60_000, 100_000])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, room):
    path = save_epochs(tmp_path, 0)[0]
    assert path.stat().st_size > 100_000
    before = path.read_bytes()
    monkeypatch.setattr(files, "open", lambda name, mode: DiskFull(open(name, mode), room), raising=False)
    message = f"cannot write checkpoint {path}: No space left on device; earlier checkpoints are untouched"
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        save_checkpoint(path, training_state(1))
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_real_full_device(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "open", lambda name, mode: open("/dev/full", mode), raising=False)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_checkpoint(tmp_path / "a.pyth", training_state(0))
    assert list(tmp_path.iterdir()) == []


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs, so the clean-up must not count either."""


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_killed_before_the_move(tmp_path, monkeypatch, moment):
    """The newest whole checkpoint is found; what the kill left is ignored, and overwritten by the next save."""
    first, second = checkpoint_path(tmp_path, 1), checkpoint_path(tmp_path, 2)
    save_epochs(tmp_path, 0)

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, moment, die)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            save_checkpoint(second, training_state(1))
    left = [name for name in names(tmp_path) if name != first.name]
    assert left == [".checkpoint_epoch_00002.pyth.tmp"]
    assert find_latest(tmp_path) == first and load_latest(tmp_path).state["epoch"] == 0
    save_checkpoint(second, training_state(1))
    assert names(tmp_path) == [first.name, second.name]
    assert load_latest(tmp_path).path == second


def test_an_interrupt_cleans_up(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path / "a.pyth", {"epoch": 1})
    assert list(tmp_path.iterdir()) == []


def test_file_and_folder_reach_the_disk_in_order(tmp_path, monkeypatch):
    """Bytes, then the name, then the folder that holds the name."""
    events = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(handle):
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def note_replace(source, target):
        events.append("move")
        assert zipfile.is_zipfile(source)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    save_checkpoint(tmp_path / "a.pyth", {"epoch": 1})
    assert events == ["file", "move", "folder"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "checkpoints").write_text("a file in the way")
    path = checkpoint_path(tmp_path, 1)
    with pytest.raises(
        CheckpointError,
        match=f"^cannot write checkpoint {re.escape(str(path))}: (File exists|Not a directory); earlier",
    ):
        save_checkpoint(path, {"epoch": 0})


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(
        CheckpointError, match="cannot write checkpoint .*: Permission denied; earlier checkpoints are untouched"
    ):
        save_checkpoint(tmp_path / "a.pyth", {"epoch": 0})


# ---- finding


def test_nothing_to_find(tmp_path):
    assert find_latest(tmp_path) is None and load_latest(tmp_path) is None
    (tmp_path / "checkpoints").mkdir()
    assert find_latest(str(tmp_path)) is None and load_latest(str(tmp_path)) is None


def test_the_newest_counts_by_number_and_foreign_files_do_not(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in (
        "checkpoint_epoch_00009.pyth",
        "checkpoint_epoch_99999.pyth",
        "checkpoint_epoch_100000.pyth",
        ".checkpoint_epoch_200000.pyth.tmp",
        "checkpoint_epoch_300000.pyth.tmp",
        "checkpoint_epoch_400000.pyth~",
        "my_checkpoint_epoch_500000.pyth",
        "checkpoint_epoch_6.pyth",
        "best.pyth",
        "notes.txt",
    ):
        (folder / name).touch()
    checkpoint_path(tmp_path, 700000).mkdir()
    assert find_latest(tmp_path) == checkpoint_path(tmp_path, 100000)


# ---- damaged files


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF  # in the middle of a tensor: torch.load alone would not notice
    path.write_bytes(content)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "last bytes missing": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "a flipped byte": flip_a_byte,
    "zeros": lambda path: path.write_bytes(bytes(5000)),
    "an error page": lambda path: path.write_bytes(b"<html>404 not found</html>"),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"model_state": {}, "epoch": 3}, protocol=2)),
    "no optimiser": lambda path: torch.save({"model_state": {}, "epoch": 3}, path),
    "no dict": lambda path: torch.save([1, 2], path),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_the_one_before_a_damaged_newest_is_used(tmp_path, caplog, damage):
    _, good, bad = save_epochs(tmp_path, 0, 1, 2)
    damage(bad)
    with caplog.at_level(logging.WARNING, logger="fragrant"):
        logging.getLogger("fragrant").addHandler(caplog.handler)
        path, state = load_latest(tmp_path)
        logging.getLogger("fragrant").removeHandler(caplog.handler)
    assert path == good and same(state, training_state(1) | {"rng": state["rng"]})
    texts = {record.getMessage() for record in caplog.records}
    assert len(texts) == 1 and str(bad) in texts.copy().pop() and "\n" not in texts.pop()
    assert find_latest(tmp_path) == bad  # still there for a look


def test_nothing_but_damaged_ones_is_no_fresh_start(tmp_path):
    for path in save_epochs(tmp_path, 0, 1):
        path.write_bytes(b"")
    folder = tmp_path / "checkpoints"
    message = (
        f"no checkpoint in {folder} can be resumed (2 tried); to start over, delete them or set TRAIN.AUTO_RESUME False"
    )
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load_latest(tmp_path)


DAMAGED = "checkpoint {path} is damaged or not a checkpoint: "


class Evil:
    def __reduce__(self):
        return (os.system, ("touch hacked",))


@pytest.mark.parametrize(
    "name, write, message",
    [
        ("none.pyth", lambda path: None, "cannot read checkpoint {path}: No such file or directory"),
        ("folder", lambda path: path.mkdir(), "cannot read checkpoint {path}: Is a directory"),
        ("cut.pyth", DAMAGES["cut in half"], DAMAGED + "its end is missing"),
        ("bit.pyth", flip_a_byte, DAMAGED + "wrong checksum of "),
        ("page.pyth", DAMAGES["an error page"], DAMAGED + "it holds something else than tensors and plain values"),
        (
            "list.pyth",
            DAMAGES["no dict"],
            "checkpoint {path} holds a list; allowed: a dict of tensors or of a training run",
        ),
        (
            "evil.pyth",
            lambda path: torch.save({"a": Evil()}, path),
            "it holds something else than tensors and plain values",
        ),
    ],
)
def test_reading_errors_are_one_line(tmp_path, monkeypatch, name, write, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    if name in ("cut.pyth", "bit.pyth"):
        save_checkpoint(path, training_state(0))
    write(path)
    with pytest.raises(CheckpointError, match=re.escape(message.format(path=path))) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "hacked").exists()  # nothing in a file is run
