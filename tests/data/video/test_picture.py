"""Pictures of a folder keep what they say about their values and their orientation, or are refused."""

import random
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from fragrant.data.video.frames import VideoError, open_frames

GRAY16 = (np.arange(40 * 24).reshape(24, 40) * 68 + 300).astype(np.uint16)


def read(folder, suffix):
    with open_frames(folder, template="{:05d}." + suffix) as frames:
        return frames.read([0])[0].numpy()


def save_png(path):
    Image.fromarray(GRAY16).save(path)


def save_pgm(path):
    path.write_bytes(b"P5\n40 24\n65535\n" + GRAY16.astype(">u2").tobytes())


def save_tiff(path, *, bits=16, order="<", white_is_zero=False):
    """An uncompressed TIFF written by hand: Pillow writes few of the kinds."""
    height, width = GRAY16.shape
    tags = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, 0 if white_is_zero else 1),
        (273, 200),
        (277, 1),
        (278, height),
    ]
    tags.append((279, width * height * bits // 8))
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    for tag, value in tags:
        data += struct.pack(
            order + ("HHIHH" if tag != 273 and tag != 279 else "HHII"),
            tag,
            3 if tag not in (273, 279) else 4,
            1,
            value,
            *(() if tag in (273, 279) else (0,)),
        )
    data += bytes(200 - len(data))
    values = GRAY16 if not white_is_zero else 65535 - GRAY16
    path.write_bytes(data + values.astype(order + "u2").tobytes())


KINDS = {
    "png": save_png,
    "pgm": save_pgm,
    "tif": save_tiff,
    "tiff": lambda path: save_tiff(path, order=">"),
    "TIF": lambda path: save_tiff(path, white_is_zero=True),
}


@pytest.mark.parametrize("suffix", KINDS)
def test_gray_of_16_bits_is_divided_by_257(tmp_path, suffix):
    KINDS[suffix](tmp_path / f"00001.{suffix}")
    expected = np.rint(GRAY16 / 257).astype(int)
    assert expected.min() < 5 and expected.max() > 250
    got = read(tmp_path, suffix)
    assert got.shape == (24, 40, 3) and got.dtype == np.uint8
    assert np.array_equal(got, np.repeat(expected[..., None], 3, 2))


@pytest.mark.parametrize("name, place", [("black", 0), ("white", 65535), ("middle", 32768)])
def test_black_and_white_stay(tmp_path, name, place):
    Image.fromarray(np.full((16, 16), place, np.uint16)).save(tmp_path / "00001.png")
    assert np.unique(read(tmp_path, "png")).tolist() == [round(place / 257)]


def test_gray_of_a_pgm_of_12_bits(tmp_path):
    (tmp_path / "00001.pgm").write_bytes(b"P5\n40 24\n4095\n" + (GRAY16 >> 4).astype(">u2").tobytes())
    assert np.abs(read(tmp_path, "pgm")[..., 0] - GRAY16 / 257).max() < 1.1


@pytest.mark.parametrize(
    "dtype, suffix, kind",
    [(np.float32, "tif", "floating-point numbers"), (np.int32, "tif", "integers")],
)
def test_pictures_without_a_white_are_refused(tmp_path, dtype, suffix, kind):
    Image.fromarray(GRAY16.astype(dtype)).save(tmp_path / f"00001.{suffix}")
    message = (
        f"'00001.{suffix}' is a picture of {kind} of 32 bits, and nothing says which is white; save it with 8 or 16$"
    )
    with pytest.raises(VideoError, match=message):
        read(tmp_path, suffix)


# EXIF orientation -> the picture as it is to be shown, from the picture as it is stored
SHOWN = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
    9: lambda p: p,  # no such orientation
}


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
@pytest.mark.parametrize("orientation", SHOWN)
def test_exif_orientation(tmp_path, suffix, orientation):
    stored = np.zeros((24, 40, 3), np.uint8)
    stored[:12, :20], stored[:12, 20:], stored[12:, :20] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(stored).save(tmp_path / f"00001.{suffix}", exif=exif, **options)
    got = read(tmp_path, suffix).astype(int)
    expected = SHOWN[orientation](stored)
    assert got.shape == expected.shape and np.abs(got - expected).mean() < 2


def test_exif_orientation_of_gray16(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GRAY16).save(tmp_path / "00001.png", exif=exif)
    assert np.array_equal(read(tmp_path, "png")[..., 0], np.rot90(np.rint(GRAY16 / 257), -1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_torn_exif_data_is_no_crash(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    path, rng = tmp_path / f"00001.{suffix}", random.Random(suffix)
    Image.fromarray(np.zeros((24, 40, 3), np.uint8)).save(path, exif=exif)
    whole = path.read_bytes()
    start = max(whole.find(b"Exif"), whole.find(b"MM\0*"), whole.find(b"II*\0"), 0)
    for _ in range(50):
        torn = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            torn[rng.randrange(start + 4, min(start + 90, len(torn)))] = rng.randrange(256)
        path.write_bytes(torn)
        try:
            assert read(tmp_path, suffix).shape[2] == 3
        except (VideoError, Image.DecompressionBombError):
            pass


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr"])
def test_other_kinds_of_8_bits(tmp_path, mode):
    suffix = {"CMYK": "tif", "YCbCr": "jpg", "PA": "png"}.get(mode, "png")
    picture = Image.new("RGB", (16, 16), (255, 255, 255)).convert("P" if mode == "PA" else mode)
    picture.save(tmp_path / f"00001.{suffix}")
    assert torch.from_numpy(read(tmp_path, suffix)).float().mean() > 253
