"""A trained model as a file for other programs: ONNX, torch.export or TorchScript, checked against the model it came from."""

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
from fragrant.layers.normalize import ClipNormalize

LIMIT = 1e-4  # largest difference of a logit
CHECK_BATCHES = (1, 2)  # the number of clips is free in the exported file
Runner = Callable[[Tensor], Tensor]


class ExportError(UserError):
    """A model or a part of it that a format cannot hold, or a file that computes something else."""


class Deployed(nn.Module):
    """Pixels in, logits out: the normalisation of the config and the model in one."""

    def __init__(self, normalize: ClipNormalize, model: nn.Module):
        super().__init__()
        self.normalize = normalize
        self.model = model

    def forward(self, clips: Tensor) -> Tensor:
        """(N, C, T, H, W) float32 pixel values 0..255, RGB -> logits (N, K)"""
        return self.model(self.normalize(clips))


class Exported(NamedTuple):
    path: Path
    difference: float  # largest absolute one of a logit, over random clips


# ------------------------------------------------------------------------------------------------------------------- formats
def _to_onnx(model: nn.Module, example: Tensor, path: Path) -> None:
    with _needs_extra("onnx, onnxscript and onnxruntime"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    torch.onnx.export(
        model,
        (example,),
        str(path),
        input_names=["clips"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _run_onnx(path: Path) -> Runner:
    with _needs_extra("onnxruntime"):
        import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda clips: torch.from_numpy(session.run(None, {"clips": clips.numpy()})[0])


def _to_program(model: nn.Module, example: Tensor, path: Path) -> None:
    program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},))
    torch.export.save(program, path)


def _run_program(path: Path) -> Runner:
    return torch.export.load(path).module()


def _to_torchscript(model: nn.Module, example: Tensor, path: Path) -> None:
    torch.jit.trace(model, example, check_trace=False).save(str(path))


def _run_torchscript(path: Path) -> Runner:
    return torch.jit.load(str(path), map_location="cpu")


class Format(NamedTuple):
    suffix: str
    write: Callable[[nn.Module, Tensor, Path], None]
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
        raise ExportError(f'--to onnx needs {packages}; install them with: pip install -e ".[export]"') from error


# -------------------------------------------------------------------------------------------------------------------- export
@torch.no_grad()
def export_model(model: Deployed, clip_shape: Sequence[int], path: str | Path, *, to: str, limit: float = LIMIT) -> Exported:
    """Writes the file, reads it back and compares its logits with the model's on random clips.

    Args:
        clip_shape: (C, T, H, W) of every clip that the file will take; their number is free.
        to: "onnx", "torch.export" or "torchscript".

    Raises:
        ExportError: the format cannot hold some part of the model (the part is named), or the logits differ.
    """
    if to not in FORMATS:
        raise ExportError(f"--to '{to}' is not known; Known: {', '.join(FORMATS)}")
    form, path = FORMATS[to], Path(path)
    model = model.eval().cpu().float()
    example = _random_clips(2, clip_shape)
    with _silence():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            form.write(model, example, path)
        except (ExportError, OSError) as error:
            raise ExportError(str(error)) from error
        except Exception as error:  # exporters fail in any way
            name, reason = unsupported_part(model, example, lambda part, args: form.write(part, args, path), error)
            path.unlink(missing_ok=True)
            kind = type(model.get_submodule(name)).__name__
            raise ExportError(f"{to} cannot hold {repr(name) if name else 'the model'} ({kind}): {_one_line(reason)}") from error
        run = form.read(path)
        difference = max(_difference(model, run, _random_clips(n, clip_shape)) for n in CHECK_BATCHES)
    if not difference < limit:  # also NaN
        path.unlink(missing_ok=True)
        raise ExportError(f"the {to} file computes something else: its logits differ by up to {difference:.2g}, allowed: below {limit:g}")
    return Exported(path, difference)


def _random_clips(n: int, clip_shape: Sequence[int]) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randint(0, 256, (n, *clip_shape), generator=generator).float()


def _difference(model: nn.Module, run: Runner, clips: Tensor) -> float:
    return (run(clips) - model(clips)).abs().max().item()


def unsupported_part(
    model: nn.Module, example: Tensor, attempt: Callable[[nn.Module, Tensor], None], error: Exception
) -> tuple[str, Exception]:
    """The smallest module that cannot be exported by itself, by its name in the model ("" = the model), and why."""
    for name, clips in _inputs_of_parts(model, example).items():
        part = model.get_submodule(name)
        try:
            attempt(part, clips)
        except Exception as why:
            inner, reason = unsupported_part(part, clips, attempt, why)
            return f"{name}.{inner}".rstrip("."), reason
    return "", error


def _parts(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The children, and in place of a list of modules its entries."""
    for name, child in module.named_children():
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            yield from _parts(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def _inputs_of_parts(module: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """What every part that takes one tensor gets to see, in the order of the calls."""
    seen: dict[str, Tensor] = {}

    def remember(name: str, args: tuple) -> None:
        if len(args) == 1 and isinstance(args[0], Tensor):
            seen.setdefault(name, args[0].clone())

    hooks = [part.register_forward_pre_hook(lambda _, args, name=name: remember(name, args)) for name, part in _parts(module)]
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
    """Exporters talk a lot, to everybody."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
