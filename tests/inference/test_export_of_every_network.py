"""Every network of the registry is exported whole, to files that compute what it computes."""

import pytest
import torch
from models_by_row import CLIP, CLIPS_OF, MODELS_BY_ROW
from test_export import need

from fragrant.inference.export import FORMATS, Deployed, ExportError, export_model
from fragrant.layers.normalize import ClipNormalize

REFUSED = {("Fragrant:comments", "onnx")}  # windows over whole clips are a view that ONNX has no word for


@pytest.mark.slow
@pytest.mark.parametrize("to", ["torch.export", "onnx"])
@pytest.mark.parametrize("row", MODELS_BY_ROW)
def test_every_network_passes_parity(row, to, tmp_path):
    need(to)
    torch.manual_seed(0)
    shape = CLIPS_OF.get(row.split(":")[0], (CLIP, None))[0]
    normalize = ClipNormalize([0.4] * shape[0], [0.3] * shape[0])
    model, path = Deployed(normalize, MODELS_BY_ROW[row]()), tmp_path / f"x{FORMATS[to].suffix}"
    if (row, to) in REFUSED:
        with pytest.raises(ExportError, match="ram"):
            export_model(model, shape, path, to=to)
        return
    done = export_model(model, shape, path, to=to)
    assert done.path.is_file()
    assert done.difference < 1e-4
