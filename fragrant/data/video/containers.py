"""Which files FFmpeg may open here: single local files, or parts of one, in a format of videos, nothing that names
other files.

A playlist (HLS, DASH, SDP, concat, a numbered row of pictures, ...) makes FFmpeg open whatever stands in it, addresses
of the network among them, and may never end. FFmpeg looks at the content, not at the name, so the list is of
formats."""

import errno
import os
from typing import Any

import av

from fragrant.data.video.mp4_tables import check_tables
from fragrant.data.video.places import Place
from fragrant.data.video.row_of_frames import CannotRead, Limits

# FFmpeg's names of what holds its frames itself; each comes with what people have: files of cameras, of the net, of
# recorders, raw streams of codecs, single pictures.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,asf,asf_o,ogg,mpegts,mpeg,mpegvideo,m4v,rm,nut,wtv,mxf,"
    "gxf,dv,dhav,nsv,pva,smjpeg,mjpeg,mjpeg_2000,h261,h263,h264,hevc,vvc,evc,vc1,vc1test,ivf,obu,av1,avs2,avs3,"
    "cavsvideo,dirac,dnxhd,yuv4mpegpipe,gif,apng,jpeg_pipe,png_pipe,bmp_pipe,ppm_pipe,tiff_pipe,webp_pipe"
)
# Some files carry tags that are no UTF-8: PyAV before 19 has to be told to live with them, later ones know no such
# argument.
ANY_TAGS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}


def open_container(place: Place, *, limits: Limits, options: dict[str, str] | None = None) -> Any:
    """The av.container.InputContainer of a regular file, whose path is absolute: FFmpeg then sees no protocol in it.

    Of a shard FFmpeg sees the bytes of one member alone (its protocol "subfile").

    Args:
        options: FFmpeg's, of the container.

    Raises:
        CannotRead: it is in another format, or its tables promise what it cannot hold; OSError, av.FFmpegError.
    """
    assert os.path.isabs(place.file), place.file
    check_tables(place.file, start=place.part.start if place.part else 0, size=place.size)
    protocols = "file" if place.part is None else "file,subfile"
    restricted = {"format_whitelist": FORMATS, "protocol_whitelist": protocols, "max_pixels": str(limits.pixels)}
    try:
        return av.open(place.url, options={**(options or {}), **restricted}, **ANY_TAGS)
    except av.FFmpegError as error:
        if error.errno != errno.EINVAL:
            raise
        raise CannotRead("it is a playlist, or something else that is no container of videos") from error
