"""Probes of frozen tokens: what attention finds that a mean does not, what a choice may look at, what is repeatable."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fragrant.features.cache import FeatureError
from fragrant.features.extract import as_half
from fragrant.features.probes.study import ProbeStudy
from fragrant.features.probes.tokens import Shelf, TokenTable
from fragrant.features.probes.train import AdamWOfRows, Schedule, Trial, moments, score_probes, train_probes
from fragrant.features.timm_frame_network import FrameTokens
from fragrant.layers.probe import Probe, mean_over_tokens, tokens_of_map

CPU = torch.device("cpu")
TRIALS = (Trial(1e-3, 0.01), Trial(3e-3, 0.01), Trial(1e-2, 0.1))


def table(tokens: list[np.ndarray], labels: np.ndarray, *, room: float = 1e9) -> TokenTable:
    shelf = Shelf(lambda video: tokens[video], room=room)
    for video, own in enumerate(tokens):
        shelf.keep(video, own)
    views, _, width = tokens[0].shape
    return TokenTable(shelf, labels, views, [f"{i}" for i in range(len(labels))], None, {}, width)


def needles(n: int, seed: int, *, classes: int = 3, length: int = 16, width: int = 16, views: int = 1) -> TokenTable:
    """One token of each view says the class, and that it is the one; the others are noise with other classes in it."""
    rng = np.random.RandomState(seed)
    labels = np.arange(n) % classes
    tokens = rng.standard_normal((n, views, length, width))
    tokens[..., :classes] = 4 * np.eye(classes)[rng.randint(classes, size=tokens.shape[:3])]
    for video in range(n):
        for view in range(views):
            at = rng.randint(length)
            tokens[video, view, at, :classes] = 4 * np.eye(classes)[labels[video]]
            tokens[video, view, at, classes] = 9
    return table([own.astype(np.float16) for own in tokens], labels)


def make(kind: str, classes: int = 3, **options):
    options = {"num_heads": 2, "width": 8} | options
    return lambda width, *, count=1: Probe(kind, width, classes, count=count, **options)


def study(kind: str, **options) -> ProbeStudy:
    settings = dict(
        kind=kind, num_classes=3, make=make(kind), trials=TRIALS, schedule=Schedule(20, 15), folds=3, seeds=(1,)
    )
    return ProbeStudy(**settings | {"rule": "mean-softmax"} | options)


# ------------------------------------------------------------------------------------------------------------ the probe
def test_folded_attention_is_cross_attention():
    """Written out with keys and values of every token, by PyTorch's own attention."""
    probe, tokens = Probe("attentive", 12, 5, num_heads=4, width=8), torch.randn(3, 7, 12)
    for weight in probe.parameters():
        torch.nn.init.normal_(weight)
    probe.mean, probe.deviation = torch.randn(12), torch.rand(12) + 0.5
    x = F.layer_norm((tokens - probe.mean) / probe.deviation, (12,))
    keys, values = (F.linear(x, weight[0]).view(3, 7, 4, 2).transpose(1, 2) for weight in (probe.key, probe.value))
    query = probe.query[0].view(1, 4, 1, 2).expand(3, -1, -1, -1)
    found = F.scaled_dot_product_attention(query, keys, values)  # (3, 4, 1, 2)
    wanted = F.linear(found.transpose(1, 2).flatten(1), probe.weight[0], probe.bias[0])
    torch.testing.assert_close(probe(tokens)[0], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "attentive"])
def test_padding_changes_nothing(kind):
    probe, tokens = Probe(kind, 8, 3, count=2, num_heads=2), torch.randn(2, 6, 8)
    torch.nn.init.normal_(probe.weight)
    present = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    alone = torch.cat([probe(tokens[:1]), probe(tokens[1:, :4])], 1)
    torch.testing.assert_close(probe(tokens, present), alone)


def test_a_feature_that_never_changes_says_nothing():
    probe, tokens = Probe("linear", 2, 3), torch.ones(2, 4, 2)
    torch.nn.init.normal_(probe.weight)
    probe.deviation = torch.tensor([1.0, 0.0])
    assert torch.isfinite(probe(tokens)).all()


def test_maps_become_tokens_in_order_and_large_ones_are_averaged():
    features = torch.randn(2, 5, 3, 4, 6)
    assert torch.equal(tokens_of_map(features)[1, 6 * 4 + 7], features[1, :, 1, 1, 1])
    small = tokens_of_map(features, 2)
    assert small.shape == (2, 3 * 2 * 2, 5)
    torch.testing.assert_close(small[0, 5], features[0, :, 1, :2, 3:].mean((1, 2)))
    torch.testing.assert_close(tokens_of_map(features, 1).mean(1), features.mean((2, 3, 4)))
    assert torch.equal(tokens_of_map(features, 7), tokens_of_map(features))


# ------------------------------------------------------------------------------------------------------------- training
def test_adamw_of_rows_is_one_adamw_each():
    random = torch.Generator().manual_seed(0)
    many = Probe("attentive", 6, 3, count=3, num_heads=2, width=4).reset(random)
    torch.nn.init.normal_(many.weight, generator=random)
    many.weight.data.copy_(many.weight[:1].detach().expand(3, -1, -1))
    ones = [many.pick(number) for number in range(3)]
    optimizer = AdamWOfRows(many, TRIALS)
    alone = []
    for one, (lr, decay) in zip(ones, TRIALS, strict=True):
        decayed = [weight for name, weight in one.named_parameters() if name != "bias"]
        groups = [{"params": decayed, "weight_decay": decay}, {"params": [one.bias], "weight_decay": 0.0}]
        alone.append(torch.optim.AdamW(groups, lr=lr, foreach=False))
    for _ in range(5):
        tokens, labels = torch.randn(4, 5, 6, generator=random), torch.tensor([0, 1, 2, 0])
        sum(F.cross_entropy(logits, labels) for logits in many(tokens)).backward()
        optimizer.step(0.5)
        for one, own, (lr, _) in zip(ones, alone, TRIALS, strict=True):
            own.zero_grad()
            F.cross_entropy(one(tokens)[0], labels).backward()
            for group in own.param_groups:
                group["lr"] = 0.5 * lr
            own.step()
    for number, one in enumerate(ones):
        for name, weight in one.named_parameters():
            torch.testing.assert_close(getattr(many, name)[number : number + 1], weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "attentive"])
def test_trials_that_train_together_are_those_that_train_alone(kind):
    data = needles(12, 0)
    options = dict(schedule=Schedule(3, 4), seed=5, device=CPU)
    data = data.pooled() if kind == "linear" else data
    together = train_probes(data, range(12), make(kind), TRIALS, **options)
    for number, trial in enumerate(TRIALS):
        alone = train_probes(data, range(12), make(kind), [trial], **options)
        scores = [score_probes(probe, data, range(12), batch_size=5, device=CPU) for probe in (together, alone)]
        torch.testing.assert_close(scores[0][number], scores[1][0], rtol=1e-3, atol=1e-4)


def test_moments_are_those_of_all_tokens_that_there_are():
    rng = np.random.RandomState(0)
    tokens = [rng.standard_normal((1, length, 4)).astype(np.float32) + 3 for length in (3, 5, 2)]
    data = table(tokens, np.zeros(3, int))
    mean, deviation = moments(data, data.samples(range(3)), 2)
    flat = np.concatenate([own[0] for own in tokens])
    np.testing.assert_allclose(mean, flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(deviation, flat.std(0), rtol=1e-5)
    batch, present = data.batch([(0, 0), (1, 0)], CPU)
    np.testing.assert_allclose(
        mean_over_tokens(batch, present), [tokens[0][0].mean(0), tokens[1][0].mean(0)], rtol=1e-5
    )


def test_what_does_not_fit_into_memory_is_read_again():
    tokens = [np.full((1, 4, 8), video, np.float16) for video in range(4)]
    read = []
    shelf = Shelf(lambda video: (read.append(video), tokens[video] if video < 3 else None)[1], room=2 * 64)
    for video, own in enumerate(tokens):
        shelf.keep(video, own)
    assert [shelf[video][0, 0, 0] for video in (0, 1, 2)] == [0, 1, 2] and read == [2]
    with pytest.raises(FeatureError, match="a file of FEATURES.CACHE_DIR has gone or was damaged"):
        shelf[3]


# ------------------------------------------------------------------------------------------------------------ the study
def test_attention_finds_the_token_that_says_the_class():
    train, test = needles(150, 0), needles(60, 1)
    options = dict(trials=tuple(Trial(lr, 0.01) for lr in (3e-3, 1e-2, 3e-2)), schedule=Schedule(25, 10))
    attentive, linear = (study(kind, **options).run(train, test, None)[0].result for kind in ("attentive", "linear"))
    assert attentive["test"]["percent"] > 90 and linear["test"]["percent"] < 70
    assert attentive["cross_validation"]["folds"] == 3 and attentive["cross_validation"]["counted"] == 150


def test_the_test_list_decides_nothing():
    """Its labels in another order, or its videos: the same probe of the same hyper-parameters, number by number."""
    train, test = needles(30, 0), needles(30, 1)
    mixed = test._replace(labels=np.random.RandomState(0).permutation(test.labels))
    probes = [study("attentive").run(train, other, None)[0] for other in (test, mixed, needles(9, 2))]
    for other in probes[1:]:
        assert other.result["hyper_parameters"] == probes[0].result["hyper_parameters"]
        assert other.result["cross_validation"] == probes[0].result["cross_validation"]
        assert all(map(torch.equal, other.probe.state_dict().values(), probes[0].probe.state_dict().values()))
    assert torch.equal(probes[0].logits, probes[1].logits)
    assert probes[0].result["test"]["correct"] != probes[1].result["test"]["correct"]


def test_the_same_seed_gives_the_same_probe_and_disturbs_nobody():
    train, test, state = needles(30, 0), needles(9, 1), torch.get_rng_state()
    first, again, other = (
        probed for seed in (1, 1, 2) for probed in study("attentive", seeds=(seed,)).run(train, test, None)
    )
    assert torch.equal(first.logits, again.logits) and not torch.equal(first.logits, other.logits)
    assert first.result == again.result
    torch.manual_seed(7)
    assert torch.equal(study("attentive").run(train, test, None)[0].logits, first.logits)
    torch.set_rng_state(state)


def test_groups_lie_in_one_fold():
    """A token that tells the scene fools folds of single videos, not those by scene."""
    rng = np.random.RandomState(0)
    scenes = np.arange(60) % 6  # two scenes per class, each of its own look
    tokens = 4 * np.eye(6)[scenes][:, None, None] + 0.3 * rng.standard_normal((60, 1, 5, 6))
    train = table(list(tokens.astype(np.float16)), scenes // 2)
    groups = [f"{scene}" for scene in scenes]
    by_scene, by_video = (study("linear").choose(1, train.pooled(), list(range(60)), own) for own in (groups, None))
    assert max(by_video.correct) == 60 and max(by_scene.correct) < 40
    fold_of, _ = study("linear").draw(1, train, list(range(60)), groups)
    assert all(len({fold_of[video] for video in range(60) if groups[video] == group}) == 1 for group in groups)


def test_unknown_classes_are_neither_learned_nor_counted():
    train, test = needles(30, 0), needles(9, 1)
    holes = np.where(np.arange(30) % 5 == 0, -1, train.labels)
    (probed,) = study("linear").run(train._replace(labels=holes), test._replace(labels=np.full(9, -1)), None)
    assert probed.result["train"]["total"] == 24 and probed.result["test"]["total"] == 0
    assert probed.logits.shape == (9, 1, 3)


def test_views_are_ensembled_by_the_rule():
    train, test = needles(12, 0, views=2), needles(6, 1, views=2)
    (probed,) = study("linear", trials=TRIALS[:1]).run(train, test, None)
    assert probed.logits.shape == (6, 2, 3) and probed.result["protocol"] == "fixed hyper-parameters"
    right = probed.logits.softmax(2).mean(1).argmax(1).numpy() == test.labels
    assert probed.result["test"]["correct"] == right.sum()


@pytest.mark.parametrize(
    "groups, labels, message",
    [
        (["a"] * 6, [0, 1] * 3, "FEATURES.FOLDS 3 of the training list: all videos are of one group"),
        (list("aaabbb"), [0, 0, 0, 1, 1, 1], "nothing can be chosen: every fold of the training list takes all videos"),
        (None, [-1] * 6, "no video of the training list has a class"),
    ],
)
def test_what_cannot_be_chosen(groups, labels, message):
    train = needles(6, 0)._replace(labels=np.array(labels))
    with pytest.raises(FeatureError, match=message):
        study("linear").run(train, needles(3, 1), groups)


# --------------------------------------------------------------------------------------------------- tokens of pictures
class Pictures(torch.nn.Module):
    """A network of timm as far as tokens are concerned."""

    def __init__(self, features: torch.Tensor, **facts):
        super().__init__()
        self.features = features
        vars(self).update(facts)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return self.features


def test_tokens_of_every_layout_of_timm():
    maps = torch.randn(2, 5, 4, 4)  # (N, D, H', W')
    wanted = {grid: tokens_of_map(maps.unsqueeze(2), grid) for grid in (0, 2)}
    prefix = torch.randn(2, 2, 5)
    flat = torch.cat([prefix, wanted[0]], 1)
    for grid in (0, 2):
        assert torch.equal(FrameTokens(Pictures(maps), grid)(maps), wanted[grid])
        last = Pictures(maps.permute(0, 2, 3, 1), output_fmt="NHWC")
        assert torch.equal(FrameTokens(last, grid)(maps), wanted[grid])
        found = FrameTokens(Pictures(flat, num_prefix_tokens=2), grid)(maps)
        assert torch.equal(found[:, :2], prefix) and torch.equal(found[:, 2:], wanted[grid])
    with pytest.raises(FeatureError, match="PROBE.GRID 2: the 17 places of this network form no square; allowed: 0"):
        FrameTokens(Pictures(flat, num_prefix_tokens=1), 2)(maps)


def test_numbers_that_float16_cannot_hold_are_refused():
    with pytest.raises(FeatureError, match="the features of 'a.mp4' are NaN, infinite or above 65504 .* largest 70000"):
        as_half(torch.tensor([1.0, 7e4]), "a.mp4")
