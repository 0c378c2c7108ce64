"""DGAM computes what the published code computes once repaired, in front of any backbone, and takes its checkpoints."""

import copy
from contextlib import nullcontext
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, golden, golden_input
from dgam_inputs import dgam_input, published_state
from models_by_row import TINY
from swin_probes import assert_near, assert_probe, outputs_by_name
from torch import nn

from fragrant.benchmarks.parts import again, calls_of
from fragrant.config import load_cfg
from fragrant.layers.gamma_experts import one_hot
from fragrant.metrics import ensemble
from fragrant.models import ModelError, build_model
from fragrant.models.dgam import DGAM
from fragrant.models.uniformer import UniFormer
from fragrant.models.video_swin import SIZES, VideoSwin
from fragrant.models.weights import load_weights
from fragrant.objectives.ema import frozen_copy


def published_model(name: str, **options) -> DGAM:
    size = SIZES[golden(f"dgam/{name}")["build"]["arch"].upper()]
    backbone = VideoSwin(num_classes=0, size=size, drop_path_rate=0.0, dropout_rate=0.0)
    model = DGAM(backbone, num_classes=12, num_frames=32, gate_dropout=0.0, **options)
    report = load_weights(model, {"state_dict": published_state(name)})
    assert report.layout == "DGAM of ELLAR" and not (report.unexpected or report.dropped)
    assert all(key.endswith(("relative_position_index", "num_batches_tracked")) for key in report.missing)
    return model


def test_the_published_recipe_trains_the_gate_and_the_last_norm():
    config = ROOT / "configs" / "ellar" / "dgam_swin_b_published.yaml"
    model = build_model(load_cfg(config, ["SWIN.SIZE", "T"])).train()
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert [name for name in trained if not name.startswith("experts.gating.")] == [
        "backbone.norm.weight",
        "backbone.norm.bias",
    ]
    assert len(trained) == 12
    scales = {group["name"]: group["lr_scale"] for group in model.optimizer_groups()}
    assert scales["backbone without decay"] == 0.1 and scales["gate"] == 1000


@pytest.mark.parametrize("name", ["dgam_swin_t_c12", "dgam_swin_b_c12"])
def test_decisions_and_logits_match_the_published_code(name):
    expected, model = golden(f"dgam/{name}"), published_model(name, select="hard", tau=1e-6).eval()
    for part, of in (("total", model), ("gating", model.experts.gating), ("heads", model.heads)):
        assert sum(parameter.numel() for parameter in of.parameters()) == expected["params"][part]
    for case in expected["cases"]:
        wanted = case["output"]
        probes = {probe: numbers for probe, numbers in case["probes"].items() if probe != "corrected"}
        brightened = []
        hook = model.experts.register_forward_hook(lambda module, args, output, kept=brightened: kept.append(output[0]))
        (logits, choice), seen = outputs_by_name(
            model.backbone, probes, partial(model.decide, dgam_input(**case["input"]))
        )
        hook.remove()
        assert_probe(brightened[0], case["probes"]["corrected"], "corrected")
        for probe, numbers in probes.items():
            assert_probe(seen[probe], numbers, probe)
        assert choice.expert.tolist() == wanted["expert"]
        torch.testing.assert_close(choice.probs, torch.tensor(wanted["gate_prob"]), rtol=1e-5, atol=1e-6)
        assert_near(logits, wanted["logits"], scale=torch.tensor(wanted["logits"]).abs().max().item())
        if "avg_prob" in wanted:  # every view decides for itself
            assert_near(ensemble(logits[None], space="softmax", method="mean"), wanted["avg_prob"], scale=1.0)


def test_hard_training_is_the_published_one_and_leaves_the_gate_alone():
    expected = golden("dgam/dgam_swin_t_c12")["train"][0]
    model = published_model("dgam_swin_t_c12", select="hard", tau=1e-6).train()
    logits, choice = model.decide(dgam_input(**expected["input"]))
    loss = F.cross_entropy(logits, torch.tensor(expected["labels"]))
    loss.backward()
    assert choice.expert.tolist() == expected["expert"] and loss.item() == pytest.approx(expected["loss"], rel=1e-5)
    torch.testing.assert_close(choice.probs.detach(), torch.tensor(expected["gate_prob"]), rtol=1e-5, atol=1e-6)
    assert_near(logits, expected["logits"], scale=torch.tensor(expected["logits"]).abs().max().item())
    gate_norm = nn.utils.get_total_norm([parameter.grad for parameter in model.experts.parameters()]).item()
    assert gate_norm == expected["gate_total_grad_l2"] == 0
    parameters = dict(model.named_parameters())
    published = published_state("dgam_swin_t_c12")
    name_of = {id(value): name for name, value in model.rename_published(published).items()}
    for key, norm in expected["grad_l2 (null = no gradient at all)"].items():
        # 0 where the published code has no gradient at all
        found = parameters[name_of[id(published[key])]].grad.norm().item()
        assert found == pytest.approx(norm or 0.0, rel=3e-4, abs=1e-7), key


@pytest.mark.parametrize("name", ["dgam_swin_t_c12", "dgam_swin_b_c12"])
def test_the_published_recipe_trains_what_it_did(name):
    size = SIZES[golden(f"dgam/{name}")["build"]["arch"].upper()]
    with torch.device("meta"):
        model = DGAM(
            VideoSwin(num_classes=0, size=size, frozen_stages=4), num_classes=12, num_frames=32, frozen=("heads",)
        )
    published = golden(f"dgam/{name}")["trainable_with_hydra_config(frozen_stages=4, heads frozen)"]
    ours = model.rename_published(dict.fromkeys(published, torch.zeros(())))
    assert {key for key, parameter in model.named_parameters() if parameter.requires_grad} == set(ours)


@pytest.mark.parametrize("case", [case for case in golden("dgam/dgam_parts")["cases"] if case["part"] == "heads"])
def test_every_clip_has_the_classifier_of_its_expert(case):
    # the parts' heads are those of this file
    model, expert = (
        published_model("dgam_swin_t_c12"),
        torch.tensor(case["expert"]),
    )
    pooled = model.backbone.forward_head(golden_input(**case["input"]))
    logits = model.classify(pooled, one_hot(F.one_hot(expert, 5).float(), expert))
    torch.testing.assert_close(logits.detach(), torch.tensor(case["output"]["logits"]), rtol=1e-5, atol=1e-6)


def test_the_default_rule_moves_the_gate_through_clips_and_classifiers():
    torch.manual_seed(0)
    model = published_model("dgam_swin_t_c12").train()
    expected = golden("dgam/dgam_swin_t_c12")["train"][0]
    F.cross_entropy(model(dgam_input(**expected["input"])), torch.tensor(expected["labels"])).backward()
    assert all(
        parameter.grad.any()
        for name, parameter in model.experts.named_parameters()
        if "linear" in name and "weight" in name
    )


def test_scores_tell_the_gamma_that_the_gate_chose():
    expected, model = (
        golden("dgam/dgam_swin_t_c12")["cases"][0],
        published_model("dgam_swin_t_c12", select="hard", tau=1e-6).eval(),
    )
    with torch.inference_mode():
        logits, chosen = model.score(dgam_input(**expected["input"]))
    assert chosen["gamma"].tolist() == [model.choices["gamma"][expert] for expert in expected["output"]["expert"]]


@pytest.mark.parametrize(
    "change", [copy.deepcopy, frozen_copy, lambda model: model], ids=["copied", "averaged", "compiled"]
)
def test_copies_and_compiled_models_tell_it_too(change):
    model, calls = small(gammas=(1.0, 1.1)).eval(), []
    other = change(model)

    def backend(graph, example):
        return lambda *args: calls.append(len(args)) or graph(*args)

    clips = torch.rand(2, 3, 4, 64, 64)
    with torch.inference_mode():
        logits, chosen = model.score(clips)
        torch.compiler.reset()
        other.compile(backend=backend)
        others = other.score(clips)
    assert calls  # the compiled model computed it
    torch.testing.assert_close(others[0], logits)
    assert torch.equal(others[1]["gamma"], chosen["gamma"]) and set(chosen["gamma"].tolist()) <= set(
        torch.tensor([1.0, 1.1]).tolist()
    )


# ------------------------------------------------------------------------------------------------ any backbone, weights
def small(**options) -> DGAM:
    torch.manual_seed(0)
    return DGAM(UniFormer(**{**TINY, "num_classes": 0}), num_classes=5, num_frames=4, **options)


def test_weights_of_a_backbone_serve_every_classifier():
    plain = UniFormer(**TINY)
    model = small()
    report = load_weights(model, plain.state_dict())
    assert all(key.startswith("experts.gating.") for key in report.missing) and not (
        report.unexpected or report.dropped
    )
    assert all(torch.equal(head.weight, plain.head.weight) for head in model.heads)
    assert torch.equal(model.backbone.blocks3[0].attn.qkv.weight, plain.blocks3[0].attn.qkv.weight)


def test_shared_and_matched_classifiers():
    clips = torch.rand(3, 3, 4, 64, 64)
    matched, shared = small().eval(), small(heads="shared").eval()
    assert (len(matched.heads), len(shared.heads)) == (5, 1)
    features = shared.forward_features(clips)
    assert torch.equal(shared(clips), shared.forward_head(features))
    with pytest.raises(ModelError, match="no logits of features alone; call the model, or take DGAM.HEADS shared"):
        matched.forward_head(features)
    expert = torch.tensor([0, 4, 2])
    logits, _ = matched.decide(clips, expert)
    pooled = matched.backbone.forward_head(matched.backbone.forward_features(matched.experts(clips, expert)[0]))
    torch.testing.assert_close(
        logits, torch.stack([matched.heads[k](row) for k, row in zip(expert.tolist(), pooled, strict=True)])
    )


def test_frozen_parts_keep_their_weights_and_statistics():
    model = small(frozen=("backbone", "heads")).train()
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {"experts"}
    assert not model.backbone.training and model.experts.gating.training
    assert not small(frozen=("gate",)).train().experts.gating.training


@pytest.mark.parametrize("select", ["st_gumbel", "hard", "expected"])
def test_a_classifier_that_no_clip_takes_has_a_gradient_of_zero_and_only_decays(select):
    model, rate, decay = small(select=select).train(), 0.1, 0.05
    nn.init.ones_(model.heads[0].bias)
    before = [head.weight.detach().clone() for head in model.heads]
    logits, _ = model.decide(torch.rand(3, 3, 4, 64, 64), torch.tensor([1, 1, 3]))
    F.cross_entropy(logits, torch.arange(3)).backward()
    groups = [
        {"params": group["params"], "weight_decay": decay * group["decay_scale"]} for group in model.optimizer_groups()
    ]
    torch.optim.AdamW(groups, lr=rate).step()
    for k, head in enumerate(model.heads):
        assert head.weight.grad.any() == (k in (1, 3))
        if k not in (1, 3):
            torch.testing.assert_close(head.weight.detach(), before[k] * (1 - rate * decay))
    assert torch.equal(model.heads[0].bias, torch.ones(5))


def test_its_share_of_a_step_can_be_timed():
    model, clips = small().train(), torch.rand(2, 3, 4, 64, 64)
    calls = calls_of(model.timed_parts(), lambda: model(clips))
    (((module, inputs),),) = calls.values()
    assert module is model.experts and torch.equal(inputs[0], clips)
    gradients = []
    model.experts.gating.linear3.weight.register_hook(lambda grad: gradients.append(grad))
    again(calls["frame statistics, gate, experts"], nullcontext)()
    assert gradients[0].any()


def test_groups_of_parameters():
    model = small(backbone_lr_scale=0.1, gate_lr_scale=1000)
    groups = {group["name"]: (group["lr_scale"], group["decay_scale"]) for group in model.optimizer_groups()}
    assert groups["backbone"] == (0.1, 1) and groups["backbone without decay"] == (0.1, 0)
    assert groups["gate"] == (1000, 1) and groups["gate without decay"] == (1000, 0) and groups["heads"] == (1, 1)
    assert sum(len(group["params"]) for group in model.optimizer_groups()) == len(list(model.parameters()))


def test_a_mixture_of_experts_has_a_mixture_of_classifiers_whatever_is_frozen():
    model, clips = small(select="soft", frozen=("gate",)), torch.randn(2, 3, 4, 32, 32)
    for head in model.heads:
        torch.nn.init.normal_(head.bias)  # else they are too much alike to tell
    model.eval().experts.train().gating.eval()
    logits, choice = model.decide(clips)
    mixed, _ = model.experts(clips)
    by_head = torch.stack([head(model.backbone(mixed)) for head in model.heads], 1)  # (N, E, K)
    torch.testing.assert_close(logits, (choice.probs.unsqueeze(-1) * by_head).sum(1))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(heads="five"), "DGAM.HEADS 'five' is not known; allowed: matched, shared"),
        (dict(frozen=("head",)), "DGAM.FREEZE 'head' is not known; allowed: backbone, heads, gate"),
    ],
)
def test_arguments_that_do_not_exist(options, message):
    with pytest.raises(ModelError, match=message):
        small(**options)


SMALL = "MODEL.MODEL_NAME DGAM MODEL.NUM_CLASSES 5 DATA.NUM_FRAMES 4 DATA.INPUT_CHANNEL_NUM [3] DGAM.BACKBONE Uniformer".split()
SMALL += "UNIFORMER.EMBED_DIM [8,16,32,32] UNIFORMER.DEPTH [1,1,1,1] UNIFORMER.HEAD_DIM 16".split()


@pytest.mark.parametrize(
    "pairs, holds",
    [
        (
            "",
            lambda model: (
                isinstance(model.backbone, UniFormer) and len(model.heads) == 5 and model.experts.select == "st_gumbel"
            ),
        ),
        ("DGAM.GAMMAS [1,2]", lambda model: len(model.heads) == 2),
        ("DGAM.SELECT soft", lambda model: model.experts.select == "soft"),
        ("DGAM.STATISTICS [mean,std]", lambda model: model.experts.gating.linear1.in_features == 8),
        ("DGAM.FIXED 2.5", lambda model: model.experts.fixed == 3),
        ("DGAM.TAU 0.3", lambda model: model.experts.tau == 0.3),
        ("DGAM.HEADS shared", lambda model: len(model.heads) == 1),
        ("DGAM.FREEZE [backbone,gate]", lambda model: model.frozen == ("backbone", "gate")),
        (
            "DGAM.BACKBONE_LR_SCALE 0.1 DGAM.GATE_LR_SCALE 1000",
            lambda model: model.lr_scales == {"backbone": 0.1, "gate": 1000},
        ),
        ("DGAM.BACKBONE CSN CSN.DEPTH 26", lambda model: model.num_features == 2048),
    ],
)
def test_every_key_reaches_the_model(pairs, holds):
    assert holds(build_model(load_cfg(None, [*SMALL, *pairs.split()])))


def test_gamma_experts_do_not_stand_in_front_of_themselves():
    with pytest.raises(ModelError, match="DGAM.BACKBONE DGAM: gamma experts stand in front of another model"):
        build_model(load_cfg(None, [*SMALL, "DGAM.BACKBONE", "DGAM"]))
