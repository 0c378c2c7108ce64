"""Files that UniFormerV2 starts from are recognised by themselves: CLIP's, UniFormerV2's and mmaction2's."""

import pickle
import zipfile

import pytest
import torch
from conftest import fill_v1, golden, golden_input
from golden_cases import OUTPUT_TOLERANCE, assert_probe, assert_within
from models_by_row import CLASSES, TINY_V2
from uniformer_v2_goldens import filled_model, published_model

from fragrant.layers.probe import Probe
from fragrant.models.backbone import Backbone
from fragrant.models.dgam import DGAM
from fragrant.models.dual_stream import DualStream
from fragrant.models.probed import Probed
from fragrant.models.uniformer_v2 import Trunk, UniFormerV2
from fragrant.models.weights import WeightsError, load_weights, read_checkpoint

CLIP = ("checkpoint_clip_scene", "checkpoint_clip_motion")


def clip_file(name: str = CLIP[0]) -> dict[str, torch.Tensor]:
    return fill_v1(golden(f"uniformer_v2/{name}")["clip_state"])


def check_logits(model: UniFormerV2, name: str) -> None:
    for case in golden(f"uniformer_v2/{name}")["cases"]:
        with torch.no_grad():
            logits = model.eval()(golden_input(**case["input"]))
        tolerance = OUTPUT_TOLERANCE * case["tolerance"]["logits_std"]
        assert_within(logits, torch.tensor(case["output"]["logits"]), tolerance, "logits")
        for part, probe in case.get("probes", {}).items():
            assert_probe(dict(model.named_parameters())[part], probe, OUTPUT_TOLERANCE, part)


@pytest.mark.parametrize("name", CLIP)
def test_clip(name):
    content = golden(f"uniformer_v2/{name}")
    model, ours = filled_model(name)
    report = load_weights(model, clip_file(name))
    assert report.layout == "CLIP (OpenAI, open_clip)"
    published = {inner: outer for outer, inner in ours.items()}
    assert sorted(published[key] for key in report.missing) == sorted(content["not_in_file"])
    assert sorted(report.unexpected) == sorted(content["dropped_from_file"])
    assert not report.dropped
    check_logits(model, name)


@pytest.mark.parametrize("kind", [DualStream, DGAM, Probed])
def test_clip_fills_a_network_inside_another(kind):
    inner, _ = filled_model(CLIP[0])
    inner.head = torch.nn.Identity()
    around: Backbone
    if kind is DualStream:
        around = DualStream([inner], num_classes=CLASSES, map_frames=2, num_heads=2)
    elif kind is DGAM:
        around = DGAM(inner, num_classes=CLASSES, num_frames=4, heads="shared")
    else:
        around = Probed(inner, Probe("linear", inner.num_features, CLASSES))
    alone = load_weights(filled_model(CLIP[0])[0], clip_file())
    report = load_weights(around, clip_file())
    assert report.layout == alone.layout and len(report.loaded) == len(alone.loaded)


def test_mmaction2():
    content = golden("uniformer_v2/checkpoint_mmaction2")
    state = fill_v1(content["state"])
    model = published_model(content["build"])
    report = load_weights(model, {"meta": {}, "state_dict": state})
    assert report.layout == "mmaction2" and not (report.missing or report.unexpected or report.dropped)
    check_logits(model, "checkpoint_mmaction2")


def test_the_authors_own_files():
    state = fill_v1(golden("uniformer_v2/tiny_scene")["state"])
    model = published_model(golden("uniformer_v2/tiny_scene")["build"])
    assert load_weights(model, state).layout == "UniFormerV2"
    extracted = {key.removeprefix("visual."): value for key, value in clip_file().items() if "visual." in key}
    report = load_weights(filled_model(CLIP[0])[0], extracted)
    assert report.layout == "CLIP (image part)" and len(report.unexpected) == 3  # proj, ln_post


def test_the_whole_clip_file_has_a_text_part_too():
    file = clip_file()
    text = {key.removeprefix("visual."): torch.zeros(1) for key in file if "transformer" in key}
    text |= {"positional_embedding": torch.zeros(77, 8), "ln_final.weight": torch.zeros(8)}
    model, _ = filled_model(CLIP[0])
    report = load_weights(model, {**file, **text})
    assert len(report.unexpected) == 5 + len(text) and "unused: positional_embedding" in report.unexpected
    check_logits(model, CLIP[0])


def test_clip_as_hugging_face_and_timm_write_it():
    model, _ = filled_model(CLIP[0])
    load_weights(model, clip_file())
    visual = {key.removeprefix("visual."): value for key, value in clip_file().items() if "visual." in key}
    for convert, layout, unused in ((as_hugging_face, "CLIP (Hugging Face)", 3), (as_timm, "CLIP (timm)", 3)):
        other, _ = filled_model(CLIP[0])
        report = load_weights(other, convert(visual))
        assert report.layout == layout and len(report.unexpected) == unused and not report.dropped
        for (name, one), two in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
            assert torch.equal(one, two), name


def as_hugging_face(visual: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = {
        "class_embedding": "embeddings.class_embedding",
        "conv1.": "embeddings.patch_embedding.",
        "positional_embedding": "embeddings.position_embedding.weight",
        "ln_pre": "pre_layrnorm",
        "ln_post": "post_layernorm",
        "transformer.resblocks": "encoder.layers",
        ".ln_": ".layer_norm",
        ".mlp.c_fc": ".mlp.fc1",
        ".mlp.c_proj": ".mlp.fc2",
        "attn.out_proj": "self_attn.out_proj",
    }
    state = {}
    for key, value in visual.items():
        for theirs, ours in names.items():
            key = key.replace(theirs, ours)
        if ".attn.in_proj_" in key:
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                state["vision_model." + key.replace("attn.in_proj_", f"self_attn.{letter}_proj.")] = part
        else:
            state["visual_projection.weight" if key == "proj" else f"vision_model.{key}"] = value
    return state


def as_timm(visual: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = {
        "class_embedding": "cls_token",
        "conv1.": "patch_embed.proj.",
        "positional_embedding": "pos_embed",
        "ln_pre": "norm_pre",
        "ln_post": "norm",
        "transformer.resblocks": "blocks",
        ".ln_": ".norm",
        ".mlp.c_fc": ".mlp.fc1",
        ".mlp.c_proj": ".mlp.fc2",
        "attn.in_proj_": "attn.qkv.",
        "attn.out_proj": "attn.proj",
    }
    state = {}
    for key, value in visual.items():
        for theirs, ours in names.items():
            key = key.replace(theirs, ours)
        state["head.weight" if key == "proj" else key] = value
    state["cls_token"], state["pos_embed"] = state["cls_token"][None, None], state["pos_embed"][None]
    return state


# --------------------------------------------------------------------------------------------------- what does not fit
def test_positions_of_another_resolution_are_resized():
    file, (model, _) = clip_file(), filled_model(CLIP[0])
    file["visual.positional_embedding"] = torch.randn(1 + 49, 64)
    report = load_weights(model, file)
    assert "positional_embedding" in report.loaded and len(model.positional_embedding) == 17
    assert torch.equal(model.positional_embedding[0], file["visual.positional_embedding"][0])
    assert report.resized["positional_embedding"] == ((50, 64), (17, 64))
    file["visual.positional_embedding"] = torch.randn(14, 64)
    with pytest.raises(WeightsError, match="14 positions are not a class token and a square"):
        load_weights(model, file)


@pytest.mark.parametrize("frames", [1, 3])
def test_the_embedding_of_a_frame_stands_in_the_middle(frames):
    model = UniFormerV2(**TINY_V2, temporal_downsample=frames == 3)
    state = {**model.state_dict(), "conv1.weight": torch.randn(32, 3, 4 - frames, 16, 16)}
    if frames == 3:
        load_weights(model, state)
        assert torch.equal(model.conv1.weight[:, :, 1], state["conv1.weight"][:, :, 0])
        assert not model.conv1.weight[:, :, ::2].any()
    else:  # the same answer to a picture that stands still
        load_weights(model, state)
        assert torch.equal(model.conv1.weight[:, :, 0], state["conv1.weight"].sum(2))


def test_a_classifier_for_other_classes_is_left_out_and_named():
    state = fill_v1(golden("uniformer_v2/tiny_scene")["state"])
    model = published_model({**golden("uniformer_v2/tiny_scene")["build"], "num_classes": 9})
    report = load_weights(model, state)
    assert report.dropped == ["head.weight", "head.bias"] and report.missing == ["head.weight", "head.bias"]


def test_a_network_of_another_width_is_refused():
    model = UniFormerV2(**{**TINY_V2, "trunk": Trunk(64, 16, 48, 4, 4)})
    with pytest.raises(WeightsError, match="at least half must"):
        load_weights(model, clip_file())


# ------------------------------------------------------------------------------------------------------ OpenAI's archive
class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.ln = torch.nn.LayerNorm(4)
        self.weight = torch.nn.Parameter(torch.randn(6, 4))
        self.register_buffer("count", torch.tensor(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ln(x) @ self.weight.t()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_archives_are_read_without_their_code(tmp_path):
    model = torch.nn.Sequential(Block(), torch.nn.Linear(6, 2)).half()
    path = tmp_path / "model.pt"
    torch.jit.script(model).save(path)
    found = read_checkpoint(path)
    assert {name: found[name].dtype for name in model.state_dict()} == {
        name: value.dtype for name, value in model.state_dict().items()
    }
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_archive_that_asks_for_more_is_refused(tmp_path):
    good, bad = tmp_path / "good.pt", tmp_path / "bad.pt"
    torch.jit.script(Block()).save(good)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for entry in source.namelist():
            content = source.read(entry)
            target.writestr(entry, pickle.dumps(print) if entry.endswith("/data.pkl") else content)
    with pytest.raises(WeightsError, match="bad.pt': damaged, or not a PyTorch checkpoint"):
        read_checkpoint(bad)
