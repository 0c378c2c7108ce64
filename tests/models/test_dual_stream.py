"""Two streams: fusions and head against plain formulas, trunks, weights of one network, maps, learning rates."""

import pytest
import torch
from models_by_row import CLASSES, DUAL, MODELS_BY_ROW, TINY, random_clips, trunks
from torch import nn

from fragrant.config import load_cfg
from fragrant.layers.class_token import ClassTokenPool
from fragrant.layers.dynamic_fusion import DynamicFusion
from fragrant.layers.stream_dropout import StreamDropout
from fragrant.models import ModelError, build_model
from fragrant.models.dual_stream import FUSIONS, DualStream
from fragrant.models.uniformer import UniFormer
from fragrant.models.weights import load_weights
from fragrant.optim.layer_decay import scales_of
from fragrant.report.grad_cam import grad_cam

SMALL = """DATA.NUM_FRAMES 4 DATA.TRAIN_CROP_SIZE 64 DATA.INPUT_CHANNEL_NUM [3] MODEL.NUM_CLASSES 5
    UNIFORMER.EMBED_DIM [8,8,16,16] UNIFORMER.DEPTH [1,1,1,1] UNIFORMER.HEAD_DIM 8 DUAL.NUM_HEADS 4""".split()


def plain_norm(x, norm):
    mean, spread = x.mean(-1, keepdim=True), ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (spread + norm.eps).sqrt() * norm.weight + norm.bias


def plain_block(x, block):
    """One pre-norm transformer block on the tokens (L, D) of one clip, head by head."""
    width, heads = x.shape[1], block.attn.num_heads
    size, y = width // heads, plain_norm(x, block.norm1)
    weight, bias = block.attn.qkv.weight, block.attn.qkv.bias
    q, k, v = (y @ weight[at * width : (at + 1) * width].T + bias[at * width : (at + 1) * width] for at in range(3))
    parts = []
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        scores = (q[:, own] @ k[:, own].T / size**0.5).exp()
        parts.append(scores / scores.sum(1, keepdim=True) @ v[:, own])
    x = x + torch.cat(parts, 1) @ block.attn.proj.weight.T + block.attn.proj.bias
    y = plain_norm(x, block.norm2) @ block.mlp.fc1.weight.T + block.mlp.fc1.bias
    y = 0.5 * y * (1 + torch.erf(y / 2**0.5))
    return x + y @ block.mlp.fc2.weight.T + block.mlp.fc2.bias


@torch.no_grad()
def test_the_published_head_by_a_plain_formula():
    torch.manual_seed(0)
    model = MODELS_BY_ROW["DualStream"]().double().eval()
    clips = random_clips("DualStream", 2).double()
    wanted = []
    for clip in clips:
        streams = [model.trunk.net.forward_features(part[None])[0] for part in (clip[:3], clip[3:])]  # (D, T', H', W')
        tokens = torch.cat([stream.mean((2, 3)).T for stream in streams])  # (2 T', D), dark ones first
        listed = torch.cat([model.pool.token[0], tokens]) + model.pool.positions[0]
        wanted.append(plain_block(listed, model.pool.blocks[0])[0] @ model.head.weight.T + model.head.bias)
    torch.testing.assert_close(model(clips), torch.stack(wanted), rtol=1e-9, atol=1e-9)


def plain_bottleneck(x, part):
    """Convolutions of one place and BatchNorms in training on (N, D, P), P places."""
    for layer in part:
        if isinstance(layer, nn.BatchNorm3d):
            mean = x.mean((0, 2), keepdim=True)
            spread = ((x - mean) ** 2).mean((0, 2), keepdim=True)
            x = (x - mean) / (spread + layer.eps).sqrt() * layer.weight[:, None] + layer.bias[:, None]
        elif isinstance(layer, nn.ReLU):
            x = x * (x > 0)
        else:
            x = torch.einsum("od,ndp->nop", layer.weight[:, :, 0, 0, 0], x) + layer.bias[:, None]
    return x


def test_dynamic_fusion_by_a_plain_formula():
    torch.manual_seed(0)
    fusion = DynamicFusion(8, reduction=4).double()
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.normal_()
    first, second = torch.randn(2, 3, 8, 2, 3, 4, dtype=torch.float64)
    a, b = first.flatten(2), second.flatten(2)  # (N, D, P)
    total = a + b
    seen = plain_bottleneck(total.mean(2, keepdim=True), fusion.whole) + plain_bottleneck(total, fusion.local)
    scores = plain_bottleneck(seen, fusion.decide).exp()  # (N, 2, P)
    shares = scores / scores.sum(1, keepdim=True)
    wanted = shares[:, :1] * a + shares[:, 1:] * b
    torch.testing.assert_close(fusion([first, second]).flatten(2), wanted, rtol=1e-6, atol=1e-6)  # softmax in float32
    assert fusion([first[:1], second[:1]]).isfinite().all()  # one clip has no spread: running statistics


def plain_cross(x, others, part):
    """What the tokens (L, D) of one clip find in others (M, D), head by head."""
    size = x.shape[1] // part.num_heads
    q, (k, v) = part.q(x), part.kv(others).chunk(2, 1)
    found = []
    for head in range(part.num_heads):
        own = slice(head * size, (head + 1) * size)
        scores = (q[:, own] @ k[:, own].T / size**0.5).exp()
        found.append(scores / scores.sum(1, keepdim=True) @ v[:, own])
    return torch.cat(found, 1) @ part.proj.weight.T + part.proj.bias


@torch.no_grad()
def test_cross_fusion_by_a_plain_formula():
    torch.manual_seed(0)
    model = MODELS_BY_ROW["DualStream:cross"]().double().eval()
    clips, wanted, maps = random_clips("DualStream", 2).double(), [], []
    for clip in clips:
        first = model.trunk.net.forward_features(clip[None, :3])[0]
        second = model.second.net.forward_features(clip[None, 3:])[0]
        a, b = first.flatten(1).T, second.flatten(1).T  # (T' H' W', D)
        a, b = a + plain_cross(a, b, model.fuse.first), b + plain_cross(b, a, model.fuse.second)
        wanted.append(torch.cat([a.mean(0), b.mean(0)]) @ model.head.weight.T + model.head.bias)
        maps.append(((a + b) / 2).T.reshape(first.shape))
    torch.testing.assert_close(model(clips), torch.stack(wanted), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.forward_features(clips), torch.stack(maps), rtol=1e-9, atol=1e-9)
    with pytest.raises(ModelError, match="DUAL.FUSION cross classifies by the mean of each of both streams"):
        model.forward_head(torch.stack(maps))


LOST = torch.tensor([[True, False], [False, True], [True, True]])


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("fusion", FUSIONS)
@torch.no_grad()
def test_a_lost_stream_counts_for_nothing_and_is_as_one_that_is_not_there(fusion, depth):
    """Losing the first or the second of three clips gives what a network says that gets the other alone."""
    torch.manual_seed(0)
    model = DualStream(trunks(2), **DUAL, fusion=fusion, depth=depth, channels=3, alone=0).double().eval()
    clips = torch.randn(3, 6, 4, 64, 64, dtype=torch.float64)
    said = model.classify(*model.maps(clips), LOST)
    noise = clips.clone()
    noise[0, 3:], noise[1, :3] = 7.0, -7.0  # what the lost streams show
    torch.testing.assert_close(model.classify(*model.maps(noise), LOST), said, rtol=0, atol=0)
    torch.testing.assert_close(said[2:], model(clips[2:]), rtol=1e-9, atol=1e-12)  # both are there
    torch.testing.assert_close(said[:1], model(clips[:1, :3]), rtol=1e-9, atol=1e-12)
    assert (said - model(clips))[:2].abs().amin(0).max() > 1e-6
    assert model.map_layer == "trunk"
    model.alone = 1
    torch.testing.assert_close(said[1:2], model(clips[1:2, 3:]), rtol=1e-9, atol=1e-12)
    assert model.map_layer == "second" and model.forward_features(clips[:, 3:]).shape[:2] == (3, 16)


def test_one_trunk_alone_is_passed_once():
    model, passes = DualStream(trunks(), **DUAL, alone=1).eval(), []
    model.trunk.register_forward_hook(lambda *_: passes.append(1))
    model(torch.randn(2, 3, 4, 64, 64))
    assert len(passes) == 1
    with pytest.raises(ModelError, match="got shape"):
        DualStream(trunks(), **DUAL)(torch.zeros(1, 3, 4, 64, 64))


def test_streams_are_lost_in_training_alone_as_often_as_asked_and_never_both():
    torch.manual_seed(0)
    drop, clips = StreamDropout(0.4), torch.zeros(20_000, 1)
    present = drop(clips)
    assert present.any(1).all()
    shares = (~present).float().mean(0)
    assert (shares - 0.2).abs().max() < 0.01  # four standard deviations
    assert drop.eval()(clips) is None and StreamDropout(0.0).train()(clips) is None
    assert not StreamDropout(1.0)(clips).all(1).any()


def test_a_lost_stream_gets_no_gradient():
    torch.manual_seed(0)
    model = DualStream(trunks(2), **DUAL, fusion="cross", stream_dropout=1.0)
    clips = torch.randn(8, 6, 4, 64, 64, requires_grad=True)
    model.trunk.eval(), model.second.eval()  # BatchNorms let clips of a batch touch each other
    model(clips).square().sum().backward()
    found = torch.stack([half.abs().amax((1, 2, 3, 4)) > 0 for half in clips.grad.split(3, 1)], 1)
    assert (found.sum(1) == 1).all() and found.any(0).all()


@torch.no_grad()
def test_the_order_of_streams_counts_and_positions_follow_the_clip():
    torch.manual_seed(0)
    model, clips = MODELS_BY_ROW["DualStream"]().eval(), random_clips("DualStream", 1)
    assert (model(clips) - model(clips.roll(3, 1))).abs().max() > 1e-6
    pool = ClassTokenPool(4, streams=2, length=3, num_heads=2)
    pool.positions.copy_(torch.arange(7.0)[None, :, None].expand(1, 7, 4))
    resized = pool._positions(6)[0, :, 0].tolist()
    assert resized[0] == 0 and len(resized) == 13
    assert resized[1:7] == sorted(resized[1:7]) and 1 <= resized[1] and resized[6] <= 3 < resized[7]  # streams apart
    flat = ClassTokenPool(4, streams=2, length=3, depth=0)
    tokens = torch.randn(2, 2, 3, 4)
    assert not list(flat.parameters()) and torch.allclose(flat(tokens), tokens.flatten(1, 2).mean(1))


@pytest.mark.parametrize("row", ["DualStream", "DualStream:two"])
def test_weights_of_one_network_fill_every_stream(row):
    net, model = UniFormer(**TINY | dict(embed_dim=(8, 8, 16, 16), depth=(1, 1, 1, 1))), MODELS_BY_ROW[row]()
    report = load_weights(model, {"model_state": net.state_dict()})
    parts = [part for part in (model.trunk, model.second) if part is not None]
    for part in parts:
        for name, value in part.net.state_dict().items():
            assert torch.equal(value, net.state_dict()[name]), name
    assert {name.split(".")[0] for name in report.missing} == {"pool", "head"}


def test_grad_cam_shows_the_first_stream():
    torch.manual_seed(0)
    model, clips = MODELS_BY_ROW["DualStream"](), random_clips("DualStream", 2)
    maps, classes, _ = grad_cam(model, clips)
    assert maps.shape == (2, 2, 2, 2) and classes.shape == (2,)
    first, second = model.eval().maps(clips)
    first, second = first.detach().requires_grad_(), second.detach()
    gradient = torch.autograd.grad(model.classify(first, second).gather(1, classes[:, None]).sum(), first)[0]
    wanted = (gradient.mean((2, 3, 4), keepdim=True) * first).sum(1).relu()
    torch.testing.assert_close(maps, wanted.detach(), rtol=1e-3, atol=1e-6)


def test_layer_decay_is_that_of_the_trunk():
    model = MODELS_BY_ROW["DualStream"]()
    found = scales_of(model, 0.5)
    layers = model.trunk.net.layer_names()
    deepest = [p for name, p in model.trunk.net.named_parameters() if name.startswith(layers[0])]
    assert {found[id(p)] for p in deepest} == {0.5 ** len(layers)}
    assert id(model.head.weight) not in found  # the full rate


def test_the_config_says_what_is_lost_and_what_is_alone():
    words = "DUAL.BACKBONE Uniformer DUAL.FUSION cross DUAL.MODALITY_DROPOUT 0.25 TEST.MODALITY thermal".split()
    lists = "DATA.COLOR_PATH_TO_DATA_DIR a DATA.THERMAL_PATH_TO_DATA_DIR b".split()
    model = build_model(load_cfg(None, ["MODEL.MODEL_NAME", "DualStream", *words, *lists, *SMALL]))
    assert (model.drop.rate, model.alone, model.channels) == (0.25, 1, 3)
    assert model.eval()(torch.zeros(1, 3, 4, 64, 64)).shape == (1, CLASSES)


def test_the_config_builds_trunks_and_counts_their_frames():
    cfg = load_cfg(
        None, ["MODEL.MODEL_NAME", "DualStream", "DUAL.BACKBONE", "Uniformer", "DUAL.SHARED", "False", *SMALL]
    )
    model = build_model(cfg)
    assert isinstance(model, DualStream) and model.second is not None and model.pool.length == 2
    assert model(torch.zeros(1, 6, 4, 64, 64)).shape == (1, CLASSES)


WRONG = [
    ("DUAL.BACKBONE DualStream", "it has two streams itself"),
    ("DUAL.BACKBONE DGAM", "its gate picks the gamma of one clip"),
    ("DUAL.BACKBONE Unifromer", "did you mean 'Uniformer'"),
    ("DUAL.BACKBONE Uniformer DUAL.NUM_HEADS 3 DUAL.FUSION cross DUAL.DEPTH 0", "DUAL.NUM_HEADS 3 does not divide 16"),
    ("DUAL.BACKBONE Uniformer DUAL.NUM_HEADS 3", "DUAL.NUM_HEADS 3 does not divide 16"),
    ("DUAL.GAMMA 1", "makes both streams the same"),
    ("DUAL.MEAN [0.1]", "must have one value for each of the 3 channels"),
    ("TRAIN.OBJECTIVE figure", "allowed is a network of one stream"),
    ("MODEL.MODEL_NAME DGAM DGAM.BACKBONE DualStream", "another model of one stream"),
]


@pytest.mark.parametrize("words, message", WRONG)
def test_what_does_not_fit_is_said(words, message):
    with pytest.raises(ValueError, match=message):
        build_model(load_cfg(None, ["MODEL.MODEL_NAME", "DualStream", *SMALL, *words.split()]))
    with pytest.raises(ModelError, match="got shape"):
        DualStream(trunks(), **DUAL)(torch.zeros(1, 3, 4, 64, 64))


@torch.no_grad()
@pytest.mark.parametrize("fusion, depth, kept", [("mean", 0, True), ("dff", 0, True), ("mean", 1, False)])
def test_a_trained_network_goes_on_as_it_is(fusion, depth, kept):
    """Behind the mean of the maps the classifier of one stream is that of two: two equal streams are classified as one
    is by the network alone."""
    torch.manual_seed(0)
    plain = build_model(load_cfg(None, ["MODEL.MODEL_NAME", "Uniformer", *SMALL])).eval()
    both = f"MODEL.MODEL_NAME DualStream DUAL.BACKBONE Uniformer DUAL.FUSION {fusion} DUAL.DEPTH {depth}".split()
    two_streams = build_model(load_cfg(None, [*SMALL, *both])).eval()
    report = load_weights(two_streams, plain.state_dict())
    assert ("head.weight" in report.missing) != kept and bool(report.unexpected) != kept
    clips = torch.randn(2, 3, 4, 64, 64)
    if kept:
        torch.testing.assert_close(two_streams(torch.cat([clips, clips], 1)), plain(clips))
