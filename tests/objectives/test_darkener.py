"""The learned darkener: curves, draws and terms against plain formulas, which way both halves learn, what stays as it
is."""

import math

import pytest
import torch
import torch.nn.functional as F
from models_by_row import MODELS_BY_ROW, random_clips

from fragrant.config import ConfigError, load_cfg
from fragrant.data.transforms.gamma import brighten
from fragrant.layers.curve_net import CurveNet, apply_curves
from fragrant.layers.normalize import ClipNormalize
from fragrant.objectives import build_objective
from fragrant.objectives.contrast import Projector
from fragrant.objectives.darkened import DarkCopies, Darkened, alike_losses
from fragrant.objectives.darkener import TERMS, LearnDarkener, Weights
from fragrant.objectives.darkening import (
    Darkener,
    Exposures,
    color_casts,
    exposure_errors,
    roughness,
    similarities,
)
from fragrant.objectives.ema import follow
from fragrant.objectives.pixel_clips import PixelClips

MEAN, STD = [0.45] * 3, [0.2] * 3
SILENT = Exposures((0.1, 0.1), pixel_noise=0.0, patch_noise=0.0)
ROWS = [
    pytest.param(row, marks=[pytest.mark.slow] * (row not in ("Uniformer", "DualStream", "DGAM")))
    for row in MODELS_BY_ROW
]


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def pixel_clips(row: str = "Uniformer") -> PixelClips:
    if row.startswith("DualStream"):
        bright = lambda pixels: brighten(pixels.round().to(torch.uint8), 2.0)  # noqa: E731
        return PixelClips([ClipNormalize(MEAN, STD) for _ in range(2)], lambda pixels: (pixels, bright(pixels)))
    return PixelClips([ClipNormalize(MEAN, STD)])


def clips_of(row: str, n: int) -> torch.Tensor:
    """Clips as a network gets them, made of smooth bright pixels."""
    _, _, *sides = random_clips(row, 1).shape
    pixels = 0.4 + 0.4 * F.interpolate(drawn(n, 3, 2, 3, 3), size=sides, mode="trilinear")
    return pixel_clips(row).clips(pixels)


def learner(row: str = "Uniformer", weights: Weights = Weights(), exposures: Exposures = SILENT) -> LearnDarkener:  # noqa: B008
    torch.manual_seed(0)
    return LearnDarkener(
        MODELS_BY_ROW[row](), Darkener(CurveNet(width=4, scale=2)), exposures, pixel_clips(row), weights=weights
    )


def darkened(row: str = "Uniformer", **how) -> Darkened:
    torch.manual_seed(0)
    model, darkener = MODELS_BY_ROW[row](), Darkener(CurveNet(width=4))
    torch.nn.init.constant_(darkener.net.last.bias, -0.4)
    copies = DarkCopies(darkener, SILENT, pixel_clips(row))
    width = model.num_features
    return Darkened(model, copies, predictor=Projector(width, width=16, dim=width), **how)


# ---------------------------------------------------------------------------------------------------------- the curves
def test_curves_by_value():
    pixels, maps = drawn(2, 3, 4, 5), 2 * drawn(2, 6, 4, 5, seed=1) - 1
    bent = apply_curves(pixels, maps)
    for n, c, y, x in ((0, 0, 0, 0), (1, 2, 3, 4), (0, 1, 2, 3)):
        value = pixels[n, c, y, x].item()
        for curve in range(2):
            value += maps[n, 3 * curve + c, y, x].item() * value * (1 - value)
        assert bent[n, c, y, x].item() == pytest.approx(value, abs=1e-6)


def test_curves_keep_black_white_and_the_order():
    values = torch.linspace(0, 1, 50).view(1, 1, 1, 50)
    for strength in (-1.0, -0.3, 1.0):
        bent = apply_curves(values, torch.full((1, 8, 1, 50), strength)).flatten()
        assert bent[0] == 0 and bent[-1] == 1 and (bent.diff() >= 0).all()
        assert ((bent <= values.flatten()) if strength < 0 else (bent >= values.flatten())).all()


@torch.no_grad()
def test_the_network_is_seven_convolutions_with_symmetric_links():
    torch.manual_seed(0)
    net, pixels, exposure = CurveNet(width=5, iterations=2), drawn(2, 3, 8, 6), drawn(2, 1, 8, 6)
    assert not net(pixels, exposure).any()  # it begins with nothing
    torch.nn.init.normal_(net.last.weight)
    a, b, c, d, e, f = net.hidden
    x1 = a(torch.cat([pixels, exposure], 1)).relu()
    x2 = b(x1).relu()
    x3 = c(x2).relu()
    x4 = d(x3).relu()
    x5 = e(torch.cat([x4, x3], 1)).relu()
    x6 = f(torch.cat([x5, x2], 1)).relu()
    wanted = net.last(torch.cat([x6, x1], 1)).tanh()
    torch.testing.assert_close(net(pixels, exposure), wanted)
    assert wanted.shape == (2, 6, 8, 6) and sum(p.numel() for p in CurveNet().parameters()) == 79704


@torch.no_grad()
def test_a_smaller_view_gives_curves_for_whole_frames():
    torch.manual_seed(0)
    darkener, pixels = Darkener(CurveNet(width=4, iterations=2, scale=4)), drawn(2, 3, 5, 18, 16)
    torch.nn.init.constant_(darkener.net.last.bias, -0.5)
    dark, maps = darkener(pixels, torch.full((2, 1, 5, 18, 16), 0.1))
    assert dark.shape == pixels.shape and maps.shape == (2, 5, 6, 4, 4)
    torch.testing.assert_close(dark, apply_curves(pixels, torch.tensor(-0.5).tanh().expand(2, 6, 1, 1, 1)))


# ----------------------------------------------------------------------------------------------------------- the draws
def test_exposures_follow_from_the_keys_alone():
    clips, draw = torch.zeros(3, 3, 4, 40, 24), Exposures((0.05, 0.3))
    maps = draw(clips, ["a", "b", "a"])
    assert maps.shape == (3, 1, 4, 40, 24) and maps.min() >= 0
    assert torch.equal(maps[0], maps[2]) and not torch.equal(maps[0], maps[1])
    assert torch.equal(draw(clips[:1], ["b"])[0], maps[1])


def test_the_level_is_that_of_the_clip_and_patches_stay_in_place():
    clips = torch.zeros(200, 3, 2, 32, 48)
    levels = Exposures((0.1, 0.3), 0.0, 0.0)(clips, [str(n) for n in range(200)])
    assert (levels == levels[:, :, :1, :1, :1]).all()
    each = levels[:, 0, 0, 0, 0]
    assert 0.1 <= each.min() < 0.11 and 0.29 < each.max() <= 0.3 and abs(each.mean() - 0.2) < 0.02
    patches = Exposures((0.5, 0.5), 0.0, 0.1)(clips, None)
    assert torch.equal(patches[:, :, 0], patches[:, :, 1])
    corner = patches[:, 0, 0, 0, 0]  # of a patch: nothing between its centre and the border of the picture
    assert 0.08 < corner.std() < 0.12 and (patches.diff(dim=-1).abs() < 0.1).all()
    pixels = Exposures((0.5, 0.5), 0.05, 0.0)(clips, None)
    assert 0.049 < pixels.std() < 0.051 and not torch.equal(pixels[:, :, 0], pixels[:, :, 1])


# ----------------------------------------------------------------------------------------------------------- the terms
def test_exposure_errors_by_value():
    dark, wanted = drawn(2, 3, 2, 9, 8), drawn(2, 1, 2, 9, 8, seed=1)
    for n in range(2):
        differences = [
            abs(dark[n, :, t, y : y + 4, x : x + 4].mean() - wanted[n, :, t, y : y + 4, x : x + 4].mean()).item()
            for t in range(2)
            for y in (0, 4)
            for x in (0, 4)
        ]
        mean = sum(differences) / len(differences)
        assert exposure_errors(dark, wanted, patch=4)[n].item() == pytest.approx(mean, rel=1e-5)
    whole = (dark.mean(1)[:, :, :8].mean((2, 3)) - wanted[:, 0, :, :8].mean((2, 3))).abs().mean(1)
    torch.testing.assert_close(exposure_errors(dark, wanted, patch=16), whole)  # larger than the picture


def test_roughness_and_casts_by_value():
    maps = drawn(2, 3, 4, 5, 6)
    down = sum(float((maps[1, :, m, 1:] - maps[1, :, m, :-1]).square().mean()) for m in range(4))
    across = sum(float((maps[1, :, m, :, 1:] - maps[1, :, m, :, :-1]).square().mean()) for m in range(4))
    assert roughness(maps)[1].item() == pytest.approx(down + across, rel=1e-5)
    assert roughness(maps[..., :1, :1]).tolist() == [0, 0]
    dark = drawn(2, 3, 4, 5, 6)
    red, green, blue = dark[0].mean((1, 2, 3)).tolist()
    wanted = (red - green) ** 2 + (red - blue) ** 2 + (green - blue) ** 2
    assert color_casts(dark)[0].item() == pytest.approx(wanted, rel=1e-4)


def test_similarities_by_value():
    one, other = drawn(2, 2, 5) - 0.5, drawn(2, 2, 5, seed=1) - 0.5
    cosine = lambda a, b: float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))  # noqa: E731
    wanted = [sum(cosine(one[n, s], other[n, s]) for s in range(2)) / 2 for n in range(2)]
    assert similarities(one, other).tolist() == pytest.approx(wanted, rel=1e-4)
    apart = (F.normalize(one, dim=-1) - F.normalize(other, dim=-1)).square().sum(-1).mean(1)  # as BYOL writes it
    torch.testing.assert_close(alike_losses(one, other), apart)


def test_pixels_and_back():
    pixels = (drawn(2, 3, 2, 6, 6) * 255).round() / 255
    way = pixel_clips("DualStream")
    clips = way.clips(pixels)
    assert clips.shape == (2, 6, 2, 6, 6)
    torch.testing.assert_close(way.pixels(clips), pixels)
    second = ClipNormalize(MEAN, STD)(brighten((pixels * 255).round().to(torch.uint8), 2.0))
    torch.testing.assert_close(clips[:, 3:], second)
    pixels.requires_grad_()
    way.clips(pixels).sum().backward()
    torch.testing.assert_close(pixels.grad, torch.full_like(pixels, 1 / STD[0]))


# ------------------------------------------------------------------------------------------------------ the first half
@pytest.mark.parametrize(
    "term, weights",
    [("similarity", Weights(1.0, 0.0, 0.0, 0.0)), ("exposure_error", Weights(0.0, 1.0, 0.0, 0.0))],
)
def test_the_darkener_learns_and_the_network_stays(term, weights):
    objective = learner(weights=weights).train()
    assert not objective.model.training
    before = {name: value.clone() for name, value in objective.model.state_dict().items()}
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    assert len(trained) == len(list(objective.darkener.parameters()))
    optimizer, clips, seen = torch.optim.Adam(trained, lr=3e-3), clips_of("Uniformer", 2), []
    for _ in range(15):
        out = objective(clips, torch.zeros(2, dtype=torch.long))
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
        seen.append(out.logged[term].item())
    assert seen[-1] < seen[0] - 1e-4 and out.loss.item() == pytest.approx(seen[-1], rel=1e-5)
    after = objective.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_the_loss_is_the_weighted_sum_and_a_validation_tells_the_same():
    weights = Weights(0.5, 2.0, 3.0, 4.0)
    objective, clips = learner(weights=weights, exposures=Exposures()).train(), clips_of("Uniformer", 4)
    torch.nn.init.normal_(objective.darkener.net.last.weight, std=0.2)
    objective.meet([7, 8], 3)  # two views of each
    logged = objective(clips, torch.zeros(4)).logged
    objective.meet([7, 8], 3)
    loss = objective(clips, torch.zeros(4)).loss.item()
    assert loss == pytest.approx(sum(w * logged[t].item() for w, t in zip((0.5, 2.0, 3.0, 4.0), TERMS, strict=True)))
    with torch.no_grad():
        rows = objective.observe(clips, [7, 8])
        one = objective.observe(clips[2:], [8])
    assert rows.shape == (2, 4)
    torch.testing.assert_close(rows[1:], one, rtol=1e-4, atol=1e-6)
    numbers = objective.measure(rows)
    parts = sum(w * numbers[t] for w, t in zip((0.5, 2.0, 3.0, 4.0), TERMS, strict=True))
    assert numbers["loss"] == pytest.approx(parts, rel=1e-4)


# ----------------------------------------------------------------------------------------------------- the second half
@pytest.mark.parametrize("row", ROWS)
def test_every_network_learns_both_halves(row):
    clips, labels = clips_of(row, 2), torch.tensor([0, 3])
    first = learner(row).train()
    torch.nn.init.normal_(first.darkener.net.last.weight, std=0.1)
    first(clips, labels).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in first.darkener.parameters())
    assert all(p.grad is None for p in first.model.parameters())
    second = darkened(row).train()
    out = second(clips, labels)
    assert out.loss.isfinite() and out.logged.keys() >= {"top1_err", "dark_top1_err", "loss_labels", "loss_similarity"}
    out.loss.backward()
    trained = [p for p in second.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    second.after_step()


def test_both_losses_and_which_copy_is_told_from_which():
    objective, clips = darkened(weight=0.3).eval(), clips_of("Uniformer", 3)
    labels = torch.tensor([0, 3, 1])
    out = objective(clips, labels)
    dark = objective.darken(clips)
    pixels = pixel_clips().pixels(dark) * 255
    torch.testing.assert_close(pixels, pixels.round(), atol=1e-3, rtol=0)  # 8 bits
    assert pixels.mean() < 0.5 * (pixel_clips().pixels(clips) * 255).mean()
    model, predictor = objective.model, objective.predictor
    classes = (F.cross_entropy(model(clips), labels) + F.cross_entropy(model(dark), labels)) / 2
    lit_features, dark_features = (model.map_and_pooled(x)[1] for x in (clips, dark))
    both = alike_losses(predictor(lit_features), dark_features) + alike_losses(predictor(dark_features), lit_features)
    alike = both.mean() / 2
    assert out.logged["loss_labels"].item() == pytest.approx(classes.item(), rel=1e-4)
    assert out.logged["loss_similarity"].item() == pytest.approx(alike.item(), rel=1e-3)
    assert out.loss.item() == pytest.approx((classes + 0.3 * alike).item(), rel=1e-3)


def test_the_target_gets_no_gradient_and_follows_the_network():
    objective, clips = darkened(decay=0.9).train(), clips_of("Uniformer", 2)
    before = {name: value.clone() for name, value in objective.target.named_parameters()}
    optimizer = torch.optim.SGD([p for p in objective.parameters() if p.requires_grad], lr=0.1)
    objective(clips, torch.tensor([0, 3])).loss.backward()
    optimizer.step()
    assert not objective.target.training and all(p.grad is None for p in objective.target.parameters())
    objective.after_step()
    online = dict(objective.model.named_parameters())
    for name, value in objective.target.named_parameters():
        torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * online[name])
    for own, buffer in zip(objective.target.buffers(), objective.model.buffers(), strict=True):
        assert torch.equal(own, buffer)
    assert not any("darken" in name for name in objective.state_dict())  # the file of the first half has it


def test_training_makes_both_more_alike():
    objective, clips = darkened(weight=100.0).train(), clips_of("Uniformer", 2)
    optimizer = torch.optim.Adam([p for p in objective.parameters() if p.requires_grad], lr=1e-3)
    seen = []
    for _ in range(10):
        out = objective(clips, torch.tensor([0, 3]))
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
        objective.after_step()
        seen.append(out.logged["loss_similarity"].item())
    assert seen[-1] < seen[0] - 0.1


def test_follow_moves_weights_and_takes_over_statistics():
    average, model = (torch.nn.BatchNorm1d(2) for _ in range(2))
    with torch.no_grad():
        model.weight.fill_(3), model.running_mean.fill_(5)
    follow(average, model, 0.75)
    assert average.weight.tolist() == [1.5, 1.5] and average.running_mean.tolist() == [5, 5]


# ----------------------------------------------------------------------------------------------------------- the config
LEARN = "TRAIN.OBJECTIVE darkener TEST.ENABLE False TRAIN.CHECKPOINT_FILE_PATH x.pyth TRAIN.CHECKPOINT_EPOCH_RESET True"


def test_the_config_builds_the_first_half():
    words = f"{LEARN} MODEL.NUM_CLASSES 5 DARKENER.EXPOSURE [0.05,0.1] DARKENER.WIDTH 8 DARKENER.ITERATIONS 3"
    cfg = load_cfg(None, [*words.split(), "DARKENER.SIMILARITY_WEIGHT", "0.25", "DARKENER.PATCH", "8"])
    objective = build_objective(cfg, MODELS_BY_ROW["Uniformer"]())
    assert isinstance(objective, LearnDarkener) and objective.weights == Weights(0.25, 10.0, 200.0, 5.0)
    assert objective.exposures == Exposures((0.05, 0.1), 0.025, 0.025, 8)
    assert objective.darkener.net.last.out_channels == 9 and objective.darkener.net.last.in_channels == 16


COPIES = "DARKENER.CHECKPOINT x.pyth"
REFUSED = [
    ("DARKENER.EXPOSURE [0.2,0.1]", r"DARKENER.EXPOSURE \[0.2, 0.1\] must be \[smallest, largest\]"),
    ("DARKENER.EXPOSURE [0.2]", r"must be \[smallest, largest\]"),
    ("DARKENER.EXPOSURE [0.0,1.5]", "must be from 0 to 1"),
    (f"{LEARN} TRAIN.CHECKPOINT_FILE_PATH ''", "darkens against a trained network: give its file"),
    (f"{LEARN} TRAIN.CHECKPOINT_EPOCH_RESET False", "with TRAIN.CHECKPOINT_EPOCH_RESET True"),
    (f"{LEARN} TEST.ENABLE True", "TEST.ENABLE True with TRAIN.OBJECTIVE darkener"),
    (f"{LEARN} DATA.GAMMA [2.0]", "darkens clips behind DATA.ENHANCE and DATA.GAMMA"),
    (f"{LEARN} BN.USE_PRECISE_STATS True", "BN.USE_PRECISE_STATS True with TRAIN.OBJECTIVE darkener"),
    (f"{LEARN} {COPIES}", "DARKENER.CHECKPOINT 'x.pyth' with TRAIN.OBJECTIVE darkener"),
    (f"{COPIES} DISTILL.CHECKPOINT y.pyth", "with DISTILL.CHECKPOINT y.pyth"),
    (f"{COPIES} MIXUP.ENABLE True MIXUP.TYPE svmix", "with MIXUP.TYPE svmix"),
    (f"{COPIES} LOSS.SUPCON 1 AUG.NUM_SAMPLE 2", "with LOSS.SUPCON 1"),
    (f"{COPIES} DATA.ENHANCE clahe", "darkens clips behind DATA.ENHANCE"),
    (f"{COPIES} MODEL.MODEL_NAME DGAM", "with a gate that learns"),
]


@pytest.mark.parametrize("words, message", REFUSED)
def test_what_it_does_not_go_with(words, message):
    with pytest.raises(ConfigError, match=message):
        load_cfg(None, ["" if word == "''" else word for word in words.split()])
