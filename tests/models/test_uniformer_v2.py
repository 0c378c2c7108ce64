"""UniFormerV2 computes what the published code computes: golden outputs and gradients."""

import pytest
import torch
from conftest import golden, golden_input
from golden_cases import GRADIENT_TOLERANCE, OUTPUT_TOLERANCE, assert_probe, assert_within
from models_by_row import CLASSES, CLIP, TINY_V2
from uniformer_v2_goldens import filled_model, outputs_by_name, published_model

from fragrant.models.backbone import ModelError
from fragrant.models.complexity import count_macs
from fragrant.models.uniformer_v2 import UniFormerV2

TINY = ("tiny_scene", "tiny_motion", "tiny_single_frozen")
LARGE = ("b16_scene_c11", "b16_motion_c174")
FILES = [*TINY, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]


def gradients(model: UniFormerV2, ours: dict[str, str], case: dict) -> dict[str, torch.Tensor]:
    """Of sum(logits * g), by published names, and of the clips."""
    clips = golden_input(**case["input"]).requires_grad_()
    logits = model(clips)
    (logits * golden_input(case["input"]["seed"] + 1000, list(logits.shape))).sum().backward()
    parameters = dict(model.named_parameters())
    found = {name: parameters[inner].grad for name, inner in ours.items() if inner in parameters}
    return {name: gradient for name, gradient in found.items() if gradient is not None} | {"x": clips.grad}


def check_gradients(found: dict[str, torch.Tensor], case: dict) -> None:
    for name, probe in case.get("grads", {}).items():
        assert_probe(found[name].reshape(probe["shape"]), probe, GRADIENT_TOLERANCE, f"gradient of {name}")
    lengths = case.get("grad_l2", {})
    assert not lengths or lengths.keys() == found.keys() - {"x"}
    for name, wanted in lengths.items():
        length = found[name].double().norm().item()
        assert abs(length - wanted) <= GRADIENT_TOLERANCE * wanted + 1e-9, f"gradient of {name}: {length}, not {wanted}"


@pytest.mark.parametrize("name", FILES)
def test_outputs_and_gradients(name):
    content = golden(f"uniformer_v2/{name}")
    model, ours = filled_model(name)
    for case in content["cases"]:
        model.zero_grad()
        outputs = outputs_by_name(model, case["probes"], golden_input(**case["input"]))
        std = case["tolerance"]["logits_std"]
        assert_within(outputs["logits"], torch.tensor(case["output"]["logits"]), OUTPUT_TOLERANCE * std, "logits")
        for part, probe in case["probes"].items():
            assert_probe(outputs[part], probe, OUTPUT_TOLERANCE, part)
        if "grads" in case or "grad_l2" in case:
            check_gradients(gradients(model, ours, case), case)


@pytest.mark.parametrize("name", FILES)
def test_sizes_drop_path_and_what_learns(name):
    content = golden(f"uniformer_v2/{name}")
    with torch.device("meta"):
        model = published_model(content["build"])
    counts = [
        sum(parameter.numel() for parameter in model.parameters() if not learning or parameter.requires_grad)
        for learning in (False, True)
    ]
    assert counts == [content["params"]["all"], content["params"]["requires_grad"]]
    rates = content["build"]["drop_path_rates"]
    for ours, published in (("blocks", "resblocks"), ("dec", "dec")):
        found = [block.drop_path.drop_prob for block in getattr(model, ours)]
        assert found == pytest.approx(rates[published], rel=1e-5)
    side = content["build"]["grid"][0]
    assert content["build"]["grid"] == [side, side] and len(model.positional_embedding) == 1 + side * side


def test_training_takes_the_statistics_of_the_batch():
    """Those of the first layer. The file says "drop path 0", but what lies behind that layer, logits and gradients too,
    was computed with the rates of its build, by draws that no seed tells: see golden/README.md."""
    (case,) = golden("uniformer_v2/tiny_motion")["train_bn"]
    model, ours = filled_model("tiny_motion", layer_drop_path_rate=0.0, drop_path_rate=0.0)
    model.train()(golden_input(**case["input"]))
    buffers, first = dict(model.named_buffers()), "backbone.transformer.resblocks.0."
    compared = {name: probe for name, probe in case["running_after"].items() if name.startswith(first)}
    assert len(compared) == 4
    for name, probe in compared.items():
        assert_probe(buffers[ours[name]], probe, OUTPUT_TOLERANCE, name)


# ------------------------------------------------------------------------------------------- what is not as published
def tiny(**options) -> UniFormerV2:
    torch.manual_seed(0)
    model = UniFormerV2(**TINY_V2 | options).eval()
    for block in model.dec:
        torch.nn.init.normal_(block.attn.proj.weight, std=0.2)
    return model


@pytest.mark.parametrize("frames, expected", [(1, 1), (4, 2), (5, 3), (8, 4)])
def test_the_number_of_frames_is_the_clips_and_the_batch_stays(frames, expected):
    """Published, a clip of another length than the config's became several samples, or an error."""
    model, clips = tiny(), torch.randn(2, 3, frames, 64, 64)
    with torch.no_grad():
        assert model(clips).shape == (2, CLASSES)
        assert model.forward_features(clips).shape == (2, 32, expected, 4, 4)


@pytest.mark.parametrize("height, width, grid", [(32, 128, (2, 8)), (70, 70, (4, 4)), (96, 64, (6, 4))])
def test_the_grid_is_the_clips(height, width, grid):
    """Published, every clip was a square of patches: 2 x 8 of them became 4 x 4."""
    model, seen = tiny(), []
    model.dpe[0].register_forward_hook(lambda module, inputs, output: seen.append(output.shape[3:]))
    with torch.no_grad():
        model(torch.randn(1, 3, 4, height, width))
    assert seen == [grid]


def test_positions_count_on_every_grid():
    model, clips = tiny(), torch.randn(1, 3, 4, 64, 64)
    with torch.no_grad():
        before, before_wide = model(clips), model(torch.cat([clips, clips], 4))
        model.positional_embedding[1:] += torch.randn(16, 32)
        assert not torch.equal(model(clips), before)
        assert not torch.equal(model(torch.cat([clips, clips], 4)), before_wide)  # 4 x 8 patches: resized


def test_clips_that_hold_no_patch_are_refused():
    with pytest.raises(ModelError, match="at least one frame of 16 x 16 pixels; got a tensor of shape .*15"):
        tiny()(torch.randn(1, 3, 4, 15, 64))


def test_the_mean_of_the_feature_map_is_what_the_head_sees():
    model, clips, seen = tiny(), torch.randn(2, *CLIP), []
    model.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(clips)
        torch.testing.assert_close(model.forward_features(clips).mean((2, 3, 4)), seen[0])


def test_a_frozen_trunk_keeps_nothing_and_stays_as_it_is():
    model = tiny(frozen=True, layer_drop_path_rate=0.5).train()
    before, kept = {name: value.clone() for name, value in model.blocks.state_dict().items()}, []
    assert not hasattr(model, "balance") or model.balance is None
    assert not any(module.training for module in model.blocks.modules()) and model.dec.training
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        logits = model(torch.randn(2, *CLIP))
    logits.sum().backward()
    other = tiny().train()
    whole: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: whole.append(x.numel()) or x, lambda x: x):
        other(torch.randn(2, *CLIP))
    assert sum(kept) < 0.5 * sum(whole)
    assert all(torch.equal(value, before[name]) for name, value in model.blocks.state_dict().items())
    assert model.layer_names() == []


def test_initial_values():
    torch.manual_seed(0)
    model = UniFormerV2(**TINY_V2)
    for zero in (model.temporal_cls_token, model.balance, model.dpe[0].bias, model.blocks[0].local1.expand.weight):
        assert not zero.any()
    bound = (6 / (32 + 96)) ** 0.5  # Xavier of queries, keys and values together
    assert 0.9 * bound < model.blocks[0].attn.qkv.weight.abs().max() <= bound
    assert 0.9 * bound < model.dec[0].attn.qkv.weight.abs().max() <= bound
    assert model.positional_embedding.std().item() == pytest.approx(32**-0.5, rel=0.1)
    one = model.eval()(torch.randn(1, *CLIP))
    assert one.isfinite().all()


def test_global_attention_costs_what_it_should():
    """7.4 GMAC of B/16's 148.1 at 8 frames are keys and values of all tokens, which are not computed."""
    block = tiny().dec[0].attn
    macs = sum(count_macs(OneQuery(block), (1576, 32)).by_operator().values())
    assert macs == pytest.approx(2 * 2 * 1576 * 32 + 2 * 2 * 32 * 32, rel=0.02)  # of 2 heads, and around them


class OneQuery(torch.nn.Module):
    def __init__(self, attention: torch.nn.Module):
        super().__init__()
        self.attention = attention

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.attention(tokens[:, 0], tokens)
