"""Tensors of other clips: what stays when time or size changes, and what cannot be told."""

import pytest
import torch
from models_by_row import MODELS_BY_ROW, TINY

from fragrant.models.dgam import DGAM
from fragrant.models.resizing import (
    ClipSize,
    centred,
    grid_of_positions,
    resize_positions,
    resize_rows,
    resize_table,
    shares,
    spread,
    window_of_table,
)
from fragrant.models.uniformer import UniFormer
from fragrant.models.vision_transformer import VisionTransformer
from fragrant.models.weights import clips_of, load_weights


# ------------------------------------------------------------------------------------------------------------ along time
def test_shares_of_time():
    assert shares(2, 4).tolist() == [[0.5, 0], [0.5, 0], [0, 0.5], [0, 0.5]]
    assert shares(4, 2).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    torch.testing.assert_close(shares(3, 2), torch.tensor([[1, 0.5, 0], [0, 0.5, 1]], dtype=torch.float64))


@pytest.mark.parametrize("found", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("wanted", [1, 2, 3, 5, 8])
def test_the_answer_to_a_clip_that_stands_still_stays(found, wanted):
    filters = torch.randn(4, 2, found, 3, 3)
    for way in (spread, centred):
        assert way(filters, 2, wanted).shape == (4, 2, wanted, 3, 3)
        torch.testing.assert_close(way(filters, 2, wanted).sum(2), filters.sum(2))


def test_time_keeps_its_order():
    assert spread(torch.tensor([1.0, 2, 3, 4]), 0, 2).tolist() == [3, 7]
    assert spread(torch.tensor([1.0, 3]), 0, 4).tolist() == [0.5, 0.5, 1.5, 1.5]
    assert centred(torch.tensor([1.0, 2, 3]), 0, 5).tolist() == [0, 1, 2, 3, 0]
    assert centred(torch.tensor([1.0, 2, 3, 4, 5]), 0, 3).tolist() == [3, 3, 9]


# -------------------------------------------------------------------------------------------------- position embeddings
@pytest.mark.parametrize(
    "rows, like, still, found",
    [
        (1568, (8, 14, 14), False, ((8, 14, 14), 0)),
        (1568, (4, 14, 14), False, None),  # the file says something else than it has, and several grids fit
        (1568, None, False, None),
        (5 * 49, None, False, ((5, 7, 7), 0)),
        (196, None, True, ((1, 14, 14), 0)),
        (197, None, True, ((1, 14, 14), 1)),
        (198, None, True, None),
        (0, None, True, None),
    ],
)
def test_the_grid_of_stored_positions(rows, like, still, found):
    assert grid_of_positions(rows, like=like, still=still) == found


def test_positions_are_resized_where_they_lie():
    ramp = torch.arange(4.0).view(4, 1, 1).expand(4, 2, 2).reshape(1, 16, 1)
    resized = resize_positions(ramp, (4, 2, 2), (2, 4, 4)).view(2, 4, 4)
    assert resized[0].unique().tolist() == [0.5] and resized[1].unique().tolist() == [2.5]


def vit(frames: int, side: int) -> VisionTransformer:
    torch.manual_seed(0)
    options = dict(patch_size=(2, 8, 8), embed_dim=24, depth=2, num_heads=2, position="learned")
    return VisionTransformer(num_classes=3, grid=(frames // 2, side // 8, side // 8), **options)


@pytest.mark.parametrize("frames, side", [(8, 32), (4, 64), (8, 64)])
def test_a_transformer_takes_positions_of_other_clips(frames, side):
    """By the config in the file, where the number of positions does not tell their grid."""
    source, model = vit(frames, side), vit(4, 32)
    config = f"DATA:\n  CACHE_DIR: ''\n  NUM_FRAMES: {frames}\n  TRAIN_CROP_SIZE: {side}\nMODEL:\n  NUM_FRAMES: 3\n"
    report = load_weights(model, {"model_state": source.state_dict(), "cfg": config})
    assert not (report.missing or report.dropped or report.unexpected or report.warning())
    (line,) = report.resizings()
    assert line.startswith(f"resized from the file's (1, {frames // 2 * (side // 8) ** 2}, 24) to (1, 32, 24)")
    assert line.endswith(": 1: pos_embed") and "resized for other clips: 1" in report.summary()
    with torch.no_grad():  # as the source itself resizes them for such clips
        clip = torch.randn(1, 3, 4, 32, 32)
        torch.testing.assert_close(model.eval()(clip), source.eval()(clip), rtol=1e-4, atol=1e-5)


def test_positions_that_tell_no_grid_are_left_out_with_a_warning():
    report = load_weights(vit(4, 32), vit(8, 64).state_dict())
    assert report.unfilled == report.unused == report.dropped == ["pos_embed"]
    text = report.warning()
    assert text.startswith("1 of the network's 31 tensors were not in the file or did not fit") and "pos_embed" in text
    assert "not used of the file: 1: pos_embed" in text


def test_an_image_transformer_starts_one_for_video():
    model = vit(4, 32)
    image = {name: value for name, value in model.state_dict().items() if not name.startswith("head.")}
    grid = torch.randn(1, 1 + 16, 24)
    image |= {
        "pos_embed": grid,
        "patch_embed.proj.weight": torch.randn(24, 3, 8, 8),
        "cls_token": torch.randn(1, 1, 24),
    }
    report = load_weights(model, image)
    assert report.inflated == ["patch_embed.proj.weight"] and report.unused == ["cls_token"]
    assert torch.equal(model.pos_embed.view(2, 16, 24), grid[0, 1:].expand(2, 16, 24))


@pytest.mark.parametrize("text", [None, 3, "", "DATA: {}\n", "DATA:\n  NUM_FRAMES: 8\nTRAIN_CROP_SIZE: 3\n"])
def test_a_file_that_says_no_clips(text):
    assert clips_of({"cfg": text}) is None and clips_of({}) is None and clips_of([]) is None


def test_the_clips_of_a_file():
    assert clips_of({"cfg": "A:\n  B: 1\nDATA:\n  NUM_FRAMES: 8\n  X: 1\n  TRAIN_CROP_SIZE: 224\n"}) == ClipSize(8, 224)


# ------------------------------------------------------------------------------------------------------- tables of biases
@pytest.mark.parametrize(
    "rows, places, like, still, found",
    [
        (15 * 13 * 13, None, (8, 7, 7), False, (8, 7, 7)),
        (15 * 13 * 13, None, (16, 7, 7), False, (8, 7, 7)),
        (15 * 13 * 13, 392, (8, 3, 3), False, (8, 7, 7)),
        (9 * 13 * 13, None, (8, 7, 7), False, (5, 7, 7)),  # a square, but not of an image
        (13 * 13, None, (8, 7, 7), True, (1, 7, 7)),
        (23 * 23, None, (8, 7, 7), True, (1, 12, 12)),
        (10, None, (2, 3, 3), False, None),
        (3 * 3 * 5, 12, (2, 2, 3), False, (2, 2, 3)),
    ],
)
def test_the_window_of_a_stored_table(rows, places, like, still, found):
    assert window_of_table(rows, places=places, like=like, still=still) == found


def test_a_table_of_a_million_rows_is_no_table_of_biases():
    assert window_of_table(1_000_003, places=None, like=(8, 7, 7), still=False) is None


def test_an_image_table_is_the_same_at_every_distance_in_time():
    table = torch.randn(9, 2)
    resized = resize_table(table, (1, 2, 2), (2, 3, 3)).view(3, 25, 2)
    assert torch.equal(resized[0], resized[1]) and torch.equal(resized[1], resized[2])
    assert torch.equal(resize_table(table, (1, 2, 2), (3, 2, 2)), table.repeat(5, 1))
    wanted = torch.nn.functional.interpolate(table.T.reshape(1, 2, 3, 3), size=(5, 5), mode="bicubic")
    torch.testing.assert_close(resized[0], wanted.flatten(2)[0].T)  # as published


def test_rows_by_distance():
    assert resize_rows(torch.tensor([[-2.0], [-1], [0], [1], [2]]), 3)[1].item() == 0


# ------------------------------------------------------------------------------------------------------ whole networks
def test_filters_of_another_length_are_resampled_and_named():
    source, model = (
        vit(4, 32),
        VisionTransformer(num_classes=3, patch_size=(4, 8, 8), embed_dim=24, depth=2, num_heads=2),
    )
    state = {name: value for name, value in source.state_dict().items() if name != "pos_embed"}
    for inflation in ("repeat", "center", None):
        report = load_weights(model, state, inflation=inflation)
        assert list(report.resized) == ["patch_embed.proj.weight"] and not report.inflated and not report.missing
        torch.testing.assert_close(model.patch_embed.proj.weight.sum(2), source.patch_embed.proj.weight.sum(2))


def test_the_gate_of_dgam_takes_clips_of_another_length():
    def dgam(frames: int) -> DGAM:
        torch.manual_seed(0)
        return DGAM(UniFormer(**{**TINY, "num_classes": 0}), num_classes=3, num_frames=frames)

    source, model = dgam(8).eval(), dgam(4).eval()
    report = load_weights(model, source.state_dict())
    assert list(report.resized) == ["experts.gating.linear1.weight"] and not report.warning()
    still = torch.rand(2, 3, 1, 32, 32)  # the same statistics in every frame: the same choice
    with torch.no_grad():
        ours, theirs = (m.experts.choose(still.expand(-1, -1, n, -1, -1)).probs for m, n in ((model, 4), (source, 8)))
    torch.testing.assert_close(ours, theirs)


def test_dgam_hands_it_on_to_the_network_behind_the_gate():
    def dgam(window) -> DGAM:
        from fragrant.models.video_swin import Size, VideoSwin

        size = Size(8, (1, 2, 1, 1), (1, 2, 2, 4))
        return DGAM(VideoSwin(num_classes=0, size=size, window_size=window), num_classes=3, num_frames=4)

    report = load_weights(dgam((2, 3, 3)), dgam((4, 3, 3)).state_dict())
    assert len(report.resized) == 10 and not report.warning()


def odd_shapes(shape) -> list[torch.Tensor]:
    """What no file of these networks has."""
    more = [
        torch.zeros(0, *shape[1:]),
        torch.zeros(*shape, 1),
        torch.zeros(3),
        torch.zeros(()),
        torch.zeros(7, *shape[1:]),
    ]
    return [*more, torch.zeros(*shape[:-1], 5), torch.zeros(3, *shape[1:], dtype=torch.complex64)]


@pytest.mark.parametrize("row", ["VideoSwin", "VisionTransformer:learned", "DGAM"])
def test_odd_shapes_are_left_out(row):
    model = MODELS_BY_ROW[row]()
    state = model.state_dict()
    names = [
        name for name in state if name.endswith(("_bias_table", "pos_embed", "linear1.weight", "_index", "proj.weight"))
    ]
    for name in names[:6]:
        for value in odd_shapes(state[name].shape):
            report = load_weights(model, {**state, name: value, "patch_embed.x": 3})
            assert name in report.dropped or name in report.resized, (name, tuple(value.shape))


@pytest.mark.slow
def test_tables_of_mvit_are_resized():
    model = MODELS_BY_ROW["MViTv2"]()
    name = "net.blocks.0.attn.rel_pos_t"
    table = model.state_dict()[name]
    report = load_weights(model, model.state_dict() | {name: torch.cat([table, table])})
    assert list(report.resized) == [name] and not report.warning()


def test_a_head_of_other_classes_is_no_warning_and_neither_is_a_counter():
    state = UniFormer(**{**TINY, "num_classes": 9}).state_dict()
    state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    report = load_weights(UniFormer(**TINY), state)
    assert report.dropped == ["head.weight", "head.bias"] and report.warning() == ""
    assert "2: head.weight, head.bias" in report.warning(trains=False)  # a test with it would be one of chance
    assert load_weights(UniFormer(**TINY), state | {"more.weight": torch.zeros(1), "epoch": 3}).warning() == (
        "not used of the file: 1: more.weight"
    )
