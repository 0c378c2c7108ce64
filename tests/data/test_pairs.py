"""Pairs of videos: rows that belong together, and the same frames, crop, flip and colours for both."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from make_video import encode, pictures

from fragrant.config import load_cfg
from fragrant.data import build_loader, build_records
from fragrant.data.clips import Unreadable, make_batch
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.pairs import aligned, paired
from fragrant.data.lists.records import RecordList, VideoRecord
from fragrant.data.prepare.build import Listed, check_lists
from fragrant.data.prepare.build import listed as listed_of
from fragrant.data.transforms.build import prepared_streams
from fragrant.data.video.frames import VideoError, open_frames
from fragrant.data.video.pairs import PairedFrames, open_pair
from fragrant.data.video.row_of_frames import Frames
from fragrant.report.browse.build import draw

RUN = """MODEL.MODEL_NAME DualStream MODEL.NUM_CLASSES 2 TRAIN.BATCH_SIZE 2 TEST.BATCH_SIZE 12 DATA_LOADER.NUM_WORKERS 0
    NUM_GPUS 0 DATA.NUM_FRAMES 4 DATA.SAMPLING_RATE 3 DATA.TRAIN_CROP_SIZE 32 DATA.TEST_CROP_SIZE 32
    DATA.TRAIN_JITTER_SCALES [36,60] DATA.INPUT_CHANNEL_NUM [3] TEST.NUM_ENSEMBLE_VIEWS 2""".split()
AUGMENTED = "AUG.ENABLE True AUG.AA_TYPE rand-m7-n4-mstd0.5-inc1 AUG.BRI_CON_SAT [0.4,0.4,0.4] AUG.NUM_SAMPLE 2".split()


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    """color: four videos; thermal: others, of other size; short: one of them lacks a frame."""
    folder = tmp_path_factory.mktemp("pairs")
    for name, side, counts in (
        ("color", 48, (24, 30, 20, 22)),
        ("thermal", 36, (24, 30, 20, 22)),
        ("short", 36, (24, 29, 20, 22)),
    ):
        (folder / name).mkdir()
        for at, count in enumerate(counts):
            encode(folder / name / f"{at}.mp4", count, height=side, width=side * 4 // 3, seed=side + at)
        for split in ("train", "val", "test"):
            (folder / name / f"{split}.csv").write_text("0.mp4 0\n1.mp4 1\n2.mp4 1\n3.mp4 0\n")
    return folder


def config(sets: Path, *words: str, color: str = "color", thermal: str = "thermal"):
    lists = ["DATA.COLOR_PATH_TO_DATA_DIR", sets / color, "DATA.THERMAL_PATH_TO_DATA_DIR", sets / thermal]
    return load_cfg(None, [*RUN, *map(str, lists), *words])


def clips(cfg, split: str, video: int = 1) -> torch.Tensor:
    """(V, C, T, S, S) of one video"""
    item = build_loader(cfg, split).dataset[(3, video)]
    assert not isinstance(item, Unreadable), item.message
    return make_batch([item]).clips[0]


# ---------------------------------------------------------------------------------------------------------------- lists
def listed(name: str, *labels) -> RecordList:
    return RecordList([VideoRecord(f"{name}/{at}.mp4", label) for at, label in enumerate(labels)], source=f"{name}.csv")


def test_rows_are_pairs_in_their_order_and_stay_so():
    pairs = paired(listed("a", 0, 1, (1, 2)), listed("b", 0, 1, (1, 2)))
    assert pairs.paired and list(pairs) == list(listed("a", 0, 1, (1, 2)))
    assert [pairs.partner(at) for at in range(3)] == ["b/0.mp4", "b/1.mp4", "b/2.mp4"]
    some = pairs.pick([2, 0])
    assert [some.partner(0), some.partner(1)] == ["b/2.mp4", "b/0.mp4"] and some.where(0) == "a.csv:3"
    assert [record.path for record in some.of_partners()] == ["b/2.mp4", "b/0.mp4"]
    assert some.of_partners()[0].label == (1, 2)
    assert some.paths() == ["a/2.mp4", "a/0.mp4", "b/2.mp4", "b/0.mp4"]
    alone = listed("a", 0)
    assert not alone.paired and alone.partner(0) is None and alone.paths() == ["a/0.mp4"]


def test_pairs_are_followed_by_pairs():
    first, second = paired(listed("a", 0, 1), listed("b", 0, 1)), paired(listed("c", 2), listed("d", 2))
    both = first.pick([1, 0]).followed_by(second)
    assert both.paths() == ["a/1.mp4", "a/0.mp4", "c/0.mp4", "b/1.mp4", "b/0.mp4", "d/0.mp4"]
    assert both.where(2) == "c.csv:1" and both.partner(2) == "d/0.mp4"


def test_further_pairs_join_the_training(sets, tmp_path):
    for name, rows in (("color", "{}/3.mp4,0.25,0.75"), ("thermal", "{}/3.mp4,0.25,0.75")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "more.csv").write_text(rows.format(sets / name) + "\n")
    cfg = config(sets, "DATA.EXTRA_TRAIN_LIST", str(tmp_path / "more.csv"), "DATA.TRAIN_REPEAT", "2")
    records = build_loader(cfg, "train").dataset.records
    assert len(records) == 9 and records.target(8) == (0.25, 0.75) and records.partner(8) == f"{sets}/thermal/3.mp4"
    assert [records.partner(at) for at in (0, 4)] == [f"{sets}/thermal/0.mp4"] * 2
    assert len(build_loader(cfg, "val").dataset.records) == 4
    with open(tmp_path / "thermal" / "more.csv", "a") as file:
        file.write(f"{sets}/thermal/2.mp4,0.5,0.5\n")
    with pytest.raises(
        ListError, match="more.csv' are lists of pairs, row by row: the first has 1 videos, the second 2"
    ):
        build_loader(cfg, "train")
    (tmp_path / "thermal" / "more.csv").unlink()
    with pytest.raises(ListError, match=f"DATA.EXTRA_TRAIN_LIST: no list file '{tmp_path}/thermal/more.csv'"):
        build_loader(cfg, "train")


def test_lists_that_are_no_pairs_are_refused():
    with pytest.raises(
        ListError, match=r"'a.csv' and 'b.csv' are lists of pairs, .* the first has 2 videos, the second 1"
    ):
        paired(listed("a", 0, 1), listed("b", 0))
    with pytest.raises(ListError, match=r"a.csv:2: its pair is b.csv:2, but 'a/1.mp4' has label 1 and 'b/1.mp4' 0"):
        paired(listed("a", 0, 1), listed("b", 0, 0))
    assert paired(listed("a", 0), listed("b", 1), labelled=False).paired


def test_rows_behind_one_that_cannot_be_used_stay_pairs():
    def rows(name: str, *labels) -> tuple[RecordList, dict[int, str]]:
        """Lines from 2 on; None: a line that gives no record."""
        good = [(line, label) for line, label in enumerate(labels, start=2) if label is not None]
        records = [VideoRecord(f"{name}/{line}.mp4", label) for line, label in good]
        faults = {line: "torn" for line, label in enumerate(labels, start=2) if label is None}
        return RecordList(records, source=f"{name}.csv", lines=[line for line, _ in good]), faults

    found = aligned(rows("a", None, 1, 2, 3, None), rows("b", 0, None, 2, 0, None))
    assert found.pairs.paths() == ["a/4.mp4", "b/4.mp4"]
    (first, faults), (second, others) = found.lists
    assert first.where(0) == "a.csv:4" and second.where(0) == "b.csv:4"
    assert faults == {
        2: "torn",
        5: "its pair is b.csv:5, but 'a/5.mp4' has label 3 and 'b/5.mp4' 0; allowed: the same rows in the same order",
        6: "torn",
    }
    assert others == {3: "torn", 6: "torn"} and found.lost == {3: "its pair b.csv:3 cannot be used: torn"}
    assert aligned(rows("a", 1, None), rows("b", 0, 1), labelled=False).pairs.partner(0) == "b/2.mp4"
    told = "the first has 3 videos, the second 2; allowed: as many; 1 of the rows cannot be used, as a.csv:4: torn"
    with pytest.raises(ListError, match=told):
        aligned(rows("a", 0, 1, None), rows("b", 0, 1))


def test_every_split_has_pairs_and_a_test_of_one_stream_that_alone(sets):
    for split in ("train", "val", "test"):
        records = build_records(config(sets), split).records
        assert records.partner(2) == str(sets / "thermal" / "2.mp4") and records[2].path == str(
            sets / "color" / "2.mp4"
        )
    for name in ("color", "thermal"):  # the other folder is not there
        other = {"color": "thermal", "thermal": "color"}[name]
        cfg = config(sets, "TEST.MODALITY", name, **{other: "nowhere"})
        records = build_records(cfg, "test").records
        assert not records.paired and records[0].path == str(sets / name / "0.mp4")
        with pytest.raises(ListError, match="nowhere"):
            build_records(cfg, "train")


def test_one_list_for_both_folders_is_refused(sets):
    cfg = config(sets, "DATA.TRAIN_LIST", str(sets / "color" / "train.csv"))
    with pytest.raises(ListError, match=r"name the same videos, each would be its own pair; .* DATA.TRAIN_LIST"):
        build_records(cfg, "train")


def test_no_rows_of_pairs_are_pairs():
    assert paired(listed("a", 0), listed("b", 0)).pick([]).paired


def test_clean_lists_of_pairs_have_a_folder_each_and_are_pairs(sets, tmp_path, capsys):
    assert check_lists(config(sets), [("train", "train", "")], str(tmp_path), min_frames=22, workers=1, clean=True) == 2
    told = capsys.readouterr().out
    assert f"{tmp_path / 'color' / 'train.csv'}, 3 of 4 videos; use it: DATA.COLOR_PATH_TO_DATA_DIR" in told
    records = build_records(config(tmp_path), "train").records
    assert records.paths() == [str(sets / name / f"{at}.mp4") for name in ("color", "thermal") for at in (0, 1, 3)]


def test_every_wrong_row_of_pairs_is_told_at_its_place(sets, tmp_path, capsys):
    """Rows 2 to 8 have one fault each, of one list or of both; the first and the last are what is left."""
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    rows = {
        "color": ["0.mp4 0", "1.mp4", "2.mp4 x", "3.mp4 7", "1.mp4 1", "gone.mp4 0", "2.mp4 1", "2.mp4", "3.mp4 0"],
        "thermal": [
            "0.mp4 0",
            "1.mp4 1",
            "2.mp4 1",
            "1.mp4 1",
            "2.mp4 0",
            "2.mp4 0",
            f"{bad} 1",
            "2.mp4 -7",
            "3.mp4 0",
        ],
    }
    for name, lines in rows.items():
        (tmp_path / name).mkdir()
        whole = [line if line.startswith("/") else f"{sets / name}/{line}" for line in lines]
        (tmp_path / name / "train.csv").write_text("".join(f"{line}\n" for line in whole))
    lists = [("train", "train", "")]
    out = tmp_path / "out"
    assert check_lists(config(tmp_path), lists, str(out), min_frames=1, workers=1, clean=True) == 8
    told = capsys.readouterr().out
    color, thermal = (f"{tmp_path / name / 'train.csv'}:" for name in rows)
    for line, text in (
        (2, "row: too few columns, the form of this list is 'path label'; the line is "),
        (3, "row: no path and whole-number label where they should be"),
        (4, "row: label 7 is not in 0..1 (MODEL.NUM_CLASSES 2); the line is "),
        (5, f"row: its pair is {thermal}5, but '{sets}/color/1.mp4' has label 1 and '{sets}/thermal/2.mp4' 0; allowed"),
        (6, f"unreadable: video '{sets}/color/gone.mp4'"),
        (8, "row: too few columns"),
    ):
        assert f"{color}{line}: {text}" in told, told
    assert f"{thermal}7: unreadable: video '{bad}'" in told and f"{thermal}8: row: label -7 is below 0" in told
    assert told.count(": row: ") == 6 and told.count(": unreadable: ") == 2
    assert f"{thermal}7," in (out / "train.thermal.table.csv").read_text()
    records = build_records(config(out), "train").records
    assert records.paths() == [str(sets / name / f"{at}.mp4") for name in rows for at in (0, 3)]


def test_browsing_counts_the_rows_of_both_lists(sets, tmp_path):
    (tmp_path / "train.csv").write_text(
        "".join(f"{sets}/thermal/{at}.mp4 {label}\n" for at, label in enumerate("0191"))
    )
    one = listed_of(config(sets, thermal=str(tmp_path)), "train", "train")
    assert [Path(path).stem for path in one.records.paths()] == ["0", "1", "0", "1"]
    assert sorted(one.faults) == [3, 4] and "its pair is" in one.faults[4]
    assert one.faults[3].startswith(f"its pair {tmp_path}/train.csv:3 cannot be used: label 9 is not in 0..1")


def test_browsing_shows_both_streams_of_a_draw(sets):
    cfg = config(sets)
    records = build_records(cfg, "train").records
    (one,) = draw(cfg, [Listed("train", "train", records, {}, None)], 1, {records[0].path})
    assert one.original is not None and one.original.width == 2 * 64
    assert len(one.draws[0].streams) == 2


def test_folds_and_shares_are_drawn_of_pairs(sets):
    cfg = config(sets, "DATA.FOLDS", "2", "TRAIN.DATASET", "kinetics", "TEST.MODALITY", "thermal")
    for split in ("train", "test"):
        records = build_records(cfg, split).records
        assert all(Path(records.partner(at)).name == Path(records[at].path).name for at in range(len(records)))
    assert Path(build_loader(cfg, "test").dataset.records[0].path).parent == sets / "thermal"


# ---------------------------------------------------------------------------------------------------------------- clips
@pytest.mark.parametrize("on", ["cpu", "device"])
@pytest.mark.parametrize("split, views", [("train", 2), ("val", 1), ("test", 6)])
def test_a_list_paired_with_itself_gives_the_same_clip_twice(sets, split, views, on):
    cfg = config(sets, *AUGMENTED, "DATA.TRANSFORM_ON", on, thermal="color")
    found = []
    for batch in build_loader(cfg, split):
        batch = batch.to(torch.device("cpu"))
        found.append(batch.clips)
        assert batch.clips.shape[1:] == (views, 6, 4, 32, 32)
    for each in found:
        first, second = each.split(3, 2)
        assert torch.equal(first, second) and first.float().std() > 5
    assert len(found) > 0


@pytest.mark.parametrize(
    "words", [(), ("DATA.TRAIN_JITTER_SCALES_RELATIVE", "[0.3,1]", "DATA.TRAIN_JITTER_ASPECT_RELATIVE", "[0.75,1.3]")]
)
def test_the_first_stream_is_that_of_the_list_alone(sets, words):
    """Training and test clips are those of a network of one stream, drawn alike."""
    alone = [*RUN, "MODEL.MODEL_NAME", "Uniformer", *AUGMENTED, *words, "DATA.PATH_TO_DATA_DIR", str(sets / "color")]
    for split in ("train", "val", "test"):
        assert torch.equal(clips(config(sets, *AUGMENTED, *words), split)[:, :3], clips(load_cfg(None, alone), split))


def test_one_stream_alone_in_a_test_is_that_half_of_both(sets):
    both = clips(config(sets, thermal="color"), "test")
    assert torch.equal(clips(config(sets, "TEST.MODALITY", "thermal", thermal="color"), "test"), both[:, 3:])
    assert torch.equal(clips(config(sets, "TEST.MODALITY", "color"), "test"), both[:, :3])


def test_brightness_is_of_the_visible_stream_alone(sets):
    """Whatever is drawn for it; place and time of the crop are shared."""
    plain = clips(config(sets, thermal="color"), "train")
    fixed = clips(config(sets, "DATA.GAMMA", "[3]", "DATA.ENHANCE", "clahe", thermal="color"), "train")
    assert torch.equal(fixed[:, 3:], plain[:, 3:]) and not torch.equal(fixed[:, :3], plain[:, :3])
    for words in (
        ("DATA.GAMMA", "[2,4]"),
        ("DATA.DARKEN", "[0.05,0.1]", "DATA.DARKEN_NOISE", "[]", "DATA.DARKEN_BLOCKING", "[0,0]"),
    ):
        words = (
            *words,
            "DATA.DARKEN_COLOR",
            "0",
            "DATA.TRAIN_JITTER_SCALES",
            "[48,48]",
        )  # no resize: a table of values
        first, second = clips(config(sets, *words, thermal="color"), "train").split(3, 1)
        table = torch.full((256,), -1)
        table[second.flatten().long()] = first.flatten().long()
        assert torch.equal(table[second.long()], first.long()) and not torch.equal(first, second)
    test = clips(config(sets, "DATA.GAMMA", "[3]", thermal="color"), "test")
    assert torch.equal(test[:, 3:], clips(config(sets, thermal="color"), "test")[:, 3:])


def test_another_size_is_brought_to_that_of_the_first(sets):
    with open_pair(
        str(sets / "color/0.mp4"), str(sets / "thermal/0.mp4"), open_first=open_frames, open_second=open_frames
    ) as frames:
        assert len(frames) == 24 and frames.fps == 30
        found = frames.read([3, 7])
    assert found.shape == (2, 48, 64, 6)
    with open_frames(str(sets / "color/0.mp4")) as frames:
        assert torch.equal(found[..., :3], frames.read([3, 7]))
    wanted = torch.from_numpy(pictures(8, height=36, width=48, seed=36)[[3, 7]])
    small = torch.nn.functional.interpolate(found[..., 3:].permute(0, 3, 1, 2).float(), size=(36, 48), mode="bilinear")
    assert (small.permute(0, 2, 3, 1) - wanted).abs().mean() < 25  # H.264 and two resizes, not another picture


def test_each_stream_has_its_own_statistics(sets):
    cfg = config(
        sets, *"DATA.MEAN [0.1,0.2,0.3] DATA.STD [0.5,0.5,0.5] DUAL.MEAN [0.6,0.6,0.6] DUAL.STD [0.2,0.2,0.2]".split()
    )
    pixels = clips(cfg, "train")
    prepare = prepared_streams(cfg, torch.device("cpu"))
    wanted = [
        (pixels[:, :3] / 255 - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1, 1)) / 0.5,
        (pixels[:, 3:] / 255 - 0.6) / 0.2,
    ]
    torch.testing.assert_close(prepare(pixels), torch.cat(wanted, 1))
    for at, name in enumerate(("color", "thermal")):
        alone = prepared_streams(
            config(
                sets,
                *"DATA.MEAN [0.1,0.2,0.3] DATA.STD [0.5,0.5,0.5]".split(),
                *"DUAL.MEAN [0.6,0.6,0.6] DUAL.STD [0.2,0.2,0.2]".split(),
                "TEST.MODALITY",
                name,
            ),
            torch.device("cpu"),
        )
        torch.testing.assert_close(alone(pixels[:, 3 * at : 3 * at + 3]), wanted[at])
        torch.testing.assert_close(alone(pixels), torch.cat(wanted, 1))  # training has both all the same


# ---------------------------------------------------------------------------------------------------------- what is wrong
def test_a_pair_of_different_length_cannot_be_read(sets):
    item = build_loader(config(sets, thermal="short"), "test").dataset[(0, 1)]
    assert isinstance(item, Unreadable)
    assert item.message == (
        f"video '{sets}/color/1.mp4' cannot be read: it has 30 frames, its pair '{sets}/short/1.mp4' 29; allowed: as many "
        f"({sets}/color/test.csv:2)"
    )
    other = build_loader(config(sets, thermal="short"), "train").dataset[(0, 1)]  # of its class
    assert other.id == 2 and [skipped.id for skipped in other.skipped] == [1]
    with pytest.raises(VideoError, match="gone.mp4"):
        open_pair(str(sets / "color/0.mp4"), "gone.mp4", open_first=open_frames, open_second=open_frames)


class Numbered(Frames):
    """Frames that show their number."""

    def __init__(self, count: int, times: np.ndarray | None):
        super().__init__("numbered", fps=10.0)
        self.count, self.times = count, times

    def __len__(self) -> int:
        return self.count

    def _load(self, numbers: list[int]) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 2, 2, 3)


def test_a_variable_rate_is_made_even_by_the_times_of_the_first():
    times = np.array([0.0, 0.1, 0.2, 0.5, 0.6])
    opened = {"a": Numbered(5, times), "b": Numbered(5, None)}
    frames = open_pair("a", "b", open_first=opened.__getitem__, open_second=opened.__getitem__, even=True)
    found = frames.read(range(len(frames)))[:, 0, 0]
    assert found[:, 0].tolist() == found[:, 5].tolist() == [0, 1, 2, 2, 2, 3, 4]
    assert len(PairedFrames(opened["a"], opened["b"])) == 5


def test_a_network_of_pairs_gets_no_single_videos(sets, tmp_path):
    from fragrant.data.build import loader_of
    from fragrant.data.datasets.build import VideoSet

    single = VideoSet(RecordList([VideoRecord(str(sets / "color/0.mp4"), 0)]), None)
    with pytest.raises(ListError, match="are no pairs"):
        loader_of(config(sets), single, "test")
    assert len(loader_of(config(sets, "TEST.MODALITY", "color"), single, "test")) == 1


def test_draws_are_those_of_the_same_generator():
    """The second half gets the generator as the first got it, and leaves it as a clip alone does."""
    from fragrant.data.transforms.pairs import PairTransform, UnlitTrainTransform
    from fragrant.data.transforms.view_transforms import TrainTransform

    settings = dict(crop_size=8, jitter_scales=(8, 12), gamma=(1.0, 3.0))
    one = TrainTransform(**settings)
    both = PairTransform(one, UnlitTrainTransform(**settings))
    frames, rng, alone = torch.randint(0, 256, (2, 16, 16, 6), dtype=torch.uint8), random.Random(4), random.Random(4)
    made = both(both.prepare(frames), None, rng)
    assert torch.equal(made[..., :3], one(frames[..., :3].contiguous(), None, alone))
    assert rng.random() == alone.random()
