"""Maps of FAM's frequency factor and RAM's relational kernels over the clip."""

from torch import Tensor, nn

from fragrant.layers.fam import FAM
from fragrant.layers.ram import RAM
from fragrant.report.maps import FeatureMap, MapError, inputs_of


def fam_maps(model: nn.Module, clip: Tensor) -> list[FeatureMap]:
    """FAM's factor f^2 * A of every frame, mean over channels: normalised clip (1, C, T, H, W) -> one map for each time
    FAM is used.

    Raises:
        MapError: the model has no FAM.
    """
    return [
        FeatureMap(
            f"FAM ({name}): gain of each frame, mean over {x.shape[1]} channels",
            fam.gain(x)[0].float().mean(0),
            unit="gain",
        )
        for name, fam, x in inputs_of(
            model, clip, FAM, advice="take a config with MODEL.MODEL_NAME Fragrant and FRAGRANT.FAM_AT"
        )
    ]


def ram_maps(model: nn.Module, clip: Tensor, *, at: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> list[FeatureMap]:
    """RAM's relational kernels: normalised clip (1, C, T, H, W) -> two maps for each RAM: how strong the kernel of
    every place is
    (L2 norm over neighbours and heads), and how one place weighs its neighbours (mean magnitude over heads).

    Args:
        at: the one place, as fractions of the clip's length, height and width.

    Raises:
        MapError: the model has no RAM, or the place is outside of the clip.
    """
    if not all(0 <= part <= 1 for part in at):
        raise MapError(f"place {tuple(at)} is outside of the clip; give time, height and width from 0 to 1")
    maps = []
    for name, ram, x in inputs_of(
        model, clip, RAM, advice="take a config with MODEL.MODEL_NAME Fragrant and FRAGRANT.RAM_AT"
    ):
        kernels = ram.kernels(x)[0].float()  # (T', H', W', h, kT, kH, kW)
        heads = f"{ram.dims.heads} head{'s' if ram.dims.heads > 1 else ''}"
        place = [min(int(part * size), size - 1) for part, size in zip(at, kernels.shape[:3], strict=True)]
        frame, row, column = (index + 1 for index in place)
        maps += [
            FeatureMap(
                f"RAM ({name}): strength of the relational kernel, {heads}",
                kernels.flatten(3).norm(dim=3),
                unit="norm",
                place=(place[0], place[1], place[2]),
            ),
            FeatureMap(
                f"RAM ({name}): weights around frame {frame}, row {row}, column {column}, mean of {heads}",
                spread(kernels[tuple(place)].abs().mean(0), place, kernels.shape[:3]),
                unit="weight",
                place=(place[0], place[1], place[2]),
            ),
        ]
    return maps


def spread(kernel: Tensor, place: list[int], size: tuple[int, ...]) -> Tensor:
    """Lays a kernel (kT, kH, kW) around a place of an empty map (T', H', W')."""
    reach = [length // 2 for length in kernel.shape]
    padded = kernel.new_zeros([length + 2 * margin for length, margin in zip(size, reach, strict=True)])
    padded[tuple(slice(first, first + length) for first, length in zip(place, kernel.shape, strict=True))] = kernel
    return padded[tuple(slice(margin, margin + length) for margin, length in zip(reach, size, strict=True))]
