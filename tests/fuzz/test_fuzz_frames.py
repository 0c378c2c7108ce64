"""Damaged frame folders, stored tensors and videos: frames, or a VideoError in one line."""

import io
import random

import numpy as np
import torch
from fuzzing import SEEDS, examples, tried
from hypothesis import strategies as st
from make_video import encode
from mutations import mutated
from PIL import Image

from fragrant.data.video.frames import open_frames
from fragrant.data.video.row_of_frames import VideoError


def read_or_refused(path) -> None:
    try:
        with open_frames(path) as frames:
            picked = frames.read([0, len(frames) - 1])
            assert picked.dtype == torch.uint8 and picked.shape[0] == 2 and picked.shape[-1] == 3
    except VideoError as error:
        assert "\n" not in str(error) and len(str(error)) < 1500


# ---- folders of pictures


def picture(kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray((np.arange(8 * 6 * 3) % 256).astype(np.uint8).reshape(8, 6, 3)).save(file, kind, **options)
    return file.getvalue()


PICTURES = [picture("JPEG"), picture("PNG"), picture("BMP"), picture("GIF"), picture("TIFF"), picture("WEBP")]


@examples(100, 50_000)
def test_damaged_pictures(number, tmp_path):
    def check(seed: int) -> None:
        rng = random.Random(seed)
        for at in (1, 2):
            (tmp_path / f"{at:05d}.jpg").write_bytes(mutated(rng.choice(PICTURES), PICTURES, rng))
        read_or_refused(tmp_path)

    tried(check, SEEDS, number)


@examples(60, 10_000)
def test_odd_names_of_pictures(number, tmp_path):
    """Numbers far apart, of many digits, of other alphabets; things between the pictures."""
    digits = st.text("0123456789٣四", min_size=1, max_size=30)
    names = st.one_of(digits.map(lambda text: f"{text}.jpg"), st.integers(0, 12).map(lambda at: f"{at:05d}.jpg"))
    counter = iter(range(10**9))

    def check(found) -> None:
        folder = tmp_path / str(next(counter))
        folder.mkdir()
        for name in found:
            (folder / name).write_bytes(PICTURES[0])
        read_or_refused(folder)

    tried(check, st.sets(names | st.sampled_from([".jpg", "a.jpg", "Thumbs.db"]), max_size=5), number)


# ---- stored tensors


def numpy_file(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def torch_file(content, *, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


FRAMES = torch.arange(3 * 4 * 5 * 3).remainder(256).to(torch.uint8).view(3, 4, 5, 3)
FILES = {
    ".npy": [numpy_file(FRAMES.numpy()), numpy_file(np.asfortranarray(FRAMES.numpy())), numpy_file(np.zeros(3))],
    ".pt": [torch_file(FRAMES), torch_file({"frames": FRAMES, "fps": 30.0}), torch_file(FRAMES, zipped=False)],
}


@examples(100, 50_000)
def test_damaged_tensors(number, tmp_path):
    def check(seed: int) -> None:
        rng = random.Random(seed)
        suffix = rng.choice(list(FILES))
        path = tmp_path / f"frames{suffix}"
        path.unlink(missing_ok=True)  # the one before may be mapped still
        path.write_bytes(mutated(rng.choice(FILES[suffix]), FILES[suffix], rng))
        read_or_refused(path)

    tried(check, SEEDS, number)


ODD = ["x", None, 3, [], {}, [FRAMES], torch.zeros(0), torch.zeros(3), FRAMES.float(), FRAMES[:0], FRAMES[:, :0]]
ODD += [FRAMES.to_sparse(), FRAMES.to("meta"), FRAMES.transpose(0, 3), FRAMES.expand(2, 3, 4, 5, 3), FRAMES[..., 0]]
ODD += [FRAMES[:1].expand(10**6, 4, 5, 3), FRAMES.bool(), FRAMES.requires_grad_(False), float("nan"), 10**400, -1.0]


@examples(60, 5_000)
def test_odd_tensors(number, tmp_path):
    path = tmp_path / "frames.pt"

    def check(found) -> None:
        frames, fps, how = found
        path.unlink(missing_ok=True)
        torch.save(frames if how == "bare" else {"frames": frames, "fps": fps}, path)
        read_or_refused(path)

    odd = st.sampled_from(range(len(ODD))).map(ODD.__getitem__)
    tried(check, st.tuples(odd | st.just(FRAMES), odd | st.just(30.0), st.sampled_from(["bare", "dict"])), number)


# ---- videos


@examples(15, 20_000)
def test_damaged_videos(number, tmp_path):
    contents = {}
    for suffix in (".mp4", ".avi"):
        encode(tmp_path / f"whole{suffix}", 6)
        contents[suffix] = (tmp_path / f"whole{suffix}").read_bytes()

    def check(seed: int) -> None:
        rng = random.Random(seed)
        suffix = rng.choice(list(contents))
        path = tmp_path / f"video{suffix}"
        path.write_bytes(mutated(contents[suffix], list(contents.values()), rng))
        read_or_refused(path)

    tried(check, SEEDS, number)
