"""AFM computes the published fusion, and its mix learns unless told otherwise."""

import pytest
import torch
from conftest import golden, golden_input
from golden_values import assert_golden

from fragrant.layers.afm import AFM

CASES = golden("mienet/afm")["cases"]


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["w"]))
def test_fusion_matches_the_published_code(case, memory_format):
    afm = AFM()
    afm.w.data = torch.tensor(case["w"])
    pictures, maps = (
        golden_input(**case["input"][name]).contiguous(memory_format=memory_format) for name in ("rgb", "pa")
    )
    assert_golden(afm(pictures, maps), case["output"]["fused"])
    assert_golden(afm.w.softmax(0), case["softmax_w"])
    assert_golden(afm.gate(pictures, maps), case["gate"])


def test_both_halves_count_the_same_at_the_start():
    pictures = torch.rand(2, 3, 8, 8)
    fused = AFM()(pictures, pictures)
    assert torch.equal(fused[:, :3], fused[:, 3:])


@pytest.mark.parametrize("train_mix", [True, False])
def test_the_mix_learns_unless_frozen(train_mix):
    afm, maps = AFM(train_mix=train_mix), torch.rand(2, 3, 8, 8, requires_grad=True)
    afm(torch.rand(2, 3, 8, 8), maps)[:, 3:].sum().backward()
    assert maps.grad.abs().min() > 0
    assert (afm.w.grad is not None) == train_mix
    if train_mix:
        assert afm.w.grad[1] > 0 and torch.allclose(afm.w.grad.sum(), torch.zeros(()), atol=1e-5)


def test_gradients():
    afm = AFM().double()
    inputs = [torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(
        lambda w, *inputs: torch.func.functional_call(afm, {"w": w}, inputs), (afm.w, *inputs)
    )


def test_autocast_changes_nothing():
    pictures, maps = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(AFM()(pictures, maps), AFM().float()(pictures, maps))
