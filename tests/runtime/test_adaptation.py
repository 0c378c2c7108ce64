"""Adaptation without labels: statistics that are right, weights that are put back, every network of the registry."""

import copy
from contextlib import nullcontext

import pytest
import torch
from models_by_row import MODELS_BY_ROW, random_clips
from torch import nn

from fragrant.errors import RunStopped, UserError
from fragrant.layers.channel_norm import ChannelNorm
from fragrant.layers.frozen_batch_norm import freeze_batch_norm
from fragrant.runtime.adaptation.batch_norm import OwnStatistics, adapt_batch_norm
from fragrant.runtime.adaptation.norm_layers import batch_norms, mixed, moments, norm_layers
from fragrant.runtime.adaptation.vitta import Step, Vitta, load_statistics, measure_outputs, save_statistics

CPU = {"autocast": nullcontext, "device": torch.device("cpu")}
STEP = Step(lr=0.01, momentum=0.1, consistency=0.1, views=2)


class Small(nn.Module):
    """(N, 3, T, H, W) -> (N, 4): a convolution, a BatchNorm, a mean, dropout that must stay off."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.norm(self.conv(x))).relu().mean((2, 3, 4))


@pytest.fixture
def model() -> Small:
    torch.manual_seed(0)
    return Small().eval()


def batches(*sizes: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [2 + 3 * torch.randn(size, 3, 2, 4, 4) for size in sizes]


@pytest.mark.parametrize("frozen", [False, True])
def test_statistics_of_all_clips_whatever_the_batches(model, frozen):
    if frozen:
        freeze_batch_norm(model)
    weights = copy.deepcopy(dict(model.named_parameters()))
    clips = batches(3, 2, 1)
    assert adapt_batch_norm(model, clips, prior=0, **CPU) == (1, 6)
    with torch.no_grad():
        mean, var = moments(model.conv(torch.cat(clips)))
    torch.testing.assert_close(model.norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.norm.running_var, var, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())
    assert not model.training


def test_a_prior_counts_for_so_many_clips(model):
    alone = copy.deepcopy(model)
    adapt_batch_norm(alone, batches(2), prior=0, **CPU)
    before = model.norm.running_mean.clone(), model.norm.running_var.clone()
    adapt_batch_norm(model, batches(2), prior=6, **CPU)
    measured = alone.norm.running_mean, alone.norm.running_var
    for now, old, own in zip((model.norm.running_mean, model.norm.running_var), before, measured, strict=True):
        torch.testing.assert_close(now, 0.75 * old + 0.25 * own)


def test_nothing_to_measure(model):
    with pytest.raises(RunStopped, match="not one of its videos can be read"):
        adapt_batch_norm(model, [], prior=0, **CPU)
    with pytest.raises(
        UserError, match="Sequential has no BatchNorm layer, so no statistics to adapt; networks with La"
    ):
        adapt_batch_norm(nn.Sequential(nn.LayerNorm(4)), batches(1), prior=0, **CPU)


def test_own_views_mix_with_the_source(model):
    own = OwnStatistics(copy.deepcopy(model), prior=3, online=False)
    (clips,) = batches(1)
    source = model.norm.running_mean.clone(), model.norm.running_var.clone()
    with torch.inference_mode():
        model.norm.running_mean, model.norm.running_var = mixed(source, moments(model.conv(clips)), 0.25)
        torch.testing.assert_close(own(clips), model(clips))
    assert torch.equal(own.model.norm.running_mean, source[0]) and torch.equal(own.model.norm.running_var, source[1])


def test_a_large_prior_changes_nothing_and_episodes_forget(model):
    first, second = batches(2, 3)
    with torch.inference_mode():
        torch.testing.assert_close(OwnStatistics(model, prior=1e9, online=False)(first), model(first))
        own = OwnStatistics(model, prior=1, online=False)
        answer = own(second)
        own(first)
        assert torch.equal(own(second), answer)
        online = OwnStatistics(model, prior=1, online=True)
        assert torch.equal(online(second), answer)  # the first video has nothing before it
        assert not torch.equal(online(second), answer)


QUICK = {"Uniformer", "VideoSwin", "DGAM", "MieNet"}
NETWORKS = [row for row in MODELS_BY_ROW if ":" not in row]


@pytest.mark.parametrize("row", [pytest.param(r, marks=[pytest.mark.slow] * (r not in QUICK)) for r in NETWORKS])
def test_every_network_adapts_and_is_put_back(row):
    torch.manual_seed(0)
    model, clips = MODELS_BY_ROW[row]().eval(), random_clips(row, 2)
    before = copy.deepcopy(model.state_dict())
    if batch_norms(model):
        with torch.inference_mode():
            own = OwnStatistics(model, prior=1, online=False).score(clips)[0]
        assert own.isfinite().all()
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    else:
        with pytest.raises(UserError, match="no BatchNorm layer"):
            OwnStatistics(model, prior=1, online=False)
    found = measure_outputs(model, [clips], share=0.5, **CPU)
    vitta = Vitta(model, found, STEP, online=False)
    with torch.inference_mode():
        plain = model(clips)
        adapted = vitta(clips)
    assert adapted.isfinite().all() and adapted.shape == plain.shape
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    if batch_norms(model):
        measured = adapt_batch_norm(model, [clips], prior=0, **CPU)
        assert measured.clips == 2 and measured.layers > 0


def test_a_step_goes_towards_the_training_statistics(model):
    train, (dark,) = batches(4, 4), batches(3)
    found = measure_outputs(model, train, share=1.0, **CPU)
    assert list(found) == ["norm"]
    vitta = Vitta(model, found, STEP._replace(lr=1e-3, consistency=0.0, views=3), online=True)
    losses = []
    for _ in range(5):
        losses.append(float(vitta.loss(0.2 * dark).detach()))
        vitta.moving.clear()
        with torch.inference_mode():
            vitta(0.2 * dark)
        vitta.moving.clear()
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]


def test_the_loss_is_the_published_sum(model):
    (clips,) = batches(2)
    found = measure_outputs(model, batches(4), share=1.0, **CPU)
    mean, var = moments(model.norm(model.conv(clips)))
    probs = model(clips).softmax(-1)
    expected = (mean - found["norm"][0]).abs().sum() + (var - found["norm"][1]).abs().sum()
    expected = expected + 0.1 * (probs - probs.mean(0)).abs().sum(-1).mean()
    torch.testing.assert_close(Vitta(model, found, STEP, online=False).loss(clips), expected)


def test_the_last_norms_and_the_place_of_their_channels():
    net = nn.Sequential(nn.BatchNorm3d(2), nn.LayerNorm(4), ChannelNorm(2), nn.Linear(4, 4))
    assert list(norm_layers(net, 0.5)) == ["1", "2"] and list(norm_layers(net, 0.01)) == ["2"]
    x = torch.randn(3, 2, 2, 2, 4)
    found = measure_outputs(net, [x], share=1.0, **CPU)
    assert [len(mean) for mean, _ in found.values()] == [2, 4, 2]
    torch.testing.assert_close(found["1"][0], net[1](net[0](x)).mean((0, 1, 2, 3)), rtol=1e-4, atol=1e-5)


def test_statistics_on_disk(model, tmp_path):
    found = measure_outputs(model, batches(2), share=1.0, **CPU)
    path = str(tmp_path / "norms.npz")
    save_statistics(path, found, {"videos": 2})
    again, header = load_statistics(path, torch.device("cpu"))
    assert header == {"videos": 2} and torch.equal(again["norm"][1], found["norm"][1])
    with pytest.raises(UserError, match="are of another network: Sequential has no layer 'norm'"):
        Vitta(nn.Sequential(nn.Linear(1, 1)), again, STEP, online=False)
    (tmp_path / "norms.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError, match="holds no statistics of norm layers"):
        load_statistics(path, torch.device("cpu"))
    with pytest.raises(UserError, match="TEST.ADAPT_STATISTICS '.*none.npz' cannot be read: No such file"):
        load_statistics(str(tmp_path / "none.npz"), torch.device("cpu"))
