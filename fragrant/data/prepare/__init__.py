"""Work on whole sets before a run: write their lists, pack or unpack them, check them."""

from fragrant.data.prepare.pack import pack_set
from fragrant.data.prepare.split import with_drawn, with_few, with_leaks_named
from fragrant.data.prepare.unpack import unpack_set
from fragrant.data.prepare.write import write_set

__all__ = ["pack_set", "unpack_set", "with_drawn", "with_few", "with_leaks_named", "write_set"]
