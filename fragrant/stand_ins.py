"""Stands for what files of other projects name beside their tensors, so that nothing is imported or run for it: plain
arrays and numbers become themselves, a config or a namespace becomes an object that does nothing."""

import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

ORDERS = {"<": "<", ">": ">", "|": "|", "=": "<"}  # how a file names the order of bytes
KINDS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
MOST_DIMENSIONS = 8


# -------------------------------------------------------------------------------------------------------------- arrays
def refusal(reason: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"it asks for {reason}")


def bytes_of(data: Any) -> bytes:
    """Python 2 wrote bytes as texts."""
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise refusal(f"numbers in a {type(data).__name__}")
    return bytes(data)


def sizes_of(values: Any) -> tuple[int, ...]:
    """A shape or strides: a few whole numbers, none below 0."""
    if not isinstance(values, tuple) or len(values) > MOST_DIMENSIONS:
        raise refusal("an array without a shape")
    if not all(type(size) is int and 0 <= size < 2**48 for size in values):
        raise refusal("an array of an impossible shape")
    return values


class PlainType:
    """Stands for numpy.dtype: the name of a number type and its order of bytes, from fixed lists alone.

    A real dtype would take a state from the file, which says where in memory its objects are.
    """

    def __init__(self, name: Any, *flags: Any):
        name = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(name, str) or name not in KINDS:
            what = "objects" if name in ("O", "O8", "O4") else f"{name!r:.40}"
            raise refusal(f"an array of {what}, which is no type of plain numbers")
        self.name, self.order = name, "<"

    def __setstate__(self, state: Any) -> None:
        """Takes the state of a plain number type, (3, order, None, None, None, -1, -1, 0), and no other."""
        if not isinstance(state, tuple) or state[2:] != (None, None, None, -1, -1, 0):
            raise refusal("a numpy.dtype that is more than a type of plain numbers")
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if state[0] not in (1, 2, 3, 4) or not isinstance(order, str) or order not in ORDERS:
            raise refusal("a numpy.dtype of an unknown order of bytes")
        self.order = ORDERS[order]

    @property
    def numpy(self) -> np.dtype:
        return np.dtype(self.order + self.name)


def filled(data: Any, kind: Any, shape: Any, *, fortran: bool) -> np.ndarray:
    """The array of that shape whose numbers are these bytes, all of them."""
    if not isinstance(kind, PlainType):
        raise refusal("an array without a type")
    shape, data = sizes_of(shape), bytes_of(data)
    if math.prod(shape) * kind.numpy.itemsize != len(data):
        raise refusal(f"an array of shape {shape} in {len(data)} bytes")
    return np.frombuffer(data, kind.numpy).reshape(shape, order="F" if fortran else "C")


class PlainArray:
    """Stands for an array that is made first and filled later, as pickle does it."""

    content: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        if self.content is not None or not isinstance(state, tuple) or len(state) != 5:
            raise refusal("an array with an unknown state")
        _, shape, kind, fortran, data = state
        self.content = filled(data, kind, shape, fortran=bool(fortran))


def reconstruct(kind: Any, *empty: Any) -> PlainArray:
    return PlainArray()


def scalar(kind: Any, data: Any) -> Any:
    return filled(data, kind, (), fortran=False).item()


def from_buffer(data: Any, kind: Any, shape: Any, order: Any = "C") -> PlainArray:
    array = PlainArray()
    array.content = filled(data, kind, shape, fortran=order == "F")
    return array


def ndarray(*arguments: Any) -> Any:
    raise refusal("numpy.ndarray itself")


NUMPY: dict[str, Callable] = {"numpy.ndarray": ndarray, "numpy.dtype": PlainType}
for _core in ("core", "_core"):
    NUMPY |= {f"numpy.{_core}.multiarray._reconstruct": reconstruct, f"numpy.{_core}.multiarray.scalar": scalar}
    NUMPY |= {f"numpy.{_core}.numeric._frombuffer": from_buffer}


# ---------------------------------------------------------------------------------------- beside a checkpoint's tensors
class Inert:
    """Stands for an object of a class that is not imported: takes what it is made of, and does nothing with it."""

    def __init__(self, *arguments: Any, **options: Any):
        pass

    def __new__(cls, *arguments: Any, **options: Any) -> "Inert":
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass


class InertArray(PlainArray):
    """An array, or nothing where it is not of plain numbers: the tensors beside it can be read all the same."""

    def __setstate__(self, state: Any) -> None:
        try:
            super().__setstate__(state)
        except pickle.UnpicklingError:
            pass


class InertType(PlainType):
    """A number type, or one that no array can have."""

    def __init__(self, name: Any, *flags: Any):
        try:
            super().__init__(name)
        except pickle.UnpicklingError:
            self.name, self.order = "", ""

    def __setstate__(self, state: Any) -> None:
        try:
            super().__setstate__(state)
        except pickle.UnpicklingError:
            self.name, self.order = "", ""

    @property
    def numpy(self) -> np.dtype:
        if not self.name:
            raise refusal("an array of no plain numbers")
        return super().numpy


def _inert_array(*arguments: Any) -> InertArray:
    return InertArray()


def _inert_scalar(kind: Any, *data: Any) -> Any:
    try:
        return scalar(kind, *data)
    except (pickle.UnpicklingError, TypeError):
        return Inert()


def _listed(*arguments: Any) -> list:
    """A deque; torch before 2.14 puts entries into lists of no other class."""
    return []


def _ordered(*arguments: Any) -> OrderedDict:
    """A defaultdict comes with its factory, a config with its content."""
    content = arguments[0] if arguments and isinstance(arguments[0], dict) else {}
    return OrderedDict(content)


BUILTINS = "dict list tuple int float str bool object frozenset range slice Ellipsis".split()
BESIDE_TENSORS: dict[str, Callable] = {
    "numpy.ndarray": Inert,
    "numpy.dtype": InertType,
    "collections.defaultdict": _ordered,
    "collections.deque": _listed,
    "argparse.Namespace": Inert,
    "types.SimpleNamespace": Inert,
    "typing.Any": Inert,
    **{f"{module}.{name}": Inert for module in ("builtins", "__builtin__") for name in BUILTINS},
    **{name: Inert for name in ("decimal.Decimal", "fractions.Fraction", "uuid.UUID")},
    **{f"pathlib.{name}": Inert for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")},
    **{f"pathlib._local.{name}": Inert for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")},
    **{f"datetime.{name}": Inert for name in ("datetime", "date", "time", "timedelta", "timezone")},
}
for _core in ("core", "_core"):
    BESIDE_TENSORS |= {f"numpy.{_core}.multiarray._reconstruct": _inert_array}
    BESIDE_TENSORS |= {f"numpy.{_core}.multiarray.scalar": _inert_scalar}
# Needed by torch, which calls only what is on its list and gives a state only to objects of a class that is on it.
MADE_HERE = {f"{kind.__module__}.{kind.__name__}": kind for kind in (Inert, InertArray, InertType)}

# Classes whose name says that they hold settings or records, in the modules of any project.
_SETTINGS = re.compile(
    r"([A-Za-z_]\w*\.)+(\w*(Dict|CfgNode|Munch|Box|Bunch)|"
    r"\w*(Config|Conf|Cfg|Namespace|Args|Arguments|Options|Params|HParams|Hyperparameters|Settings|Metadata|"
    r"HistoryBuffer|Meter|SmoothedValue|Epoch|Enum|State|Record))"
)
_DICTS = re.compile(r".*\.\w*(Dict|CfgNode|Munch|Box|Bunch)")
_NEVER = re.compile(r"(builtins|__builtin__|os|sys|posix|nt|subprocess|torch|importlib|runpy|shutil|ctypes)(\..*)?")


def stand_in(name: str) -> Callable | None:
    """What may stand for a class that a checkpoint names beside its tensors, ``"mmengine.config.config.ConfigDict"``;
    None where the name is none of a config, a namespace or a record."""
    if name in BESIDE_TENSORS:
        return BESIDE_TENSORS[name]
    if name.startswith("omegaconf."):
        return Inert
    if not _SETTINGS.fullmatch(name) or _NEVER.fullmatch(name.rpartition(".")[0]):
        return None
    return OrderedDict if _DICTS.fullmatch(name) else Inert
