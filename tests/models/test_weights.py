"""Stored weights: every published layout loads, what does not fit is named, the wrong file is refused."""

import re

import pytest
import torch
from conftest import golden, golden_input
from models_by_row import MODELS_BY_ROW, TINY
from uniformer_goldens import assert_close, assert_probe, published_state

from fragrant.config import load_cfg
from fragrant.models.uniformer import UniFormer, uniformer_base, uniformer_small
from fragrant.models.weights import (
    LoadReport,
    WeightsError,
    differs_in_time_only,
    inflate,
    load_weights,
    matched,
    read_checkpoint,
    renamed,
    unwrapped,
)


def tiny(**options) -> UniFormer:
    return UniFormer(**{**TINY, **options}).eval()


def same_weights(model, state) -> bool:
    return all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


# ------------------------------------------------------------------------------------------------------- pure functions
@pytest.mark.parametrize("how", ["repeat", "center"])
def test_inflation_matches_the_published_code(how):
    case = golden("framework/inflate")["case"]
    inflated = inflate(golden_input(**case["input"]), case["T"], how)
    expected = case[how]
    assert inflated.shape == (2, 3, 3, 2, 2)
    assert inflated.sum().item() == pytest.approx(expected["sum"], abs=1e-5)
    (first,) = [key for key in expected if key.startswith("first")]
    assert inflated.flatten()[: len(expected[first])].tolist() == pytest.approx(expected[first], abs=1e-6)


@pytest.mark.parametrize("how", ["repeat", "center"])
@pytest.mark.parametrize("frames, num_frames", [(1, 3), (3, 1), (3, 5), (None, 4)])
def test_inflation_keeps_the_answer_to_a_clip_that_stands_still(how, frames, num_frames):
    weight = torch.randn(4, 2, *([frames] if frames else []), 3, 3)
    inflated = inflate(weight, num_frames, how)
    assert inflated.shape == (4, 2, num_frames, 3, 3)
    torch.testing.assert_close(inflated.sum(2), weight.sum(2) if frames else weight)


def test_an_unknown_inflation_is_named():
    with pytest.raises(ValueError, match="inflation 'centre' is not known; allowed: repeat, center"):
        inflate(torch.zeros(1, 1, 2, 2), 3, "centre")
    with pytest.raises(ValueError, match="inflation 'centre' is not known; allowed: repeat, center, None"):
        load_weights(tiny(), {}, inflation="centre")


@pytest.mark.parametrize(
    "found, wanted, answer",
    [
        ((8, 3, 4, 4), (8, 3, 3, 4, 4), True),
        ((8, 3, 1, 4, 4), (8, 3, 3, 4, 4), True),
        ((8, 3, 4, 4), (8, 3, 3, 2, 4), False),
        ((8, 4, 4, 4), (8, 3, 3, 4, 4), False),
        ((8, 3), (8, 3, 1, 1, 1), False),
        ((8,), (9,), False),
        ((8, 3, 3, 4, 4), (8, 3, 4, 4), False),
    ],
)
def test_differs_in_time_only(found, wanted, answer):
    assert differs_in_time_only(found, wanted) is answer


@pytest.mark.parametrize(
    "names, patterns, expected",
    [
        (["a.weight"], [], ["a.weight"]),
        (["module.a", "module._orig_mod.b", "_orig_mod.module.c"], [], ["a", "b", "c"]),
        (["backbone.a", "b.backbone.c"], ["backbone."], ["a", "b.c"]),
        (["module.net.a", "head.a"], ["module.net."], ["a", "head.a"]),
        (["a.x.b.y"], ["x.", "b."], ["a.y"]),
        (["submodule.a", "module_a"], [], ["submodule.a", "module_a"]),
    ],
)
def test_renaming(names, patterns, expected):
    assert list(renamed(dict.fromkeys(names, 0), patterns)) == expected


def test_two_names_that_become_one_are_an_error():
    with pytest.raises(
        WeightsError, match="'a.w' and 'ema.a.w' both become 'a.w' by TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN"
    ):
        renamed({"a.w": 0, "ema.a.w": 0}, ["ema."])


@pytest.mark.parametrize("wrapper", [None, "model", "model_state", "state_dict"])
def test_the_state_dict_is_found(wrapper):
    state = {"a": torch.zeros(1)}
    checkpoint = {wrapper: state, "epoch": 3, "cfg": "TRAIN: {}"} if wrapper else state
    assert unwrapped(checkpoint, "x") == state


@pytest.mark.parametrize(
    "checkpoint, found",
    [
        ({"net": {"a": torch.zeros(1)}, "epoch": 1}, "found 2: net, epoch"),
        ({"model": {}}, "found 0: "),
        ([torch.zeros(1)], "found list"),
        (torch.zeros(1), "found Tensor"),
    ],
)
def test_a_file_without_a_state_dict(checkpoint, found):
    with pytest.raises(
        WeightsError, match=f"weights 'x': no tensors found; .* under model, model_state, state_dict; {found}"
    ):
        unwrapped(checkpoint, "x")


def test_matching_sorts_every_tensor_into_one_list():
    wanted = {
        "same": (2,),
        "conv": (2, 1, 3, 2, 2),
        "width": (4,),
        "new": (1,),
        "head.weight": (5, 2),
        "head.bias": (5,),
    }
    state = {
        "same": torch.ones(2),
        "conv": torch.ones(2, 1, 2, 2),
        "width": torch.ones(3),
        "old": torch.ones(1),
        "epoch": 3,
        "head.weight": torch.ones(7, 2),
        "head.bias": torch.ones(5),
    }
    fits, report = matched(state, wanted)
    assert list(fits) == report.loaded == ["same", "conv"]
    assert report.inflated == ["conv"] and fits["conv"].shape == (2, 1, 3, 2, 2)
    assert report.missing == ["width", "new", "head.weight", "head.bias"]
    assert report.unexpected == ["old", "epoch"]
    assert report.dropped == ["width", "head.weight", "head.bias"]  # a head goes as a whole
    assert report.shapes == {"width": ((3,), (4,)), "head.weight": ((7, 2), (5, 2)), "head.bias": ((5,), (5,))}


def test_matching_without_inflation_drops():
    fits, report = matched({"conv": torch.ones(2, 1, 2, 2)}, {"conv": (2, 1, 3, 2, 2)}, inflation=None)
    assert not fits and report.dropped == ["conv"] and report.shapes == {"conv": ((2, 1, 2, 2), (2, 1, 3, 2, 2))}


def test_the_summary_names_what_happened():
    report = LoadReport(
        ["a"], ["head.weight", *"bcdef"], ["old"], ["head.weight"], ["a"], {"head.weight": ((400, 512), (12, 512))}
    )
    assert report.summary() == (
        "1 of 7 tensors loaded; inflated over time: 1; dropped: 1: head.weight (400, 512) does not fit (12, 512); "
        "keep their initial values: 6: head.weight, b, c, d, ...; not used: 1: old"
    )
    assert LoadReport(["a", "b"], [], [], []).summary() == "2 of 2 tensors loaded"


# ------------------------------------------------------------------------------------------------------ published files
@pytest.mark.parametrize("case", [0, 1], ids=["1000 classes", "12 classes"])
def test_image_weights_load_as_in_the_published_code(case):
    expected = golden("uniformer/checkpoint_in1k_small")["cases"][case]
    model = uniformer_small(num_classes=expected["build"]["NUM_CLASSES"]).eval()
    head = model.head.weight.clone()
    report = load_weights(model, {"model": published_state("checkpoint_in1k_small")})
    assert report.missing == expected["missing_keys"] and report.unexpected == expected["unexpected_keys"]
    assert report.dropped == expected["missing_keys"]  # the head of 1000 classes where 12 are wanted
    assert torch.equal(model.head.weight, head) == bool(report.dropped)
    for key, probe in expected["inflated_probes"].items():
        assert_probe(model.state_dict()[key], probe)
    seen = {}
    for name in expected["probes"].keys() - {"head_in"}:
        model.get_submodule(name).register_forward_hook(
            lambda module, args, output, name=name: seen.__setitem__(name, output)
        )
    model.head.register_forward_pre_hook(lambda module, args: seen.__setitem__("head_in", args[0]))
    with torch.no_grad():
        seen["logits"] = model(golden_input(**expected["input"]))
    for name, probe in expected["probes"].items():
        assert_probe(seen[name], probe)
    for name, values in expected["output"].items():
        values = torch.tensor(values)
        assert_close(seen[name], values, std=values.std().item())


def test_joint_weights_start_a_split_model():
    model = uniformer_small(num_classes=12, split=True)
    with torch.device("meta"):
        published = uniformer_small(num_classes=12)
    report = load_weights(model, {key: torch.zeros(value.shape) for key, value in published.state_dict().items()})
    assert len(report.missing) == 66 and all(".t_norm." in key or ".t_attn." in key for key in report.missing)
    assert not (report.unexpected or report.dropped or report.inflated)
    assert bool((model.blocks3[0].t_attn.proj.weight == 1).all())  # still initial


def test_weights_of_one_frame_start_a_std_model():
    source, model = tiny(), tiny(std=True)
    report = load_weights(model, source.state_dict())
    assert report.inflated == ["patch_embed2.proj.weight", "patch_embed3.proj.weight", "patch_embed4.proj.weight"]
    assert not (report.missing or report.unexpected or report.dropped)
    frames = model.patch_embed3.proj.weight.detach().unbind(2)
    assert all(torch.equal(frame, frames[0]) for frame in frames)
    torch.testing.assert_close(sum(frames), source.patch_embed3.proj.weight[:, :, 0].detach())
    load_weights(model, source.state_dict(), inflation="center")
    assert torch.equal(model.patch_embed3.proj.weight[:, :, 1:2], source.patch_embed3.proj.weight)
    assert not model.patch_embed3.proj.weight[:, :, ::2].any()


@pytest.mark.parametrize("wrapper", [None, "model", "model_state", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_layout_loads_from_a_file(tmp_path, wrapper, prefix):
    source, model = tiny(), tiny()
    state = {prefix + key: value for key, value in source.state_dict().items()}
    more = {
        "epoch": 7,
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.1}]},
        "scaler_state": None,
        "cfg": "TRAIN: {}",
    }
    torch.save({wrapper: state, **more} if wrapper else state, tmp_path / "a.pyth")
    report = load_weights(model, tmp_path / "a.pyth")
    assert len(report.loaded) == len(state) and report.summary() == f"{len(state)} of {len(state)} tensors loaded"
    assert same_weights(model, source.state_dict())


def test_parts_of_names_can_be_cut_out():
    source, model = tiny(), tiny()
    state = {f"backbone.{key}": value for key, value in source.state_dict().items()}
    assert not load_weights(model, state, clear_name_patterns=["backbone."]).missing
    assert same_weights(model, source.state_dict())


def test_half_precision_weights_fill_a_full_precision_model():
    source, model = tiny(), tiny()
    load_weights(
        model, {key: value.half() if value.is_floating_point() else value for key, value in source.state_dict().items()}
    )
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    torch.testing.assert_close(model.head.weight, source.head.weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("classes, shape", [(7, r"\(7, 32\)"), (0, "a model without it")])
def test_a_head_of_other_classes_is_dropped(classes, shape):
    model = tiny(num_classes=classes)
    report = load_weights(model, tiny().state_dict())
    assert report.dropped == ["head.weight", "head.bias"]
    assert report.missing == (report.dropped if classes else []) and not report.unexpected
    assert f"head.weight (5, 32) does not fit {shape}".replace("\\", "") in report.summary()


def test_a_tensor_of_another_width_is_named_with_both_shapes():
    state = tiny().state_dict()
    state["blocks2.0.mlp.fc1.weight"] = torch.zeros(48, 16, 1, 1, 1)
    report = load_weights(tiny(), state)
    assert report.dropped == ["blocks2.0.mlp.fc1.weight"] == report.missing
    assert "blocks2.0.mlp.fc1.weight (48, 16, 1, 1, 1) does not fit (64, 16, 1, 1, 1)" in report.summary()


def test_a_deeper_file_loads_and_says_what_is_not_used():
    with torch.device("meta"):
        base = uniformer_base(num_classes=5).state_dict()
    state = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in base.items()}
    report = load_weights(uniformer_small(num_classes=5), state)
    assert not (report.missing or report.dropped) and len(report.unexpected) == 687 - 331


# ------------------------------------------------------------------------------------------------------- the wrong file
def test_a_file_of_another_model_is_an_error_and_changes_nothing():
    model = tiny()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = {
        "conv1.weight": torch.zeros(64, 3, 7, 7),
        "patch_embed1.norm.weight": torch.zeros(8),
        "norm.weight": torch.zeros(31),
    }
    with pytest.raises(WeightsError) as error:
        load_weights(model, state, where="ssv2.pyth")
    backbone = len(before) - 2
    assert str(error.value) == (
        f"weights 'ssv2.pyth': only 1 of the backbone's {backbone} tensors fit this model, at least half must; "
        "names found 3: conv1.weight, patch_embed1.norm.weight, norm.weight; "
        f"names wanted {backbone}: patch_embed1.norm.weight, patch_embed1.norm.bias, patch_embed1.proj.weight, "
        "patch_embed1.proj.bias, ...; "
        "other shapes 1: norm.weight (31,) for (32,)"
    )
    assert same_weights(model, before)


def test_a_shallower_file_is_an_error():
    with torch.device("meta"):
        base, small = uniformer_base(num_classes=5), uniformer_small(num_classes=5)
    state = {key: torch.zeros(value.shape, device="cpu") for key, value in small.state_dict().items()}
    with pytest.raises(WeightsError, match="only 329 of the backbone's 685 tensors fit this model"):
        load_weights(base, state)


def test_a_prefix_in_the_way_is_pointed_out():
    state = {f"encoder.video.{key}": value for key, value in tiny().state_dict().items()}
    hint = r"without 'encoder.video.' \d+ names would match: TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN \['encoder.video.'\]$"
    with pytest.raises(WeightsError, match=hint):
        load_weights(tiny(), state)


@pytest.mark.parametrize("given", [[], ["module.net."], ["backbone."]])
@pytest.mark.parametrize(
    "before", ["backbone.", "module.backbone.", "encoder.backbone.", "backbone.backbone.", "a.b.c."]
)
def test_the_advice_works_where_it_is_given(before, given):
    """Followed as it stands, the file is loaded: nobody is sent from one prefix to the next."""
    state = {f"{before}{key}": value for key, value in tiny().state_dict().items()}
    patterns = list(given)
    for _ in range(2):
        try:
            report = load_weights(tiny(), state, clear_name_patterns=patterns)
            break
        except WeightsError as error:
            advice = re.search(r"TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN (\[.*\])$", str(error))
            assert advice, error
            patterns = load_cfg(
                None, ["TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN", advice[1]]
            ).TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN
    assert not report.missing


def test_no_advice_that_would_not_help():
    """The names are right, the shapes are not."""
    with pytest.raises(WeightsError) as error:
        load_weights(tiny(), {f"stage.{key}": torch.zeros(3, 3) for key in tiny().state_dict()})
    assert "CLEAR_NAME_PATTERN" not in str(error.value)


def write_nothing(path):
    path.touch()


def write_text(path):
    path.write_text("not a checkpoint")


def write_half(path):
    torch.save({"a": torch.zeros(5000)}, path)
    path.write_bytes(path.read_bytes()[:9000])


def write_code(path):
    torch.save({"model": {"a": torch.zeros(1)}, "args": print}, path)


def write_model(path):
    torch.save(torch.nn.Linear(1, 1), path)


@pytest.mark.parametrize("num_bytes", [1, 64])
def test_flipped_bytes_are_found(tmp_path, num_bytes):
    """PyTorch itself would take them for weights: the checksums of the file tell."""
    path, model = tmp_path / "weights.pyth", tiny()
    state = tiny().state_dict()
    torch.save(state, path)
    assert len(load_weights(model, path).loaded) == len(state)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    content = bytearray(path.read_bytes())
    at = content.index(state["blocks3.0.mlp.fc1.weight"].numpy().tobytes())
    content[at : at + num_bytes] = bytes(byte ^ 0xFF for byte in content[at : at + num_bytes])
    path.write_bytes(content)
    torch.load(path, weights_only=True)  # without a word
    with pytest.raises(
        WeightsError, match=r"^weights '.*weights.pyth': damaged, .* \(wrong checksum of .*/data/\d+\)$"
    ):
        load_weights(model, path)
    assert same_weights(model, before)


@pytest.mark.parametrize(
    "write, reason",
    [
        (None, "no such file"),
        (lambda path: path.mkdir(), "no such file"),
        (write_nothing, "damaged, or not a PyTorch checkpoint"),
        (write_text, "damaged, or not a PyTorch checkpoint"),
        (write_half, "damaged, or not a PyTorch checkpoint"),
        (write_code, r"holds a Python object \(print\) that could run code and is not read"),
        (write_model, r"holds a Python object \(torch.nn.modules.linear.Linear\) that could run code and is not read"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, write, reason):
    path = tmp_path / "weights.pyth"
    if write:
        write(path)
    with pytest.raises(WeightsError, match=f"^weights '.*weights.pyth': {reason}") as error:
        load_weights(tiny(), str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(8, 3, 10**8, 4, 4), (10**18, 3), (10**7, 3)])
def test_numbers_repeated_beyond_the_file_are_refused(tmp_path, shape):
    """A kilobyte may say that it is terabytes: resizing would make them so."""
    torch.save({"patch_embed1.proj.weight": torch.zeros(1).expand(shape)}, tmp_path / "repeated.pth")
    with pytest.raises(WeightsError, match="repeat .* bytes until they are"):
        read_checkpoint(tmp_path / "repeated.pth")


def test_what_is_repeated_a_little_is_read(tmp_path):
    torch.save({"weight": torch.ones(3, 1).expand(3, 1000)}, tmp_path / "little.pth")
    assert read_checkpoint(tmp_path / "little.pth")["weight"].sum() == 3000


@pytest.mark.parametrize("how", ["repeat", "center"])
def test_eight_bits_are_inflated_as_numbers(how):
    stored = torch.tensor([0.5, -2.0, 1.5]).reshape(1, 3, 1, 1)
    filters = inflate(stored.to(torch.float8_e4m3fn), 4, how)
    torch.testing.assert_close(filters, inflate(stored, 4, how))


def test_complex_numbers_are_left_out():
    fits, report = matched({"a": torch.ones(2, dtype=torch.complex64)}, {"a": (2,)})
    assert not fits
    assert report.dropped == report.missing == ["a"]


def test_a_probed_network_takes_the_weights_of_the_network_alone():
    plain = MODELS_BY_ROW["Uniformer"]()
    probed = MODELS_BY_ROW["Uniformer:attentive"]()
    report = load_weights(probed, plain.state_dict())
    assert all(
        torch.equal(probed.backbone.state_dict()[name], value)
        for name, value in plain.state_dict().items()
        if not name.startswith("head.")
    )
    assert all(name.startswith(("probe.", "backbone.head.")) for name in report.unexpected + report.missing)
    again = MODELS_BY_ROW["Uniformer:attentive"]()
    load_weights(again, probed.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), probed.state_dict().values(), strict=True)
    )
