"""Streams over the network: opened, read, lost, found again; files and what cannot be opened."""

import shutil
import socket
import subprocess
import time

import pytest
from make_video import encode
from streams import camera, streaming, until

from fragrant.data import VideoError
from fragrant.data.video.row_of_frames import Limits
from fragrant.live.frame_queue import FrameQueue
from fragrant.live.messages import LiveFrame
from fragrant.live.reader import Reader
from fragrant.live.source import open_source


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def transport(tmp_path_factory):
    path = tmp_path_factory.mktemp("streams") / "a.ts"
    return encode(path, 40, fps=20, options={"g": "10", "bf": "0"})


class Watching:
    """A reader, and everything that came out of it."""

    def __init__(self, address: str, *, lossless: bool = False, **options):
        def opened():
            return open_source(address, limits=Limits(), timeout=5.0)

        self.queue = FrameQueue(32, lossless=lossless)
        self.reader = Reader(opened(), self.queue, reopen=opened, first_pause=0.1, **options)
        self.frames: list[LiveFrame] = []
        self.news = []

    def __enter__(self):
        self.reader.start()
        return self

    def __exit__(self, *_):
        self.reader.stop()
        self.reader.join(20)

    def look(self) -> "Watching":
        for item in self.queue.take(0.05):
            (self.frames if isinstance(item, LiveFrame) else self.news).append(item)
        return self

    def kinds(self) -> list[str]:
        return [news.kind for news in self.look().news]


def test_a_stream_that_breaks_is_opened_again(transport):
    port = free_port()
    with streaming(transport, port=port) as address:
        watching = Watching(address)
        watching.__enter__()
        until(lambda: len(watching.look().frames) >= 20)
    try:
        until(lambda: len(watching.look().news) >= 3)  # the server is gone
        first = watching.frames[-1]
        assert watching.kinds()[:3] == ["lost"] * 3 and first.connection == 0
        assert [news.seconds for news in watching.news[:3]] == pytest.approx([0.1, 0.2, 0.4])
        assert watching.news[1].reason.startswith(f"source '{address}' cannot be opened: ")
        with streaming(transport, port=port):
            until(lambda: watching.look().frames[-1].connection == 1)
            until(lambda: len(watching.look().frames) > first.number + 10)
    finally:
        watching.__exit__()
    assert watching.kinds()[-1] in ("back", "lost") and "back" in watching.kinds()
    times = [frame.time for frame in watching.frames]
    assert times == sorted(times)
    after = next(frame for frame in watching.frames if frame.connection == 1)
    assert after.time - first.time > 0.3  # the gap counts


def test_it_is_given_up_after_so_many_tries(transport):
    with streaming(transport, repeat=False, seconds=0.2) as address:
        watching = Watching(address, tries=2)
    with watching:
        until(lambda: "end" in watching.kinds())
    assert watching.news[-1].reason.startswith("given up after 2 tries: source ")
    assert watching.reader.error is None


def test_a_camera_that_speaks_rtsp(transport):
    with camera(transport, seconds=2.0) as address, Watching(address) as watching:
        until(lambda: len(watching.look().frames) >= 15)
        assert watching.frames[0].image.width == 64 and watching.kinds() == []


def test_a_file_is_read_whole_and_ends(transport):
    with Watching(str(transport), lossless=True) as watching:
        until(lambda: watching.kinds() == ["end"])
    assert [frame.number for frame in watching.frames] == list(range(40)) and watching.queue.dropped == 0
    assert [frame.time for frame in watching.frames] == pytest.approx([number / 20 for number in range(40)], abs=1e-3)


def test_a_file_at_its_own_speed(transport):
    begun = time.monotonic()
    with Watching(str(transport), paced=True) as watching:
        until(lambda: len(watching.look().frames) >= 11)
    assert time.monotonic() - begun >= 0.5  # ten frames of 1/20 s


@pytest.mark.parametrize("what", ["nowhere", "closed", "text"])
def test_what_cannot_be_opened(tmp_path, what):
    (tmp_path / "notes.ts").write_text("no video\n" * 100)
    where = {
        "nowhere": tmp_path / "x.mp4",
        "closed": f"http://me:secret@127.0.0.1:{free_port()}/x",
        "text": tmp_path / "notes.ts",
    }
    with pytest.raises(VideoError, match=r"^source '.*' cannot be opened: \w+") as error:
        open_source(str(where[what]), limits=Limits(), timeout=5.0)
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


def test_a_playlist_at_an_address_is_not_followed(tmp_path):
    path = tmp_path / "a.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n" + "#\n" * 200)
    with streaming(path, repeat=False, seconds=0.1) as address, pytest.raises(VideoError, match="cannot be opened"):
        open_source(address, limits=Limits(), timeout=5.0)


@pytest.mark.slow
def test_a_stream_of_ffmpeg(tmp_path):
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg here: apt-get install ffmpeg")
    address = f"http://127.0.0.1:{free_port()}/live"
    words = (
        "ffmpeg -nostdin -loglevel error -re -f lavfi -i testsrc2=size=320x240:rate=30 -c:v libx264 -preset ultrafast"
    )
    words += f" -tune zerolatency -g 30 -f mpegts -listen 1 {address}"
    server = subprocess.Popen(words.split())
    try:
        opened = []

        def there() -> bool:
            try:
                opened.append(Watching(address))
            except VideoError:
                return False
            return True

        until(there)
        with opened[0] as watching:
            until(lambda: len(watching.look().frames) >= 60, within=120)
        steps = [b.time - a.time for a, b in zip(watching.frames, watching.frames[1:], strict=False)]
        assert sorted(steps)[len(steps) // 2] == pytest.approx(1 / 30, abs=2e-3)
    finally:
        server.kill()
        server.wait()
