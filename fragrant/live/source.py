"""What --source names: a camera by its number, the address of a stream, a file, or a folder."""

import os
import re
import sys
from typing import Any, NamedTuple

import av

from fragrant.data import VideoError
from fragrant.data.video.containers import ANY_TAGS, FORMATS, open_container
from fragrant.data.video.places import Place, place_of
from fragrant.data.video.row_of_frames import CannotRead, Limits
from fragrant.errors import UserError
from fragrant.files import is_address

CAMERA, STREAM, FILE, FOLDER = "camera", "stream", "file", "folder"
# Scheme of an address -> the protocols that FFmpeg may use for it: none of them opens a file of this machine.
PROTOCOLS = {
    "http": "http,https,httpproxy,tls,tcp",
    "https": "http,https,httpproxy,tls,tcp",
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,srtp,udp,tls,tcp",
    "rtmp": "rtmp,tcp",
    "tcp": "tcp",
    "udp": "udp",
    "srt": "srt",
}
# Besides the containers of files: pictures one after the other as web cameras send them, and RTSP. Playlists (HLS,
# DASH) are not among them: they name further addresses.
STREAM_FORMATS = f"{FORMATS},mpjpeg,rtsp,rtp,mpegvideo"
# Little is looked at before the first frame, and nothing is held back for its order.
LIVE_OPTIONS = {"fflags": "nobuffer", "probesize": "1000000", "analyzeduration": "1500000"}
CAMERA_SYSTEMS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}:none")}
LONGEST_RATE = 1000.0  # frames per second that are believed


def kind_of(source: str) -> str:
    """CAMERA, STREAM, FILE or FOLDER.

    Raises:
        UserError: an address of another kind.
    """
    if re.fullmatch(r"\d{1,3}", source):
        return CAMERA
    if is_address(source):
        scheme = source.split("://")[0].lower()
        if scheme not in PROTOCOLS:
            raise UserError(f"--source '{shown(source)}': addresses begin with {'://, '.join(PROTOCOLS)}://")
        return STREAM
    return FOLDER if os.path.isdir(source) else FILE


def shown(source: str) -> str:
    """The source as it may be printed: name and password of an address are left out."""
    return re.sub(r"(?<=://)[^/@]*@", "***@", source) if is_address(source) else source


class Opened(NamedTuple):
    """A container, its first video stream, and whether it has an end that is known beforehand.

    Attributes:
        fps: frames per second that the source promises, None where it says nothing.
        finite: a file, here or at an address: at its end there is nothing to wait for.
    """

    container: Any
    stream: Any
    fps: float | None
    finite: bool

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), 0 where it says nothing."""
        return self.stream.codec_context.height or 0, self.stream.codec_context.width or 0


def _open_camera(source: str, options: dict[str, str]) -> Any:
    found = CAMERA_SYSTEMS.get(sys.platform)
    if found is None:
        raise CannotRead(f"cameras by number are for {' and '.join(CAMERA_SYSTEMS)}; give an address")
    return av.open(found[1].format(source), format=found[0], options=options)


def _open_address(source: str, limits: Limits, timeout: float) -> Any:
    scheme = source.split("://")[0].lower()
    options = {**LIVE_OPTIONS, "format_whitelist": STREAM_FORMATS, "protocol_whitelist": PROTOCOLS[scheme]}
    options["max_pixels"] = str(limits.pixels)
    if scheme.startswith("rtsp"):
        options["rtsp_flags"] = "prefer_tcp"  # lost packets of UDP tear pictures
    return av.open(source, options=options, timeout=(timeout, timeout), **ANY_TAGS)


def open_source(source: str, *, limits: Limits, timeout: float = 10.0) -> Opened:
    """Opens a camera, a stream or a file.

    Args:
        timeout: seconds without a byte after which a stream is lost.

    Raises:
        VideoError: there is none, or it is no video.
    """
    kind = kind_of(source)
    name = f"source '{shown(source)}'"
    try:
        if kind == CAMERA:
            container = _open_camera(source, {})
        elif kind == STREAM:
            container = _open_address(source, limits, timeout)
        else:
            place = place_of(source)
            if not isinstance(place, Place):
                raise CannotRead("it is no video file")
            container = open_container(place, limits=limits)
        return _first_video(container, limits, finite=kind == FILE or kind == STREAM and bool(container.duration))
    except CannotRead as error:
        raise VideoError(f"{name} cannot be opened: {error}") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{name} cannot be opened: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Why, in a few words, without the address that FFmpeg repeats."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())[:200] or type(error).__name__


def _first_video(container: Any, limits: Limits, *, finite: bool) -> Opened:
    streams = [one for one in container.streams.video if not one.disposition & one.disposition.attached_pic]
    try:
        if not streams:
            raise CannotRead("it has no video stream")
        stream = streams[0]
        decoder = stream.codec_context
        if decoder is None:
            raise CannotRead("FFmpeg has no decoder for its codec")
        limits.check(1, decoder.height or 0, decoder.width or 0)
    except CannotRead:
        container.close()
        raise
    decoder.options = {"max_pixels": str(limits.pixels)}
    decoder.thread_type, decoder.thread_count = "NONE", 1  # threads hold frames back, and want the network's cores
    rate = stream.average_rate or stream.guessed_rate
    fps = float(rate) if rate and 0 < rate < LONGEST_RATE else None
    return Opened(container, stream, fps, finite)
