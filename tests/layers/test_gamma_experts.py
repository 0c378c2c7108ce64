"""Frame statistics, experts and gate are the published ones; the choice has the gradients that it promises."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import fill_v1, golden, golden_input
from dgam_inputs import dgam_input
from torch import nn

from fragrant.benchmarks.published.dgam import published_expert, published_statistics
from fragrant.errors import UserError
from fragrant.layers.frame_statistics import frame_statistics, histogram_counts, pieces
from fragrant.layers.gamma_experts import GAMMAS, PUBLISHED_TAU, Brighten, GammaExperts, Gate, brighten, mixture

PARTS = golden("dgam/dgam_parts")


def cases(part: str) -> list[dict]:
    return [case for case in PARTS["cases"] if case["part"] == part]


def published_gate(num_frames: int = 32, dropout: float = 0.0) -> Gate:
    gate = Gate(num_frames, 5, dropout=dropout)
    state = {
        key: value for key, value in fill_v1(PARTS["state"]).items() if "gating" in key and value.is_floating_point()
    }
    state |= {key: torch.tensor(value) for key, value in PARTS["override"].items()}
    gate.load_state_dict({key.split("gating.")[1]: value for key, value in state.items()}, strict=False)
    return gate


# ----------------------------------------------------------------------------------------------------------- statistics
@pytest.mark.parametrize("case", cases("frame_stats"), ids=lambda case: case["input"]["dist"])
def test_statistics_are_the_published_ones(case, monkeypatch):
    clips = dgam_input(**case["input"])
    expected = torch.tensor(case["output"]["features"])
    torch.testing.assert_close(frame_statistics(clips), expected, rtol=2e-6, atol=1e-6)
    entropy = torch.tensor(case["output"]["entropy"])
    torch.testing.assert_close(frame_statistics(clips, ["entropy"]), entropy, rtol=2e-6, atol=1e-6)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)  # so many frames at a time, the last piece has fewer
    torch.testing.assert_close(frame_statistics(clips), expected, rtol=2e-6, atol=1e-6)
    torch.testing.assert_close(
        frame_statistics(clips.to(memory_format=torch.channels_last_3d)), expected, rtol=2e-6, atol=1e-6
    )


@pytest.mark.parametrize("names", [["mean"], ["entropy", "mean"], ["mean", "std", "entropy"]])
def test_some_of_the_statistics(names):
    clips = dgam_input(5, [2, 3, 4, 8, 16], "frames")
    every = frame_statistics(clips).view(2, 4, 3)
    wanted = every[..., [("mean", "std", "entropy").index(name) for name in names]].flatten(1)
    torch.testing.assert_close(frame_statistics(clips, names), wanted, rtol=0, atol=0)
    experts = GammaExperts(4, statistics=names).eval()
    assert experts.gating.linear1.in_features == 4 * len(names) and experts(clips)[1].probs.shape == (2, 5)


def test_a_fixed_gamma_asks_nobody():
    experts, clips = GammaExperts(4, fixed=2.5), dgam_input(5, [2, 3, 4, 8, 16], "frames")
    brightened, choice = experts(clips)
    assert choice.expert.tolist() == [3, 3] and torch.equal(brightened, brighten(clips, torch.full((2,), 1 / 2.5)))


def test_an_export_sees_one_piece(monkeypatch):
    clips = dgam_input(5, [2, 3, 4, 8, 16], "frames")
    expected = frame_statistics(clips)
    assert len(list(pieces(clips))) == 2 * -(-4 // torch.get_num_threads())
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert len(list(pieces(clips))) == 1
    torch.testing.assert_close(frame_statistics(clips), expected)


def numpy_counts(frame: np.ndarray) -> np.ndarray:
    """The published order of operations."""
    stretched = 255 * (frame - frame.min()) / (frame.max() - frame.min() + np.float32(1e-10))
    return np.histogram(stretched, bins=256, range=(0, 255))[0]


@pytest.mark.parametrize("dist", ["normal", "frames", "dark_u8", "edge_bins", "constant", "two_values"])
def test_counts_are_numpys(dist):
    frames = (
        torch.cat([dgam_input(seed, [2, 3, 8, 24, 20], dist) for seed in range(3)])
        .transpose(1, 2)
        .flatten(2)
        .flatten(0, 1)
    )
    assert np.array_equal(histogram_counts(frames).numpy(), np.stack([numpy_counts(frame) for frame in frames.numpy()]))


def frames_at_the_edges() -> np.ndarray:
    """(F, P): values whose stretched ones are the edges of the bins and the numbers next to them."""
    edges = (np.arange(257) * 255 / 256).astype(np.float32)
    values = np.concatenate([edges, np.nextafter(edges, np.float32(-1)), np.nextafter(edges, np.float32(999))]).clip(
        0, 255
    )
    scales = np.concatenate([[1, 0.5, 1 / 255, 1 / 3], np.random.RandomState(0).random_sample(60)]).astype(np.float32)
    return (values * scales[:, None]).astype(np.float32)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_counts_are_numpys_next_to_the_edges(device):
    frames = frames_at_the_edges()
    expected = np.stack([numpy_counts(frame) for frame in frames])
    assert (expected.sum(1) < frames.shape[1]).any()  # some maximum rounds to more than 255
    assert np.array_equal(histogram_counts(torch.from_numpy(frames).to(device)).cpu().numpy(), expected)


# -------------------------------------------------------------------------------------------------------------- experts
@pytest.mark.parametrize("case", cases("expert"), ids=lambda case: f"gamma {case['gamma']} of {case['input']['dist']}")
def test_experts_are_the_published_ones(case):
    clips = dgam_input(**case["input"])
    brightened = brighten(clips, torch.full((len(clips),), 1 / float(case["gamma"]))) * float(case["weight"])
    wanted = case["output"]["probe"]
    assert list(brightened.shape) == wanted["shape"]
    found = torch.stack(
        [brightened.double().mean(), brightened.double().std(correction=0), *brightened.flatten()[:8].double()]
    )
    expected = torch.tensor([wanted["mean"], wanted["std"], *wanted["first8"]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for name, number in (
        ("min", brightened.min()),
        ("max", brightened.max()),
        ("sum_of_squares", brightened.double().square().sum()),
    ):
        assert number.item() == pytest.approx(case["output"][name], rel=1e-6), name


def test_gate_is_the_published_one():
    (evaluated,), (trained,) = cases("gating_eval"), cases("gating_train_bn")
    gate = published_gate().eval()
    torch.testing.assert_close(
        gate(golden_input(**evaluated["input"])), torch.tensor(evaluated["output"]["prob"]), rtol=1e-5, atol=1e-6
    )
    gate.train()
    probs = gate(golden_input(**trained["input"]))
    torch.testing.assert_close(probs, torch.tensor(trained["output"]["prob"]), rtol=1e-5, atol=1e-6)
    for name in ("running_mean", "running_var"):
        expected = torch.tensor(trained["output"][f"{name}_bn1_first8"])
        torch.testing.assert_close(getattr(gate.batchnorm1, name)[:8], expected, rtol=1e-5, atol=1e-6)
    assert gate(golden_input(1, [1, 96])).shape == (1, 5)  # a batch of one


@pytest.mark.parametrize("case", cases("moe"), ids=lambda case: str(case["input"]["seed"]))
def test_experts_with_their_gate_are_the_published_ones(case):
    experts = GammaExperts(32)
    experts.gating = published_gate()
    with torch.no_grad():
        brightened, choice = experts.eval()(dgam_input(**case["input"]))
    assert choice.expert.tolist() == case["output"]["expert"]
    values, wanted = brightened.double().flatten(), case["output"]["probe"]
    found = torch.stack([values.mean(), values.std(correction=0), *values[:8]])
    expected = torch.tensor([wanted["mean"], wanted["std"], *wanted["first8"]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        brightened.flatten(1).std(1, correction=0), torch.tensor(case["output"]["per_sample_std"]), rtol=1e-5, atol=1e-5
    )


class Says(nn.Module):
    """A gate of which the probabilities are known."""

    def __init__(self, probs: list[float]):
        super().__init__()
        self.probs = nn.Parameter(torch.tensor([probs]))

    def forward(self, statistics: torch.Tensor) -> torch.Tensor:
        return self.probs


@pytest.mark.parametrize("case", cases("select"), ids=lambda case: str(case["p"]))
def test_the_published_choice_and_its_gradient(case):
    """Published training mixes experts that nearly tie, and takes the middle one of those that do; here it is the first
    likeliest."""
    experts = GammaExperts(2, select="hard", tau=PUBLISHED_TAU)
    experts.gating = Says(case["p"])
    choice = experts.train().choose(torch.zeros(1, 3, 2, 4, 4))
    assert choice.expert.tolist() == [case["argmax"]]
    assert torch.equal(choice.weights.detach(), F.one_hot(choice.expert, 5).float())
    published, shares = torch.tensor(case["one_hot"]), (choice.probs[0] / PUBLISHED_TAU).softmax(-1).detach()
    torch.testing.assert_close(shares, published, rtol=1e-5, atol=1e-7)  # the slope is theirs
    tied = case["p"].count(max(case["p"])) > 1
    assert (case["index_used"] == case["argmax"] == published.argmax()) or tied
    (choice.weights[0] * torch.tensor(case["c"])).sum().backward()
    torch.testing.assert_close(
        experts.gating.probs.grad[0], torch.tensor(case["grad_p_of_sum_c_w"]), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_brightened_clips_are_those_of_the_published_loops(layout, monkeypatch):
    clips = dgam_input(5, [4, 3, 4, 8, 16], "dark_u8").to(memory_format=layout)
    for k, gamma in enumerate(GAMMAS):
        weights = F.one_hot(torch.full((4,), k), 5).float()
        brightened = Brighten.apply(clips, weights, 1 / torch.tensor(GAMMAS), True)
        expected = published_expert(clips, gamma)
        if gamma == 2:  # a number as exponent makes this a square root, which rounds otherwise
            torch.testing.assert_close(brightened, expected, rtol=0, atol=1e-6)
        else:
            assert torch.equal(brightened, expected)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)  # so many frames at a time
        assert torch.equal(Brighten.apply(clips, weights, 1 / torch.tensor(GAMMAS), True), brightened)
        monkeypatch.undo()


def test_published_loops_give_the_published_statistics():
    (case, *_) = cases("frame_stats")
    found = published_statistics(dgam_input(**case["input"]))
    torch.testing.assert_close(found, torch.tensor(case["output"]["features"]), rtol=1e-6, atol=1e-6)


# --------------------------------------------------------------------------------------------------------------- choice
def trained_experts(select: str, **options) -> tuple[GammaExperts, torch.Tensor]:
    torch.manual_seed(0)
    return GammaExperts(4, select=select, dropout=0.0, **options).train(), dgam_input(3, [6, 3, 4, 8, 8], "frames")


@pytest.mark.parametrize(
    "select, tau, moves",
    [
        ("hard", 1e-6, False),
        ("hard", 1.0, True),
        ("st_gumbel", 1.0, True),
        ("soft", 1.0, True),
        ("expected", 1.0, False),
    ],
)
def test_which_rules_give_the_gate_a_gradient_through_the_clips(select, tau, moves):
    experts, clips = trained_experts(select, tau=tau)
    brightened, choice = experts(clips)
    gradient = (
        torch.autograd.grad(brightened.square().sum(), list(experts.parameters()), allow_unused=True) if moves else None
    )
    if moves:
        assert sum(part.abs().sum() for part in gradient) > 0
    elif choice.weights.requires_grad:
        gradient = torch.autograd.grad(brightened.square().sum(), list(experts.parameters()))
        assert not any(part.any() for part in gradient)  # exactly zero, as published
    assert choice.probs.requires_grad
    if select != "soft":
        exponents = experts.exponents[choice.expert]
        assert torch.equal(brightened, brighten(clips, exponents))
        assert torch.equal(choice.weights.detach(), F.one_hot(choice.expert, 5).float())


@pytest.mark.cuda
@pytest.mark.parametrize("select", ["hard", "st_gumbel", "expected", "soft"])
def test_nothing_waits_for_the_gpu(select):
    experts, clips = trained_experts(select)
    experts, clips = experts.cuda(), clips.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        brightened, choice = experts(clips)
        (brightened.mean() + choice.probs.square().sum()).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert brightened.isfinite().all() and experts.gating.linear1.weight.grad.isfinite().all()


def test_a_test_takes_the_likeliest_under_every_rule():
    for select in ("hard", "st_gumbel", "expected", "soft"):
        experts, clips = trained_experts(select)
        brightened, choice = experts.eval()(clips)
        assert torch.equal(choice.expert, choice.probs.argmax(1))
        assert torch.equal(brightened, brighten(clips, experts.exponents[choice.expert]))


def test_gumbel_draws_by_the_probabilities():
    experts, clips = trained_experts("st_gumbel")
    with torch.no_grad():
        experts.gating.linear3.weight.zero_()
        experts.gating.linear3.bias.copy_(torch.tensor([0.6, 0.2, 0.1, 0.1, 1e-9]).log())
        drawn = torch.cat([experts.choose(clips).expert for _ in range(500)])
    share = torch.bincount(drawn, minlength=5) / len(drawn)
    torch.testing.assert_close(share, torch.tensor([0.6, 0.2, 0.1, 0.1, 0.0]), rtol=0, atol=0.03)


def test_experts_can_be_told():
    experts, clips = trained_experts("st_gumbel")
    brightened, choice = experts(clips, torch.tensor([0, 1, 2, 3, 4, 4]))
    assert choice.expert.tolist() == [0, 1, 2, 3, 4, 4]
    assert torch.equal(brightened, brighten(clips, 1 / torch.tensor(GAMMAS)[choice.expert]))


@pytest.mark.parametrize("one_each", [True, False])
def test_gradients_are_those_of_the_plain_mixture(one_each):
    torch.manual_seed(0)
    clips = torch.randn(3, 2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    weights = F.one_hot(torch.tensor([1, 0, 2]), 3).double() if one_each else torch.rand(3, 3, dtype=torch.float64)
    weights.requires_grad_()
    exponents, grad = (
        torch.tensor([1.0, 0.5, 0.4], dtype=torch.float64),
        torch.randn(3, 2, 2, 3, 3, dtype=torch.float64),
    )
    ours = torch.autograd.grad(Brighten.apply(clips, weights, exponents, one_each), (clips, weights), grad)
    plain = torch.autograd.grad(mixture(clips, weights, exponents), (clips, weights), grad)
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(select="best"), "DGAM.SELECT 'best' is not known; allowed: hard, st_gumbel, expected, soft"),
        (dict(gammas=(1.0, 0.0)), r"must be above 0; got gammas=\[1.0, 0.0\], tau=1.0"),
        (dict(tau=0.0), "must be above 0; got .*tau=0.0"),
        (dict(fixed=2.2), "DGAM.FIXED 2.2 is no gamma of the experts; allowed: 1.0, 1.5, 2.0, 2.5, 3.0"),
        (dict(statistics=["median"]), r"DGAM.STATISTICS \['median'\] must be one or more of mean, std, entropy"),
    ],
)
def test_settings_that_do_not_exist(options, message):
    with pytest.raises(UserError, match=message):
        GammaExperts(4, **options)


def test_a_clip_of_another_length():
    with pytest.raises(UserError, match=r"takes 4 frames \(DATA.NUM_FRAMES\); got 3"):
        GammaExperts(4)(torch.zeros(1, 3, 3, 4, 4))
