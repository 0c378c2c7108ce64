"""Sizes of the measurements: full for a GPU, small for a rehearsal that takes seconds on a CPU."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """Sizes of the measurements. changes: KEY VALUE pairs that override every network's config.

    copied: bytes of the copy whose bandwidth is measured; product: rows and columns of the matrix product."""

    small: bool
    copied: int
    product: int
    rounds: int
    seconds: float
    changes: tuple[str, ...] = ()

    def clips(self, full: int) -> int:
        return 2 if self.small else full

    def frames(self, full: int) -> int:
        return min(full, 4) if self.small else full

    def pixels(self, full: int) -> int:
        return max(full // 7, 4) if self.small else full


FULL = Sizes(small=False, copied=4 << 30, product=8192, rounds=20, seconds=2.0)
SMALL = Sizes(small=True, copied=1 << 20, product=64, rounds=3, seconds=0.1, changes=("DATA.TRAIN_CROP_SIZE", "32"))
