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


def test_a_line_for_every_kind_of_item(path):
    text = bench.benchmark_loader({"noise": [path, path]}, build_works(load_cfg(None, CFG)), rounds=1, workers=1)
    lines = text.splitlines()
    assert len(lines) == 6 and lines[1].startswith("noise")
    header = lines[0].split()
    assert header[-5:] == list(bench.STAGES)
    for line in lines[1:]:
        assert abs(sum(int(share[:-1]) for share in line.split()[-5:]) - 100) <= 3
        assert line.split()[-6] == line.split()[-7]  # clips/s, per core: of one
        assert line.count("x  ") + line.count("x ") >= 3


def test_the_floor_reads_what_the_item_reads(path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        bench.VideoFile, "_load", lambda frames, numbers, load=bench.VideoFile._load: asked.append(numbers) or load(frames, numbers)
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
