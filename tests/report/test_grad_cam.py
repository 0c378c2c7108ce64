"""Grad-CAM finds what the score comes from."""

import pytest
import torch
from torch import nn

from fragrant.models.backbone import Backbone
from fragrant.models.uniformer import UniFormer
from fragrant.report.grad_cam import LayerError, class_number, grad_cam, grad_cam_maps

SMALL = dict(num_classes=5, embed_dim=(8, 16, 16, 16), depth=(1, 1, 1, 1), head_dim=8)


@pytest.fixture
def model() -> UniFormer:
    torch.manual_seed(0)
    return UniFormer(**SMALL).eval()


@pytest.fixture
def clips() -> torch.Tensor:
    return torch.randn(2, 3, 4, 64, 96, generator=torch.Generator().manual_seed(1))


def test_at_the_last_layer_it_is_the_class_activation_map(model, clips):
    """Behind a mean and a linear head the gradient is the head's row over the number of places (the paper's
    appendix)."""
    maps, classes, probs = grad_cam(model, clips, classes=torch.tensor([3, 1]))
    with torch.no_grad():
        features = model.forward_features(clips)  # (2, 16, 2, 2, 3)
        wanted = torch.einsum("ndthw,nd->nthw", features, model.head.weight[[3, 1]]).relu() / features[0, 0].numel()
        torch.testing.assert_close(maps, wanted)
        torch.testing.assert_close(probs, model(clips).softmax(1)[[0, 1], [3, 1]])
    assert maps.shape == (2, 2, 2, 3) and maps.max() > 0 and classes.tolist() == [3, 1]
    same, *_ = grad_cam(model, clips, "norm", torch.tensor([3, 1]))
    torch.testing.assert_close(same, maps)


class OnlyTheCorner(Backbone):
    """Its features are two pooled colours; only the first one has a say."""

    num_features = 2

    def __init__(self):
        super().__init__()
        self.pool = nn.AvgPool3d(4)
        self.relu = nn.ReLU(inplace=True)  # overwrites what the layer before it put out
        self.head = nn.Linear(2, 2, bias=False)
        self.head.weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])

    def forward_features(self, clips):
        return self.relu(self.pool(clips))


def test_it_finds_the_place_and_the_time():
    clip = torch.zeros(1, 2, 8, 16, 16)
    clip[0, 0, 4:, :4, 12:] = 1  # what counts: second half, top right
    clip[0, 1, :4, 12:, :4] = 9  # what does not
    model = OnlyTheCorner().train()
    # Mean gradient over the 32 places: 1 / 32 everywhere behind the ReLU, before it only where something passes.
    for layer, largest in ((None, 1 / 32), ("pool", 1 / 32 / 32)):
        maps, classes, _ = grad_cam(model, clip, layer)
        assert maps.max().item() == pytest.approx(largest)
        assert classes.tolist() == [0] and maps.shape == (1, 2, 4, 4)
        assert maps.nonzero().tolist() == [[0, 1, 0, 3]]
    against, *_ = grad_cam(model, clip, classes=torch.tensor([1]))
    assert not against.any()  # nothing speaks for the other class
    assert model.training and model.head.weight.grad is None


def test_maps_of_a_layer_in_the_middle_and_of_frozen_weights(model, clips):
    model.requires_grad_(False)
    maps, *_ = grad_cam(model, clips, "blocks2.0")
    assert maps.shape == (2, 2, 8, 12) and maps.isfinite().all() and maps.min() >= 0


def test_recomputed_blocks_give_the_same(model, clips):
    wanted, *_ = grad_cam(model, clips, "blocks3.0")
    again = UniFormer(**SMALL, recompute_blocks=(1, 1, 1, 1)).eval()
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(grad_cam(again, clips, "blocks3.0")[0], wanted)


class ChannelsLast(nn.Module):
    """A layer that puts out (N, T, H, W, D), as attention models have them."""

    def forward(self, x):
        return x.movedim(1, -1)


def test_layers_with_channels_last():
    class Net(OnlyTheCorner):
        def __init__(self):
            super().__init__()
            self.turn = ChannelsLast()

        def forward_features(self, clips):
            return self.turn(self.pool(clips)).movedim(-1, 1)

    clip = torch.rand(1, 2, 8, 16, 16)
    torch.testing.assert_close(grad_cam(Net(), clip, "turn", channels_last=True)[0], grad_cam(Net(), clip, "pool")[0])


def test_a_title_says_what_the_map_is_of(model, clips):
    (map_,) = grad_cam_maps(model, clips[:1], layer="blocks4.0", class_number=2, class_names=list("abcde"))
    share = 100 * model(clips[:1]).softmax(1)[0, 2].item()
    assert map_.title == f"Grad-CAM for c ({share:.1f} %) at blocks4.0" and map_.values.shape == (2, 2, 3)
    assert "at the last layer" in grad_cam_maps(model, clips[:1])[0].title


WRONG = {
    "blocks4.7": "layer 'blocks4.7' is not in the model; .*Known there: blocks4.0",
    "block4": "layer 'block4' is not in the model; did you mean 'blocks4'",
    "blocks4": "layer 'blocks4' is not run in a forward pass",
    "head": r"layer 'head' puts out a tensor of shape \(2, 5\); allowed: a map",
}


@pytest.mark.parametrize("layer, message", WRONG.items(), ids=WRONG)
def test_wrong_layers(layer, message, model, clips):
    with pytest.raises(LayerError, match=message):
        grad_cam(model, clips, layer)


def test_wrong_classes(model, clips):
    with pytest.raises(LayerError, match="class 7 is not known; the model has 5 classes, from 0"):
        grad_cam(model, clips, classes=torch.tensor([0, 7]))


def test_classes_by_name_and_number():
    names = ["jump", "run"]
    assert [class_number(text, names) for text in ("run", "0", None)] == [1, 0, None] and class_number("3", []) == 3
    for text, known in (("jmup", names), ("2", names), ("run", [])):
        with pytest.raises(LayerError, match=f"class '{text}' is not known; "):
            class_number(text, known)
