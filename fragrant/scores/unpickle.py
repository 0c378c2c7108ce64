"""Unpickles arrays of numbers without ever calling what a file names: every name stands for a function of this file."""

import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

ORDERS = {"<": "<", ">": ">", "|": "|", "=": "<"}  # how a file names the order of bytes
KINDS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # how torch begins the bytes of a storage
MOST_DIMENSIONS = 8
# Not needed for arrays: old and new ways to make objects, the registry of extensions, buffers outside of the file.
REFUSED = (pickle.PERSID + pickle.INST + pickle.OBJ + pickle.NEWOBJ + pickle.NEWOBJ_EX + pickle.EXT1 + pickle.EXT2) + (
    pickle.EXT4 + pickle.NEXT_BUFFER + pickle.READONLY_BUFFER
)


def _refuse(reason: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(reason)


def _bytes(data: Any) -> bytes:
    """Python 2 wrote bytes as texts."""
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise _refuse(f"it asks for numbers in a {type(data).__name__}")
    return bytes(data)


def _sizes(values: Any) -> tuple[int, ...]:
    """A shape or strides: a few whole numbers, none below 0."""
    if not isinstance(values, tuple) or len(values) > MOST_DIMENSIONS:
        raise _refuse("it asks for an array without a shape")
    if not all(type(size) is int and 0 <= size < 2**48 for size in values):
        raise _refuse("it asks for an array of an impossible shape")
    return values


# --------------------------------------------------------------------------------------------------------------- numpy
class _Dtype:
    """Stands for numpy.dtype: the name of a number type and its order of bytes, from fixed lists alone.

    A real dtype would take a state from the file, which says where in memory its objects are.
    """

    def __init__(self, name: Any, *flags: Any):
        name = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(name, str) or name not in KINDS:
            what = "objects" if name in ("O", "O8", "O4") else f"{name!r:.40}"
            raise _refuse(f"it asks for an array of {what}, which is no type of plain numbers")
        self.name, self.order = name, "<"

    def build(self, state: Any) -> None:
        """Takes the state of a plain number type, (3, order, None, None, None, -1, -1, 0), and no other."""
        if not isinstance(state, tuple) or state[2:] != (None, None, None, -1, -1, 0):
            raise _refuse("it asks for a numpy.dtype that is more than a type of plain numbers")
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if state[0] not in (1, 2, 3, 4) or not isinstance(order, str) or order not in ORDERS:
            raise _refuse("it asks for a numpy.dtype of an unknown order of bytes")
        self.order = ORDERS[order]

    @property
    def numpy(self) -> np.dtype:
        return np.dtype(self.order + self.name)


def _dtype(value: Any) -> np.dtype:
    if not isinstance(value, _Dtype):
        raise _refuse("it asks for an array without a type")
    return value.numpy


def _filled(data: Any, dtype: np.dtype, shape: Any, *, fortran: bool) -> np.ndarray:
    shape, data = _sizes(shape), _bytes(data)
    if math.prod(shape) * dtype.itemsize != len(data):
        raise _refuse(f"it asks for an array of shape {shape} in {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


class _Array:
    """Stands for an array that is made first and filled later, as pickle does it."""

    content: np.ndarray | None = None

    def build(self, state: Any) -> None:
        if self.content is not None or not isinstance(state, tuple) or len(state) != 5:
            raise _refuse("it asks for an array with an unknown state")
        _, shape, dtype, fortran, data = state
        self.content = _filled(data, _dtype(dtype), shape, fortran=bool(fortran))


def _reconstruct(kind: Any, *empty: Any) -> _Array:
    return _Array()


def _scalar(dtype: Any, data: Any) -> Any:
    return _filled(data, _dtype(dtype), (), fortran=False).item()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> _Array:
    array = _Array()
    array.content = _filled(data, _dtype(dtype), shape, fortran=order == "F")
    return array


# --------------------------------------------------------------------------------------------------------------- torch
class _Storage:
    """Stands for torch's storage: numbers in a row."""

    def __init__(self, numbers: Tensor):
        self.numbers = numbers  # (n,)


def _kind_of_storage(kind: torch.dtype) -> Callable:
    def named() -> torch.dtype:
        return kind

    return named


def _storage(content: Any) -> _Storage:
    """In place of torch.storage._load_from_bytes: what torch wrote for one storage, read here."""
    file = io.BytesIO(_bytes(content))
    if (_StorageUnpickler(file).load(), _StorageUnpickler(file).load()) != (MAGIC, PROTOCOL):
        raise _refuse("it asks for a tensor of an unknown form")
    _StorageUnpickler(file).load()  # about the machine that wrote it
    described, keys = _StorageUnpickler(file).load(), _StorageUnpickler(file).load()
    if not isinstance(described, tuple) or not isinstance(keys, list) or len(keys) != 1:
        raise _refuse("it asks for a tensor of an unknown form")
    dtype, wanted = described
    (there,) = struct.unpack("<q", file.read(8))
    data = bytearray(file.read())
    if there != wanted or len(data) != wanted * dtype.itemsize:
        raise _refuse(f"it asks for a tensor of {wanted} numbers in {len(data)} bytes")
    return _Storage(torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype))


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    """In place of torch._utils._rebuild_tensor_v2, which lets a tensor be larger than its storage."""
    size, stride = _sizes(size), _sizes(stride)
    if not isinstance(storage, _Storage) or len(size) != len(stride) or type(offset) is not int:
        raise _refuse("it asks for a tensor of an unknown form")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if offset < 0 or (0 not in size and last >= len(storage.numbers)):
        raise _refuse(f"it asks for a tensor of shape {size} in a storage of {len(storage.numbers)} numbers")
    return storage.numbers.as_strided(size, stride, 0 if 0 in size else offset)


# ----------------------------------------------------------------------------------------------------------- the reader
def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    """In place of _codecs.encode: how Python 2 and early protocols write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _refuse("it asks for _codecs.encode with another encoding than latin1")
    return text.encode("latin1")


def _ordered(*nothing: Any) -> OrderedDict:
    return OrderedDict()


def _no_bytes(*nothing: Any) -> bytes:
    return b""


def _ndarray(*arguments: Any) -> Any:
    raise _refuse("it asks for numpy.ndarray itself")


# All that a pickle of arrays, tensors, lists and dicts names, by module.name, and what stands for it.
STANDS_FOR: dict[str, Callable] = {
    "numpy.ndarray": _ndarray,
    "numpy.dtype": _Dtype,
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.storage._load_from_bytes": _storage,
    "_codecs.encode": _latin1,
    "__builtin__.bytes": _no_bytes,
    "builtins.bytes": _no_bytes,
}
for _core in ("core", "_core"):
    STANDS_FOR |= {f"numpy.{_core}.multiarray._reconstruct": _reconstruct}
    STANDS_FOR |= {f"numpy.{_core}.multiarray.scalar": _scalar, f"numpy.{_core}.numeric._frombuffer": _from_buffer}
STORAGE_KINDS: dict[str, Callable] = {f"torch.{name}": _kind_of_storage(kind) for name, kind in STORAGES.items()}


class ArrayUnpickler(pickle._Unpickler):
    """Python's own unpickler in Python: in C, a file's numbers would be taken for sizes of memory.

    What it gives for an array is an ``_Array``; see ``unpickle``.
    """

    stack: list
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    names = STANDS_FOR
    dispatch: ClassVar[dict[int, Any]] = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if code not in REFUSED
    }

    def __init__(self, file: io.BytesIO):
        super().__init__(file, encoding="latin1")
        self.file = file

    def find_class(self, module: str, name: str) -> Any:
        found = self.names.get(f"{module}.{name}")
        if found is None:
            wanted = f"{module}.{name}"
            wanted = wanted if wanted.isprintable() and len(wanted) < 100 else f"{wanted!r:.100}"
            raise _refuse(f"it asks for {wanted}, which could run code")
        return found

    def load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack[-1]
        if not isinstance(arguments, tuple) or not any(function is known for known in self.names.values()):
            raise _refuse("it asks for a call of something that is no function")
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if not isinstance(made, (_Dtype, _Array)):
            raise _refuse(f"it asks for a state of a {type(made).__name__}")
        made.build(state)

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(min(length, len(self.file.getbuffer())))))

    def load_binpersid(self) -> None:
        raise _refuse("it asks for something outside of the file")

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
    dispatch[pickle.BINPERSID[0]] = load_binpersid


class _StorageUnpickler(ArrayUnpickler):
    """For the few pickles in front of a storage's numbers; gives (number type, count) for the storage."""

    names = STORAGE_KINDS
    dispatch: ClassVar[dict[int, Any]] = dict(ArrayUnpickler.dispatch)

    def load_binpersid(self) -> None:
        described = self.stack.pop()
        if not isinstance(described, tuple) or len(described) < 5 or described[0] != "storage":
            raise _refuse("it asks for something outside of the file")
        kind, count = described[1], described[4]
        if not any(kind is known for known in self.names.values()) or type(count) is not int or count < 0:
            raise _refuse("it asks for a tensor of an unknown form")
        self.append((kind(), count))

    dispatch[pickle.BINPERSID[0]] = load_binpersid


def unpickle(content: bytes) -> Any:
    """Numbers, texts, lists, dicts, tensors, and ``_Array`` for arrays: see ``numbers_of``.

    Raises:
        UnpicklingError: it holds, or asks for, anything else.
        Exception: damaged; of any kind.
    """
    return ArrayUnpickler(io.BytesIO(content)).load()


def numbers_of(value: Any) -> np.ndarray | Tensor | None:
    """The array or tensor that an unpickled value is; None for anything else."""
    if isinstance(value, _Array):
        return value.content
    return value if isinstance(value, Tensor) else None
