"""Every network of the registry is exported whole, to files that compute what it computes."""

import pytest
import torch
from models_by_row import CLIP, CLIPS_OF, MODELS_BY_ROW
from test_export import need

from fragrant.inference.export import FORMATS, Deployed, export_model
from fragrant.layers.normalize import ClipNormalize


@pytest.mark.slow
@pytest.mark.parametrize("to", ["torch.export", "onnx"])
@pytest.mark.parametrize("row", MODELS_BY_ROW)
def test_every_network_passes_parity(row, to, tmp_path):
    need(to)
    torch.manual_seed(0)
    shape = CLIPS_OF.get(row.split(":")[0], (CLIP, None))[0]
    normalize = ClipNormalize([0.4] * shape[0], [0.3] * shape[0])
    done = export_model(Deployed(normalize, MODELS_BY_ROW[row]()), shape, tmp_path / f"x{FORMATS[to].suffix}", to=to)
    assert done.path.is_file()
    assert done.difference < 1e-4
