"""SV-Mix against the numbers of the published code: masks, clips, labels, one whole training step."""

import random

import pytest
import torch
from conftest import fill_v1, golden, golden_input
from golden_values import assert_golden
from torch import nn

from fragrant.errors import UserError
from fragrant.objectives.losses import as_soft_labels, cross_entropy
from fragrant.objectives.selective_module import SelectiveModule
from fragrant.objectives.sv_mix import Draw, Draws, SvMix, blend, draw, mask_loss, mixed_labels, own_share
from fragrant.optim.groups import parameter_groups
from fragrant.optim.step import Stepper

NAMES = ("svmix/selective_spatial", "svmix/selective_temporal")
MASKS = [(name, index) for name in NAMES for index in range(4)]
STEPS = golden("svmix/training_step")


def close(actual: torch.Tensor, expected, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(actual.detach(), torch.tensor(expected), rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize("name, index", MASKS)
def test_published_masks_clips_and_labels(name, index):
    golden_file = golden(name)
    case = golden_file["cases"][index]
    given, expected, probes = case["input"], case["output"], case["probes"]
    mixer = SelectiveModule(16)
    mixer.load_state_dict(fill_v1(golden_file["state"]))
    features = golden_input(given["features"]["seed"], given["features"]["shape"]).transpose(1, 2)  # (N, C, t, h, w)
    clips = golden_input(given["clip"]["seed"], given["clip"]["shape"])
    soft_labels = as_soft_labels(
        torch.tensor(given["labels"]), given["num_classes"], smoothing=given["label_smoothing"]
    )
    student, other = (Draw(given[f"lam_{who}"], given[f"perm_{who}"]) for who in ("student", "module"))
    partner, others_partner = torch.tensor(student.partner), torch.tensor(other.partner)
    temporal = given["mode"] == "temporal"

    close(mixer(features, student.lam, partner, temporal=temporal), expected["mask_partner_lowres_student"])
    mask = mixer(features, other.lam, others_partner, temporal=temporal)
    close(mask, expected["mask_partner_lowres_module"])
    others_clips, others_target = (
        blend(clips, others_partner, mask),
        mixed_labels(soft_labels, others_partner, other.lam),
    )
    assert_golden(others_clips, probes["clip_module"])
    for name, found in (
        ("clip_module", others_clips),
        ("target_module", others_target),
        ("mask_loss", mask_loss(mask, other.lam)),
    ):
        # the student's are made without a graph: training_step
        assert found.requires_grad == expected["requires_grad"][name], name
    close(others_target, expected["target_module"])
    close(0.1 * mask_loss(mask, other.lam), expected["mask_loss"])

    objective = SvMix(nn.Identity(), mixer, lambda n: None, num_classes=given["num_classes"])
    mask = objective.student_mask(features, student, partner, temporal=temporal)
    own = own_share(features, partner, mask)
    assert_golden(blend(clips, partner, mask), probes["clip_student"])
    close(own, expected["label_lambda_student"])
    close(mixed_labels(soft_labels, partner, own[:, None]), expected["target_student"])


class TinyNet(nn.Module):
    """The network that the golden step defines."""

    def __init__(self, channels: int, kt: int, ks: int, num_classes: int):
        super().__init__()
        self.conv = nn.Conv3d(3, channels, (kt, ks, ks), (kt, ks, ks), bias=False)
        self.bn = nn.BatchNorm3d(channels)
        self.head = nn.Linear(channels, num_classes)
        self.num_features = channels

    def forward_features(self, clips):
        return self.bn(self.conv(clips)).relu()

    def forward(self, clips):
        return self.head(self.forward_features(clips).mean((2, 3, 4)))


def golden_objective(case: dict) -> tuple[SvMix, torch.Tensor, torch.Tensor]:
    given = case["input"]
    state = fill_v1(STEPS["state"])
    draws = Draws(
        given["mode"] == "temporal",
        Draw(given["lam_student"], given["perm_student"]),
        Draw(given["lam_module"], given["perm_module"]),
    )
    net, mixer = (
        TinyNet(given["C"], given["kt"], given["ks"], given["num_classes"]),
        SelectiveModule(given["C"], given["d"]),
    )
    objective = SvMix(
        net, mixer, lambda n: draws, num_classes=given["num_classes"], smoothing=given["label_smoothing"]
    ).train()
    for part, prefix in ((objective.model, "student."), (objective.teacher, "teacher."), (mixer, "")):
        part.load_state_dict({name: state[prefix + name] for name in part.state_dict()})
    mixer.learning = {
        "optimizer": "sgd",
        "fixed_lr": given["step"]["module_lr"],
        "weight_decay": given["step"]["module_weight_decay"],
        "clip_norm": given["step"]["module_clip"],
    }
    return objective, golden_input(given["clip"]["seed"], given["clip"]["shape"]), torch.tensor(given["labels"])


def named_parts(objective: SvMix) -> dict[str, torch.Tensor]:
    """Tensors under the names of the golden file."""
    parts = {"student.": objective.model, "teacher.": objective.teacher, "": objective.mixer}
    return {
        prefix + name: value
        for prefix, part in parts.items()
        for name, value in part.state_dict(keep_vars=True).items()
    }


def recorded(objective: SvMix) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Logits and targets of every loss that the objective computes from now on: the student's, then the teacher's."""
    seen, loss_fn = [], objective.loss_fn

    def keep(logits, targets):
        seen.append((logits, targets))
        return loss_fn(logits, targets)

    objective.loss_fn = keep
    return seen


@pytest.mark.parametrize("case", STEPS["cases"])
def test_published_training_step(case):
    objective, clips, labels = golden_objective(case)
    given, expected = case["input"]["step"], case["output"]
    seen = recorded(objective)
    out = objective(clips, labels)
    for (logits, target), names in zip(
        seen, (("logits_student", "label_lambda_target_student"), ("logits_teacher", "target_module")), strict=True
    ):
        for found, name in zip((logits, target), names, strict=True):
            close(found, expected[name], 1e-4)
    assert not seen[0][1].requires_grad and not seen[1][1].requires_grad
    for name, key in (("loss_student", "loss_student"), ("loss_mixer", "loss_module_ce"), ("loss_mask", "mask_loss")):
        assert out.logged[name].item() == pytest.approx(expected[key], rel=1e-4, abs=1e-6)
    assert out.loss.item() == pytest.approx(expected["loss_total"], rel=1e-4)

    out.loss.backward()
    tensors = named_parts(objective)
    for name, probe in expected["grad_total"].items():
        assert_golden(tensors[name].grad, probe, tolerance=2e-4)
    has_gradient = any(parameter.grad is not None for parameter in objective.teacher.parameters())
    assert has_gradient == expected["teacher_parameters_have_gradient"] is False
    for who, part in (("student", objective.model), ("module", objective.mixer)):
        norm = nn.utils.get_total_norm([parameter.grad for parameter in part.parameters()])
        assert norm.item() == pytest.approx(expected["grad_norm_before_clip"][who], rel=1e-4)
    objective.zero_grad()

    objective, clips, labels = golden_objective(case)
    groups = parameter_groups(objective, weight_decay=given["student_weight_decay"])
    mixers = [group for group in groups if group.get("name") == "selective module"]
    # 2e-6 of the weights in a step: below what is told
    assert [group["weight_decay"] for group in mixers] == [given["module_weight_decay"]]
    assert {group["weight_decay"] for group in groups if group.get("name") != "selective module"} == {
        given["student_weight_decay"]
    }
    optimizer = torch.optim.SGD(
        [{k: v for k, v in g.items() if k != "optimizer"} for g in groups], lr=0.1, momentum=0.9, fused=True
    )
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    stepper = Stepper(objective, optimizer, scaler=scaler, clip_norm=given["student_clip"])
    stepper.begin(given["student_lr"], remaining=1)
    assert stepper.backward(objective(clips, labels).loss, torch.arange(4))
    assert stepper.grad_norm.item() == pytest.approx(expected["grad_norm_before_clip"]["student"], rel=1e-4)
    objective.after_step()
    tensors, after = named_parts(objective), expected["after_step"]
    for who in ("module", "student", "teacher (EMA of the parameters, 0.999)"):
        for name, probe in after[who].items():
            assert_golden(tensors[name], probe, tolerance=1e-4)
    for name, numbers in after.items():
        if ".bn." in name and isinstance(numbers, list):
            close(tensors[name], numbers, 1e-4)
    assert tensors["teacher.bn.num_batches_tracked"] == after["teacher.bn.num_batches_tracked"] == 2


def one_loss(objective: SvMix, term: str, clips: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """One of the three terms of the loss, alone."""
    losses = []

    def keep(logits, soft_labels):
        losses.append(cross_entropy(logits, soft_labels))
        return logits.new_zeros(())  # the total is then the mask loss

    objective.loss_fn = keep
    total = objective(clips, labels).loss
    return {"loss_student": losses[0], "loss_module_ce": losses[1], "mask_loss": total}[term]


@pytest.mark.parametrize("term", ["loss_student", "loss_module_ce", "mask_loss"])
@pytest.mark.parametrize("case", STEPS["cases"])
def test_each_loss_reaches_its_own_network(case, term):
    objective, clips, labels = golden_objective(case)
    one_loss(objective, term, clips, labels).backward()
    tensors = named_parts(objective)
    expected = {
        name: norm
        for title, norms in case["output"]["grad_norm_per_term"].items()
        if title.endswith(term)
        for name, norm in norms.items()
    }
    assert len(expected) == 9
    for name, norm in expected.items():
        found = None if tensors[name].grad is None else tensors[name].grad.norm().item()
        assert found == (None if norm is None else pytest.approx(norm, rel=1e-3, abs=1e-6)), name


def test_draws_follow_the_generator():
    first, second = (draw(6, rng=random.Random(3)) for _ in range(2))
    assert first == second and sorted(first.student.partner) == list(range(6))
    many = [draw(2, rng=random.Random(seed), spatial_prob=0.25) for seed in range(400)]
    assert 0.68 < sum(d.temporal for d in many) / 400 < 0.82
    assert all(draw(2, rng=random.Random(seed), spatial_prob=1.0).temporal is False for seed in range(9))
    unmixed = draw(2, rng=random.Random(0), spatial_prob=1.0, prob=0.0)
    assert unmixed.temporal and unmixed.student.lam == 1.0 and 0 < unmixed.mixer.lam < 1


def test_a_step_without_mixing_shows_clean_clips():
    features, clips = torch.randn(2, 4, 2, 2, 2), torch.randn(2, 3, 4, 8, 8)
    objective = SvMix(nn.Identity(), SelectiveModule(4), lambda n: None, num_classes=2)
    mask = objective.student_mask(features, Draw(1.0, [1, 0]), torch.tensor([1, 0]), temporal=True)
    assert torch.equal(blend(clips, torch.tensor([1, 0]), mask), clips)
    assert torch.equal(own_share(features, torch.tensor([1, 0]), mask), torch.ones(2))


def test_a_map_of_any_size_covers_the_clip():
    clips, mask = torch.zeros(2, 3, 5, 7, 9), torch.rand(2, 2, 3, 4)
    clips[1] = 1
    mixed = blend(clips, torch.tensor([1, 0]), mask)
    assert torch.equal(mixed[0, 0], mixed[0, 2]) and mixed[0, 0].unique().numel() == mask[0].numel()


def test_teacher_keeps_batch_statistics_and_no_dropout():
    net = nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Dropout(0.5))
    objective = SvMix(net, SelectiveModule(4), lambda n: None, num_classes=2)
    for _ in range(2):
        objective.train()
        assert [module.training for module in objective.teacher] == [False, True, False]
        assert all(module.training for module in objective.model)
        objective.eval_model.eval()
        assert objective.eval_model is objective.teacher and not objective.teacher[1].training
    as_in_tests = SvMix(
        net, SelectiveModule(4), lambda n: None, num_classes=2, teacher_batch_stats=False, evaluate="student"
    ).train()
    assert not as_in_tests.teacher[1].training and as_in_tests.eval_model is as_in_tests.model


def test_a_model_without_a_feature_map_is_named():
    class Pooled(nn.Module):
        def forward_features(self, clips):
            return clips.mean((2, 3, 4))

    objective = SvMix(Pooled(), SelectiveModule(3), lambda n: draw(n, rng=random.Random(0)), num_classes=2)
    with pytest.raises(UserError, match=r"MIXUP.TYPE svmix needs a model with a feature map .* Pooled gives \(2, 3\)"):
        objective(torch.randn(2, 3, 2, 4, 4), torch.tensor([0, 1]))
