"""Exports a trained model to a file for other programs: ONNX, torch.export or TorchScript, checked against the
model."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.kernels.own_backward import forward_alone
from fragrant.layers.normalize import ClipNormalize, StreamsNormalize

LIMIT = 1e-4  # largest difference of a logit
FREE_BATCHES = (1, 3)  # numbers of clips that a file is tried with where their number is free; it is written with 2
Runner = Callable[[Tensor], Tensor]


class ExportError(UserError):
    """A model or a part of it that a format cannot hold, or a file that computes something else."""


class Deployed(nn.Module):
    """A model to export: the normalisation of the config and the model in one, pixels in, logits out."""

    def __init__(self, normalize: ClipNormalize | StreamsNormalize, model: nn.Module):
        super().__init__()
        self.normalize = normalize
        self.model = model

    def forward(self, clips: Tensor) -> Tensor:
        """Classifies clips: (N, C, T, H, W) float32 pixel values 0..255, RGB (of two streams 2C channels) -> logits (N,
        K)"""
        return self.model(self.normalize(clips))


class MissingPackage(ExportError):
    """A format needs a package that is not installed."""


class Exported(NamedTuple):
    path: Path
    difference: float  # largest absolute one of a logit, over random clips
    num_clips: int | None  # that the file takes at a time; None = any


# -------------------------------------------------------------------------------------------------------------- formats
def _free(any_number: bool) -> tuple[dict] | None:
    return ({0: torch.export.Dim("n", min=1)},) if any_number else None


def _to_onnx(model: nn.Module, example: Tensor, path: Path, any_number: bool) -> None:
    with _needs_extra("onnx, onnxscript and onnxruntime"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    torch.onnx.export(
        model,
        (example,),
        str(path),
        input_names=["clips"],
        output_names=["logits"],
        dynamic_shapes=_free(any_number),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _run_onnx(path: Path) -> Runner:
    with _needs_extra("onnxruntime"):
        import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda clips: torch.from_numpy(session.run(None, {"clips": clips.numpy()})[0])


def _to_program(model: nn.Module, example: Tensor, path: Path, any_number: bool) -> None:
    program = torch.export.export(model, (example,), dynamic_shapes=_free(any_number))
    torch.export.save(program, path)


def _run_program(path: Path) -> Runner:
    return torch.export.load(path).module()


def _to_torchscript(model: nn.Module, example: Tensor, path: Path, any_number: bool) -> None:
    torch.jit.trace(model, example, check_trace=False).save(str(path))


def _run_torchscript(path: Path) -> Runner:
    return torch.jit.load(str(path), map_location="cpu")


class Format(NamedTuple):
    suffix: str
    write: Callable[[nn.Module, Tensor, Path, bool], None]  # the last: is the number of clips free?
    read: Callable[[Path], Runner]


FORMATS = {
    "onnx": Format(".onnx", _to_onnx, _run_onnx),
    "torch.export": Format(".pt2", _to_program, _run_program),
    "torchscript": Format(".pt", _to_torchscript, _run_torchscript),
}


@contextlib.contextmanager
def _needs_extra(packages: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingPackage(f'--to onnx needs {packages}; install them with: pip install -e ".[export]"') from error


# --------------------------------------------------------------------------------------------------------------- export
@torch.no_grad()
def export_model(
    model: Deployed, clip_shape: Sequence[int], path: str | Path, *, to: str, limit: float = LIMIT
) -> Exported:
    """Exports a model: writes the file, reads it back and compares its logits with the model's on random clips.

    Layers that work through a batch in groups cannot be written for any number of clips: then the file takes one at a
    time.

    Args:
        clip_shape: (C, T, H, W) of every clip that the file will take.
        to: "onnx", "torch.export" or "torchscript".

    Raises:
        ExportError: the format cannot hold some part of the model (the part is named), or the logits differ.
    """
    if to not in FORMATS:
        raise ExportError(f"--to '{to}' is not known; Known: {', '.join(FORMATS)}")
    form, path = FORMATS[to], Path(path)
    model = model.eval().cpu().float()
    path.parent.mkdir(parents=True, exist_ok=True)
    with _silence(), forward_alone():
        try:
            difference, num_clips = _write(form, model, clip_shape, path, num_clips=None), None
        except MissingPackage:
            raise
        except Exception:  # exporters fail in any way
            difference, num_clips = _write_or_name_part(form, model, clip_shape, path, to), 1
    if not difference < limit:  # also NaN
        path.unlink(missing_ok=True)
        raise ExportError(
            f"the {to} file computes something else: its logits differ by up to {difference:.2g}, allowed: below "
            f"{limit:g}"
        )
    return Exported(path, difference, num_clips)


def _write(form: Format, model: nn.Module, clip_shape: Sequence[int], path: Path, *, num_clips: int | None) -> float:
    """Writes and checks a file, and returns the largest difference; raises any error where the file cannot be written,
    or not be run with these numbers of clips."""
    form.write(model, _random_clips(num_clips or 2, clip_shape), path, num_clips is None)
    run = form.read(path)
    batches = (_random_clips(n, clip_shape) for n in ([num_clips] if num_clips else FREE_BATCHES))
    return max((run(clips) - model(clips)).abs().max().item() for clips in batches)


def _write_or_name_part(form: Format, model: nn.Module, clip_shape: Sequence[int], path: Path, to: str) -> float:
    try:
        return _write(form, model, clip_shape, path, num_clips=1)
    except Exception as error:
        example = _random_clips(1, clip_shape)
        name, reason = unsupported_part(model, example, lambda part, clips: form.write(part, clips, path, False), error)
        path.unlink(missing_ok=True)
        kind = type(model.get_submodule(name)).__name__
        raise ExportError(
            f"{to} cannot hold {repr(name) if name else 'the model'} ({kind}): {_one_line(reason)}"
        ) from error


def _random_clips(n: int, clip_shape: Sequence[int]) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randint(0, 256, (n, *clip_shape), generator=generator).float()


def unsupported_part(
    model: nn.Module, example: Tensor, attempt: Callable[[nn.Module, Tensor], None], error: Exception
) -> tuple[str, Exception]:
    """Finds the smallest module that cannot be exported by itself: its name in the model ("" = the model), and the
    error."""
    for name, clips in _inputs_of_parts(model, example).items():
        part = model.get_submodule(name)
        try:
            attempt(part, clips)
        except Exception as why:
            inner, reason = unsupported_part(part, clips, attempt, why)
            return f"{name}.{inner}".rstrip("."), reason
    return "", error


def _parts(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yields the children of a module by name, and in place of a list of modules its entries."""
    for name, child in module.named_children():
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            yield from _parts(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def _inputs_of_parts(module: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """Inputs of every part that takes one tensor, in the order of the calls."""
    seen: dict[str, Tensor] = {}

    def remember(name: str, args: tuple) -> None:
        if len(args) == 1 and isinstance(args[0], Tensor):
            seen.setdefault(name, args[0].clone())

    hooks = [
        part.register_forward_pre_hook(lambda _, args, name=name: remember(name, args)) for name, part in _parts(module)
    ]
    try:
        module(example)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """A context in which the output, warnings and log lines of exporters are dropped."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
