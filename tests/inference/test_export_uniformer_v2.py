"""UniFormerV2 goes into files for other runtimes: its attention is written for them, and so are its global blocks."""

import pytest
import torch
from conftest import fill_v1
from models_by_row import TINY_V2

from fragrant.inference.export import FORMATS, Deployed, export_model
from fragrant.layers.normalize import ClipNormalize
from fragrant.models.uniformer_v2 import UniFormerV2

SHAPE = (3, 4, 64, 48)  # positions are resized inside
WAYS = {"motion": {}, "scene": dict(relations=0, temporal_downsample=False)}


def filled(**options) -> UniFormerV2:
    model = UniFormerV2(**TINY_V2, **options).eval()
    shapes = [(key, list(value.shape), str(value.dtype)[6:]) for key, value in model.state_dict().items()]
    model.load_state_dict(fill_v1(shapes))
    return model


@pytest.mark.parametrize(
    "to, way",
    [
        ("onnx", "motion"),
        pytest.param("onnx", "scene", marks=pytest.mark.slow),
        pytest.param("torch.export", "motion", marks=pytest.mark.slow),
        pytest.param("torchscript", "motion", marks=pytest.mark.slow),
    ],
)
def test_parity(to, way, tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime") if to == "onnx" else ():
        pytest.importorskip(package, reason=f"{package} is not installed (the extra 'export')")
    model = Deployed(ClipNormalize([0.45] * 3, [0.225] * 3), filled(**WAYS[way]))
    done = export_model(model, SHAPE, tmp_path / f"model{FORMATS[to].suffix}", to=to)
    assert done.difference < 1e-4
    run, clips = FORMATS[to].read(done.path), torch.rand(3, *SHAPE) * 255
    with torch.no_grad():
        logits = model(clips)
        torch.testing.assert_close(run(clips), logits, rtol=0, atol=1e-4)
    assert logits.std() > 0.1
