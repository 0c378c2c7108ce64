"""Exported files compute what the model computes; what a format cannot hold is refused by name."""

import json
import re

import pytest
import torch
from conftest import fill_v1
from test_predict import NAMES
from tiny import TINY, run_here
from torch import nn

from fragrant.checkpoint import save_checkpoint
from fragrant.config import dump_cfg, load_cfg
from fragrant.inference.build import load_deployed
from fragrant.inference.export import FORMATS, Deployed, ExportError, export_model
from fragrant.layers.normalize import ClipNormalize
from fragrant.models import build_model
from fragrant.models.dgam import DGAM
from fragrant.models.fragrant import Fragrant
from fragrant.models.uniformer import Insertion, UniFormer

SMALL = {"num_classes": 6, "embed_dim": (8, 8, 16, 16), "depth": (1, 1, 2, 1), "head_dim": 8}
VARIANTS = {"plain": {}, "split std": {"split": True, "std": True}}
FRAGRANT = {"ram": {"heads": 2, "kernel_size": (3, 3, 3), "kernel_type": "VplusR", "feature_type": "VplusR"}}
SHAPE = (3, 4, 32, 48)


def need(to: str) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime") if to == "onnx" else ():
        pytest.importorskip(package, reason=f"{package} is not installed (the extra 'export')")


def deployed(make=UniFormer, **options) -> Deployed:
    """A model whose logits are neither small nor equal."""
    model = make(**SMALL | options)
    model.load_state_dict(
        fill_v1([(key, list(value.shape), str(value.dtype)[6:]) for key, value in model.state_dict().items()])
    )
    return Deployed(ClipNormalize([0.1, 0.2, 0.3], [0.2, 0.2, 0.1]), model.to(memory_format=torch.channels_last_3d))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("to", FORMATS)
def test_uniformer_passes_parity(to, variant, tmp_path):
    need(to)
    model = deployed(**VARIANTS[variant])
    done = export_model(model, SHAPE, tmp_path / f"new/model{FORMATS[to].suffix}", to=to)
    assert done.difference < 1e-4 and done.path.is_file() and done.num_clips is None
    run, clips = FORMATS[to].read(done.path), torch.rand(3, *SHAPE) * 255  # a number of clips that the export never saw
    with torch.no_grad():
        logits = model(clips)
        torch.testing.assert_close(run(clips), logits, rtol=0, atol=1e-4)
    assert logits.std() > 0.1


@pytest.mark.parametrize("to", ["onnx", "torchscript"])  # ONNX goes through torch.export
def test_fragrant_passes_parity_one_clip_at_a_time(to, tmp_path):
    """Its own backward passes are left out, and its loops over groups of clips hold for one number of them."""
    need(to)
    model = deployed(Fragrant, **FRAGRANT)
    done = export_model(model, SHAPE, tmp_path / f"model{FORMATS[to].suffix}", to=to)
    assert done.difference < 1e-4 and done.num_clips == 1
    clips = torch.rand(1, *SHAPE) * 255
    with torch.no_grad():
        torch.testing.assert_close(FORMATS[to].read(done.path)(clips), model(clips), rtol=0, atol=1e-4)
    assert torch.autograd.Function.apply.__name__ == "apply"  # back as it was


def small_dgam(**options) -> DGAM:
    return DGAM(UniFormer(**{**options, "num_classes": 0}), num_classes=6, num_frames=SHAPE[1])


@pytest.mark.parametrize(
    "to", ["torch.export", *(pytest.param(to, marks=pytest.mark.slow) for to in ("onnx", "torchscript"))]
)
def test_dgam_passes_parity_one_clip_at_a_time(to, tmp_path):
    need(to)
    model = deployed(small_dgam)
    done = export_model(model, SHAPE, tmp_path / f"model{FORMATS[to].suffix}", to=to)
    assert done.difference < 1e-4 and done.num_clips == 1


class Branches(nn.Module):
    """Takes another way for other values: a trace would keep one way, torch.export refuses."""

    def forward(self, x):
        return x + 1 if x.sum().item() > 0 else x


class Shifts(nn.Module):
    """Every call is different."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return x + self.calls


def test_an_unsupported_part_is_named(tmp_path):
    model = deployed(insertions=[Insertion("stage2", "odd", nn.Sequential(nn.Identity(), Branches()), residual=False)])
    with pytest.raises(ExportError, match=re.escape("torch.export cannot hold 'model.odd.1' (Branches): ")) as error:
        export_model(model, SHAPE, tmp_path / "x.pt2", to="torch.export")
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_a_file_that_computes_something_else_is_not_kept(tmp_path):
    model = deployed(insertions=[Insertion("stage4", "shifts", Shifts(), residual=False)])
    with pytest.raises(
        ExportError,
        match=r"the torchscript file computes something else: its logits differ by up to .*, allowed: below 0.0001",
    ):
        export_model(model, SHAPE, tmp_path / "x.pt", to="torchscript")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    message = 'needs onnx, onnxscript and onnxruntime; install them with: pip install -e ".[export]"'
    with pytest.raises(ExportError, match=re.escape(message)):
        export_model(deployed(), SHAPE, tmp_path / "x.onnx", to="onnx")
    with pytest.raises(ExportError, match="--to 'tflite' is not known; Known: onnx, torch.export, torchscript"):
        export_model(deployed(), SHAPE, tmp_path / "x", to="tflite")


def test_the_command(tmp_path):
    cfg = load_cfg(None, TINY)
    checkpoint = tmp_path / "best.pyth"
    save_checkpoint(
        checkpoint, {"model_state": dict(build_model(cfg).state_dict()), "cfg": dump_cfg(cfg), "class_names": NAMES}
    )
    words = ("--checkpoint", str(checkpoint), "--to", "torchscript")
    done = run_here(tool="export", arguments=words)
    assert done.returncode == 0, done.stderr
    assert "best.pt: torchscript, any number of clips of 3 x 4 x 32 x 32, 6 classes" in done.stdout
    assert re.search(r"largest difference of a logit on random clips: \S+", done.stdout)
    facts = json.loads((tmp_path / "best.pt.json").read_text())
    assert (
        facts["class_names"] == NAMES
        and facts["clip_shape"] == [3, 4, 32, 32]
        and facts["num_clips"] == "any"
        and "0..255" in facts["input"]
    )
    model, _ = load_deployed(checkpoint)
    clips = torch.rand(1, 3, 4, 32, 32) * 255
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(tmp_path / "best.pt")(clips), model.eval()(clips))
    wrong = run_here(tool="export", arguments=(*words[:3], "torchscript", "--checkpoint", str(tmp_path / "no.pyth")))
    assert (
        wrong.returncode == 2
        and wrong.stderr.startswith("error: cannot read checkpoint")
        and wrong.stderr.count("\n") == 1
    )
