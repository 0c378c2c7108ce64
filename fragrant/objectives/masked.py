"""Masked reconstruction: a network learns to tell what stands in the parts of a clip that are hidden from it."""

from collections.abc import Sequence

from torch import Tensor

from fragrant.data.figures import Track
from fragrant.errors import UserError
from fragrant.layers.patches import normalized_patches, to_patches
from fragrant.layers.pixel_decoder import PixelDecoder, new_token
from fragrant.layers.tube_mask import TubeMask, draw_tubes
from fragrant.models.backbone import Backbone, Masking
from fragrant.objectives.objective import StepOutput
from fragrant.objectives.unlabelled import Unlabelled


def masked_loss(
    pixels: Tensor, clips: Tensor, hidden: Tensor, size: tuple[int, int, int], *, normalize: bool
) -> Tensor:
    """Mean squared error of the pixels of hidden patches, in float32: of each clip, (N,).

    Args:
        pixels: painted, (N, C, T, H, W). clips: what stands there, the same shape.
        hidden: (N, L) bool, the patches that count.
        size: frames, rows and columns of a patch.
        normalize: compare with patches of mean 0 and variance 1, see ``normalized_patches``.
    """
    targets = to_patches(clips.float(), size)  # (N, L, P, C)
    targets = normalized_patches(targets) if normalize else targets
    errors = (to_patches(pixels.float(), size) - targets).square().mean((2, 3))  # (N, L)
    return (errors * hidden).sum(1) / hidden.sum(1)


class MaskedTubes(Unlabelled):
    """Masked-tube reconstruction (VideoMAE, Tong et al. 2022; SimMIM, Xie et al. 2022).

    Squares of pixels are hidden through all frames of a clip. The network sees the rest, a small decoder paints the
    hidden pixels from its feature map, and only they count. Targets without brightness and contrast suit dark clips.

    Args:
        model: a network with ``masking``.
        decoder: paints from its feature map.
        ratio: share of the squares that is hidden.
        tube_size: rows and columns of a square.
        normalize: targets have mean 0 and variance 1 in every patch and colour.
        seed: the squares of a clip follow from it, the epoch and the video.
    """

    def __init__(
        self,
        model: Backbone,
        decoder: PixelDecoder,
        *,
        ratio: float = 0.75,
        tube_size: int = 16,
        normalize: bool = True,
        seed: int = 0,
    ):
        super().__init__(model)
        masking = model.masking
        assert masking is not None
        self.decoder, self.token = decoder, new_token(masking.token_width)
        self.masking: Masking = masking
        self.ratio, self.tube_size, self.normalize, self.seed = ratio, tube_size, normalize, seed
        self.keys: list[str] | None = None  # of the videos of the next step

    def meet(self, ids: Sequence[int], epoch: int, figures: Track | None = None) -> None:
        self.keys = [f"{self.seed}-{epoch}-{video}" for video in ids]

    def forward(self, clips: Tensor, labels: Tensor) -> StepOutput:
        """Loss () of clips (N, C, T, H, W); labels are not looked at."""
        keys, self.keys = self.keys, None
        losses = self.losses(clips, keys)
        return StepOutput(losses.mean(), {})

    def observe(self, clips: Tensor, ids: Sequence[int]) -> Tensor:
        """The loss of each video, (B, 1)"""
        losses = self.losses(clips, [f"{self.seed}-validation-{video}" for video in ids])
        return losses.unflatten(0, (len(ids), -1)).mean(1, keepdim=True)

    def measure(self, rows: Tensor) -> dict[str, float]:
        return {"loss": float(rows.mean())}

    def losses(self, clips: Tensor, keys: Sequence[str] | None) -> Tensor:
        """Losses of the clips of videos: (B*V, C, T, H, W) -> (B*V,); ``keys``: of the B videos, None = any masks."""
        rows, columns = self._tubes(clips)
        if keys is not None:
            views = range(len(clips) // len(keys))
            keys = [f"{key}-{view}-mask" for key in keys for view in views]
        mask = draw_tubes(len(clips), rows, columns, self.ratio, keys=keys, device=clips.device)
        pixels = self.paint(clips, mask)
        size = (self.masking.sees[0], self.tube_size, self.tube_size)
        hidden = mask.hidden.flatten(1).repeat(1, clips.shape[2] // size[0])  # (N, L), frames first
        return masked_loss(pixels, clips, hidden, size, normalize=self.normalize)

    def paint(self, clips: Tensor, mask: TubeMask) -> Tensor:
        """The pixels that the network expects: (N, C, T, H, W) -> the same shape"""
        return self.decoder(self.model.forward_masked(clips, mask, self.token))  # type: ignore[operator]

    def _tubes(self, clips: Tensor) -> tuple[int, int]:
        """Tubes of a clip, down and across.

        Raises:
            UserError: they do not fit into the clips.
        """
        frames, height, width = clips.shape[2:]
        check_tubes(self.masking, self.tube_size, frames=frames, height=height, width=width)
        return height // self.tube_size, width // self.tube_size


def check_tubes(masking: Masking, tube_size: int, *, frames: int, height: int, width: int) -> None:
    """Checks that tubes and patches divide a clip.

    Raises:
        UserError: they do not.
    """
    where = f"PRETRAIN.TUBE_SIZE {tube_size}"
    if tube_size % masking.hides:
        raise UserError(f"{where} must be a multiple of {masking.hides}, the pixels that this network can hide at once")
    shape = f"clips of {frames} frames of {height} x {width}"
    if height % tube_size or width % tube_size:
        raise UserError(
            f"{where} does not divide {shape}; allowed: a divisor of DATA.TRAIN_CROP_SIZE and TEST_CROP_SIZE"
        )
    if height * width < 2 * tube_size**2:
        raise UserError(f"{where} leaves one tube in {shape}; allowed: at most half of the crop")
    sees = masking.sees
    if frames % sees[0] or height % sees[1] or width % sees[2]:
        raise UserError(
            f"TRAIN.OBJECTIVE masked with {shape}: a place of this network's feature map stands for "
            f"{' x '.join(map(str, sees))} of them; allowed: multiples in DATA.NUM_FRAMES, DATA.TRAIN_CROP_SIZE and "
            "DATA.TEST_CROP_SIZE"
        )
