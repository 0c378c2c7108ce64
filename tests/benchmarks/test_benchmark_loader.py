"""The loader's benchmark: what it compares is the same work, and it prints what it promises."""

import av
import numpy as np
import pytest

from fragrant.benchmarks import loader as bench
from fragrant.benchmarks.build import build_works
from fragrant.config import load_cfg
from fragrant.synthetic.demo_set import encode

CFG = """
    DATA.NUM_FRAMES 4 DATA.SAMPLING_RATE 2 DATA.TRAIN_CROP_SIZE 32 DATA.TEST_CROP_SIZE 40 DATA.TRAIN_JITTER_SCALES [36,48] NUM_GPUS 0
    DATA_LOADER.NUM_WORKERS 0
""".split()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    encode(path, np.random.RandomState(0).randint(0, 256, (30, 48, 64, 3)).astype(np.uint8))
    return str(path)


HEADER = ["ms/item", "floor ms", "item/floor", "clip/floor", "plain/floor", "clips/s", "per core", *bench.STAGES]
ITEMS = [  # name, views
    ("train, 1 view", 1),
    ("the same, on the device", 1),
    ("train, RandAugment m7-n4, 2 views", 2),
    ("the same, on the device", 2),
    ("the same, published order", 2),
    ("test, 4 x 3 views", 12),
    ("the same, on the device", 12),
    ("the same, resized while decoding", 12),
]


def cells(line: str) -> dict[str, str]:
    """The numbers of a row under their names: columns of 12 characters behind those of the files and the item."""
    return dict(zip(HEADER, (line[at : at + 12].strip() for at in range(54, len(line), 12)), strict=True))


def number(cell: str, unit: str = "") -> float:
    assert cell.endswith(unit), cell
    return float(cell.removesuffix(unit))


def test_a_line_for_every_kind_of_item(path):
    text = bench.benchmark_loader({"noise": [path, path]}, build_works(load_cfg(None, CFG)), rounds=1, workers=1)
    lines = text.splitlines()
    assert (lines[0][:54].split(), list(cells(lines[0]).values())) == (["files", "item"], HEADER)
    assert [line[:20].strip() for line in lines[1:]] == ["noise"] + [""] * (len(ITEMS) - 1)
    assert [line[20:54].strip() for line in lines[1:]] == [name for name, _ in ITEMS]
    for line, (_, views) in zip(lines[1:], ITEMS, strict=True):
        row = cells(line)
        item, floor = number(row["ms/item"]), number(row["floor ms"])
        ratio, per_clip, plain = (number(row[name], "x") for name in ("item/floor", "clip/floor", "plain/floor"))
        # of one round; both are rounded to 0.1 ms
        assert ratio == pytest.approx(item / floor, abs=0.06 * (1 + ratio) / floor + 0.006)
        assert per_clip == pytest.approx(ratio / views, abs=0.011) and plain > 0
        assert number(row["clips/s"]) == number(row["per core"]) > 0  # of one core
        shares = [number(row[stage], "%") for stage in bench.STAGES]
        assert abs(sum(shares) - 100) <= 3 and min(shares) >= 0


def test_numbers_of_a_line():
    """Medians of the rounds' ratios, not ratios of medians."""
    row = {
        "name": "a",
        "item": [0.004, 0.03, 0.004],
        "floor": [0.002, 0.01, 0.001],
        "plain": [0.006, 0.01, 0.002],
        "views": 2,
        "clips/s": 90,
    }
    row["stages"] = dict(zip(bench.STAGES, (1, 4, 2, 2, 1), strict=True))
    expected = ["4.0", "2.0", "3.00x", "1.50x", "2.00x", "90.0", "45.0", "10%", "40%", "20%", "20%", "10%"]
    assert list(cells(bench._line("files", row, cores=2)).values()) == expected


def test_the_floor_reads_what_the_item_reads(path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        bench.VideoFile,
        "_load",
        lambda frames, numbers, load=bench.VideoFile._load: asked.append(numbers) or load(frames, numbers),
    )
    for work in build_works(load_cfg(None, CFG)):
        dataset = work.dataset_of([path])
        for epoch in range(3):
            asked.clear()
            dataset[(epoch, 0)]
            assert asked == bench._needed(dataset, epoch)


def test_generated_files_have_their_key_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "SECONDS", 1)
    monkeypatch.setattr(bench, "SIZES", ((48, 64),))
    files = bench.generated_files(tmp_path)
    assert list(files) == ["64x48, GOP 1", "64x48, GOP 12", "64x48, GOP 250"]
    for (name,), keys in zip(files.values(), (30, 3, 1), strict=True):
        with av.open(name) as container:
            assert sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size) == keys
