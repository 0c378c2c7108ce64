"""Published files with a namespace, a config, NumPy objects beside their tensors: the tensors are read, nothing of the
file is imported or run."""

import argparse
import collections
import datetime
import decimal
import fractions
import pathlib
import sys
import types
import uuid

import numpy as np
import pytest
import torch
import yacs.config
from fvcore.common.config import CfgNode

from fragrant.checkpoint import CheckpointError, load_checkpoint, read_verified
from fragrant.engine.start import Sources, load_start
from fragrant.models.uniformer import UniFormer
from fragrant.runtime.weights import load_for_test
from fragrant.stand_ins import Inert, stand_in

RAN = []


class FarAway:
    """Classes of a module that is not there when the file is read, and that notices when they are used."""

    def __init__(self, module: str):
        self.module = types.ModuleType(module)

    def add(self, name: str, *bases: type, **content) -> type:
        def touched(self, *arguments, **options):
            RAN.append(name)

        made = type(name, bases or (object,), {"__module__": self.module.__name__, **content})
        if object not in (bases or (object,)) or not bases:
            made.__setstate__ = touched
        setattr(self.module, name, made)
        return made

    def __enter__(self):
        parts = self.module.__name__.split(".")
        for at in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:at]), self.module)
        return self

    def __exit__(self, *error):
        for name in [name for name, module in sys.modules.items() if module is self.module]:
            del sys.modules[name]


def mmengine_config():
    with FarAway("mmengine_of_test.config.config") as far:
        config_dict, config, history = far.add("ConfigDict", dict), far.add("Config"), far.add("HistoryBuffer")
        one = config()
        one._cfg_dict = config_dict(model=config_dict(type="TSN"), lr=[0.1])
        buffer = history()
        buffer._log_history = np.arange(5.0)
        return one, {"cfg": one._cfg_dict, "hub": {"loss": buffer}}, far


def omegaconf_config():
    with FarAway("omegaconf.dictconfig") as far:
        dict_config, node = far.add("DictConfig"), far.add("AnyNode")
        one = dict_config()
        one._content = {"lr": node()}
        return one, {}, far


OBJECTS = {
    "namespace": lambda: argparse.Namespace(lr=1, nested=argparse.Namespace(a=[1])),
    "simple namespace": lambda: types.SimpleNamespace(lr=1),
    "numpy scalar": lambda: np.float64(3.0),
    "numpy scalars": lambda: [np.int64(3), np.float32(1), np.bool_(True), np.uint8(1), np.float16(2)],
    "numpy text": lambda: np.str_("a"),
    "numpy array": lambda: np.arange(6).reshape(2, 3),
    "numpy array of texts": lambda: np.array(["run", "jump"]),
    "numpy array of objects": lambda: np.array([{}, None], dtype=object),
    "structured array": lambda: np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    "numpy random state": lambda: np.random.RandomState(0).get_state(),
    "numpy dtype": lambda: np.dtype("float32"),
    "numpy date": lambda: np.datetime64("2024-01-01"),
    "yacs": lambda: yacs.config.CfgNode({"A": {"B": 1}}),
    "fvcore": lambda: CfgNode({"A": {"B": [1]}}),
    "defaultdict": lambda: collections.defaultdict(list, a=[1]),
    "defaultdict of dicts": lambda: collections.defaultdict(dict),
    "counter": lambda: collections.Counter("abc"),
    "deque": lambda: collections.deque([1, 2], maxlen=5),
    "path": lambda: pathlib.Path("a/b"),
    "date": lambda: datetime.datetime(2024, 1, 1),
    "duration": lambda: datetime.timedelta(1),
    "set": lambda: {1, 2},
    "other plain objects": lambda: [range(3), slice(1), frozenset({1}), ..., fractions.Fraction(1, 2)],
    "decimal": lambda: decimal.Decimal(1),
    "identifier": lambda: uuid.UUID(int=1),
}


def tiny() -> UniFormer:
    return UniFormer(num_classes=3, embed_dim=(8, 8, 16, 16), depth=(1, 1, 1, 1), head_dim=8)


def read_by_all_keys(path) -> None:
    """TEST.CHECKPOINT_FILE_PATH, TRAIN.CHECKPOINT_FILE_PATH, UNIFORMER.PRETRAIN_NAME."""
    model = tiny()
    report, _ = load_for_test(model, str(path), clear_patterns=(), allow_partial=False)
    assert not report.missing
    options = dict(epoch_reset=False, clear_patterns=(), inflation=None)
    for named in (dict(checkpoint=str(path), pretrained=""), dict(checkpoint="", pretrained=str(path))):
        other = tiny()
        start = load_start(other, Sources("none", False, **options, **named), max_epoch=3)
        assert "keep their initial values" not in start.message
        assert all(
            torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True)
        )


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", OBJECTS)
def test_the_tensors_are_read(name, zipped, tmp_path):
    path, odd = tmp_path / "weights.pth", OBJECTS[name]()
    content = {"model": tiny().state_dict(), "args": odd, "epoch": 3, "nested": [{"a": odd}]}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    if zipped and name in ("namespace", "numpy scalar", "numpy array", "yacs"):
        read_by_all_keys(path)
    assert load_checkpoint(path)["model"].keys() == tiny().state_dict().keys()


@pytest.mark.parametrize("make", [mmengine_config, omegaconf_config])
def test_classes_that_are_not_installed(make, tmp_path):
    path = tmp_path / "weights.pth"
    one, more, far = make()
    with far:
        torch.save({"state_dict": tiny().state_dict(), "meta": {"cfg": one, **more}}, path)
        RAN.clear()
        read_by_all_keys(path)  # even where they are
    assert not RAN
    read_by_all_keys(path)
    assert not any(name.split(".")[0] in ("mmengine_of_test", "omegaconf") for name in sys.modules)


def test_what_they_become(tmp_path):
    path = tmp_path / "a.pth"
    torch.save(
        {
            "n": np.int64(3),
            "x": np.float32(0.5),
            "a": np.arange(3),
            "c": CfgNode({"A": 1}),
            "s": types.SimpleNamespace(),
        },
        path,
    )
    found = read_verified(path)
    assert (found["n"], found["x"]) == (3, 0.5) and type(found["n"]) is int
    assert found["a"].content.tolist() == [0, 1, 2] and dict(found["c"]) == {"A": 1} and isinstance(found["s"], Inert)


class Evil:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


NEVER = {
    "print": Evil(print, "x"),
    "eval": Evil(eval, "1"),
    "getattr": Evil(getattr, "a", "upper"),
    "os.system": Evil(__import__("os").system, "true"),
    "open": Evil(open, "hacked", "w"),
    "a config's own method": Evil(yacs.config.load_cfg, "A: 1"),
    "torch.load": Evil(torch.load, "x"),
    "a module": torch.nn.Linear(1, 1),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", NEVER)
def test_what_could_run_is_named_and_not_read(name, zipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    torch.save({"model": tiny().state_dict(), "args": NEVER[name]}, path, _use_new_zipfile_serialization=zipped)
    words = r"a Python object \(\S+\) that could run code and is not read; save the file again with tensors alone$"
    options = dict(epoch_reset=False, clear_patterns=(), inflation=None)
    for named in (dict(checkpoint=str(path), pretrained=""), dict(checkpoint="", pretrained=str(path))):
        with pytest.raises(ValueError, match=words) as caught:
            load_start(tiny(), Sources("none", False, **options, **named), max_epoch=3)
        assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(path)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    "name", ["os.Config", "subprocess.Popen", "builtins.eval", "torch.nn.Linear", "a.b", "Config", "os.path.Params", ""]
)
def test_no_stand_in_for(name):
    assert stand_in(name) is None


@pytest.mark.parametrize("odd", ["meta", "sparse", "quantised", "nested"])
def test_tensors_without_plain_numbers(odd, tmp_path):
    makers = {
        "meta": lambda: torch.empty(3, device="meta"),
        "sparse": lambda: torch.eye(3).to_sparse(),
        "quantised": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    }
    path = tmp_path / "a.pth"
    torch.save({"model": {"w": torch.ones(2), "odd": makers[odd]()}}, path)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
