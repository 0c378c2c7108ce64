"""What is packed in one process is the same in another: values, shapes, order in memory."""

import os
from typing import NamedTuple

import pytest
import torch

from fragrant.data import travel
from fragrant.data.travel import pack, unpack


class Pair(NamedTuple):
    first: object
    second: object


CLIPS = torch.arange(2 * 3 * 4 * 5 * 6 * 3).to(torch.uint8).reshape(2, 3, 4, 5, 6, 3).permute(0, 1, 5, 2, 3, 4)
VALUES = {
    "channels last": CLIPS,
    "nothing": torch.empty(0, 3),
    "nothing at all": "text",
    "one number": torch.tensor(3.5),
    "bool": torch.tensor([[True], [False]]),
    "bf16": torch.ones(5, dtype=torch.bfloat16),
    "repeated": torch.arange(3).expand(4, 3),
    "with gaps": torch.arange(20)[3::4],
    "turned": torch.arange(6.0).reshape(2, 3).T,
    "together": Pair([CLIPS, {"a": torch.arange(7)}], (None, torch.empty(0))),
}


def same(value, other) -> bool:
    if isinstance(value, torch.Tensor):
        return value.dtype == other.dtype and value.shape == other.shape and torch.equal(value, other)
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(same(value[key], other[key]) for key in value)
    if isinstance(value, list | tuple):
        return type(value) is type(other) and len(value) == len(other) and all(map(same, value, other))
    return value == other


@pytest.fixture(params=["memory", "file"])
def way(request, monkeypatch):
    """Where the system gives memory to hand on, and where it does not."""
    if request.param == "file":
        monkeypatch.delattr(os, "memfd_create", raising=False)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_the_same_value(value, way):
    pickled, memory = pack(value)
    assert same(unpack(pickled, memory), value)


def test_clips_keep_their_order_in_memory(way):
    arrived = unpack(*pack(CLIPS))
    assert arrived.flatten(0, 1).is_contiguous(memory_format=torch.channels_last_3d)
    arrived[0] = 7  # may be written to, as any tensor
    assert (arrived[0] == 7).all() and torch.equal(arrived[1], CLIPS[1])


def test_no_room_is_an_error_and_leaves_no_descriptor(monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(travel.os, "pwrite", full)
    before = os.open(os.devnull, os.O_RDONLY)
    os.close(before)
    with pytest.raises(OSError, match="No space left"):
        pack(CLIPS)
    after = os.open(os.devnull, os.O_RDONLY)
    os.close(after)
    assert before == after
