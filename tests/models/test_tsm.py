"""TSM: which way the frames move, and whose files it takes."""

import torch
from torchvision.models import resnet50

from fragrant.layers.frame_bottleneck import shift_in_time
from fragrant.models.tsm import TSM
from fragrant.models.weights import load_weights


def test_shift():
    frames = torch.arange(1.0, 4.0).view(3, 1, 1, 1).repeat(2, 16, 1, 1)  # two clips of frames 1, 2, 3
    moved = shift_in_time(frames, 3).view(2, 3, 16)
    for clip in moved:
        assert clip[:, 0].tolist() == clip[:, 1].tolist() == [2, 3, 0]
        assert clip[:, 2].tolist() == clip[:, 3].tolist() == [0, 1, 2]
        assert all(clip[:, channel].tolist() == [1, 2, 3] for channel in range(4, 16))


def test_takes_image_weights_and_published_names():
    images = resnet50().state_dict()
    model = TSM(num_classes=5)
    report = load_weights(model, images)
    assert report.missing == report.dropped == ["head.weight", "head.bias"] and not report.unexpected
    published = {}
    for name, value in model.state_dict().items():
        name = name.replace("resnet.", "base_model.").replace("head.", "new_fc.")
        shifted = name.startswith("base_model.layer") and ".conv1." in name
        published["module." + (name.replace(".conv1.", ".conv1.net.") if shifted else name)] = value
    report = load_weights(TSM(num_classes=5), published)
    assert not (report.missing or report.unexpected or report.dropped)


def test_frames_meet():
    torch.manual_seed(0)
    model = TSM(num_classes=5, blocks=(1, 1, 1, 1), width=8).eval()
    clips = torch.randn(1, 3, 4, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(model(clips), model(clips.flip(2)))
