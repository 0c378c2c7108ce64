"""Contrast of views: the loss against a plain formula, two ranks against one."""

import math

import pytest
import torch
import torch.nn.functional as F
from models_by_row import CLIP, MODELS_BY_ROW

from fragrant.objectives.contrast import Contrast, Projector, contrastive_losses


def vectors(n: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(n, 8, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_the_loss_is_that_of_a_plain_formula(views, temperature):
    z = vectors(4 * views)
    wanted = []
    for i in range(len(z)):
        others = [k for k in range(len(z)) if k != i]
        below = sum(math.exp(float(z[i] @ z[k]) / temperature) for k in others)
        same = [k for k in others if k // views == i // views]
        terms = [-math.log(math.exp(float(z[i] @ z[k]) / temperature) / below) for k in same]
        wanted.append(sum(terms) / len(terms))
    losses, cosines = contrastive_losses(z, z, views=views, temperature=temperature)
    assert losses.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert cosines[0].item() == pytest.approx(sum(float(z[0] @ z[k]) for k in range(1, views)) / (views - 1), rel=1e-4)


def test_two_views_are_published_nt_xent():
    """Cross-entropy of picking the other view among all other clips."""
    z = vectors(12)
    logits = (z @ z.T / 0.1).fill_diagonal_(-torch.inf)
    other = torch.arange(12) ^ 1
    assert torch.allclose(contrastive_losses(z, z)[0], F.cross_entropy(logits, other, reduction="none"), atol=1e-5)


def test_the_shares_of_two_ranks_are_the_whole():
    z = vectors(12).requires_grad_()
    whole = contrastive_losses(z, z)[0]
    parts = torch.cat([contrastive_losses(z[:8], z)[0], contrastive_losses(z[8:], z, first=8)[0]])
    assert torch.allclose(whole, parts, atol=1e-6)


def test_one_video_alone_costs_nothing_and_equal_clips_are_harmless():
    assert contrastive_losses(vectors(2), vectors(2))[0].abs().max() < 1e-6
    z = vectors(1).expand(6, -1).clone().requires_grad_()
    losses, _ = contrastive_losses(z, z)
    losses.mean().backward()
    assert torch.allclose(losses, torch.tensor(math.log(5.0))) and z.grad.isfinite().all()


def objective(row: str = "Uniformer", **options) -> Contrast:
    torch.manual_seed(0)
    model = MODELS_BY_ROW[row]()
    model.head = torch.nn.Identity()
    return Contrast(model, Projector(model.num_features, width=16, dim=8), views=2, **options)


def test_validation_is_the_same_in_any_batches():
    task = objective(chunk=3).eval()
    clips = torch.randn(14, *CLIP, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        rows = task.observe(clips, range(7))
        parts = torch.cat([task.observe(clips[:4], range(2)), task.observe(clips[4:], range(5))])
    assert rows.shape == (7, 2, 8) and torch.allclose(rows, parts, atol=1e-5)
    numbers = task.measure(rows)
    wanted = [contrastive_losses(*[rows[at : at + 3].flatten(0, 1)] * 2)[0] for at in (0, 3)]  # the seventh is alone
    assert numbers["loss"] == pytest.approx(torch.cat(wanted).mean().item(), rel=1e-4)


def test_bfloat16_compares_in_float32():
    task = objective()
    clips = torch.randn(4, *CLIP)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = task(clips, torch.full((4,), -1))
    assert out.loss.dtype == torch.float32 and out.loss.isfinite() and out.logged["view_cosine"].isfinite()
