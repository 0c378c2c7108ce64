"""One reading process does not grow, however many items it makes, and uses its memory again."""

import os
import platform
import random
import subprocess
import sys

import pytest
import torch
from make_video import encode

from fragrant.data.clips import ClipDataset
from fragrant.data.lists.records import VideoRecord
from fragrant.data.loader import ClipLoader
from fragrant.data.transforms.view_transforms import TrainTransform
from fragrant.data.views import train_plan


class _Reporting(ClipDataset):
    """Puts the resident memory of its process, in MB, where the label was."""

    def __getitem__(self, key):
        item = super().__getitem__(key)
        with open("/proc/self/statm", encoding="ascii") as file:
            return item._replace(label=int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20)


class _Items:
    """``number`` items in random order, one to a batch."""

    epoch = 0

    def __init__(self, number: int):
        self.number = number

    def __len__(self):
        return self.number

    def __iter__(self):
        rng = random.Random(0)
        return ([(0, rng.randrange(6))] for _ in range(self.number))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.parametrize("number", [600, pytest.param(2000, marks=pytest.mark.slow)])
def test_items_from_one_worker_grow_its_memory_by_less_than_50_mb(tmp_path, number):
    """Good files of several kinds and broken ones: each way to read, and each way to fail."""
    recipes = [
        ("0.mp4", {}),
        ("1.mkv", {}),
        ("2.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("3.avi", {"codec": "mpeg4"}),
        ("4.ts", {}),
    ]
    for name, recipe in recipes:
        encode(tmp_path / name, 24, **recipe)
    (tmp_path / "5.mp4").write_bytes((tmp_path / "0.mp4").read_bytes()[:700])
    names = [name for name, _ in recipes] + ["5.mp4"]
    records = [VideoRecord(str(tmp_path / name), 0) for name in names]
    transform = TrainTransform(crop_size=32, jitter_scales=(32, 40))
    dataset = _Reporting(records, train_plan(length=4, stride=3), transform, seed=0, replace=True)
    sizes = torch.cat([batch.labels for batch in ClipLoader(dataset, _Items(number), num_workers=1)]).tolist()
    assert len(sizes) == number
    assert max(sizes[50:]) - sizes[49] < 50


FAULTS = """
import resource
import torch
from fragrant.workers import keep_freed_memory

keep_freed_memory()
rounds = []
for _ in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.zeros(7_500_000) for _ in range(4)]  # 120 MB, 30,000 pages
    del tensors
    rounds.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(rounds))  # in a round that the system did not disturb: it may take pages away from idle memory
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again():
    """Without it glibc gives most of it back to the system and asks for it anew, page by page, in every round."""
    new_pages = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    assert int(new_pages) < 1000
