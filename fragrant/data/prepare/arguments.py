"""The arguments of tools/prepare_data.py."""

import argparse
from collections.abc import Callable
from typing import Any

from fragrant.data.datasets import LISTS, SETS
from fragrant.workers import usable_cores

PACK = "pack"  # in place of a set: the videos of any lists go into shards


def set_parser(description: str | None, path_argument: Callable[[str], str]) -> argparse.ArgumentParser:
    """Builds the parser: which set, where it lies, and what becomes of it.

    Args:
        path_argument: the ``type`` of arguments that name a folder.
    """
    editions = "\n".join(f"  {name:9} {' '.join(SETS.get(name).editions)}" for name in SETS.names())
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"sets and editions:\n{editions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", metavar="SET", help=", ".join([*SETS.names(), LISTS, PACK]))
    folder: dict[str, Any] = {"type": path_argument, "metavar": "DIR"}
    parser.add_argument("--root", required=True, **folder, help="the folder that the set was unpacked in")
    parser.add_argument(
        "--out", required=True, **folder, help="where train.csv, val.csv, test.csv and classes.txt are written"
    )
    parser.add_argument(
        "--edition", nargs="+", default=[""], metavar="NAME", help="editions, several go into folders of their own"
    )
    parser.add_argument(
        "--videos", default="", **folder, help="the folder of the videos, where it is not found below --root"
    )
    of_lists = f"a list, for {LISTS} and {PACK}, paths from --root, which the list may lie below, too"
    parser.add_argument("--list", action="append", default=[], metavar="SPLIT=FILE", help=of_lists)
    parser.add_argument(
        "--split",
        nargs="+",
        default=[],
        metavar="SPLIT=SHARE",
        help="draw val=0.2 and test=0.2 from the training list (default: val=0.2 where the set has no validation list; "
        "none: validate on the test list); of class folders: from all videos, val=0.1 test=0.2 unless given",
    )
    parser.add_argument(
        "--group-by",
        default="",
        metavar="RULE",
        help="what --split keeps together, as DATA.GROUP_BY (default: the set's own rule)",
    )
    few = "train.csv has N videos of each class, each of another group as long as there are some"
    parser.add_argument("--few-shot", type=int, default=0, metavar="N", help=few)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of --few-shot (0)")
    parser.add_argument(
        "--frames", default="", **folder, help="unpack the videos into folders of pictures below it, list those"
    )
    parser.add_argument(
        "--template", default="img_{:05d}.jpg", metavar="NAME", help="what pictures are called (img_{:05d}.jpg)"
    )
    parser.add_argument(
        "--shard-mb", type=float, default=512.0, metavar="N", help=f"{PACK}: about how large a shard gets (512)"
    )
    parser.add_argument(
        "--workers", type=int, default=usable_cores(), metavar="N", help="processes (default: one per core)"
    )
    return parser
