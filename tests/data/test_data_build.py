"""From the config to the loaders of a run."""

import random

import numpy as np
import pytest
import torch
from make_video import decode_all, encode, stamped

from fragrant.config import load_cfg
from fragrant.data import build_loader, build_records, build_source
from fragrant.data.lists.records import ListError
from fragrant.data.transforms import view_transforms
from fragrant.data.transforms.crop_roundings import CROP_ROUNDINGS
from fragrant.data.transforms.darken import Darken
from fragrant.data.transforms.enhance import clahe, equalize
from fragrant.data.transforms.gamma import brighten
from fragrant.data.video.frames import VideoFile
from fragrant.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    rows = []
    for number in range(5):
        encode(folder / f"{number}.mp4", 30, seed=number)
        rows.append(f"{number}.mp4 {number % 2}\n")
    for split in ("train", "val", "test"):
        (folder / f"{split}.csv").write_text("".join(rows))
    (folder / "classes.txt").write_text("sit\nstand\n")
    return folder


def cfg_of(folder, *pairs):
    base = {
        "DATA.PATH_TO_DATA_DIR": folder,
        "MODEL.NUM_CLASSES": 2,
        "DATA.NUM_FRAMES": 4,
        "DATA.SAMPLING_RATE": 4,
        "DATA.TRAIN_CROP_SIZE": 32,
        "DATA.TEST_CROP_SIZE": 40,
        "DATA.TRAIN_JITTER_SCALES": "[36,48]",
        "TRAIN.BATCH_SIZE": 2,
        "TEST.BATCH_SIZE": 12,
        "TEST.NUM_ENSEMBLE_VIEWS": 2,
        "TEST.NUM_SPATIAL_CROPS": 3,
        "DATA_LOADER.NUM_WORKERS": 0,
        "NUM_GPUS": 0,
    }
    return load_cfg(None, [str(text) for pair in base.items() for text in pair] + list(pairs))


def test_clips_of_a_variable_rate_last_as_long_as_others(tmp_path):
    """FPS_CONVERT: every clip spans 8 frames x rate 1 at 10 per second, 0.8 s, wherever the video slows down."""
    stamps = np.array([*range(0, 2000, 40), *range(2000, 6000, 200)])  # ms
    path = stamped(tmp_path / "a.mp4", stamps)
    pairs = ["DATA.FPS_CONVERT", "True", "DATA.TARGET_FPS", "10", "DATA.NUM_FRAMES", "8", "DATA.SAMPLING_RATE", "1"]
    source = build_source(cfg_of(tmp_path, *pairs, "TEST.NUM_ENSEMBLE_VIEWS", "3", "DATA.USE_OFFSET_SAMPLING", "True"))
    with source.open_frames(str(path)) as frames:
        views = source.whole(len(frames), random.Random(0), fps=frames.fps)
        clips = [stamps[frames._shown[list(view.frames)]] for view in views[::3]]
    assert [clip[0] for clip in clips] == pytest.approx([0, 2600, 5200], abs=201)
    for clip, pause in zip(clips, [40, 200, 200], strict=True):
        assert clip[-1] - clip[0] == pytest.approx(800, abs=100 + pause)
    whole = build_source(cfg_of(tmp_path))  # without it frames are counted, as published
    assert type(whole.open_frames(str(path))) is VideoFile


@pytest.mark.parametrize(
    "split, num_views, sizes, side", [("train", 1, [2, 2], 32), ("val", 1, [2, 2, 1], 40), ("test", 6, [2, 2, 1], 40)]
)
def test_splits(folder, split, num_views, sizes, side):
    loader = build_loader(cfg_of(folder), split)
    batches = list(loader)
    assert loader.num_views == num_views
    assert loader.class_names == ["sit", "stand"]
    assert len(loader) == len(batches)
    assert len(loader.dataset.records) == 5
    assert [tuple(batch.clips.shape) for batch in batches] == [(size, num_views, 3, 4, side, side) for size in sizes]


def test_shots_are_of_the_training_list_alone(folder):
    few = build_records(cfg_of(folder, "DATA.SHOTS", "1", "RNG_SEED", "3"), "train").records
    assert few.labels.tolist() == [0, 1] and few.source.endswith("train.csv")
    assert len(build_records(cfg_of(folder, "DATA.SHOTS", "1"), "test").records) == 5
    held = cfg_of(folder, "DATA.SHOTS", "1", "DATA.HOLD_OUT", "0.5")
    train, val = (build_records(held, split).records for split in ("train", "val"))
    assert len(train) == 2 and len(val) >= 2 and not {r.path for r in train} & {r.path for r in val}
    with pytest.raises(ListError, match="DATA.SHOTS 3 of .*: 3 shots, but class 1 has 2 training videos"):
        build_records(cfg_of(folder, "DATA.SHOTS", "3"), "train")


def test_lists_with_labels_and_with_probabilities_train_together(folder):
    (folder / "soft.csv").write_text(f"path,p0,p1\n{folder}/0.mp4,0.75,0.25\n{folder}/1.mp4,0.5,0.5\n")
    loader = build_loader(cfg_of(folder, "DATA.EXTRA_TRAIN_LIST", str(folder / "soft.csv")), "train")
    assert len(loader.dataset) == 7 and loader.dataset.records.soft == [5, 6]
    rows = {id_: row.tolist() for batch in loader for id_, row in zip(batch.ids.tolist(), batch.labels, strict=True)}
    wanted = [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [0.75, 0.25], [0.5, 0.5]]
    assert len(rows) == 6 and all(rows[at] == wanted[at] for at in rows)  # the last batch of one is left out
    with pytest.raises(ListError, match="soft3.csv:2: 3 probabilities; allowed: one for each of the 2 classes"):
        (folder / "soft3.csv").write_text("path,p0,p1,p2\n0.mp4,0.5,0.5,0\n")
        build_loader(cfg_of(folder, "DATA.EXTRA_TRAIN_LIST", str(folder / "soft3.csv")), "train")
    held = cfg_of(folder, "DATA.TRAIN_LIST", "soft.csv", "DATA.FOLDS", "2")
    assert build_loader(held, "val").dataset.records.labels.tolist() == [0]  # the likeliest class


def test_validation_is_a_test_with_one_view(folder):
    pairs = ["TEST.NUM_ENSEMBLE_VIEWS", "1", "TEST.NUM_SPATIAL_CROPS", "1", "TEST.BATCH_SIZE", "2"]
    val, test = (list(build_loader(cfg_of(folder, *pairs), split)) for split in ("val", "test"))
    assert all(torch.equal(a.clips, b.clips) for a, b in zip(val, test, strict=True))


def test_the_order_follows_the_epoch(folder):
    loader = build_loader(cfg_of(folder), "train")
    orders = []
    for epoch in (0, 1, 0):
        loader.set_epoch(epoch)
        orders.append([batch.ids.tolist() for batch in loader])
    assert orders[0] == orders[2] != orders[1]


def first_clip(folder, split, *pairs):
    return next(iter(build_loader(cfg_of(folder, *pairs), split))).clips[0, 0].permute(1, 2, 3, 0)  # (T, H, W, C)


@pytest.mark.parametrize(
    "pairs, numbers",
    [
        ([], [0, 5, 10, 15]),
        (["DATA.USE_OFFSET_SAMPLING", "True"], [7, 12, 17, 22]),
        (["DATA.FPS_CONVERT", "True", "DATA.TARGET_FPS", "60"], [0, 2, 4, 7]),
        (["DATA.SAMPLING", "mmaction"], [7, 11, 15, 19]),
        (["DATA.SAMPLING", "mmaction", "DATA.SAMPLING_RATE", "9"], [0, 9, 18, 27]),
        (["DATA.SAMPLING", "mmaction", "DATA.SAMPLING_RATE", "12"], [0, 12, 24, 6]),
        (["DATA.SAMPLING", "sparse"], [3, 10, 17, 25]),
        (["DATA.SAMPLING", "segment"], [3, 11, 18, 26]),
        (["DATA.SAMPLING", "segment", "DATA.SEGMENT_LENGTH", "2"], [7, 8, 21, 22]),
        (["DATA.SAMPLING", "uniform"], [3, 8, 16, 28]),
    ],
)
def test_sampling_keys(folder, pairs, numbers):
    clip = first_clip(folder, "val", "DATA.TEST_CROP_SIZE", "48", *pairs)
    frames = torch.from_numpy(decode_all(folder / "0.mp4"))
    assert torch.equal(clip, frames[numbers, :, 8:56])


@pytest.mark.parametrize(
    "pairs, frames",
    [
        (["DATA.SAMPLING", "dense"], 16),
        (["DATA.FPS_CONVERT", "True", "DATA.TARGET_FPS", "15"], 54),
        (["DATA.SAMPLING", "mmaction"], 16),
        (["DATA.SAMPLING", "sparse"], 200),
    ],
)
def test_a_window_of_a_long_video_is_what_a_clip_covers(folder, pairs, frames):
    assert build_source(cfg_of(folder, *pairs)).window_frames(50.0) == frames


def test_short_side_of_a_test(folder):
    frames = torch.from_numpy(decode_all(folder / "0.mp4"))[[0, 5, 10, 15]]
    clip = first_clip(folder, "val", "TEST.SHORT_SIDE", "44")
    assert torch.equal(clip, view_transforms.resize(frames, 44, 58)[:, 2:42, 9:49])


# Of frames of 48 x 64: side, rounding, (top, left) of a test's three crops and of a validation's one.
ROUNDED = [
    (37, "up", [(6, 0), (6, 14), (6, 27)], (6, 14)),
    (37, "mmaction", [(5, 0), (5, 13), (5, 26)], (5, 13)),
    (38, "tsn", [(4, 0), (4, 12), (4, 24)], (5, 13)),
    (39, "tsn", [(4, 0), (4, 12), (4, 24)], (4, 12)),  # 4.5 and 12.5: to the even number
]


@pytest.mark.parametrize("side, rounding, three, one", ROUNDED)
def test_crop_rounding(folder, side, rounding, three, one):
    pairs = ["DATA.TEST_CROP_SIZE", str(side), "TEST.SHORT_SIDE", "48", "DATA.CROP_ROUNDING", rounding]
    frame = torch.from_numpy(decode_all(folder / "0.mp4"))[0]
    crops = next(iter(build_loader(cfg_of(folder, *pairs), "test"))).clips[0, :3, :, 0].permute(0, 2, 3, 1)
    for crop, (top, left) in zip([*crops, first_clip(folder, "val", *pairs)[0]], [*three, one], strict=True):
        assert torch.equal(crop, frame[top : top + side, left : left + side]), (top, left)


def test_a_test_with_one_crop_is_centred_like_a_validation(folder):
    pairs = ["DATA.TEST_CROP_SIZE", "38", "TEST.SHORT_SIDE", "48", "DATA.CROP_ROUNDING", "tsn"]
    one = ["TEST.NUM_SPATIAL_CROPS", "1"]
    assert torch.equal(first_clip(folder, "val", *pairs), first_clip(folder, "test", *pairs, *one))


def test_transform_keys(folder, monkeypatch):
    seen = {}
    monkeypatch.setattr("fragrant.data.build.TrainTransform", lambda **given: seen.update(given))
    pairs = ["DATA.TRAIN_JITTER_SCALES_RELATIVE", "[0.08,1.0]", "DATA.TRAIN_JITTER_ASPECT_RELATIVE", "[0.75,1.3333]"]
    pairs += ["DATA.CLIP_DTYPE", "float32", "DATA.RANDOM_FLIP", "False", "DATA.INV_UNIFORM_SAMPLE", "True"]
    pairs += ["DATA.TRAIN_SHORT_SIDE", "40", "DATA.CROP_ROUNDING", "mmaction"]
    pairs += ["DATA.DARKEN", "[0.005,0.1]", "DATA.DARKEN_SHARE", "0.5", "DATA.DARKEN_NOISE", "[]"]
    pairs += ["DATA.DARKEN_COLOR", "0.2", "DATA.DARKEN_BLOCKING", "[0,4]"]
    build_loader(cfg_of(folder, *pairs), "train")
    assert seen == {
        "crop_size": 32,
        "jitter_scales": (36, 48),
        "inverse_scales": True,
        "areas": (0.08, 1.0),
        "moving": False,
        "aspects": (0.75, 1.3333),
        "scales": (),
        "flip": False,
        "darken": Darken((0.005, 0.1), share=0.5, shot=(0.0, 0.0), color=0.2, blocking=(0.0, 4.0)),
        "short_side": 40,
        "rounding": CROP_ROUNDINGS.get("mmaction"),
        "enhance": None,
        "gamma": (1.0, 1.0),
        "augment": [],
        "augment_first": False,
        "dtype": torch.float32,
    }


def test_darkened_validation_clips(folder):
    lit, dark = first_clip(folder, "val"), ["DATA.DARKEN", "[0.01,0.01]"]
    assert torch.equal(first_clip(folder, "val", *dark), lit)
    assert torch.equal(first_clip(folder, "test", *dark, "DATA.DARKEN_VAL", "True"), first_clip(folder, "test"))
    darkened = first_clip(folder, "val", *dark, "DATA.DARKEN_VAL", "True")
    assert darkened.float().mean() < 0.2 * lit.float().mean()
    assert torch.equal(first_clip(folder, "val", *dark, "DATA.DARKEN_VAL", "True"), darkened)  # the same every time


GAMMAS = [
    ("[]", "both", (1, 1)),
    ("[3]", "both", (3, 3)),
    ("[1,5]", "both", (5, 3)),
    ("[2]", "train", (2, 1)),
    ("[2]", "test", (1, 2)),
]


@pytest.mark.parametrize("values, where, gammas", GAMMAS)
def test_gamma(folder, monkeypatch, values, where, gammas):
    """The gamma of a training clip (of a range its end here) and of a test clip (the middle)."""
    monkeypatch.setattr("random.Random.uniform", lambda rng, low, high: high)
    pairs = ["DATA.GAMMA", values, "DATA.GAMMA_IN", where, "DATA.TRAIN_CROP_SIZE", "48", "DATA.TEST_CROP_SIZE", "48"]
    pairs += ["DATA.TRAIN_JITTER_SCALES", "[48,48]", "DATA.RANDOM_FLIP", "False"]
    for split, gamma in zip(("train", "val"), gammas, strict=True):
        clip, plain = (first_clip(folder, split, *given) for given in (pairs, pairs[4:]))
        assert torch.equal(clip, brighten(plain, gamma)) and torch.equal(clip, plain) == (gamma == 1)


def test_enhancement(folder):
    pairs = [
        "DATA.TRAIN_CROP_SIZE",
        "48",
        "DATA.TEST_CROP_SIZE",
        "48",
        "DATA.TRAIN_JITTER_SCALES",
        "[48,48]",
        "DATA.RANDOM_FLIP",
        "False",
    ]
    for name, enhance in (("equalize", equalize), ("clahe", clahe)):
        given = [*pairs, "DATA.SAMPLING", "sparse", "DATA.ENHANCE", name, "DATA.GAMMA", "[2]"]
        frames = torch.from_numpy(decode_all(folder / "0.mp4"))[[3, 10, 17, 25]]
        assert torch.equal(first_clip(folder, "val", *given), brighten(enhance(frames), 2)[:, :, 8:56])
        assert not torch.equal(
            first_clip(folder, "train", *given), first_clip(folder, "train", *pairs, "DATA.SAMPLING", "sparse")
        )


def test_multi_scale_crop(folder):
    pairs = ["DATA.TRAIN_MULTI_SCALE", "[1,0.875,0.75,0.66]", "DATA.TRAIN_CROP_SIZE", "24"]
    clips = next(iter(build_loader(cfg_of(folder, *pairs, "AUG.NUM_SAMPLE", "4"), "train"))).clips
    assert clips.shape == (2, 4, 3, 4, 24, 24) and not torch.equal(clips[0, 0], clips[0, 1])


def test_augmentation_keys(folder, monkeypatch):
    seen = {}
    monkeypatch.setattr("fragrant.data.build.TrainTransform", lambda **given: seen.update(given))
    pairs = (
        "AUG.ENABLE True AUG.ORDER published AUG.AA_TYPE rand-m7-n4 AUG.INTERPOLATION random AUG.BRI_CON_SAT "
        "[0.4,0.3,0.2] AUG.HUE 0.1"
    )
    build_loader(cfg_of(folder, *pairs.split()), "train")
    jitter, augment = seen["augment"]
    assert [change[2] for change in jitter.changes] == [0.4, 0.3, 0.2, 0.1]
    assert (augment.magnitude, augment.num_ops, augment.interpolations) == (7, 4, ("bilinear", "bicubic"))
    assert seen["augment_first"]
    build_loader(cfg_of(folder, "AUG.ENABLE", "True", "AUG.AA_TYPE", ""), "train")
    assert seen["augment"] == [] and not seen["augment_first"]


def test_a_wrong_randaugment_is_named_before_anything_is_read(folder):
    with pytest.raises(UserError, match="AUG.AA_TYPE 'augmix' is no RandAugment"):
        build_loader(cfg_of(folder, "AUG.ENABLE", "True", "AUG.AA_TYPE", "augmix"), "train")


AUGMENTED = """AUG.ENABLE True AUG.NUM_SAMPLE 2 AUG.AA_TYPE rand-m9-n4-mstd0.5-inc1 AUG.BRI_CON_SAT [0.4,0.4,0.4] DATA.GAMMA [1,3]
    DATA.ENHANCE equalize DATA.SAMPLING segment""".split()


@pytest.mark.parametrize("order", ["crop_first", "published"])
def test_augmentation_is_the_same_with_any_number_of_workers(folder, order):
    def two_epochs(num_workers):
        loader = build_loader(
            cfg_of(folder, *AUGMENTED, "AUG.ORDER", order, "DATA_LOADER.NUM_WORKERS", str(num_workers)), "train"
        )
        batches = []
        for epoch in (0, 1):
            loader.set_epoch(epoch)
            batches += list(loader)
        return batches

    expected = two_epochs(0)
    assert len(expected) == 4 and expected[0].clips.shape == (2, 2, 3, 4, 32, 32)
    for num_workers in (1, 4):
        for batch, other in zip(expected, two_epochs(num_workers), strict=True):
            assert torch.equal(batch.clips, other.clips) and torch.equal(batch.ids, other.ids)
            assert other.clips.flatten(0, 1).is_contiguous(memory_format=torch.channels_last_3d)


def test_validation_and_test_are_not_augmented(folder):
    for split in ("val", "test"):
        plain, augmented = (
            first_clip(folder, split, *pairs) for pairs in ([], ["AUG.ENABLE", "True", "AUG.NUM_SAMPLE", "2"])
        )
        assert torch.equal(plain, augmented)


def test_repeated_augmentation(folder):
    loader = build_loader(cfg_of(folder, "AUG.NUM_SAMPLE", "3"), "train")
    clips = next(iter(loader)).clips
    assert loader.num_views == 3 and clips.shape == (2, 3, 3, 4, 32, 32)
    assert not torch.equal(clips[0, 0], clips[0, 1])
    assert next(iter(build_loader(cfg_of(folder, "AUG.NUM_SAMPLE", "3"), "val"))).clips.shape[1] == 1


def test_pixels_may_be_float(folder):
    clip = first_clip(folder, "train", "DATA.CLIP_DTYPE", "float32")
    assert clip.dtype == torch.float32 and (clip != clip.round()).any()


def test_batches_of_one_process_of_several(folder, monkeypatch):
    monkeypatch.setattr("fragrant.data.build.world_size", lambda: 2)
    monkeypatch.setattr("fragrant.data.build.rank", lambda: 1)
    assert [batch.ids.tolist() for batch in build_loader(cfg_of(folder), "test")] == [[2], [3], [4]]
    train = build_loader(cfg_of(folder), "train")
    assert [len(batch.ids) for batch in train] == [1, 1]


@pytest.mark.parametrize("name", ["Kinetics", "VIDEO_LIST"])
def test_capital_letters_of_a_set_do_not_matter(folder, name):
    assert len(build_loader(cfg_of(folder, "TEST.DATASET", name), "test").dataset) == 5


@pytest.mark.parametrize(
    "pairs, error, message",
    [
        (["TEST.DATASET", "kinetic"], UserError, "did you mean 'kinetics'"),
        (["DATA.TEST_LIST", "gone.csv"], ListError, "no test list .*gone.csv'; it follows from DATA.PATH_TO_DATA_DIR"),
        (
            ["DATA.LIST_FORMAT", "path,label"],
            ListError,
            "test.csv:1: too few columns, the form of this list is 'path,label'; 'path ",
        ),
        (["MODEL.NUM_CLASSES", "1"], ListError, r"test.csv:2: label 1 is not in 0..0 \(MODEL.NUM_CLASSES 1\)"),
        (["MODEL.NUM_CLASSES", "3"], ListError, "classes.txt' names 2 classes, MODEL.NUM_CLASSES is 3"),
    ],
)
def test_wrong_lists(folder, pairs, error, message):
    with pytest.raises(error, match=message):
        build_loader(cfg_of(folder, *pairs), "test")


def test_missing_video(folder):
    (folder / "gone.csv").write_text("0.mp4 0\nnowhere.mp4 1\n")
    loader = build_loader(cfg_of(folder, "DATA.TEST_LIST", "gone.csv", "DATA.PATH_PREFIX", str(folder)), "test")
    assert torch.cat([batch.ids for batch in loader]).tolist() == [0]
    assert loader.skipped == {1: f"video '{folder}/nowhere.mp4' cannot be read: no such file ({folder}/gone.csv:2)"}


def test_real_clips(shared_clips):
    pairs = ["DATA.TEST_LIST", "arid6_test.txt", "DATA.CLASSES_FILE", "arid6_classes.txt", "MODEL.NUM_CLASSES", "6"]
    loader = build_loader(cfg_of(shared_clips, *pairs, "DATA.NUM_FRAMES", "8", "DATA.SAMPLING_RATE", "8"), "test")
    ids, dark = [], []
    for batch in loader:
        ids += batch.ids.tolist()
        dark.append(batch.clips.float().mean() / 255)
    assert ids == list(range(12))
    assert loader.class_names[0] == "Jump"
    assert 0.02 < torch.stack(dark).mean() < 0.15
