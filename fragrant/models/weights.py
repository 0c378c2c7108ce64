"""Loads stored weights into a model: finds the tensors in the file, renames them, spreads image filters over time,
reports what fitted."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from torch import Tensor

from fragrant.checkpoint import TensorError, object_in, read_verified
from fragrant.errors import UserError
from fragrant.models.backbone import Backbone, ModelError
from fragrant.models.resizing import ClipSize, centred, is_longer_filter, spread
from fragrant.remote import RemoteError, local_path

WRAPPERS = ("model", "model_state", "state_dict")  # where published files keep the tensors, if not at the top
PREFIXES = ("module.", "_orig_mod.")  # left by DataParallel and torch.compile
MOST_LEVELS = 30  # of a name that are tried as a prefix
INFLATIONS = ("repeat", "center", None)
COUNTER = "num_batches_tracked"  # of BatchNorm: decides nothing with a fixed momentum


class WeightsError(UserError):
    """Weights that do not exist, cannot be read, or belong to another model."""


@dataclass
class LoadReport:
    """Report of loading weights: what became of every tensor of the file and of the model, by key name."""

    loaded: list[str]  # now in the model
    missing: list[str]  # of the model, but not loaded: keep their initial values
    unexpected: list[str]  # of the file, but unknown to the model
    dropped: list[str]  # known to both, but not fitting: a head of other classes, another width
    inflated: list[str] = field(default_factory=list)  # loaded after spreading over time
    shapes: dict[str, tuple[tuple, tuple | None]] = field(default_factory=dict)  # of what was dropped: file, model
    layout: str = ""  # who wrote the file, told by its names
    # loaded after resizing to the clips of this model: shape in the file, in the model
    resized: dict[str, tuple[tuple, tuple]] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)  # tensors of the file that were not loaded, but for those of a head
    unfilled: list[str] = field(default_factory=list)  # of the model, but for those of its head and counters

    def warning(self, *, trains: bool = True) -> str:
        """What a reader has to know: a part of the file was not used, or one of the network not filled; "" without. A
        head of other classes is none where the network ``trains``: fine-tuning replaces it."""
        total = len(self.loaded) + len(self.missing)
        unfilled = self.unfilled if trains else [key for key in self.missing if not key.endswith(COUNTER)]
        lines = [
            f"{len(unfilled)} of the network's {total} tensors were not in the file or did not fit, they keep "
            f"their initial values: {shortened(unfilled)}"
        ] * bool(unfilled)
        lines += [f"not used of the file: {shortened(self.unused)}"] * bool(self.unused)
        return "; ".join(lines)

    def tell(self, say: Callable[[str], None], warn: Callable[[str], None], *, trains: bool = True) -> None:
        """Says what was resized, and warns of what was not used of the file or not filled of the network."""
        for line in self.resizings():
            say(line)
        if warning := self.warning(trains=trains):
            warn(warning)

    def resizings(self) -> list[str]:
        """What was resized, a line for each pair of shapes."""
        names: dict[tuple[tuple, tuple], list[str]] = {}
        for name, shapes in self.resized.items():
            names.setdefault(shapes, []).append(name)
        return [
            f"resized from the file's {found} to {wanted}, that of this network's clips: {shortened(several)}"
            for (found, wanted), several in names.items()
        ]

    def summary(self) -> str:
        dropped = [
            f"{key} {found} does not fit {wanted or 'a model without it'}"
            for key, (found, wanted) in self.shapes.items()
        ]
        lines = [f"layout: {self.layout}"] if self.layout else []
        lines += [f"{len(self.loaded)} of {len(self.loaded) + len(self.missing)} tensors loaded"]
        lines += [f"inflated over time: {len(self.inflated)}"] if self.inflated else []
        lines += [f"resized for other clips: {len(self.resized)}"] if self.resized else []
        lines += [f"dropped: {shortened(dropped)}"] if dropped else []
        lines += [f"keep their initial values: {shortened(self.missing)}"] if self.missing else []
        lines += [f"not used: {shortened(self.unexpected)}"] if self.unexpected else []
        return "; ".join(lines)


def shortened(names: Iterable[str], most: int = 4) -> str:
    """Shortens a list of names for a message: ``"6: a, b, c, d, ..."``"""
    names = list(names)
    return f"{len(names)}: " + ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def read_checkpoint(path: str | PathLike) -> Any:
    """Reads and verifies a file of ``torch.save`` onto the CPU; nothing but tensors and plain values is ever read.

    Raises:
        WeightsError: there is no such file, it is damaged, or it holds more than that.
    """
    try:
        path = local_path(path)
    except RemoteError as error:
        raise WeightsError(f"weights '{path}': it {error}") from error
    if not Path(path).is_file():
        raise WeightsError(f"weights '{path}': no such file")
    try:
        return read_verified(path)
    except Exception as error:  # a damaged file raises nearly anything
        damage = error if isinstance(error, (BadZipFile, TensorError)) else type(error).__name__
        unsafe = object_in(error)
        reason = f"holds {unsafe}" if unsafe else f"damaged, or not a PyTorch checkpoint ({damage})"
        raise WeightsError(f"weights '{path}': {reason}") from error


def unwrapped(checkpoint: Any, where: str) -> dict[str, Any]:
    """Finds the state dict in a checkpoint: under one of the usual names, or the checkpoint as it is."""
    found = checkpoint
    for wrapper in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
            break
    if not isinstance(found, Mapping) or not any(isinstance(value, Tensor) for value in found.values()):
        content = shortened(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise WeightsError(
            f"weights '{where}': no tensors found; a state dict must lie at the top or under "
            f"{', '.join(WRAPPERS)}; found {content}"
        )
    return {str(key): value for key, value in found.items()}


def renamed(state: Mapping[str, Any], clear_name_patterns: Sequence[str] = ()) -> dict[str, Any]:
    """Renames a state dict: cuts every pattern out of the key names, then the prefixes of wrappers.

    Raises:
        WeightsError: two names become one.
    """
    result: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for key, value in state.items():
        name = key
        for pattern in clear_name_patterns:
            name = name.replace(pattern, "")
        while name.startswith(PREFIXES):
            name = name.split(".", 1)[1]
        if name in result:
            raise WeightsError(
                f"weights: '{origin[name]}' and '{key}' both become '{name}' by TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN"
            )
        result[name], origin[name] = value, key
    return result


def inflate(weight: Tensor, num_frames: int, how: str = "repeat") -> Tensor:
    """Spreads filters over time, with the same response to a static clip: (O, I, H, W) or (O, I, T, H, W) -> (O, I,
    num_frames, H, W).

    "repeat" gives every frame an equal share (as published; filters of several frames are resampled), "center" gives
    all to the middle frame (filters of several frames keep their middle in the middle)."""
    if how not in INFLATIONS[:2]:
        raise ValueError(f"inflation '{how}' is not known; allowed: repeat, center")
    weight = weight.float() if weight.itemsize == 1 else weight  # eight bits know no arithmetic
    filters = weight if weight.ndim == 5 else weight.unsqueeze(2)  # (O, I, T, H, W)
    return (spread if how == "repeat" else centred)(filters, 2, num_frames)


def differs_in_time_only(found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether two filter shapes have the same channels, height and width, but other (or no) frames."""
    found, wanted = tuple(found), tuple(wanted)
    return len(wanted) == 5 and len(found) in (4, 5) and found[:2] + found[-2:] == wanted[:2] + wanted[-2:]


def matched(
    state: Mapping[str, Any],
    wanted: Mapping[str, Sequence[int]],
    *,
    head_name: str = "head",
    inflation: str | None = "repeat",
    resize: Callable[[str, Tensor, Sequence[int]], Tensor | None] = lambda *_: None,
) -> tuple[dict[str, Tensor], LoadReport]:
    """Selects the tensors of ``state`` that fit the shapes in ``wanted``, inflated or resized where that helps; returns
    them and the report.

    A head is taken as a whole or, if one of its tensors does not fit, not at all.

    Args:
        resize: (name, tensor, shape) -> the tensor resized to that shape, None where that is not possible.
    """
    is_head = re.compile(re.escape(head_name) + r"\.").match
    fits, report = {}, LoadReport([], [], [], [])
    for key, value in state.items():
        if not isinstance(value, Tensor) or (key not in wanted and not is_head(key)):
            report.unexpected.append(key)
        elif value.is_complex():  # their imaginary part would be lost without a word
            report.dropped.append(key)
        elif tuple(value.shape) == tuple(wanted.get(key, ())) and key in wanted:
            fits[key] = value
        elif inflation and key in wanted and differs_in_time_only(value.shape, wanted[key]) and _is_still(value):
            fits[key] = inflate(value, wanted[key][2], inflation)
            report.inflated.append(key)
        elif key in wanted and (resized := _resized(key, value, wanted[key], inflation, resize)) is not None:
            fits[key] = resized
            report.resized[key] = (tuple(value.shape), tuple(wanted[key]))
        else:
            report.dropped.append(key)
    if any(is_head(key) for key in report.dropped):
        others = [key for key in fits if is_head(key)]
        report.dropped += others
        fits = {key: value for key, value in fits.items() if key not in others}
    report.shapes = {
        key: (tuple(state[key].shape), tuple(wanted[key]) if key in wanted else None) for key in report.dropped
    }
    report.loaded = [key for key in wanted if key in fits]
    report.missing = [key for key in wanted if key not in fits]
    left = [key for key in report.unexpected + report.dropped if isinstance(state[key], Tensor)]
    report.unused, report.unfilled = (
        [key for key in keys if not is_head(key) and not key.endswith(COUNTER)] for keys in (left, report.missing)
    )
    return fits, report


def _is_still(filters: Tensor) -> bool:
    """Whether filters are for images, or for one frame."""
    return filters.ndim == 4 or filters.shape[2] == 1


def _resized(key: str, value: Tensor, shape: Sequence[int], inflation: str | None, resize: Callable) -> Tensor | None:
    """A tensor in the shape of a network for other clips; None where it does not fit in any way."""
    if not value.numel():
        return None
    if is_longer_filter(value.shape, shape):
        return inflate(value, shape[2], inflation or "repeat")
    resized = resize(key, value, shape)
    return resized if resized is not None and tuple(resized.shape) == tuple(shape) else None


def clips_of(checkpoint: Any) -> ClipSize | None:
    """The clips that a checkpoint was trained on, where it carries a config that says them."""
    text = checkpoint.get("cfg") if isinstance(checkpoint, Mapping) else None
    found = [
        re.search(rf"^DATA:\n(?:  .*\n)*?  {name}: (\d{{1,6}})$", text, re.MULTILINE)
        for name in ("NUM_FRAMES", "TRAIN_CROP_SIZE")
        if isinstance(text, str)
    ]
    frames, side = [int(match[1]) for match in found if match] if found and all(found) else (0, 0)
    return ClipSize(frames, side) if frames and side else None


def count_fitting(backbone: Sequence[str], report: LoadReport) -> int:
    loaded = set(report.loaded)
    return sum(key in loaded for key in backbone)


def require_most(
    state: Mapping[str, Any], backbone: Sequence[str], report: LoadReport, where: str, advice: str = ""
) -> None:
    """Checks that at least half of the backbone's tensors were found: with fewer it is the wrong file, not a partial
    one.

    Args:
        advice: a way out, for the end of the message.

    Raises:
        WeightsError: with the counts, and the first names of both sides.
    """
    fitting = count_fitting(backbone, report)
    if 2 * fitting >= len(backbone):
        return
    message = (
        f"weights '{where}': only {fitting} of the backbone's {len(backbone)} tensors fit this model, at least half "
        "must"
    )
    message += f"; names found {shortened(state)}; names wanted {shortened(backbone)}"
    if report.shapes:
        message += (
            f"; other shapes {shortened(f'{key} {found} for {shape}' for key, (found, shape) in report.shapes.items())}"
        )
    raise WeightsError(message + advice)


def prefix_in_the_way(state: Mapping[str, Any], backbone: Sequence[str]) -> str:
    """What stands before most of the backbone's names in a file, ``"encoder."``; "" where nothing does."""
    wanted = set(backbone)
    prefixes: Counter[str] = Counter()
    for key in state:
        starts = [at + 1 for at, character in enumerate(key) if character == "."]
        prefixes.update(key[:start] for start in starts[:MOST_LEVELS] if key[start:] in wanted)
    return prefixes.most_common(1)[0][0] if prefixes else ""


def renamed_by(model: Backbone, state: dict[str, Any], where: str) -> dict[str, Any]:
    """Renames a state dict to the names of ``model``; adds the file to the error of a model that refuses it."""
    try:
        return model.rename_published(state)
    except ModelError as error:
        raise WeightsError(f"weights '{where}': {error}") from None


def load_weights(
    model: Backbone,
    source: str | PathLike | Mapping[str, Any],
    *,
    clear_name_patterns: Sequence[str] = (),
    inflation: str | None = "repeat",
    where: str | PathLike | None = None,
) -> LoadReport:
    """Fills ``model`` from a file or a dict in memory and reports what fitted. An error leaves the model as it was.

    Args:
        source: a file that ``torch.save`` wrote, or its content: a state dict, bare or under one of the usual names.
        clear_name_patterns: parts to cut out of every key name.
        inflation: how filters for images, or for one frame, are spread over time: "repeat", "center", or None for not
            at all. Filters of several frames, position embeddings and tables of biases made for other clips are resized
            in any case.
        where: what error messages call the source; a file's own path unless given.

    Raises:
        WeightsError: the file cannot be read, or it fits less than half of the backbone.
    """
    if inflation not in INFLATIONS:
        raise ValueError(f"inflation '{inflation}' is not known; allowed: repeat, center, None")
    where = str(where or ("given in memory" if isinstance(source, Mapping) else source))
    checkpoint = source if isinstance(source, Mapping) else read_checkpoint(source)
    file, clip = unwrapped(checkpoint, where), clips_of(checkpoint)
    model.take_layout(renamed(file, clear_name_patterns))
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}

    def fit(patterns: Sequence[str]) -> tuple[dict[str, Any], dict[str, Tensor], LoadReport]:
        state = renamed(file, patterns)
        layout = model.layout_of(state)
        state = renamed_by(model, state, where)

        tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}

        def resize(name: str, value: Tensor, shape: Sequence[int]) -> Tensor | None:
            try:
                return model.resized(name, value, shape, tensors, clip)
            except ModelError as error:
                raise WeightsError(f"weights '{where}': {error}") from None

        fits, report = matched(state, wanted, head_name=model.head_name, inflation=inflation, resize=resize)
        report.layout = layout
        return state, fits, report

    state, fits, report = fit(clear_name_patterns)
    ours = [key for key in wanted if not key.startswith(f"{model.head_name}.")]
    backbone = [key for key in ours if not model.is_new(key, report.layout)]
    if 2 * count_fitting(backbone, report) < len(backbone):
        require_most(state, backbone, report, where, _advice(file, state, backbone, clear_name_patterns, fit))
    try:
        model.load_state_dict(fits, strict=False)
    except RuntimeError as error:  # number types that torch cannot turn into the model's
        raise WeightsError(f"weights '{where}': {' '.join(str(error).split())[:300]}") from error
    return report


def _advice(file: Mapping[str, Any], state: Mapping[str, Any], backbone: Sequence[str], patterns, fit) -> str:
    """The patterns with which the file would fit, tried out; "" where no prefix is in the way."""
    for prefix in dict.fromkeys([prefix_in_the_way(names, backbone) for names in (state, file)]):
        longer = [*patterns, prefix]
        try:
            count = count_fitting(backbone, fit(longer)[2]) if prefix else 0
        except UserError:
            continue
        if 2 * count >= len(backbone) > 0:
            typed = ",".join(map(repr, longer))  # without blanks: one word for a shell
            return f"; without '{prefix}' {count} names would match: TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN [{typed}]"
    return ""
