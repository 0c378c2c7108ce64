"""Work on whole sets before a run: write their lists, unpack them, check them."""

from fragrant.data.prepare.unpack import unpack_set
from fragrant.data.prepare.write import write_set

__all__ = ["unpack_set", "write_set"]
