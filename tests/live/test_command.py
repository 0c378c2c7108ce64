"""The command: what it prints and writes, how it ends, and what it refuses in one line."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import av
import pytest
from conftest import ROOT
from make_video import encode
from streams import streaming, until
from tiny import environment, run_here
from tiny_predictor import CLASSES, tiny_checkpoint

from fragrant.live import command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    tiny_checkpoint(folder / "best.pyth")
    encode(folder / "a.mp4", 31, fps=10)
    encode(folder / "short.mp4", 5, fps=10)
    encode(folder / "a.ts", 40, fps=20, options={"g": "10", "bf": "0"})
    return folder


def predict(folder, *words):
    arguments = ("--checkpoint", str(folder / "best.pyth"), "--device", "cpu", *map(str, words))
    return run_here(tool="predict", arguments=arguments)


def test_a_file_as_a_stream(folder, tmp_path):
    out = tmp_path / "out.mp4"
    words = ("--source", folder / "a.mp4", "--json", "--step", "0.5", "--top", "2", "--annotate", out)
    done = predict(folder, *words, "--enter", "0.02", "--leave", "0.01")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    windows = [line for line in lines if line["type"] == "window"]
    assert [line["frames"] for line in windows] == [[0, 7], [5, 12], [10, 17], [15, 22], [20, 27], [23, 30]]
    assert windows[1]["start"] == 0.5 and windows[1]["end"] == 1.3 and len(windows[1]["top"]) == 2
    assert set(windows[0]) == {
        *("type", "clock", "start", "end", "frames", "top", "luma", "latency_ms", "dropped_frames", "skipped_windows")
    }
    assert windows[0]["top"][0]["name"] in CLASSES and 0 < windows[0]["top"][0]["window_prob"] <= 1
    kinds = [line["type"] for line in lines]
    assert kinds.count("enter") == kinds.count("leave") > 0 and kinds.count("end") == 1
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 31
    assert "source '" in done.stderr and "31 frames in" in done.stderr and "6 windows, 0 frames dropped" in done.stderr


def test_lines_for_a_person(folder):
    done = predict(
        folder, "--source", folder / "a.mp4", "--step", "1", "--top", "1", "--enter", "0.02", "--leave", "0.01"
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and any(line.startswith("      0.00 ..     0.80 s: ") for line in lines)
    assert any(" begins (" in line for line in lines) and any(" ends after " in line for line in lines)


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--source", "{}/nowhere.mp4"], "nowhere.mp4' cannot be opened: no such file"),
        (["--source", "{}/best.pyth"], "best.pyth' cannot be opened: "),
        (["--source", "{}/short.mp4"], "has 5 frames, fewer than a window of this network (8); give --sliding SECONDS"),
        (["--source", "{}/short.mp4", "--realtime", "--for", "60"], "has 5 frames, fewer than a window"),
        (["--source", "{}"], "is a folder: give --watch"),
        (["--source", "{}", "--watch", "--serve", "0"], "--serve is for one stream; "),
        (["--source", "{}", "--watch", "--annotate", "{}/o.mp4"], "--annotate is for one stream; "),
        (["--source", "{}/a.mp4", "--watch"], "--watch is for folders"),
        (["--source", "{}/a.mp4", "--csv"], "--csv is for files"),
        (["--source", "{}/a.mp4", "--annotate", "{}/o.avi"], "must end in .mp4"),
        (["--source", "{}/a.mp4", "--annotate", "{}/a.mp4"], "is the source itself"),
        (["--source", "{}/a.mp4", "--enter", "0.2"], "allowed is 0 < leave <= enter <= 1"),
        (["--source", "0", "--realtime"], "--realtime is for files"),
        (["--source", "ftp://x/y"], "addresses begin with"),
        (["--source", "{}/a.mp4", "--serve", "0", "--host", "300.1.1.1"], "nothing can be served on 300.1.1.1"),
        (["{}/a.mp4", "--timeline", "{}/t.html"], "--timeline needs the windows of --sliding"),
        (["{}/a.mp4", "{}/a.mp4", "--sliding", "--timeline", "{}/t.html"], "--timeline shows one video, got 2"),
        (["{}/a.mp4", "--sliding", "--timeline", "{}/t.gif"], "has no known ending"),
    ],
)
def test_what_is_refused_in_one_line(folder, words, reason):
    done = predict(folder, *(word.format(folder) for word in words))
    assert done.returncode == 2 and reason in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_videos_or_a_source(folder):
    for words in ([], [folder / "a.mp4", "--source", "0"]):
        with pytest.raises(SystemExit):
            predict(folder, *words)


def test_a_watched_folder(folder, tmp_path, monkeypatch):
    """A file from before, one that grows, one that is none; Ctrl-C at the end."""
    inbox, begun, done_with = tmp_path / "in", threading.Event(), []
    inbox.mkdir()
    (inbox / "old.mp4").write_bytes((folder / "a.mp4").read_bytes())
    data = (folder / "a.mp4").read_bytes()

    class Watched(command.Arrivals):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            begun.set()

        def done(self, path, **options):
            super().done(path, **options)
            done_with.append(path)

    def deliver():
        begun.wait(60)
        (inbox / "bad.mp4").write_bytes(b"no video")
        with open(inbox / "new.mp4", "wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            time.sleep(0.1)
            file.write(data[len(data) // 2 :])
        until(lambda: len(done_with) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(command, "Arrivals", Watched)
    thread = threading.Thread(target=deliver, daemon=True)
    thread.start()
    done = predict(folder, "--source", inbox, "--watch", "--json", "--settle", "0.6", "--for", "90")
    assert done.returncode == 130, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(line["path"].rsplit("/", 1)[1] for line in lines) == ["bad.mp4", "new.mp4"]
    by_name = {line["path"].rsplit("/", 1)[1]: line for line in lines}
    assert by_name["new.mp4"]["top"][0]["name"] in CLASSES and "cannot be read" in by_name["bad.mp4"]["error"]
    assert "1 that are there already are left out" in done.stderr and "it is tried again when it changes" in done.stderr
    assert "2 videos arrived, 1 of them cannot be read" in done.stderr and "stopped: interrupted" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 1)])
def test_a_signal_ends_everything_in_order(folder, tmp_path, number, code):
    """The recording is finished, the lines are whole, the exit code is that of every command."""
    out = tmp_path / "out.mp4"
    with streaming(folder / "a.ts", seconds=2.0) as address:
        words = [
            "--checkpoint",
            folder / "best.pyth",
            "--device",
            "cpu",
            "--source",
            address,
            "--json",
            "--annotate",
            out,
        ]
        line = [sys.executable, str(ROOT / "tools" / "predict.py"), *map(str, words), "--serve", "0"]
        with open(tmp_path / "lines", "wb") as lines:
            process = subprocess.Popen(line, stdout=lines, stderr=subprocess.PIPE, env=environment())
        until(lambda: (tmp_path / "lines").read_bytes().count(b"\n") > 10, within=240)
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == code and b"Traceback" not in errors and b"stopped: " in errors.splitlines()[-1]
    text = (tmp_path / "lines").read_text()
    assert text.endswith("\n") and all(json.loads(line)["type"] for line in text.splitlines())
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 20
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
