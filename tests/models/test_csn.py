"""CSN computes what mmaction2's code computes, and takes the weights of mmaction2, VMZ and torchvision."""

from functools import lru_cache

import pytest
import torch
import torch.nn.functional as F
from conftest import fill_v1, golden, golden_input
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.metrics import ensemble
from fragrant.models import ModelError, build_model
from fragrant.models.complexity import measure
from fragrant.models.csn import BLOCKS, CSN, network_of, renamed_csn
from fragrant.models.weights import WeightsError, load_weights

NAMES = ["ircsn_r50_c11", "ircsn_r50_k400", "ircsn_r50_pool2_c11", "ipcsn_r50_c11", "ircsn_r152_c6", "ircsn_r152_k400"]
OURS = {"conv1": "stem.2", "maxpool": "stem.3", "pooled": "head"}  # published name of a part -> ours, where they differ
FORMATS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}


@lru_cache(maxsize=2)
def published_state(name: str) -> dict[str, Tensor]:
    return fill_v1(golden(f"csn/{name}")["state"])


def loaded_model(name: str, **options) -> CSN:
    build = golden(f"csn/{name}")["build"]
    model = CSN(
        num_classes=build["num_classes"],
        depth=build["depth"],
        bottleneck=build["bottleneck_mode"],
        pool2=build["with_pool2"],
        **options,
    )
    report = load_weights(model, {"meta": {}, "state_dict": published_state(name)})
    assert not (report.missing or report.unexpected or report.dropped) and report.layout == "mmaction2 recogniser"
    return model.eval()


def assert_near(actual: Tensor, expected, scale: float, tolerance: float = 2e-5) -> None:
    expected = torch.as_tensor(expected, dtype=torch.float64)
    assert actual.shape == expected.shape
    worst = (actual.detach().double() - expected).abs().max().item()
    assert worst <= tolerance * scale, f"off by {worst / scale:.1e} of the scale"


def logits_and_probes(model: CSN, clips: Tensor, names) -> tuple[Tensor, dict[str, Tensor]]:
    """The logits, and by published name what the parts of the model put out ("pooled": what enters the head)."""
    seen, hooks = {}, []

    def keep(name):
        return lambda module, args, output: seen.__setitem__(name, (args[0] if name == "pooled" else output).clone())

    for name in names:
        module = model.get_submodule(OURS.get(name, name))
        hooks.append((module[-1] if name.startswith("layer") else module).register_forward_hook(keep(name)))
    with torch.no_grad():
        logits = model(clips)
    for hook in hooks:
        hook.remove()
    return logits, seen


# ---------------------------------------------------------------------------------------------------- published numbers
@pytest.mark.parametrize("name", NAMES)
def test_logits_and_inner_numbers_match_mmaction2(name):
    expected, model = golden(f"csn/{name}"), loaded_model(name)
    assert sum(p.numel() for p in model.parameters()) == expected["params"]["total"]
    for at, case in enumerate(expected["cases"]):
        clips = golden_input(**case["input"])
        views = clips.shape[1] if clips.ndim == 6 else 0
        memory_format = list(FORMATS.values())[at % 2]
        clips = (clips.flatten(0, 1) if views else clips).contiguous(memory_format=memory_format)
        logits, seen = logits_and_probes(model.to(memory_format=memory_format), clips, case["probes"])
        assert_near(logits, case["output"]["logits"], scale=case["float32_error"]["max_abs_logit"])
        for probe, wanted in case["probes"].items():
            output = seen[probe].flatten(1) if probe == "pooled" else seen[probe]
            assert list(output.shape) == wanted["shape"], probe
            values = output.contiguous().flatten().double()
            found = torch.stack([values.mean(), values.std(correction=0), *values[:8]])
            assert_near(found, [wanted["mean"], wanted["std"], *wanted["first8"]], scale=max(wanted["std"], 1.0))
        if views:
            probabilities = ensemble(logits.unflatten(0, (-1, views)), space="softmax", method="mean")
            assert_near(probabilities, case["output"]["avg_prob"], scale=1.0)


@pytest.mark.cuda
@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("name", ["ircsn_r50_c11", "ipcsn_r50_c11"])
def test_logits_on_the_gpu(name, memory_format, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    model, case = loaded_model(name).cuda().to(memory_format=memory_format), golden(f"csn/{name}")["cases"][0]
    with torch.no_grad():
        logits = model(golden_input(**case["input"]).cuda().contiguous(memory_format=memory_format))
    assert_near(logits.cpu(), case["output"]["logits"], scale=case["float32_error"]["max_abs_logit"], tolerance=1e-4)


def gradients(model: CSN, case: dict) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Loss, logits, and the norm of every gradient under the published name; in the number format of the model."""
    logits = model.train()(golden_input(**case["input"]).to(model.head.weight.dtype))
    loss = F.cross_entropy(logits, torch.tensor(case["labels"]))
    loss.backward()
    return loss, logits, {name: p.grad.norm().item() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("recompute_blocks", [(0, 0, 0, 0), (3, 2, 6, 1)], ids=["plain", "recomputed"])
@pytest.mark.parametrize("name", ["ircsn_r50_c11", "ipcsn_r50_c11"])
def test_training_with_frozen_batch_norm(name, recompute_blocks):
    (case,) = golden(f"csn/{name}")["train"]
    model = loaded_model(name, frozen_bn=True, dropout_rate=0.0, recompute_blocks=recompute_blocks)
    before = {key: value.double() for key, value in model.state_dict().items() if ".running_" in key}
    trained = [p for p in model.parameters() if p.requires_grad]
    assert (len(trained), sum(p.numel() for p in trained)) == (case["trainable_tensors"], case["trainable_params"])
    # in float32 the number of threads decides some ReLUs, and the fourth digit
    loss, logits, norms = gradients(model.double(), case)
    assert loss.item() == pytest.approx(case["loss"], rel=2e-5)
    assert_near(logits, case["logits"], scale=1.5)
    states = renamed_to_published(name)
    for key, norm in case["grad_l2"].items():
        assert norms[states[key]] == pytest.approx(norm, rel=2e-4), key
    assert torch.tensor(list(norms.values())).norm().item() == pytest.approx(case["total_grad_l2"], rel=2e-4)
    of_norms = {
        f"{name}.{key}"
        for name, part in model.named_modules()
        if isinstance(part, nn.BatchNorm3d)
        for key in ("weight", "bias")
    }
    assert [name for name in norms if name in of_norms] == case["bn_params_with_grad"] == []
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize("recompute_blocks", [(0, 0, 0, 0), (3, 4, 6, 3)], ids=["plain", "recomputed"])
def test_training_with_batch_statistics(recompute_blocks):
    (case,) = golden("csn/ircsn_r50_c11")["train_bn"]
    model = loaded_model("ircsn_r50_c11", dropout_rate=0.0, recompute_blocks=recompute_blocks)
    loss, logits, norms = gradients(model, case)
    assert loss.item() == pytest.approx(case["loss"], rel=2e-5)
    assert_near(logits, case["logits"], scale=1.5, tolerance=1e-4)
    names = renamed_to_published("ircsn_r50_c11")
    for key, norm in case["grad_l2"].items():
        assert norms[names[key]] == pytest.approx(norm, rel=1e-3), key
    for key, first in case["running_stats_after_one_forward_first8"].items():
        assert_near(model.state_dict()[names[key]][:8], first, scale=1.0)


def renamed_to_published(name: str) -> dict[str, str]:
    """Published key -> ours."""
    keys = [key for key, *_ in golden(f"csn/{name}")["state"]]
    return dict(zip(keys, renamed_csn(dict.fromkeys(keys, 0)), strict=True))


# ------------------------------------------------------------------------------------------------------ size and shapes
@pytest.mark.parametrize(
    "depth, bottleneck, classes, parameters",
    [
        (50, "ir", 400, 13_131_152),
        (101, "ir", 400, 22_213_776),
        (152, "ir", 400, 29_703_568),
        (50, "ip", 400, 14_396_176),
        (152, "ip", 400, 33_016_592),
        (50, "ir", 6, 12_323_846),
        (152, "ir", 6, 28_896_262),
        (152, "ir", 11, 28_906_507),
        (152, "ir", 0, 28_883_968),
    ],
)
def test_parameters_as_published(depth, bottleneck, classes, parameters):
    with torch.device("meta"):
        model = CSN(depth=depth, bottleneck=bottleneck, num_classes=classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_trainable_with_frozen_batch_norm():
    with torch.device("meta"):
        model = CSN(num_classes=11, frozen_bn=True)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert (len(trained), sum(p.numel() for p in trained)) == (157, 28_755_083)


@pytest.mark.parametrize("depth, size, gmacs", [(50, 56, 3.53), (50, 64, 4.37), (152, 56, 6.63), (152, 64, 7.63)])
def test_cost_as_published(depth, size, gmacs):
    assert measure(CSN(depth=depth), (3, 40, size, size)).gmacs == pytest.approx(gmacs, abs=0.006)


@pytest.mark.parametrize(
    "clip, features", [((1, 33, 47), (1, 2, 2)), ((9, 64, 96), (2, 2, 3)), ((8, 16, 16), (1, 1, 1))]
)
def test_sizes_are_rounded_up(clip, features):
    model = CSN(depth=26, num_classes=3).eval()
    assert model.forward_features(torch.rand(2, 3, *clip)).shape == (2, 2048, *features)


def test_batch_norm_and_head_are_as_published():
    model = CSN(depth=26, num_classes=50)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm3d)]
    assert len(norms) == 1 + 8 * 3 + 4 and {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.1)}
    assert not model.head.bias.any() and model.head.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not [m for m in model.modules() if isinstance(m, nn.Conv3d) and m.bias is not None]


def test_frozen_batch_norm_stays_in_eval_mode():
    fresh = CSN(depth=26, num_classes=3, frozen_bn=True)
    for model in (fresh, fresh.eval().train()):
        assert model.training and model.dropout.training
        assert not any(module.training for module in model.modules() if isinstance(module, nn.BatchNorm3d))


def test_dropout_is_before_the_head():
    model = CSN(depth=26, num_classes=3, dropout_rate=0.999).train()
    nn.init.ones_(model.head.bias)
    # nearly all is dropped
    assert (model.forward_head(torch.ones(1, 2048, 1, 1, 1)) - model.head.weight.sum(1) - 1).abs().max() > 0
    assert torch.allclose(
        model.eval().forward_head(torch.ones(1, 2048, 1, 1, 1)), model.head.weight.sum(1) + 1, atol=1e-5
    )


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(depth=34), "CSN depth 34 is not known; allowed: 26, 50, 101, 152"),
        (dict(bottleneck="ie"), "CSN bottleneck 'ie' is not known; allowed: ir, ip"),
        (dict(recompute_blocks=[1]), r"MODEL.CHECKPOINT_NUM \[1\] needs one value for each of the 4 stages"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ModelError, match=message):
        CSN(**options)


def test_a_clip_that_does_not_fit():
    with pytest.raises(
        ModelError, match=r"clips must be \(N, 3, T, H, W\); got a tensor of shape \(1, 1, 4, 64, 64\)$"
    ):
        CSN(depth=26)(torch.zeros(1, 1, 4, 64, 64))


def test_the_config_builds_it():
    csn = dict(DEPTH=26, BOTTLENECK="ip", POOL2=True, FROZEN_BN=True)
    model = dict(MODEL_NAME="CSN", NUM_CLASSES=7, DROPOUT_RATE=0.3, USE_CHECKPOINT=True, CHECKPOINT_NUM=[1, 0, 2, 0])
    built = build_model(CfgNode({"MODEL": model, "CSN": csn}))
    assert (built.depth, built.bottleneck, built.frozen_bn, built.recompute_blocks) == (26, "ip", True, (1, 0, 2, 0))
    assert (built.dropout.p, built.head.out_features, type(built.pool2)) == (0.3, 7, nn.MaxPool3d)


# -------------------------------------------------------------------------------------------------------------- weights
def mmaction2_state(model: CSN) -> dict[str, Tensor]:
    """The model's weights under the names of mmaction2."""
    state, is_ip = {}, model.bottleneck == "ip"
    leaf = {"0": "conv", "1": "bn"}
    for key, value in model.state_dict().items():
        parts = key.split(".")
        if parts[0] == "stem":
            parts[:2] = ["conv1", leaf[parts[1]]]
        elif parts[0] == "head":
            parts[0] = "cls_head.fc_cls"
        elif parts[2] in ("conv1", "conv3", "downsample"):
            parts[3] = leaf[parts[3]]
        elif is_ip and parts[3] == "0":
            parts[3:5] = {"0": ["0", "conv"], "1": ["0", "bn"], "2": ["1", "conv"]}[parts[4]]
        else:
            parts[3:4] = ["1" if is_ip else "0", leaf[parts[3]]]
        state[("" if parts[0].startswith("cls_head") else "backbone.") + ".".join(parts)] = value
    return state


def other_layouts(model: CSN) -> dict[str, dict[str, Tensor]]:
    own, mmaction2 = model.state_dict(), mmaction2_state(model)
    return {
        "fragrant": own,
        "VMZ / torchvision": {key.replace("head.", "fc."): value for key, value in own.items()},
        "mmaction2 recogniser": {
            **mmaction2,
            "data_preprocessor.mean": torch.zeros(3),
            "data_preprocessor.std": torch.ones(3),
        },
        "mmaction2 backbone": {
            key.removeprefix("backbone."): value for key, value in mmaction2.items() if key.startswith("backbone.")
        },
    }


@pytest.mark.parametrize("layout", ["fragrant", "VMZ / torchvision", "mmaction2 recogniser", "mmaction2 backbone"])
@pytest.mark.parametrize("bottleneck", ["ir", "ip"])
def test_every_layout_loads_by_itself_and_is_reported(bottleneck, layout, tmp_path):
    torch.manual_seed(0)
    source, model = (CSN(depth=26, bottleneck=bottleneck, num_classes=5) for _ in range(2))
    torch.save({"meta": {"epoch": 1}, "state_dict": other_layouts(source)[layout]}, tmp_path / "csn.pth")
    report = load_weights(model, tmp_path / "csn.pth")
    assert report.layout == layout and report.summary().startswith(f"layout: {layout}; ")
    assert not (report.unexpected or report.dropped)
    assert report.missing == (["head.weight", "head.bias"] if layout == "mmaction2 backbone" else [])
    for key in report.loaded:
        assert torch.equal(model.state_dict()[key], source.state_dict()[key]), key


def test_a_head_of_other_classes_is_dropped():
    model = CSN(depth=26, num_classes=6)
    report = load_weights(model, mmaction2_state(CSN(depth=26, num_classes=400)))
    assert report.missing == ["head.weight", "head.bias"] == report.dropped


@pytest.mark.parametrize("file, model", [(("ir", 50), ("ip", 50)), (("ip", 50), ("ir", 50)), (("ir", 152), ("ir", 50))])
def test_weights_of_another_csn_are_refused(file, model):
    with torch.device("meta"):
        state = CSN(bottleneck=file[0], depth=file[1]).state_dict()
        own = CSN(bottleneck=model[0], depth=model[1])
    message = (
        f"^weights 'x.pth': the weights are those of {file[0]}-CSN-{file[1]}, the model is {model[0]}-CSN-{model[1]}; "
        "set CSN.BOTTLENECK"
    )
    with pytest.raises(WeightsError, match=message):
        load_weights(own, state, where="x.pth")


def test_old_interaction_preserved_files_are_refused():
    state = mmaction2_state(CSN(depth=26, bottleneck="ip"))
    state = {
        key.replace(".conv2.0.conv.", ".conv2.0."): value for key, value in state.items() if ".conv2.0.bn." not in key
    }
    with pytest.raises(WeightsError, match=r"old mmaction2 \(before mid-2021\), whose ip-CSN has no BatchNorm between"):
        load_weights(CSN(depth=26, bottleneck="ip"), state)


def test_a_file_of_another_family_is_refused():
    with pytest.raises(WeightsError, match="only 0 of the backbone's 174 tensors fit this model"):
        load_weights(CSN(depth=26), {"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.weight": torch.zeros(1000, 2048)})


@pytest.mark.parametrize("depth", BLOCKS)
def test_the_network_is_read_off_the_names(depth):
    with torch.device("meta"):
        assert network_of(CSN(depth=depth, bottleneck="ip").state_dict()) == f"ip-CSN-{depth}"
