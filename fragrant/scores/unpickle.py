"""Unpickles arrays of numbers without ever calling what a file names: every name stands for a function of this file."""

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fragrant.stand_ins import NUMPY, PlainArray, PlainType, bytes_of, refusal, sizes_of

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
# Not needed for arrays: old and new ways to make objects, the registry of extensions, sets, and buffers
# outside of the file.
REFUSED = (pickle.PERSID + pickle.INST + pickle.OBJ + pickle.NEWOBJ + pickle.NEWOBJ_EX + pickle.EXT1 + pickle.EXT2) + (
    pickle.EXT4 + pickle.NEXT_BUFFER + pickle.READONLY_BUFFER + pickle.EMPTY_SET + pickle.ADDITEMS + pickle.FROZENSET
)
PLAIN: dict[int, Any] = pickle._Unpickler.dispatch
LARGEST_KEY = 2**60  # whole numbers beyond share their hash with others: with a file of such keys a dict takes for ever


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
    file = io.BytesIO(bytes_of(content))
    if (_StorageUnpickler(file).load(), _StorageUnpickler(file).load()) != (MAGIC, PROTOCOL):
        raise refusal("a tensor of an unknown form")
    _StorageUnpickler(file).load()  # about the machine that wrote it
    described, keys = _StorageUnpickler(file).load(), _StorageUnpickler(file).load()
    if not isinstance(described, tuple) or not isinstance(keys, list) or len(keys) != 1:
        raise refusal("a tensor of an unknown form")
    dtype, wanted = described
    (there,) = struct.unpack("<q", file.read(8))
    data = bytearray(file.read())
    if there != wanted or len(data) != wanted * dtype.itemsize:
        raise refusal(f"a tensor of {wanted} numbers in {len(data)} bytes")
    return _Storage(torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype))


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    """In place of torch._utils._rebuild_tensor_v2, which lets a tensor be larger than its storage."""
    size, stride = sizes_of(size), sizes_of(stride)
    if not isinstance(storage, _Storage) or len(size) != len(stride) or type(offset) is not int:
        raise refusal("a tensor of an unknown form")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if offset < 0 or (0 not in size and last >= len(storage.numbers)):
        raise refusal(f"a tensor of shape {size} in a storage of {len(storage.numbers)} numbers")
    return storage.numbers.as_strided(size, stride, 0 if 0 in size else offset)


# ----------------------------------------------------------------------------------------------------------- the reader
def _check_key(key: Any) -> None:
    if type(key) not in (str, bytes) and not (type(key) in (int, bool) and abs(key) < LARGEST_KEY):
        raise refusal("a dict whose keys are no texts or numbers of usual size")


def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    """In place of _codecs.encode: how Python 2 and early protocols write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise refusal("_codecs.encode with another encoding than latin1")
    return text.encode("latin1")


def _ordered(*nothing: Any) -> OrderedDict:
    return OrderedDict()


def _no_bytes(*nothing: Any) -> bytes:
    return b""


# All that a pickle of arrays, tensors, lists and dicts names, by module.name, and what stands for it.
STANDS_FOR: dict[str, Callable] = {
    **NUMPY,
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.storage._load_from_bytes": _storage,
    "_codecs.encode": _latin1,
    "__builtin__.bytes": _no_bytes,
    "builtins.bytes": _no_bytes,
}
STORAGE_KINDS: dict[str, Callable] = {f"torch.{name}": _kind_of_storage(kind) for name, kind in STORAGES.items()}


class ArrayUnpickler(pickle._Unpickler):
    """Python's own unpickler in Python: in C, a file's numbers would be taken for sizes of memory.

    What it gives for an array is an ``PlainArray``; see ``unpickle``.
    """

    stack: list
    memo: dict
    readline: Callable[[], bytes]
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
            raise refusal(f"{wanted}, which could run code")
        return found

    def load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack[-1]
        if not isinstance(arguments, tuple) or not any(function is known for known in self.names.values()):
            raise refusal("a call of something that is no function")
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if not isinstance(made, (PlainType, PlainArray)):
            raise refusal(f"a state of a {type(made).__name__}")
        made.__setstate__(state)

    def load_setitem(self) -> None:
        _check_key(self.stack[-2])
        PLAIN[pickle.SETITEM[0]](self)

    def load_setitems(self) -> None:
        for key in self.stack[::2]:  # since the last mark
            _check_key(key)
        PLAIN[pickle.SETITEMS[0]](self)

    def load_dict(self) -> None:
        for key in self.stack[::2]:
            _check_key(key)
        PLAIN[pickle.DICT[0]](self)

    def load_put(self) -> None:
        number = int(self.readline())
        if not 0 <= number < LARGEST_KEY:
            raise refusal("a name that is no number of usual size")
        self.memo[number] = self.stack[-1]

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(min(length, len(self.file.getbuffer())))))

    def load_binpersid(self) -> None:
        raise refusal("something outside of the file")

    dispatch[pickle.SETITEM[0]], dispatch[pickle.SETITEMS[0]] = load_setitem, load_setitems
    dispatch[pickle.DICT[0]], dispatch[pickle.PUT[0]] = load_dict, load_put
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
            raise refusal("something outside of the file")
        kind, count = described[1], described[4]
        if not any(kind is known for known in self.names.values()) or type(count) is not int or count < 0:
            raise refusal("a tensor of an unknown form")
        self.append((kind(), count))

    dispatch[pickle.BINPERSID[0]] = load_binpersid


def unpickle(content: bytes) -> Any:
    """Numbers, texts, lists, dicts, tensors, and ``PlainArray`` for arrays: see ``numbers_of``.

    Raises:
        UnpicklingError: it holds, or asks for, anything else.
        Exception: damaged; of any kind.
    """
    return ArrayUnpickler(io.BytesIO(content)).load()


def numbers_of(value: Any) -> np.ndarray | Tensor | None:
    """The array or tensor that an unpickled value is; None for anything else."""
    if isinstance(value, PlainArray):
        return value.content
    return value if isinstance(value, Tensor) else None
