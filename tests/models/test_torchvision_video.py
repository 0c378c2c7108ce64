"""torchvision's video networks as backbones: its files fit, and the numbers are its own."""

import pytest
import torch
from torchvision.models.video import mvit_v2_s, r2plus1d_18, s3d

from fragrant.models import ModelError
from fragrant.models.torchvision_video import S3D, MViTv2, R2Plus1D
from fragrant.models.weights import load_weights

NETWORKS = {
    "R2Plus1D": (r2plus1d_18, R2Plus1D, (4, 64, 64)),
    "S3D": (s3d, S3D, (24, 224, 224)),  # a feature map larger than the published pooling window
    "MViTv2": (mvit_v2_s, MViTv2, (16, 224, 224)),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "MViTv2")) for name in NETWORKS]
)
def test_torchvisions_file_gives_torchvisions_numbers(name):
    theirs, ours, size = NETWORKS[name]
    torch.manual_seed(0)
    published, model = theirs(num_classes=7).eval(), ours(num_classes=7).eval()
    report = load_weights(model, published.state_dict())
    assert not (report.missing or report.unexpected or report.dropped)
    clips = torch.randn(1, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(model(clips), published(clips), rtol=1e-4, atol=1e-5)


def test_too_short_a_clip():
    with pytest.raises(ModelError, match="at least 7 frames"):
        S3D(num_classes=2)(torch.zeros(1, 3, 4, 64, 64))
