"""Checking a list: what each file is told to be, which problems are found, what the command writes."""

import csv
import os
import re
from functools import partial

import av
import numpy as np
import pytest
import torch
from conftest import load_tool
from make_video import encode, remux
from PIL import Image

from fragrant.data.lists.records import RecordList, VideoRecord, read_list
from fragrant.data.prepare import probe as probing
from fragrant.data.prepare.check import check_list, places, summary, write_table
from fragrant.data.prepare.probe import Probe, probe, probe_all
from fragrant.data.video.frames import Limits, open_frames

check_data = load_tool("check_data")


def listed(*rows, source="x.csv") -> RecordList:
    return RecordList([VideoRecord(str(path), label) for path, label in rows], source=source)


def kinds(checked) -> list[tuple[str, str]]:
    return [(problem.where, problem.kind) for problem in checked.problems]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("arid6/Jump_8_2.mp4", (49, 30.0, 320, 240, "h264")),
        ("weizmann4/daria_bend.avi", (84, 25.0, 180, 144, "mpeg4")),
        ("misc/torchcodec_h265_video.mp4", (10, 10.0, 128, 128, "hevc")),
        ("derived/h264_oddsize_179x143_444.mp4", (89, 25.0, 179, 143, "h264")),
        ("derived/raw_annexb.h264", (89, 25.0, 180, 144, "h264")),
    ],
)
def test_what_a_video_is(shared_clips, name, expected):
    found = probe(str(shared_clips / name))
    assert (found.frames, found.fps, found.width, found.height, found.codec) == expected
    assert found.error == found.damage == ""


def test_dark_videos_are_dark(shared_clips):
    dark, light = probe(str(shared_clips / "arid6/Jump_8_2.mp4")), probe(str(shared_clips / "weizmann4/daria_bend.avi"))
    assert (dark.dark, light.dark) == (1, 0)
    assert dark.luma < probing.DARK < light.luma


@pytest.mark.parametrize(
    "name, kind, text",
    [
        ("audio_only.mp4", "error", "it has no video stream"),
        ("html_error_page.mp4", "error", "Invalid data found"),
        ("missing_file.mp4", "error", "no such file"),
        ("truncated_faststart_header_only.mp4", "error", "cannot be read"),
        ("corrupt_middle_third.mp4", "damage", "27 frames decode, then: Invalid data"),
        ("truncated_faststart_50pct.mp4", "damage", "36 frames decode, then: Invalid data"),
        ("truncated_60pct.avi", "damage", "51 frames decode, its header declares 89"),
        ("header_claims_10x_frames.avi", "damage", "89 frames decode, its header declares 890"),
    ],
)
def test_broken_files(shared_clips, name, kind, text):
    found = probe(str(shared_clips / "broken" / name))
    assert text in getattr(found, kind)


@pytest.mark.parametrize("name", ["RATRACE_wave_f_nm_np1_fr_goo_37.avi", "TrumanShow_wave_f_nm_np1_fr_med_26.avi"])
def test_a_header_that_counts_one_frame_too_many_is_no_damage(shared_clips, name):
    assert probe(str(shared_clips / "misc" / name)).damage == ""


def test_what_is_unusual_is_told_and_no_problem(tmp_path, shared_clips):
    for name in ("gray", "turned"):
        (tmp_path / name).mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "turned" else 1
        for number in (1, 2):
            values = np.full((16, 24), 40000, np.uint16)
            picture = Image.fromarray(values if name == "gray" else (values // 257).astype(np.uint8))
            picture.save(tmp_path / name / f"{number:05d}.png", exif=exif)
    options = {"x265-params": "log-level=none:keyint=10:bframes=3:b-adapt=0"}
    whole = encode(tmp_path / "whole.mkv", 40, codec="libx265", options=options)
    with av.open(str(whole)) as container:
        key = [at for at, packet in enumerate(container.demux(video=0)) if packet.is_keyframe][1]
    cut = remux(whole, tmp_path / "cut.mkv", drop_packets=key)
    real = [shared_clips / "derived/h264_vfr.mp4", shared_clips / "misc/decord_video_90.mov"]
    rows = [(path, 0) for path in (tmp_path / "gray", tmp_path / "turned", cut, *real, whole)]
    checked = check_list(listed(*rows), {}, open_frames=partial(open_frames, template="{:05d}.png"))
    assert checked.problems == [] and len(checked.good) == 6
    assert summary(checked)[2:] == [
        "note: 1 video, a variable frame rate (x.csv:4)",
        "note: 1 video, cut out of a longer file: some frames at the beginning cannot be decoded (x.csv:3)",
        "note: 1 video, gray of 16 bits (x.csv:1)",
        "note: 2 videos, shown turned or mirrored (x.csv:2, x.csv:5)",
    ]
    write_table(tmp_path / "t.csv", checked)
    with open(tmp_path / "t.csv", newline="") as file:
        notes = [row["notes"] for row in csv.DictReader(file)]
    assert notes[:2] == ["gray of 16 bits", "shown turned or mirrored"] and notes[5] == ""


def test_problems_of_a_list(tmp_path):
    paths = [encode(tmp_path / f"{number}.mp4", 6 + number, seed=number) for number in range(3)]
    (tmp_path / "link.mp4").symlink_to(paths[2])
    (tmp_path / "torn.mp4").write_bytes(paths[0].read_bytes()[:200])
    rows = [
        (paths[0], 0),
        (paths[1], 1),
        (paths[2], 0),
        (tmp_path / "link.mp4", 1),
        (paths[1], 1),
        (tmp_path / "torn.mp4", 0),
        ("/gone.mp4", 0),
    ]
    checked = check_list(listed(*rows), {9: "torn row"}, min_frames=7)
    assert kinds(checked) == [
        ("x.csv:9", "row"),
        ("x.csv:1", "too short"),
        ("x.csv:4", "duplicate"),
        ("x.csv:5", "duplicate"),
        ("x.csv:6", "unreadable"),
        ("x.csv:7", "unreadable"),
    ]
    assert checked.good == [1, 2]
    texts = [problem.text for problem in checked.problems]
    assert texts[1] == f"'{paths[0]}' has 6 frames, 7 are asked for"
    assert texts[2] == f"'{tmp_path}/link.mp4' stands in x.csv:3 as well with label 0 instead of 1"
    assert texts[3] == f"'{paths[1]}' stands in x.csv:2 as well"
    assert summary(checked)[0] == "x.csv: 7 videos, 2 without a problem"
    assert summary(checked)[-1].startswith("x.csv:7: unreadable: video '/gone.mp4' cannot be read: no such file")


def test_videos_of_the_training_list(tmp_path):
    path = encode(tmp_path / "a.mp4", 4)
    checked = check_list(listed((path, 0), source="test.csv"), {}, known=places(listed((path, 0), source="train.csv")))
    assert kinds(checked) == [("test.csv:1", "leak")]
    assert checked.problems[0].text == f"'{path}' stands in train.csv:1 as well"


def test_a_folder_with_fewer_frames_than_the_list_says(monkeypatch):
    monkeypatch.setattr(probing, "probe", lambda path, open_frames: Probe(frames=8, codec=probing.FOLDER))
    records = RecordList(
        [VideoRecord(name, 0, number) for name, number in (("a", 8), ("b", 9), ("c", None), ("d", 5))], source="x.csv"
    )
    checked = check_list(records, {})
    assert [(problem.where, problem.text) for problem in checked.problems] == [
        ("x.csv:2", "'b' has 8 frames, the list says 9")
    ]


def test_a_tensor_is_a_video(tmp_path):
    torch.save({"frames": torch.full((5, 8, 6, 3), 200, dtype=torch.uint8), "fps": 25}, tmp_path / "a.pt")
    found = probe(str(tmp_path / "a.pt"))
    assert (found.frames, found.fps, found.width, found.height, found.codec) == (5, 25.0, 6, 8, probing.TENSOR)
    assert found.error == found.damage == "" and found.dark == 0


def test_odd_files_are_named(tmp_path):
    torch.save(torch.zeros(4, 8, 6, 3, dtype=torch.uint8, device="meta"), tmp_path / "meta.pt")
    (tmp_path / "live.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://localhost/a.ts\n")
    encode(tmp_path / "large.mp4", 6)
    (tmp_path / "folder").mkdir()
    for number in (0, 4_000_000_000):
        Image.new("RGB", (8, 8)).save(tmp_path / "folder" / f"{number:05d}.jpg")
    os.mkfifo(tmp_path / "pipe.mp4")
    names = ["meta.pt", "live.m3u8", "large.mp4", "folder", "pipe.mp4"]
    opened = partial(open_frames, limits=Limits(megapixels=0.003))
    checked = check_list(listed(*((tmp_path / name, 0) for name in names)), {}, open_frames=opened)
    assert kinds(checked) == [(f"x.csv:{row}", "unreadable") for row in range(1, 6)]
    assert all(str(tmp_path / name) in problem.text for name, problem in zip(names, checked.problems, strict=True))


def test_no_error_ends_the_check(tmp_path):
    assert probe(str(tmp_path), lambda path: 1 / 0).error == "ZeroDivisionError: division by zero"


def dies_at_torn(path: str, open_frames) -> Probe:
    """Stands in for ``probe``: what a crash of the decoder looks like from outside."""
    if path.endswith("torn"):
        os._exit(1)
    return Probe(frames=len(path))


def test_a_reader_that_dies_takes_no_other_video_with_it(monkeypatch):
    monkeypatch.setattr(probing, "probe", dies_at_torn)
    paths = ["torn", "00"] + [f"{number:03d}" for number in range(20)]
    probes = probe_all(paths, workers=2, title="x")
    assert [found.frames for found in probes] == [0, 2] + [3] * 20
    assert probes[0].error == "reading it ends the process (a crash of the decoder)"


# -------------------------------------------------------------------------------------------------------------- command
@pytest.fixture
def folder(shared_clips, tmp_path):
    clips = [*sorted((shared_clips / "broken").glob("h*")), *sorted((shared_clips / "arid6").glob("J*"))]
    (tmp_path / "train.csv").write_text("".join(f"{clip} {at % 2}\n" for at, clip in enumerate(clips)) + "/x/y.mp4 9\n")
    (tmp_path / "val.csv").write_text(f"{clips[-1]} 1\n")
    (tmp_path / "test.csv").write_text(f"{shared_clips}/arid6/Run_11_1.mp4 1\n")
    return tmp_path


def run(folder, *words) -> int:
    return check_data.start(
        [*words, "--workers", "1", "--out", str(folder / "out"), "MODEL.NUM_CLASSES", "2", "NUM_GPUS", "0"]
    )


def test_command_for_the_lists_of_a_config(folder, capsys):
    assert run(folder, "--write-clean-list", "DATA.PATH_TO_DATA_DIR", str(folder), "TRAIN.DATASET", "kinetics") == 1
    out, err = capsys.readouterr()
    assert re.search(
        r"train.csv:9: row: label 9 is not in 0..1 \(MODEL.NUM_CLASSES 2\); the line is '/x/y.mp4 9'\n", out
    )
    assert re.search(r"train.csv:2: unreadable: video '.*html_error_page.mp4' cannot be read", out)
    assert re.search(
        r"train.csv:1: damaged: '.*header_claims_10x_frames.avi': 89 frames decode, its header declares 890", out
    )
    assert re.search(r"val.csv:1: leak: '.*' stands in .*train.csv:8 as well", out)
    assert err == "stopped: 4 problem(s), see above and the column 'problems' of the tables\n"
    with open(folder / "out/train.table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert rows[1]["problems"].startswith("unreadable: ") and rows[2]["problems"] == "" and rows[2]["codec"] == "h264"
    assert len(read_list(folder / "out/train.csv", num_classes=2)) == 6
    clean = folder / "out/train.csv"
    assert f"clean list: {clean}, 6 of 8 videos; use it: DATA.TRAIN_LIST {clean}\n" in out


def test_command_for_one_list(folder, shared_clips, capsys):
    assert run(folder, "--list", str(folder / "test.csv")) == 0
    assert "test.csv: 1 videos, 1 without a problem\nframes 66..66 " in capsys.readouterr().out
    assert not (folder / "out/test.csv").exists()
    assert run(folder, "--list", str(folder / "test.csv"), "--min-frames", "500") == 1
    assert "too short" in capsys.readouterr().out


def test_command_for_folders_of_pictures(tmp_path, capsys):
    for number in range(6):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.new("RGB", (16, 12), (number, 0, 0)).save(tmp_path / f"a/img_{number:03d}.png")
    (tmp_path / "x.csv").write_text("a 6 0\n")
    listed = ["--list", str(tmp_path / "x.csv"), "--min-frames", "2"]
    assert run(tmp_path, *listed) == 1
    assert "no file in this folder fits DATA.IMAGE_TEMPLATE '{:05d}.jpg'" in capsys.readouterr().out
    assert run(tmp_path, *listed, "DATA.IMAGE_TEMPLATE", "img_{:03d}.png") == 0
    assert "frames 6..6 (median 6); sizes 16x12" in capsys.readouterr().out
    assert run(tmp_path, *listed, "DATA.IMAGE_TEMPLATE", "img_{:03d}.png", "DATA.IMAGE_BASE", "1") == 1
    assert f"'{tmp_path}/a' has 5 frames, the list says 6" in capsys.readouterr().out


def test_command_with_wrong_input(folder, capsys):
    assert run(folder, "--list", str(folder / "gone.csv")) == 2
    assert (
        capsys.readouterr().err == f"error: list file '{folder}/gone.csv' cannot be read: No such file or directory\n"
    )
    assert run(folder, "--split", "train", "DATA.PATH_TO_DATA_DIR", "/nowhere") == 2
    assert "no train list '/nowhere/train.csv'" in capsys.readouterr().err
