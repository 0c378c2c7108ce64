"""What the user names by an address: lists, videos, shards and checkpoints; what fails is one line."""

import http.server
import os
import shutil
import socket
import sys
import threading
from pathlib import Path

import pytest
import torch
from conftest import load_tool
from iopath.common.file_io import PathHandler, g_pathmgr
from make_video import encode
from packed import pack
from served import Quiet, serving

from fragrant.checkpoint import CheckpointError, checkpoint_hash, load_checkpoint
from fragrant.config import load_cfg
from fragrant.data import build_loader
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import read_list
from fragrant.data.video.frames import VideoError, open_frames
from fragrant.files import is_address, whole_path
from fragrant.models.weights import WeightsError, read_checkpoint
from fragrant.remote import RemoteError, below, fetched, joined, row_path
from fragrant.runtime.weights import existing


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    rows = ""
    for number, name in enumerate(("a.mp4", "run/#1 b?.mp4", "c.mp4", "d%20.mp4")):
        (folder / name).parent.mkdir(exist_ok=True)
        encode(folder / name, 12, seed=number)
        rows += f'"{name}" {number % 2}\n'
    (folder / "train.csv").write_text(rows)
    (folder / "classes.txt").write_text("sit\nstand\n")
    assert pack(folder, folder / "packed", "--shard-mb", "0.005") == 0
    return folder


def loader_of(*pairs, workers=0):
    base = "MODEL.NUM_CLASSES 2 DATA.NUM_FRAMES 4 DATA.SAMPLING_RATE 2 DATA.TRAIN_CROP_SIZE 32 TRAIN.BATCH_SIZE 2 NUM_GPUS 0".split()
    return build_loader(load_cfg(None, [*base, "DATA_LOADER.NUM_WORKERS", str(workers), *map(str, pairs)]), "train")


def clips(loader):
    batches = list(loader)
    assert not loader.skipped
    return torch.cat([batch.clips for batch in batches])


@pytest.mark.parametrize(
    "path, expected",
    [("http://h/x", True), ("s3://b/k", True), ("a/b", False), ("/a://b", False), ("C:/x", False), ("a+b://", True)],
)
def test_what_is_an_address(path, expected):
    assert is_address(path) is expected


@pytest.mark.parametrize(
    "folder, name, expected",
    [
        ("http://h/a/", "b.csv", "http://h/a/b.csv"),
        ("http://h/a", "http://g/b.csv", "http://g/b.csv"),
        ("http://h/a", "/b.csv", "/b.csv"),
        ("lists", "s3://g/b.csv", "s3://g/b.csv"),
        ("lists", "b.csv", "lists/b.csv"),
        ("", "b.csv", "b.csv"),
    ],
)
def test_joined(folder, name, expected):
    assert joined(folder, name) == expected


def test_what_lies_below_an_address():
    assert below("http://h/a/b #?.mp4", "http://h/a") == "http://h/a/b%20%23%3F.mp4"
    assert below("s3://h/a/b #.mp4", "s3://h/a/") == "s3://h/a/b #.mp4"
    for path, prefix in (("http://h/ab.mp4", "http://h/a"), ("http://h/a", "http://h/a"), ("/a/b", "/a"), ("x", "")):
        assert below(path, prefix) is None


def test_a_row_of_a_list_that_is_written_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert row_path("http://h/a/b #?.mp4", "http://h/a/") == "b #?.mp4"
    assert row_path("a/b.mp4", "http://h/a") == row_path("a/b.mp4", "a") == f"{tmp_path}/a/b.mp4"
    assert whole_path("s3://h/a.mp4") == "s3://h/a.mp4" and whole_path("a.mp4") == f"{tmp_path}/a.mp4"


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("what", ["files", "shards"])
def test_lists_and_videos_at_an_address(videos, workers, what):
    folder = videos if what == "files" else videos / "packed"
    local = clips(loader_of("DATA.PATH_TO_DATA_DIR", folder))
    with serving(folder) as address:
        loader = loader_of("DATA.PATH_TO_DATA_DIR", address, "DATA.PATH_PREFIX", address, workers=workers)
        assert torch.equal(clips(loader), local) and loader.class_names == ["sit", "stand"]
        loader.set_epoch(1)
        clips(loader)
        assert len(Quiet.asked) == len(set(Quiet.asked)), "each is fetched once"


def test_the_check_of_videos_at_an_address(videos, tmp_path, capsys):
    with serving(videos / "packed") as address:
        words = [
            "--list",
            f"{address}/train.csv",
            "DATA.PATH_PREFIX",
            address,
            "MODEL.NUM_CLASSES",
            "2",
            "--workers",
            "1",
        ]
        assert (
            load_tool("check_data").start([*words, "--out", str(tmp_path), "--write-clean-list", "--min-frames", "1"])
            == 0
        )
    assert "4 videos, 4 without a problem" in capsys.readouterr().out
    assert (tmp_path / "train.csv").read_text() == (videos / "packed" / "train.csv").read_text()


def test_names_of_the_files_of_two_hosts_are_no_matter(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        torch.save({"w": torch.full((1,), len(name) + ord(name[0]))}, tmp_path / name / "w.pyth")
        with serving(tmp_path / name) as address:
            assert load_checkpoint(f"{address}/w.pyth")["w"].item() == len(name) + ord(name[0])


def test_checkpoints_at_an_address(tmp_path):
    torch.save({"model": {"w": torch.ones(2)}}, tmp_path / "w.pyth")
    (tmp_path / "bad.pyth").write_bytes(b"PK nothing")
    with serving(tmp_path) as address:
        path = f"{address}/w.pyth"
        assert existing(path, "TRAIN.CHECKPOINT_FILE_PATH") == path
        assert torch.equal(load_checkpoint(path)["model"]["w"], read_checkpoint(path)["model"]["w"])
        assert checkpoint_hash(path) == checkpoint_hash(tmp_path / "w.pyth")
        with pytest.raises(CheckpointError, match=f"^checkpoint {address}/bad.pyth is damaged or not a checkpoint: "):
            load_checkpoint(f"{address}/bad.pyth")
        gone = f"{address}/gone.pyth"
        with pytest.raises(
            CheckpointError,
            match=f"^TEST.CHECKPOINT_FILE_PATH '{gone}' cannot be fetched: the server says 404 File not found$",
        ):
            existing(gone, "TEST.CHECKPOINT_FILE_PATH")
        with pytest.raises(CheckpointError, match=f"^checkpoint {gone} cannot be fetched: the server says 404"):
            load_checkpoint(gone)
        with pytest.raises(WeightsError, match=f"^weights '{gone}': it cannot be fetched: the server says 404"):
            read_checkpoint(gone)


def test_a_registered_handler(videos, tmp_path):
    class Mounted(PathHandler):
        def _get_supported_prefixes(self):
            return ["mounted://"]

        def _get_local_path(self, path, force=False, **kwargs):
            return str(videos / path.removeprefix("mounted://"))

    g_pathmgr.register_handler(Mounted(), allow_override=True)
    loader = loader_of("DATA.PATH_TO_DATA_DIR", "mounted://packed", "DATA.PATH_PREFIX", "mounted://packed")
    assert len(clips(loader)) == 4
    with pytest.raises(RemoteError, match="^cannot be fetched: its handler says '.*gone', which is not there$"):
        fetched("mounted://gone")


# ------------------------------------------------------------------------------------------------------------- failures
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    "address, why",
    [
        ("", "Connection refused"),  # where nobody listens
        (
            "nowhere://a/b",
            "iopath has no handler for nowhere://; allowed: http, https, ftp, s3, and what a plug-in registers",
        ),
        ("http://127.0.0.1/a/../b", "'..' in an address"),
        ("http://", ""),
        ("http://127.0.0.1:99999999/a", ""),
        ("http:///etc/passwd", ""),
    ],
)
def test_what_cannot_be_fetched_is_one_line(address, why, capfd):
    with pytest.raises(RemoteError) as caught:
        fetched(address or closed_port() + "/a")
    text = str(caught.value)
    assert text.startswith("cannot be fetched: ") and why in text and "\n" not in text
    assert capfd.readouterr() == ("", "")


def test_s3_needs_its_extra(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(RemoteError, match=r"^cannot be fetched: boto3 is not installed; pip install 'fragrant\[s3\]'$"):
        fetched("s3://bucket/a.mp4")


@pytest.mark.parametrize("pairs", [["DATA.PATH_PREFIX"], ["DATA.PATH_TO_DATA_DIR"], ["DATA.TRAIN_LIST"]])
def test_a_run_says_it_in_one_line(videos, tmp_path, capsys, pairs):
    base = ["DATA.PATH_TO_DATA_DIR", str(videos)] if pairs != ["DATA.PATH_TO_DATA_DIR"] else []
    words = [
        *base,
        *pairs,
        closed_port() + "/x",
        "MODEL.NUM_CLASSES",
        "2",
        "NUM_GPUS",
        "0",
        "OUTPUT_DIR",
        str(tmp_path),
    ]
    for key in ("TRAIN", "TEST"):
        words += [f"{key}.DATASET", "kinetics"]
    assert load_tool("run_net").start(words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "cannot be fetched: Connection refused" in err


def test_what_breaks_off_is_not_kept(videos, tmp_path):
    class Breaks(Quiet):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(b"x" * 100)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaks)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    with pytest.raises(RemoteError, match="cannot be fetched: "):
        fetched(f"http://127.0.0.1:{server.server_port}/a.mp4")
    server.shutdown()
    server.server_close()
    assert not [path for path in (tmp_path / "cache").rglob("a.mp4*") if not path.name.endswith(".lock")]


def test_a_server_that_never_answers(monkeypatch):
    monkeypatch.setattr("fragrant.remote.PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(RemoteError, match="cannot be fetched: .*timed out"):
            fetched(f"http://127.0.0.1:{server.getsockname()[1]}/a")
    assert socket.getdefaulttimeout() is None


def test_videos_that_are_not_there_are_named(videos, tmp_path):
    folder = tmp_path / "some"
    shutil.copytree(videos / "packed", folder)
    (folder / "shards" / "000.tar").unlink()
    with serving(folder) as address:
        loader = loader_of("DATA.PATH_TO_DATA_DIR", folder, "DATA.PATH_PREFIX", address, "DATA.MAX_BAD_FRACTION", 1)
        list(loader)
        assert loader.skipped and all(
            f"video '{address}/shards/000.tar::" in why
            and "cannot be read: it cannot be fetched: the server says 404" in why
            for why in loader.skipped.values()
        )
    (folder / "shards" / "001.index.json").unlink()
    with serving(folder) as address:  # another one: nothing of it is in the cache
        with pytest.raises(ListError, match="cannot be fetched: the server says 404"):
            loader_of("DATA.PATH_TO_DATA_DIR", folder, "DATA.PATH_PREFIX", address)


# --------------------------------------------------------------------------------------------- what nobody has asked for
def test_an_address_in_a_list_is_not_opened(videos, tmp_path):
    with serving(videos) as address:
        for row in (f"{address}/a.mp4", f"{address}/packed/shards/000.tar::a.mp4", f"http:{address[5:]}/c.mp4"):
            for prefix in ("", str(tmp_path), "http://127.0.0.1:9/elsewhere", address + "/packed"):
                (tmp_path / "rows.csv").write_text(f"{row} 0\n")
                path = read_list(tmp_path / "rows.csv", prefix=prefix)[0].path
                remote = prefix if is_address(prefix) else ""
                with pytest.raises(VideoError):
                    open_frames(path, remote=remote)
            with pytest.raises(VideoError):
                open_frames(row)
        assert {path for path in Quiet.asked if not path.startswith("/packed/http")} <= set()


def test_the_copy_stays_in_the_cache(videos, tmp_path):
    with serving(videos) as address:
        path = Path(fetched(f"{address}/a.mp4"))
        assert path.read_bytes() == (videos / "a.mp4").read_bytes()
        assert os.path.commonpath([path, tmp_path / "cache"]) == str(tmp_path / "cache")
        for bad in (f"{address}/../a.mp4", f"{address}/x/../../../a.mp4"):
            with pytest.raises(RemoteError, match="'..' in an address"):
                fetched(bad)


class Answering(http.server.BaseHTTPRequestHandler):
    """Says what it was asked, or what a hostile server says."""

    def do_GET(self):
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.end_headers()
        elif self.path == "/forged":
            self.wfile.write(b"HTTP/1.1 404 two\x0b\x0clines " + b"x" * 5000 + b"\r\n\r\n")
        elif self.path == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
        else:
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + self.path.encode())

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def answering():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_two_addresses_never_share_a_copy(answering):
    asked = ("/a.pth", "/get?file=/w/a.pth", "/get?file=/v/a.pth", "/get?file=a.pth", "/w/a.pth", "/w/a.pth?v=1")
    for path in asked * 2:
        assert Path(fetched(answering + path)).read_text() == path


def test_the_scheme_is_read_in_any_case(answering):
    assert Path(fetched(answering.replace("http", "HTTP") + "/x")).read_text() == "/x"


@pytest.mark.parametrize(
    "path, said",
    [
        ("/to?file:///etc/hostname", "not allowed"),
        ("/to?data:,abc", "not allowed"),
        ("/forged", "the server says 404 two lines x{5,190}$"),
        ("/cut", "3 out of 1000 bytes"),
        ("/ü.pth", "beyond ASCII"),
        ("/a\nb.pth", "control characters"),
    ],
)
def test_what_a_hostile_server_or_address_does_is_one_line(answering, tmp_path, path, said):
    with pytest.raises(RemoteError, match=said) as caught:
        fetched(answering + path)
    assert "\n" not in str(caught.value)
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file() and file.suffix != ".lock"]


@pytest.mark.parametrize("address", ["file:///etc/hostname", "FILE:///etc/hostname", "ldap://h/x"])
def test_other_schemes_are_refused(address):
    with pytest.raises(RemoteError, match="no handler"):
        fetched(address)
