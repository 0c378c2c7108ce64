"""Picture files that nobody vouches for: opened by content, by the readers of plain pictures alone."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from fragrant.data.video.row_of_frames import CannotRead, Limits

# Left to itself Pillow looks at the content and takes any of 40 formats: for one (EPS) it runs a program, Ghostscript,
# on what the file says.
FORMATS = tuple(
    plugin.format
    for plugin in (
        BmpImagePlugin.BmpImageFile,
        GifImagePlugin.GifImageFile,
        Jpeg2KImagePlugin.Jpeg2KImageFile,
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        PpmImagePlugin.PpmImageFile,
        TgaImagePlugin.TgaImageFile,
        TiffImagePlugin.TiffImageFile,
        WebPImagePlugin.WebPImageFile,
    )
)


@contextmanager
def opened_picture(path: str, limits: Limits) -> Iterator[Image.Image]:
    """Nothing is decoded yet.

    Raises:
        CannotRead: it is no file, no picture, or torn, also where that shows itself inside the context; or too large.
    """
    name = os.path.basename(path)
    if not os.path.isfile(path):  # a named pipe would be waited for
        raise CannotRead(f"'{name}' is not a file")
    if not os.path.getsize(path):  # nor is a file of /proc read, which has no size and may never end
        raise CannotRead(f"'{name}' is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limits say more
            picture = Image.open(path, formats=FORMATS)
        with picture:
            limits.check(1, picture.height, picture.width)
            yield picture
    except (CannotRead, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise CannotRead(f"'{name}' is too large: {error}") from error
    except Exception as error:  # Pillow's readers raise nearly every type for torn files
        raise CannotRead(f"'{name}' is no picture, or torn") from error
