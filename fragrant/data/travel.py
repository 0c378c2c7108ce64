"""How a batch gets from a reading process to the one that trains: its tensors lie in memory that a descriptor names.

Not in /dev/shm, whose size a container limits (Docker: to 64 MB): Linux gives every process memory of its own to hand
on (memfd_create); elsewhere an unnamed temporary file does the same.
"""

import io
import mmap
import os
import pickle
import tempfile
from typing import Any, NamedTuple

import torch
from torch import Tensor

ALIGNED = 64  # bytes; every tensor begins at a multiple


class _Place(NamedTuple):
    """Where a tensor lies in the memory that travels.

    Attributes:
        order: the dimensions from the slowest to the fastest; the bytes lie in this order.
    """

    at: int
    shape: tuple[int, ...]  # in this order
    order: tuple[int, ...]
    dtype: torch.dtype


class _Packer(pickle.Pickler):
    """Pickles everything but tensors, which it lays side by side."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.parts: list[tuple[int, Tensor]] = []
        self.size = 0

    def persistent_id(self, value: Any) -> _Place | None:
        if not isinstance(value, Tensor):
            return None
        strides = value.stride()
        order = tuple(sorted(range(value.ndim), key=lambda dim: (-strides[dim], dim)))
        part = value.detach().permute(order).contiguous()  # a copy only of what has gaps or repeats itself
        place = _Place(self.size, tuple(part.shape), order, value.dtype)
        self.parts.append((self.size, part))
        self.size += -(-part.numel() * part.element_size() // ALIGNED) * ALIGNED
        return place


class _Unpacker(pickle.Unpickler):
    """Unpickles a batch that a reading process of our own has sent."""

    def __init__(self, file: io.BytesIO, memory: mmap.mmap | None):
        super().__init__(file)
        self.memory = memory

    def persistent_load(self, place: _Place) -> Tensor:
        count = 1
        for length in place.shape:
            count *= length
        if count and self.memory is not None:
            part = torch.frombuffer(self.memory, dtype=place.dtype, count=count, offset=place.at)
        else:
            part = torch.empty(0, dtype=place.dtype)
        back = sorted(range(len(place.order)), key=place.order.__getitem__)
        return part.view(place.shape).permute(back)


def pack(value: Any) -> tuple[bytes, int | None]:
    """Any value with CPU tensors in it -> its pickle without them, and a descriptor of the memory that holds them (None
    = there are none); whoever gets the descriptor closes it.

    Raises:
        OSError: there is no room.
    """
    file = io.BytesIO()
    packer = _Packer(file)
    packer.dump(value)
    if not packer.size:
        return file.getvalue(), None
    memory = _new_memory()
    try:
        for at, part in packer.parts:
            _write(memory, part, at)
        os.truncate(memory, packer.size)
    except BaseException:
        os.close(memory)
        raise
    return file.getvalue(), memory


def unpack(pickled: bytes, memory: int | None) -> Any:
    """What ``pack`` was given; its tensors lie where the descriptor says, nothing is copied. Closes the descriptor."""
    if memory is None:
        return _Unpacker(io.BytesIO(pickled), None).load()
    try:
        mapped = mmap.mmap(memory, 0)  # lives as long as a tensor of it
    finally:
        os.close(memory)
    return _Unpacker(io.BytesIO(pickled), mapped).load()


def _new_memory() -> int:
    if hasattr(os, "memfd_create"):
        try:
            return os.memfd_create("fragrant batch")
        except OSError:  # a kernel, or the rules of a sandbox, without it
            pass
    with tempfile.TemporaryFile(prefix="fragrant-batch-") as file:
        return os.dup(file.fileno())


def _write(memory: int, part: Tensor, at: int) -> None:
    """Written, not copied into a mapping: where there is no room, that is an error and not the end of the process."""
    if not part.numel():
        return
    rest = part.reshape(-1).view(torch.uint8).numpy().data
    while len(rest):
        written = os.pwrite(memory, rest, at)
        rest, at = rest[written:], at + written
