"""Video Swin computes what the published code computes, and takes the weights of mmaction2, torchvision and of image
models."""

from functools import lru_cache, partial

import pytest
import torch
import torch.nn.functional as F
from conftest import fill_v1, golden, golden_input
from swin_probes import assert_near, assert_probe, outputs_by_name
from torch import Tensor

from fragrant.config import load_cfg
from fragrant.metrics import ensemble
from fragrant.models import ModelError, build_model
from fragrant.models.complexity import measure
from fragrant.models.video_swin import SIZES, Size, VideoSwin, renamed_swin
from fragrant.models.weights import load_weights

NAMES = ["swin_t_p244_c12", "swin_t_p444_k400", "swin_b_p244_c12", "swin_b_p444_c11"]
SMALL = dict(num_classes=5, size=Size(8, (1, 2, 1, 1), (1, 2, 2, 4)), window_size=(2, 3, 3))


@lru_cache(maxsize=1)
def published_state(name: str) -> dict[str, Tensor]:
    """Without the indices, which follow from the window."""
    return {key: value for key, value in fill_v1(golden(f"dgam/{name}")["state"]).items() if value.is_floating_point()}


def published_model(name: str, **options) -> VideoSwin:
    build = golden(f"dgam/{name}")["build"]
    size = SIZES[build["arch"].upper()]
    assert [size.embed_dim, [*size.depths], [*size.num_heads]] == [
        build["embed_dim"],
        build["depths"],
        build["num_heads"],
    ]
    sizes = dict(patch_size=build["patch_size"], window_size=build["window_size"])
    model = VideoSwin(num_classes=build["num_classes"], size=size, **sizes, **options)
    report = load_weights(model, {"state_dict": published_state(name)})
    assert not (report.unexpected or report.dropped) and report.layout == "Video Swin / mmaction2 0.x"
    assert all(key.endswith("relative_position_index") for key in report.missing)
    return model.eval()


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_inner_numbers_match_the_published_code(name):
    expected, model = golden(f"dgam/{name}"), published_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected["params"]["total"]
    for case in expected["cases"]:
        clips = golden_input(**case["input"])
        views = clips.shape[1] if clips.ndim == 6 else 0
        logits, seen = outputs_by_name(model, case["probes"], partial(model, clips.flatten(0, 1) if views else clips))
        if views:
            assert_near(ensemble(logits[None], space="softmax", method="mean"), case["output"]["avg_prob"], scale=1.0)
        scale = torch.tensor(case["output"]["logits"]).abs().max().item()
        assert_near(logits, case["output"]["logits"], scale=scale)
        for probe, wanted in case["probes"].items():
            assert_probe(seen[probe], wanted, probe)


def test_training_gradients_match_the_published_code():
    expected = golden("dgam/swin_t_p244_c12")["train"][0]
    for recomputed in ((0, 0, 0, 0), (1, 2, 3, 2)):
        options = dict(drop_path_rate=0.0, dropout_rate=0.0, recompute_blocks=recomputed)
        model = published_model("swin_t_p244_c12", **options).train()
        logits = model(golden_input(**expected["input"]))
        loss = F.cross_entropy(logits, torch.tensor(expected["labels"]))
        loss.backward()
        assert loss.item() == pytest.approx(expected["loss"], rel=1e-5)
        assert_near(logits, expected["logits"], scale=torch.tensor(expected["logits"]).abs().max().item())
        ours = renamed_swin(dict.fromkeys(expected["grad_l2"], torch.zeros(())))
        parameters = dict(model.named_parameters())
        for (published, norm), name in zip(expected["grad_l2"].items(), ours, strict=True):
            assert parameters[name].grad.norm().item() == pytest.approx(norm, rel=2e-4), published
        total = torch.stack([parameter.grad.norm() for parameter in parameters.values()]).norm().item()
        assert total == pytest.approx(expected["total_grad_l2"], rel=2e-4)


@pytest.mark.parametrize(
    "size, parameters", [("T", 28_158_070), ("S", 49_816_678), ("B", 88_048_984), ("L", 196_953_916)]
)
def test_sizes_have_the_published_number_of_parameters(size, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in VideoSwin(size=SIZES[size]).parameters()) == parameters


def test_cost_is_the_published_one():
    assert measure(VideoSwin(), (3, 32, 224, 224)).gmacs == pytest.approx(87.8, abs=0.3)


# -------------------------------------------------------------------------------------------------------------- weights
def test_files_of_mmaction2_1_and_torchvision_load_too():
    model = VideoSwin(**SMALL)
    state = model.state_dict()
    assert load_weights(VideoSwin(**SMALL), state).layout == "torchvision"
    published = published_names(state)
    for prefix, norm, layout in (("", "norm", "Video Swin / mmaction2 0.x"), ("", "norm3", "mmaction2 1.x")):
        renamed = {key.replace("backbone.norm.", f"backbone.{norm}."): value for key, value in published.items()}
        other = VideoSwin(**SMALL)
        report = load_weights(other, {"state_dict": renamed | {"data_preprocessor.mean": torch.zeros(3)}})
        assert report.layout == layout and not (report.missing or report.unexpected or report.dropped), prefix
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in state.items())


def published_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our names -> mmaction2's."""
    renamed = {}
    for key, value in state.items():
        first, *rest = key.split(".")
        if first == "features":
            number, rest = int(rest[0]), ".".join(rest[1:]).replace("mlp.0", "mlp.fc1").replace("mlp.3", "mlp.fc2")
            key = f"layers.{number // 2}.{'downsample' if number % 2 else 'blocks'}.{rest}"
        renamed[f"cls_head.fc_cls.{rest[0]}" if first == "head" else f"backbone.{key}"] = value
    return renamed


def test_an_image_model_is_inflated():
    model = VideoSwin(**SMALL)
    table = torch.randn(25, 1)
    image = {
        key.removeprefix("backbone."): value
        for key, value in published_names(model.state_dict()).items()
        if "fc_cls" not in key
    }
    image = {
        key: table.expand(25, value.shape[1]) if key.endswith("bias_table") else value for key, value in image.items()
    }
    patches = torch.randn(8, 3, 4, 4)
    report = load_weights(
        model, {"model": image | {"patch_embed.proj.weight": patches, "layers.0.blocks.0.attn_mask": torch.zeros(4)}}
    )
    assert report.layout == "Swin for images"
    assert all(key.startswith("head.") or key.endswith("relative_position_index") for key in report.missing)
    torch.testing.assert_close(model.patch_embed.proj.weight, patches[:, :, None].repeat(1, 1, 2, 1, 1) / 2)
    inflated = model.features[0][0].attn.relative_position_bias_table
    assert torch.equal(inflated, table.repeat(3, 1))  # 2 * 2 - 1 distances in time


def of_window(window, **options) -> VideoSwin:
    torch.manual_seed(1)
    return VideoSwin(**{**SMALL, "window_size": window, **options})


@pytest.mark.parametrize("found, wanted", [((4, 3, 3), (2, 3, 3)), ((2, 3, 3), (4, 3, 3)), ((2, 5, 5), (2, 3, 3))])
@pytest.mark.parametrize("published", [False, True], ids=["ours", "mmaction2"])
def test_a_model_of_another_window_fills_this_one(found, wanted, published):
    source, model = of_window(found), of_window(wanted)
    for module in source.modules():  # biases that rise with the distance in time, down the rows
        if hasattr(module, "relative_position_bias_table"):
            time, rows, columns = (torch.arange(2 * size - 1.0) - size + 1 for size in found)
            table = (time[:, None, None] / found[0] + rows[:, None] / found[1] + 0 * columns).flatten()
            module.relative_position_bias_table.data = table[:, None].repeat(1, module.num_heads)
    state = published_names(source.state_dict()) if published else source.state_dict()
    report = load_weights(model, state)
    assert not (report.missing or report.unexpected or report.dropped or report.warning())
    tables = [name for name in report.resized if name.endswith("bias_table")]
    assert len(tables) == 5 and report.resized[tables[0]][1] == tuple(model.state_dict()[tables[0]].shape)
    assert any("bias_table" in line and "resized from the file's (" in line for line in report.resizings())
    attention = model.features[0][0].attn
    biases = attention.relative_position_bias_table[:, 0].view(*(2 * size - 1 for size in wanted))
    centre = tuple(size - 1 for size in wanted)
    assert biases[centre].abs() < 1e-5  # distance 0
    assert bool((biases.diff(dim=0) > 0).all() and (biases.diff(dim=1) > 0).all())
    torch.testing.assert_close(biases, -biases.flip(0, 1), rtol=1e-4, atol=1e-5)
    assert torch.equal(attention.relative_position_index, of_window(wanted).features[0][0].attn.relative_position_index)
    model.eval()(torch.randn(1, 3, 4, 64, 64))


def test_a_table_that_tells_no_window_is_left_out_with_a_warning():
    state = of_window((2, 3, 3)).state_dict()
    name = "features.0.0.attn.relative_position_bias_table"
    report = load_weights(of_window((2, 3, 3)), state | {name: torch.zeros(10, 1)})
    assert report.dropped == [name] == report.unfilled and name in report.warning()


# ------------------------------------------------------------------------------------------------------------ arguments
def test_frozen_stages_keep_their_weights_and_do_not_drop_paths():
    model = VideoSwin(**SMALL, frozen_stages=2, drop_path_rate=0.5).train()
    trained = {name.split(".")[0] + "." + name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"features.4", "features.5", "features.6", "norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert not model.features[2].training and model.features[4].training and not model.patch_embed.training
    assert {n.split(".")[0] for n, p in VideoSwin(**SMALL, frozen_stages=4).named_parameters() if p.requires_grad} == {
        "norm",
        "head",
    }
    assert all(p.requires_grad for p in VideoSwin(**SMALL).parameters())


def test_groups_of_parameters():
    model = VideoSwin(**SMALL, backbone_lr_scale=0.1)
    groups = {group["name"]: group for group in model.optimizer_groups()}
    scales = {name: (group["lr_scale"], group["decay_scale"]) for name, group in groups.items()}
    assert scales == {
        "backbone": (0.1, 1),
        "backbone without decay": (0.1, 0),
        "head": (1, 1),
        "head without decay": (1, 0),
    }
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    members = {name: [names[id(parameter)] for parameter in group["params"]] for name, group in groups.items()}
    assert members["head"] == ["head.weight"] and members["head without decay"] == ["head.bias"]
    assert {name.split(".")[-1] for name in members["backbone"]} == {"weight"} and not any(
        "norm" in name for name in members["backbone"]
    )
    assert "features.0.0.attn.relative_position_bias_table" in members["backbone without decay"]
    assert sum(map(len, members.values())) == len(names)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(frozen_stages=5), r"frozen_stages 5 must be from -1 \(nothing is frozen\) to 4"),
        (dict(recompute_blocks=(1, 1)), r"MODEL.CHECKPOINT_NUM \[1, 1\] needs one value for each of the 4 stages"),
    ],
)
def test_arguments_that_do_not_fit(options, message):
    with pytest.raises(ModelError, match=message):
        VideoSwin(**SMALL, **options)


def test_a_clip_that_does_not_fit():
    with pytest.raises(ModelError, match=r"clips must be \(N, 3, T, H, W\); got a tensor of shape \(1, 4, 8, 32, 32\)"):
        VideoSwin(**SMALL)(torch.zeros(1, 4, 8, 32, 32))


@pytest.mark.parametrize(
    "pairs, holds",
    [
        ("SWIN.SIZE S", lambda model: len(model.features[4]) == 18),
        ("SWIN.PATCH_SIZE [4,4,4]", lambda model: model.patch_embed.proj.kernel_size == (4, 4, 4)),
        (
            "SWIN.WINDOW_SIZE [4,7,7]",
            lambda model: len(model.features[0][0].attn.relative_position_bias_table) == 7 * 13 * 13,
        ),
        ("SWIN.DROP_PATH_RATE 0.4", lambda model: model.features[6][-1].stochastic_depth.p == pytest.approx(0.4)),
        ("SWIN.BACKBONE_LR_SCALE 0.1", lambda model: model.optimizer_groups()[0]["lr_scale"] == 0.1),
        ("SWIN.FROZEN_STAGES 1", lambda model: not model.features[0][0].norm1.weight.requires_grad),
        ("MODEL.DROPOUT_RATE 0.1", lambda model: model.dropout.p == 0.1),
        (
            "MODEL.USE_CHECKPOINT True MODEL.CHECKPOINT_NUM [1,1,6,2]",
            lambda model: model.recompute_blocks == (1, 1, 6, 2),
        ),
    ],
)
def test_every_key_reaches_the_model(pairs, holds):
    with torch.device("meta"):
        model = build_model(load_cfg(None, ["MODEL.MODEL_NAME", "VideoSwin", *pairs.split()]))
    assert isinstance(model, VideoSwin) and model.head.out_features == 400 and holds(model)
