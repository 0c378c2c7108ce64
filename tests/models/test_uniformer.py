"""UniFormer computes what the published code computes, and takes what its arguments promise."""

import pytest
import torch
from conftest import golden, golden_input
from fvcore.common.config import CfgNode
from models_by_row import TINY
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from uniformer_goldens import FORMATS, assert_close, assert_probe, outputs_by_name, published_model, published_state

from fragrant.layers.split_attention_block import SplitAttentionBlock
from fragrant.models import ModelError, build_model
from fragrant.models.uniformer import Insertion, UniFormer, uniformer_base, uniformer_small
from fragrant.models.weights import load_weights

PUBLISHED = [
    "uniformer_small_c12",
    "uniformer_small_k400",
    "uniformer_small_split_c12",
    "uniformer_small_std_c174",
    "uniformer_base_k400",
]


# ---------------------------------------------------------------------------------------------------- published numbers
@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_whole_model_matches_the_published_code(name, memory_format):
    expected = golden(f"uniformer/{name}")
    model = published_model(expected["build"])
    assert list(model.state_dict()) == [key for key, *_ in expected["state"]]  # in the published order, too
    report = load_weights(model, published_state(name))
    assert not (report.missing or report.unexpected or report.dropped)
    model.to(memory_format=memory_format)
    for case in expected["cases"]:
        clips = golden_input(**case["input"]).to(memory_format=memory_format)
        seen = outputs_by_name(model, case["probes"], clips)
        logits = torch.tensor(case["output"]["logits"])
        assert_close(seen["logits"], logits, std=logits.std().item())
        for probe_name, probe in case["probes"].items():
            assert_probe(seen[probe_name], probe)


def test_published_fragrant_file_is_a_plain_uniformer_with_unused_members():
    expected = golden("uniformer/fragrant_small_plain_c12")
    model = published_model(expected["build"])
    report = load_weights(model, published_state("fragrant_small_plain_c12"))
    assert (
        report.unexpected == [key for key, *_ in expected["state"] if key.startswith("rsa_attn")]
        and len(report.unexpected) == 8
    )
    assert not (report.missing or report.dropped)
    for case in expected["cases"]:
        seen = outputs_by_name(model, case["probes"], golden_input(**case["input"]))
        for name, output in (("logits", seen["logits"]), ("feat", seen["head_in"])):
            wanted = torch.tensor(case["output"][name])
            assert_close(output, wanted, std=wanted.std().item())
        for probe_name, probe in case["probes"].items():
            assert_probe(seen[probe_name], probe)


# --------------------------------------------------------------------------------------------------------------- shapes
@pytest.mark.parametrize(
    "clip, features",
    [((1, 32, 32), (1, 1, 1)), ((5, 33, 70), (3, 1, 2)), ((8, 112, 112), (4, 3, 3)), ((2, 64, 63), (1, 2, 1))],
)
def test_features_have_half_the_frames_and_a_32nd_of_the_edges(clip, features):
    model = UniFormer(**TINY).eval()
    assert model.forward_features(torch.rand(2, 3, *clip)).shape == (2, model.num_features, *features)


def test_zero_classes_give_the_pooled_features():
    model = UniFormer(**{**TINY, "num_classes": 0}).eval()
    clips = torch.rand(2, 3, 4, 32, 32)
    assert torch.equal(model(clips), model.forward_features(clips).mean((2, 3, 4)))
    assert not [key for key in model.state_dict() if key.startswith("head")]


@pytest.mark.parametrize("shape", [(3, 8, 64, 64), (1, 4, 8, 64, 64), (1, 3, 8, 31, 64), (1, 3, 8, 64, 31)])
def test_a_clip_that_does_not_fit_is_an_error_of_one_line(shape):
    with pytest.raises(
        ModelError,
        match=r"clips must be \(N, 3, T, H, W\) with at least 32 x 32 pixels; got a tensor of shape \(\d.*\)$",
    ):
        UniFormer(**TINY)(torch.zeros(shape))


# ------------------------------------------------------------------------------------------------------------ arguments
@pytest.mark.parametrize(
    "build, options, parameters",
    [
        (uniformer_small, {}, 21_400_400),
        (uniformer_small, dict(num_classes=0), 21_195_200),
        (uniformer_small, dict(num_classes=12), 21_201_356),
        (uniformer_small, dict(split=True), 27_847_504),
        (uniformer_small, dict(std=True), 23_104_336),
        (uniformer_base, {}, 49_813_200),
        (uniformer_base, dict(num_classes=12), 49_614_156),
        (uniformer_base, dict(split=True), 65_405_136),
        (uniformer_base, dict(std=True), 51_517_136),
    ],
)
def test_named_sizes_have_the_published_number_of_parameters(build, options, parameters):
    with torch.device("meta"):
        model = build(**options)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(embed_dim=(8, 16, 32)), r"embed_dim needs one value for each of the 4 stages; got 3: \[8, 16, 32\]"),
        (dict(depth=(1, 1, 1, 1, 1)), "depth needs one value for each of the 4 stages; got 5"),
        (dict(mlp_ratio=[4, 4]), "mlp_ratio needs one value for each of the 4 stages; got 2"),
        (dict(head_dim=64), "embed_dim 32 does not split into whole heads of width head_dim 64"),
        (dict(embed_dim=(8, 16, 35, 32)), "embed_dim 35 does not split into whole heads of width head_dim 16"),
    ],
)
def test_arguments_that_do_not_fit_together(options, message):
    with pytest.raises(ModelError, match=message):
        UniFormer(**{**TINY, **options})


def test_mlp_ratio_may_differ_per_stage():
    model = UniFormer(**{**TINY, "mlp_ratio": [1, 2, 0.5, 3]})
    widths = [getattr(model, f"blocks{stage}")[0].mlp.fc1.weight.shape[0] for stage in (1, 2, 3, 4)]
    assert widths == [8, 32, 16, 96]


def test_drop_path_grows_linearly_over_all_blocks():
    model = UniFormer(**{**TINY, "drop_path_rate": 0.5})
    rates = [block.drop_path.drop_prob for stage in (1, 2, 3, 4) for block in getattr(model, f"blocks{stage}")]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_rates_reach_their_layers():
    model = UniFormer(
        **{
            **TINY,
            "dropout_rate": 0.25,
            "attention_dropout_rate": 0.125,
            "head_dropout_rate": 0.5,
            "qk_scale": 0.5,
            "qkv_bias": False,
            "split": True,
        }
    )
    dropouts = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    assert model.head_dropout_rate == 0.5
    assert set(dropouts.values()) == {0.25}
    assert {"pos_drop", "blocks1.0.mlp.dropout", "blocks3.0.t_attn.dropout", "blocks4.1.mlp.dropout"} <= set(dropouts)
    for attention in (model.blocks3[0].attn, model.blocks3[0].t_attn):
        assert (attention.attention_dropout, attention.scale, attention.qkv.bias) == (0.125, 0.5, None)


# ------------------------------------------------------------------------------------------------------- initial values
def test_initial_values_are_the_published_ones():
    torch.manual_seed(0)
    model = UniFormer(**{**TINY, "split": True, "embed_dim": (64, 64, 128, 128), "head_dim": 64})
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            assert not module.bias.any(), name
            if ".t_attn." not in name and module.weight.numel() > 5000:
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.05), name
        if isinstance(module, nn.Conv3d):
            bound = module.weight[0].numel() ** -0.5
            assert (
                0.9 * bound < module.weight.abs().max().item() <= bound and module.bias.abs().max().item() <= bound
            ), name
        if isinstance(module, SplitAttentionBlock):
            assert not module.t_attn.qkv.weight.any() and bool((module.t_attn.proj.weight == 1).all())
            assert not module.t_attn(torch.randn(2, 3, 128)).any()  # time adds nothing yet


# ----------------------------------------------------------------------------------------------------------- insertions
class Scale(nn.Module):
    """x -> factor * x, and a record of where it was called."""

    def __init__(self, factor: float, calls: list):
        super().__init__()
        self.factor, self.calls = nn.Parameter(torch.tensor(factor)), calls

    def forward(self, x):
        self.calls.append((float(self.factor), tuple(x.shape[1:])))
        return x * self.factor


def test_insertions_run_at_their_places_in_order():
    calls = []
    half, double = Scale(0.5, calls), Scale(2.0, calls)
    insertions = [
        Insertion("stage2", "doubler", double, residual=False),
        Insertion("embed2", "halver", half),
        Insertion("stage2", "halver", half, residual=False),
        Insertion("stage4", "halver", half),
    ]
    torch.manual_seed(0)
    model = UniFormer(**TINY, insertions=insertions).eval()
    torch.manual_seed(0)
    plain = UniFormer(**TINY).eval()
    assert list(model.state_dict()) == [*plain.state_dict(), "doubler.factor", "halver.factor"]
    clips = torch.rand(1, 3, 4, 64, 64)
    seen = outputs_by_name(
        model, ["blocks1.0", "patch_embed2", "blocks2.1", "patch_embed3", "blocks4.1", "norm"], clips
    )
    assert calls == [(0.5, (16, 2, 8, 8)), (2.0, (16, 2, 8, 8)), (0.5, (16, 2, 8, 8)), (0.5, (32, 2, 2, 2))]
    with torch.no_grad():
        assert torch.equal(seen["blocks2.1"], model.blocks2[1](model.blocks2[0](1.5 * seen["patch_embed2"])))
        assert torch.equal(seen["patch_embed3"], model.patch_embed3(seen["blocks2.1"]))  # doubled, then halved
        assert torch.equal(seen["norm"], model.norm(1.5 * seen["blocks4.1"]))


@pytest.mark.parametrize(
    "insertion, message",
    [
        (
            Insertion("embed5", "new", nn.Identity()),
            "insertion 'new': place 'embed5' is not known; allowed: embed1, stage1, embed2",
        ),
        (
            Insertion("embed1", "norm", nn.Identity()),
            "insertion 'norm' at 'embed1': this name already belongs to another part",
        ),
    ],
)
def test_an_insertion_with_a_wrong_place_or_name(insertion, message):
    with pytest.raises(ModelError, match=message):
        UniFormer(**TINY, insertions=[insertion])


# --------------------------------------------------------------------------------------------------------------- memory
class Copies(TorchDispatchMode):
    """Collects the operators that only move numbers."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in ("clone", "copy_", "_to_copy", "cat", "stack"):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


# split: tokens are sorted by place and back, in 3 blocks
@pytest.mark.parametrize("split, copies", [(False, 0), (True, 6)])
def test_a_channels_last_clip_stays_so_without_copies(split, copies):
    model, clips = UniFormer(**TINY, split=split), torch.rand(2, 3, 4, 64, 64)
    assert model.forward_features(clips).is_contiguous()
    model.to(memory_format=torch.channels_last_3d)
    with Copies() as counter:
        features = model.forward_features(clips.to(memory_format=torch.channels_last_3d))
    assert features.is_contiguous(memory_format=torch.channels_last_3d)
    assert len(counter.found) - 1 == copies  # one is the clip's own


# --------------------------------------------------------------------------------------------------------------- config
def config(**changes) -> CfgNode:
    cfg = CfgNode(
        {
            "MODEL": {
                "MODEL_NAME": "Uniformer",
                "NUM_CLASSES": 5,
                "USE_CHECKPOINT": False,
                "CHECKPOINT_NUM": [1, 2, 0, 1],
            },
            "DATA": {"INPUT_CHANNEL_NUM": [3, 3]},
            "UNIFORMER": {
                "EMBED_DIM": [8, 16, 32, 32],
                "DEPTH": [1, 2, 1, 2],
                "HEAD_DIM": 16,
                "MLP_RATIO": 4,
                "QKV_BIAS": True,
                "QKV_SCALE": None,
                "REPRESENTATION_SIZE": None,
                "DROPOUT_RATE": 0,
                "ATTENTION_DROPOUT_RATE": 0,
                "DROP_DEPTH_RATE": 0.1,
                "HEAD_DROPOUT_RATE": 0,
                "SPLIT": False,
                "STD": False,
                "MOTION_INPUT": False,
            },
        }
    )
    cfg.merge_from_list([item for pair in changes.items() for item in (pair[0].replace("__", "."), pair[1])])
    cfg.freeze()
    return cfg


@pytest.mark.parametrize(
    "changes, holds",
    [
        ({}, lambda model: model.head.out_features == 5 and model.recompute_blocks == (0, 0, 0, 0)),
        (dict(MODEL__NUM_CLASSES=0), lambda model: isinstance(model.head, nn.Identity)),
        (dict(MODEL__USE_CHECKPOINT=True), lambda model: model.recompute_blocks == (1, 2, 0, 1)),
        (dict(DATA__INPUT_CHANNEL_NUM=[1]), lambda model: model.patch_embed1.proj.in_channels == 1),
        (dict(UNIFORMER__SPLIT=True), lambda model: hasattr(model.blocks4[1], "t_attn")),
        (dict(UNIFORMER__STD=True), lambda model: model.patch_embed4.proj.kernel_size == (3, 2, 2)),
        (dict(UNIFORMER__DEPTH=[2, 1, 1, 3]), lambda model: [len(model.blocks1), len(model.blocks4)] == [2, 3]),
        (dict(UNIFORMER__HEAD_DIM=8), lambda model: model.blocks3[0].attn.num_heads == 4),
        (dict(UNIFORMER__MLP_RATIO=2), lambda model: model.blocks3[0].mlp.fc1.out_features == 64),
        (dict(UNIFORMER__QKV_BIAS=False), lambda model: model.blocks3[0].attn.qkv.bias is None),
        (dict(UNIFORMER__DROPOUT_RATE=1), lambda model: model.pos_drop.p == 1),
        (dict(UNIFORMER__HEAD_DROPOUT_RATE=1), lambda model: model.head_dropout_rate == 1),
        (
            dict(UNIFORMER__DROP_DEPTH_RATE=0.3),
            lambda model: model.blocks4[1].drop_path.drop_prob == pytest.approx(0.3),
        ),
    ],
)
def test_every_key_reaches_the_model(changes, holds):
    model = build_model(config(**changes))
    assert isinstance(model, UniFormer) and holds(model)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_attention_keys_reach_the_model():
    cfg = config(UNIFORMER__ATTENTION_DROPOUT_RATE=1).clone()
    cfg.defrost()
    cfg.UNIFORMER.QKV_SCALE = 0.25
    attention = build_model(cfg).blocks3[0].attn
    assert (attention.attention_dropout, attention.scale) == (1, 0.25)


def test_a_representation_layer_is_refused():
    cfg = config().clone()
    cfg.defrost()
    cfg.UNIFORMER.REPRESENTATION_SIZE = 512
    with pytest.raises(ModelError, match="UNIFORMER.REPRESENTATION_SIZE 512 is not supported: .*; allowed: None"):
        build_model(cfg)


def test_an_unknown_model_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="MODEL.MODEL_NAME 'Unifromer' is not known; did you mean 'Uniformer'"):
        build_model(config(MODEL__MODEL_NAME="Unifromer"))
