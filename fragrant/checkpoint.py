"""Checkpoint files: written whole or not at all, found again, read without running code from them."""

import io
import logging
import os
import pickle
import random
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.serialization import safe_globals

from fragrant.errors import UserError
from fragrant.files import is_address, refuse_odd, written_whole
from fragrant.pickled_keys import check_keys
from fragrant.remote import RemoteError, local_path
from fragrant.safetensors_files import ENDING, read_safetensors
from fragrant.stand_ins import BESIDE_TENSORS, MADE_HERE, stand_in
from fragrant.torchscript_files import is_torchscript, read_torchscript
from fragrant.zoo.box import sha256_of

NAME = re.compile(r"checkpoint_epoch_(\d{5,})(?:_batch_(\d{5,}))?\.pyth")
RANKED = re.compile(r"best_epoch_(\d{5,})\.pyth")
PLAIN = {type(None), bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device, Tensor, nn.Parameter}
NEEDED_TO_RESUME = ("model_state", "optimizer_state", "epoch")
OLD_PICKLES = 5  # that a file of torch before 1.6 begins with
MOST_REPEATED = 64_000_000  # bytes that tensors may claim beyond those in the file
MOST_STAND_INS = 200  # names that a file may give to objects beside its tensors
ONLY_FOR_RESUMING = {"optimizer_state", "scaler_state", "rng", "stepper", "meter", "validations"}

logger = logging.getLogger(__name__)


class CheckpointError(UserError):
    """A checkpoint that cannot be written or read."""


class TensorError(ValueError):
    """A file whose tensors are not made of its own bytes."""


class Checkpoint(NamedTuple):
    path: Path
    state: dict[str, Any]


# ---- names --------------------------------------------------------------------------------------------------------


def checkpoint_path(output_dir: str | Path, finished_epochs: int, finished_batches: int = 0) -> Path:
    """Path of the checkpoint after ``finished_epochs`` epochs, and ``finished_batches`` of the next one."""
    batches = f"_batch_{finished_batches:05d}" if finished_batches else ""
    return Path(output_dir) / "checkpoints" / f"checkpoint_epoch_{finished_epochs:05d}{batches}.pyth"


def best_path(output_dir: str | Path) -> Path:
    return Path(output_dir) / "checkpoints" / "best.pyth"


def ranked_path(output_dir: str | Path, finished_epochs: int) -> Path:
    """Path of the weights after ``finished_epochs`` epochs, where those of several best epochs are kept."""
    return best_path(output_dir).with_name(f"best_epoch_{finished_epochs:05d}.pyth")


def is_due(epoch: int, max_epoch: int, period: int) -> bool:
    """Whether something that happens every ``period`` epochs, and in the last one, happens after ``epoch``
    (0-based)."""
    return (epoch + 1) % period == 0 or epoch + 1 == max_epoch


def _all_checkpoints(output_dir: str | Path) -> list[Path]:
    """The checkpoints of a run, newest first; temporaries and foreign files are not among them."""
    folder = checkpoint_path(output_dir, 0).parent
    try:
        names = [(path, NAME.fullmatch(path.name)) for path in folder.iterdir()]
        found = [((int(match[1]), int(match[2] or 0)), path) for path, match in names if match and path.is_file()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"cannot look for checkpoints in {folder}: {error.strerror}") from error
    return [path for _, path in sorted(found, reverse=True)]


def find_latest(output_dir: str | Path) -> Path | None:
    """The checkpoint that has come furthest, readable or not; None when there is none."""
    return next(iter(_all_checkpoints(output_dir)), None)


def drop_old_batches(output_dir: str | Path, keep: int = 2) -> None:
    """Deletes the checkpoints from within an epoch that are not among the newest ``keep``; those of whole epochs
    stay."""
    for path in _all_checkpoints(output_dir)[keep:]:
        if (name := NAME.fullmatch(path.name)) and name[2]:
            path.unlink(missing_ok=True)


def drop_old_epochs(newest: Path, keep: int, spared: Collection[Path] = ()) -> None:
    """Deletes the checkpoints of whole epochs before ``newest`` that are not among the last ``keep`` up to it; with 0
    none.

    Later ones are of another run in this folder, which nobody has asked to go on with: they stay.

    Args:
        newest: is on disk.
        spared: resolved paths that stay, too.
    """
    name = NAME.fullmatch(newest.name)
    if not keep or not name or name[2]:
        return
    found = [path for path in _all_checkpoints(newest.parent.parent) if "_batch_" not in path.name]
    for path in found[found.index(newest) :][keep:] if newest in found else ():
        if path.resolve() not in spared:
            path.unlink(missing_ok=True)


def drop_unranked(output_dir: str | Path, kept_epochs: Collection[int], spared: Collection[Path] = ()) -> None:
    """Deletes the files of ``ranked_path`` of all but these numbers of finished epochs."""
    for path in best_path(output_dir).parent.glob("best_epoch_*.pyth"):
        name = RANKED.fullmatch(path.name)
        if name and int(name[1]) not in kept_epochs and path.resolve() not in spared:
            path.unlink(missing_ok=True)


# ---- write --------------------------------------------------------------------------------------------------------


def _assert_plain(value: Any, where: str) -> None:
    """Checks that a value can be read back without unpickling arbitrary classes: found out now, not at the resume."""
    if type(value) in (dict, OrderedDict):
        for key, inner in value.items():
            _assert_plain(key, f"a key of {where}")
            _assert_plain(inner, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        for index, inner in enumerate(value):
            _assert_plain(inner, f"{where}[{index}]")
    else:
        assert type(value) in PLAIN, (
            f"{where} is a {type(value).__name__}: a checkpoint holds tensors and plain Python values only"
        )


def _reason(error: BaseException) -> str:
    """Reason of an error in one sentence: the system's own words (disk full, no permission) where torch has buried
    them."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, pickle.UnpicklingError):
        named = object_in(error)
        return "it holds something else than tensors and plain values" + (f": {named}" if named else "")
    return (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]


def object_in(error: BaseException) -> str:
    """What torch refuses to read, and the way out, in words; "" where the error is another one."""
    found = re.search(r"GLOBAL (\S{1,100})", str(error))
    if not found or not found[1].isprintable():
        return ""
    return f"a Python object ({found[1]}) that could run code and is not read; save the file again with tensors alone"


def save_checkpoint(path: str | Path, state: dict[str, Any], *, own_name: str = "") -> None:
    """Writes ``state``: tensors, numbers, texts, None and dicts, lists, tuples of these; ``own_name``: see
    ``written_whole``.

    Raises:
        CheckpointError: disk full, folder not writable; what stood under ``path`` before is untouched.
    """
    _assert_plain(state, "state")
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path, own_name=own_name) as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:  # torch turns a failed write into a RuntimeError
        raise CheckpointError(
            f"cannot write checkpoint {path}: {_reason(error)}; earlier checkpoints are untouched"
        ) from error


def save_best(output_dir: str | Path, state: dict[str, Any]) -> Path:
    """Writes best.pyth, see ``save_weights``; the previous one stays where that fails."""
    path = best_path(output_dir)
    save_weights(path, state)
    return path


def save_weights(path: str | Path, state: dict[str, Any]) -> None:
    """Writes ``state`` without what only a resume needs (optimiser, scaler, RNG, meters), a third of the size.

    Raises:
        CheckpointError: as save_checkpoint.
    """
    save_checkpoint(path, {key: value for key, value in state.items() if key not in ONLY_FOR_RESUMING})


# ---- what stands in one ---------------------------------------------------------------------------------------------


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**48


def _all(kind: type | tuple[type, ...], values: Any) -> bool:
    return all(isinstance(value, kind) for value in values)


def _is_weights(value: Any) -> bool:
    return isinstance(value, dict) and _all(str, value) and _all(Tensor, value.values())


def _is_optimizer(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("state"), dict):
        return False
    groups = value.get("param_groups")
    return isinstance(groups, list) and _all(dict, groups) and _all(dict, value["state"].values())


def _is_texts(value: Any) -> bool:
    return value is None or isinstance(value, (list, tuple)) and _all(str, value)


def _is_validations(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, list) and len(one) == 2 and _is_count(one[0]) and type(one[1]) in (int, float) for one in value
    )


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict) and _all(str, value)


# The entries that this package reads: name -> (has a value the right kind?, in words). Files of others may use the same
# names for something else, which is then left out.
ENTRIES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epoch": (lambda value: type(value) is int and -1 <= value < 2**48, "a number of epochs"),
    "batch": (_is_count, "a number of batches"),
    "step": (_is_count, "a number of steps"),
    "batches": (
        lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_count, value)),
        "two numbers",
    ),
    "model_state": (_is_weights, "tensors by name"),
    "objective_state": (lambda value: value is None or _is_weights(value), "tensors by name"),
    "optimizer_state": (_is_optimizer, "the state of an optimiser"),
    "scaler_state": (_is_dict, "the state of a gradient scaler"),
    "stepper": (lambda value: _is_dict(value) and all(map(_is_count, value.values())), "counts by name"),
    "rng": (lambda value: _is_dict(value) or isinstance(value, list) and all(map(_is_dict, value)), "states of a rank"),
    "meter": (lambda value: value is None or isinstance(value, (list, dict)), "averages of each rank"),
    "best": (lambda value: _is_dict(value) and _all((int, float), value.values()), "numbers by name"),
    "validations": (_is_validations, "an epoch and a number for each validation"),
    "cfg": (lambda value: isinstance(value, str), "the text of a config"),
    "class_names": (_is_texts, "a list of texts"),
    "plugins": (_is_texts, "a list of texts"),
    "accepted_changes": (_is_texts, "a list of texts"),
    "selected_on": (lambda value: isinstance(value, str), "a text"),
    "adapted_on": (_is_texts, "a list of texts"),
    "pseudo_labelled": (_is_texts, "a list of texts"),
}
OF_A_RUN = {"model_state", "epoch", "step", "best", "cfg"}  # what every checkpoint of this package has


# ---- read ---------------------------------------------------------------------------------------------------------


def _verify(path: Path) -> None:
    """Compares a file's content with its checksums; torch.load does not, it takes flipped bits for weights."""
    refuse_odd(path)  # a pipe would be waited for
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            if file.read(2) == b"PK":
                raise zipfile.BadZipFile("its end is missing")
        return  # from before torch 1.6, without checksums, or no checkpoint at all: torch.load will say
    with zipfile.ZipFile(path) as archive:
        parts = [entry.file_size for entry in archive.infolist() if "/code/" not in entry.filename]
        if sum(parts) > path.stat().st_size:  # the code of TorchScript is compressed, and not read
            raise zipfile.BadZipFile("its parts are larger than the file: torch does not compress")
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"wrong checksum of {damaged}")


def _check_keys(path: Path) -> None:
    """Refuses a file whose keys would keep torch's reader busy for ever, see ``check_keys``."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("data.pkl"):
                    with archive.open(name) as pickled:
                        check_keys(io.BufferedReader(pickled))  # type: ignore[type-var]  # it reads bytes
        return
    with open(path, "rb") as file:
        for _ in range(OLD_PICKLES):
            check_keys(file)


def _check_tensors(content: Any, size: int) -> None:
    """Checks that the tensors of a file are made of its own bytes.

    Raises:
        TensorError: a tensor without numbers of its own (meta, sparse, quantised, ...), more numbers than the file, or
            a few that are repeated (stride 0) until they would fill the memory.
    """
    waiting, seen, held, repeated = [content], set(), 0, 0
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        if isinstance(value, Tensor):
            dense = value.layout == torch.strided and not value.is_quantized and not value.is_nested
            if type(value) not in PLAIN or not dense or value.device.type != "cpu":
                raise TensorError(f"it holds a tensor without plain numbers ({value.layout}, {value.device})")
            storage = value.untyped_storage()
            held += 0 if storage.data_ptr() in seen else storage.nbytes()
            repeated += max(0, value.numel() * value.itemsize - storage.nbytes())
            seen.add(storage.data_ptr())
        elif isinstance(value, dict):
            seen.add(id(value))
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set)):
            seen.add(id(value))
            waiting += value
    if held > size:
        raise TensorError(f"it holds {held} bytes of numbers, the file has {size}")
    if repeated > size + MOST_REPEATED:
        raise TensorError(f"its tensors repeat {size} bytes until they are {repeated}")


def read_verified(path: str | os.PathLike) -> Any:
    """Reads a file of ``torch.save`` onto the CPU: every byte is compared with its checksum, no code from the file is
    run. A file of safetensors is known by its ending; ``zoo:NAME`` is one in the package. Of a TorchScript archive, as
    OpenAI's CLIP files are, the tensors alone are read.

    For a namespace, a config or a NumPy object beside the tensors stands something that does nothing.

    The one reader of weights and checkpoints: whoever calls it says in its own words what was to be read.

    Raises:
        OSError, BadZipFile, UnpicklingError, RuntimeError, ...: a damaged file can fail in any way.
        RemoteError: it is at an address, and cannot be fetched.
    """
    path = Path(local_path(path))
    refuse_odd(path)
    if path.suffix.lower() == ENDING:
        return read_safetensors(path)
    _verify(path)
    if is_torchscript(path):
        content = read_torchscript(path)
        _check_tensors(content, path.stat().st_size)
        return content
    _check_keys(path)
    stand_ins: dict[str, Any] = dict(BESIDE_TENSORS | MADE_HERE)
    while True:
        try:
            with safe_globals([(kind, name) for name, kind in stand_ins.items()]), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's, about old and odd files: what counts is an error
                content = torch.load(path, map_location="cpu", weights_only=True)
            break
        except pickle.UnpicklingError as error:
            named = re.search(r"GLOBAL (\S{1,200}) was not", str(error))
            further = stand_in(named[1]) if named else None
            if named is None or further is None or named[1] in stand_ins or len(stand_ins) > MOST_STAND_INS:
                raise
            stand_ins[named[1]] = further
    _check_tensors(content, path.stat().st_size)
    return content


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint, or a file of weights alone; tensors on the CPU, no code from the file is run.

    Every byte is verified first: about 0.3 s per GB.

    Raises:
        CheckpointError: missing, not readable, damaged, or something else.
    """
    path = path if is_address(path) else Path(path)
    try:
        state = read_verified(path)
    except RemoteError as error:
        raise CheckpointError(f"checkpoint {path} {error}") from error
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror}") from error
    except Exception as error:  # a damaged file can fail in any way
        raise CheckpointError(f"checkpoint {path} is damaged or not a checkpoint: {_reason(error)}") from error
    if not isinstance(state, dict):
        raise CheckpointError(
            f"checkpoint {path} holds a {type(state).__name__}; allowed: a dict of tensors or of a training run"
        )
    wrong = {key: words for key, (fits, words) in ENTRIES.items() if key in state and not fits(state[key])}
    if wrong and OF_A_RUN <= state.keys():
        key, words = next(iter(wrong.items()))
        raise CheckpointError(f"checkpoint {path} is damaged: {key} is a {type(state[key]).__name__}, not {words}")
    if wrong and {"epoch", "model_state"} & wrong.keys():
        wrong["optimizer_state"] = ""  # of no use without them
    return {key: value for key, value in state.items() if key not in wrong or key == "model_state"} if wrong else state


def checkpoint_hash(path: str | Path) -> str:
    """The first 16 digits of the file's SHA-256: tells the weights behind a score table apart. About 1 s per GB.

    Raises:
        CheckpointError, RemoteError: it cannot be read.
    """
    try:
        return sha256_of(Path(local_path(path)))[:16]
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror}") from error


def load_latest(output_dir: str | Path, *, warn: Callable[..., None] = logger.warning) -> Checkpoint | None:
    """The newest readable checkpoint of a run, with a warning for every newer one that is not; None when there is none
    at all.

    Raises:
        CheckpointError: there are checkpoints and none can be read: not a reason to start over in silence.
    """
    paths = _all_checkpoints(output_dir)
    for path in paths:
        try:
            state = load_checkpoint(path)
        except CheckpointError as error:
            warn("%s; skipped", error)
            continue
        missing = [key for key in NEEDED_TO_RESUME if key not in state]
        if not missing:
            return Checkpoint(path, state)
        warn("checkpoint %s has no %s; skipped", path, ", ".join(missing))
    if paths:
        raise CheckpointError(
            f"no checkpoint in {paths[0].parent} can be resumed ({len(paths)} tried); "
            "to start over, delete them or set TRAIN.AUTO_RESUME False"
        )
    return None


# ---- random numbers -----------------------------------------------------------------------------------------------


def rng_state() -> dict[str, Any]:
    """State of this process's random generators: Python, torch, and torch on the current GPU (None without one)."""
    return {
        "python": random.getstate(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Restores the state of ``rng_state``; the GPU's generator is left alone when either side has no GPU."""
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
