"""Tensors of TorchScript archives, as OpenAI's CLIP files are: read without running or compiling the code inside."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

DTYPES = {  # classes of storages -> number types
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
MOST_LEVELS = 50  # of modules within modules


class _Attributes:
    """Stands for a module, or any other object of the archive: what its attributes are."""

    values: dict[str, Any]

    def __new__(cls, *arguments: Any) -> "_Attributes":
        made = super().__new__(cls)
        made.values = {}
        return made

    def __setstate__(self, state: Any) -> None:
        self.values = state if isinstance(state, dict) else {}


def _tensor(flat: Any, offset: Any, size: Any, stride: Any, *others: Any) -> Tensor:
    """A tensor of a storage; torch checks that it lies within."""
    return torch.as_strided(flat, tuple(size), tuple(stride), offset)


def _listed(*arguments: Any) -> list:
    return list(arguments[0]) if arguments and isinstance(arguments[0], (list, tuple)) else []


class _Reader(pickle.Unpickler):
    """Reads the pickle of an archive; nothing is imported for it.

    Args:
        folder: the name that everything in the archive begins with.
    """

    def __init__(self, archive: zipfile.ZipFile, folder: str):
        super().__init__(archive.open(f"{folder}data.pkl"))
        self.archive, self.folder = archive, folder
        self.flat: dict[str, Tensor] = {}  # storages by their key

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Attributes
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("collections", "OrderedDict"): OrderedDict,
        }
        if (module, name) in known:
            return known[module, name]
        if module == "torch.jit._pickle" and name.startswith("build_"):
            return _listed
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"it refers to a {kind!r:.40}")
        if key not in self.flat:
            content = bytearray(self.archive.read(f"{self.folder}data/{key}"))
            self.flat[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        return self.flat[key]


def folder_of(archive: zipfile.ZipFile) -> str | None:
    """What the names of a TorchScript archive begin with, ``"archive/"``; None for any other archive."""
    names = archive.namelist()
    found = [name.removesuffix("constants.pkl") for name in names if name.endswith("/constants.pkl")]
    return found[0] if len(found) == 1 and f"{found[0]}data.pkl" in names else None


def is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return folder_of(archive) is not None


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """The tensors of a TorchScript archive by their names in its module, on the CPU.

    Raises:
        BadZipFile, UnpicklingError, RuntimeError, ...: a damaged file can fail in any way.
    """
    with zipfile.ZipFile(path) as archive:
        folder = folder_of(archive)
        if folder is None:
            raise zipfile.BadZipFile("it is no TorchScript archive")
        module = _Reader(archive, folder).load()
    tensors: dict[str, Tensor] = {}
    waiting: list[tuple[str, Any, int]] = [("", module, 0)]
    while waiting:
        prefix, value, level = waiting.pop(0)
        if isinstance(value, Tensor):
            tensors[prefix] = value
        elif isinstance(value, _Attributes) and level < MOST_LEVELS:
            inside = [(f"{prefix}.{name}" if prefix else str(name), x, level + 1) for name, x in value.values.items()]
            waiting += inside
    return tensors
