"""Maps of FAM and RAM hold the modules' own numbers at the places where they belong."""

import pytest
import torch

from fragrant.layers.fam import FAM
from fragrant.models.fragrant import Fragrant
from fragrant.models.uniformer import UniFormer
from fragrant.report.fragrant_maps import MapError, fam_maps, ram_maps, spread
from fragrant.report.maps import over_frames

SMALL = dict(num_classes=5, embed_dim=(8, 16, 32, 32), depth=(1, 1, 1, 1), head_dim=16)


@pytest.fixture
def clip() -> torch.Tensor:
    return torch.randn(1, 3, 8, 64, 64, generator=torch.Generator().manual_seed(0))


def test_fam_maps_are_its_gain_at_every_call(clip):
    model = Fragrant(**SMALL, fam_at=("embed1", "stage2"), ram_at=())
    seen = []
    hook = model.disentangle.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    first, second = fam_maps(model, clip)
    hook.remove()
    assert first.title == "FAM (disentangle): gain of each frame, mean over 8 channels" and second.title.endswith(
        "16 channels"
    )
    assert first.values.shape == (4, 16, 16) and second.values.shape == (4, 8, 8)
    torch.testing.assert_close(second.values, FAM().gain(seen[1])[0].mean(0))
    assert not first.values[0].any() and first.values[1:].all()  # frame 0 stands for frequency 0
    assert model.training


def test_ram_maps_are_norm_and_weights_of_its_kernels(clip):
    model = Fragrant(**SMALL, ram=dict(heads=2, key_dim=0, kernel_size=(3, 3, 3), kernel_type="VplusR")).eval()
    strength, neighbours = ram_maps(model, clip, at=(0.5, 0, 1))
    assert strength.title == "RAM (rsa_attn3): strength of the relational kernel, 2 heads"
    assert neighbours.title == "RAM (rsa_attn3): weights around frame 3, row 1, column 4, mean of 2 heads"
    seen = []
    model.rsa_attn3.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        model(clip)
        kernels = model.rsa_attn3.kernels(seen[0])[0]  # (4, 4, 4, 2, 3, 3, 3)
    torch.testing.assert_close(strength.values, kernels.square().sum((3, 4, 5, 6)).sqrt())
    expected = kernels[2, 0, 3].abs().mean(0)
    # what lies outside of the map is cut
    torch.testing.assert_close(neighbours.values[1:4, :2, 2:4], expected[:, 1:, :2])
    assert neighbours.values.count_nonzero() == 3 * 2 * 2


def test_spread_of_a_kernel_in_the_middle():
    values = spread(torch.arange(1.0, 10).view(1, 3, 3), [0, 2, 1], (1, 4, 3))
    assert values.tolist() == [[[0, 0, 0], [1, 2, 3], [4, 5, 6], [7, 8, 9]]]


def test_a_map_over_frames():
    frames = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 4, 4, 3)
    shown, values, largest = over_frames(torch.tensor([[[0.0, 2.0]], [[4.0, 1.0]]]), frames)
    assert shown[:, 0, 0, 0].tolist() == [0, 4] and largest == 4
    assert values[0, 3].tolist() == [0, 0.125, 0.375, 0.5] and values[1, 0].tolist() == [1, 0.8125, 0.4375, 0.25]
    assert not over_frames(torch.zeros(1, 1, 1), frames)[1].any()


@pytest.mark.parametrize(
    "maps, missing",
    [(fam_maps, "FAM to look at; .* FRAGRANT.FAM_AT"), (ram_maps, "RAM to look at; .* FRAGRANT.RAM_AT")],
)
def test_a_model_without_them(maps, missing, clip):
    with pytest.raises(MapError, match=f"UniFormer has no {missing}"):
        maps(UniFormer(**SMALL), clip)


def test_a_place_outside_of_the_clip(clip):
    with pytest.raises(
        MapError, match=r"place \(0.5, 0.5, 1.2\) is outside of the clip; give time, height and width from 0 to 1"
    ):
        ram_maps(Fragrant(**SMALL), clip, at=(0.5, 0.5, 1.2))
