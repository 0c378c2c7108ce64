"""Writes lists and class names of a set as it is distributed: python tools/prepare_data.py arid --root /data/ARID --out
lists/arid"""

import argparse
import sys
from pathlib import Path
from typing import Any

from fragrant.errors import RunStopped
from fragrant.launch import add_common_arguments, exit_code, path_argument
from fragrant.texts import say


def main(arguments) -> None:
    from fragrant.data.datasets import LISTS, listed_set, prepared_set
    from fragrant.data.prepare import unpack_set, write_set

    root, more, unreadable = arguments.root, "", []
    for edition in arguments.edition:
        if arguments.set == LISTS:
            found = listed_set(arguments.list, arguments.root)
        else:
            found = prepared_set(arguments.set, arguments.root, edition=edition, videos=arguments.videos)
        if arguments.frames:
            unpacked = {"template": arguments.template, "workers": arguments.workers}
            found, lines = unpack_set(found, arguments.videos or arguments.root, arguments.frames, **unpacked)
            root, more = arguments.frames, f' DATA.IMAGE_TEMPLATE "{arguments.template}"'
            unreadable += lines
        out = Path(arguments.out, edition) if len(arguments.edition) > 1 else Path(arguments.out)
        print(f"{arguments.set} {found.edition}".strip() + f" -> {out}")
        say(write_set(found, root, out))
        sets = f"TRAIN.DATASET {arguments.set} TEST.DATASET {arguments.set}"
        classes = f" MODEL.NUM_CLASSES {len(found.class_names)}" if found.class_names else ""
        print(f"use: {sets} DATA.PATH_TO_DATA_DIR {out} DATA.PATH_PREFIX {root}{more}{classes}")
    if unreadable:
        say(unreadable)
        raise RunStopped(f"{len(unreadable)} video(s) cannot be unpacked, see above; the lists are without them")


def start(words: list[str]) -> int:
    from fragrant.data.datasets import LISTS, SETS
    from fragrant.workers import usable_cores

    editions = "\n".join(f"  {name:9} {' '.join(SETS.get(name).editions)}" for name in SETS.names())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"sets and editions:\n{editions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", metavar="SET", help=", ".join([*SETS.names(), LISTS]))
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
    parser.add_argument(
        "--list", action="append", default=[], metavar="SPLIT=FILE", help=f"a list of a {LISTS}, paths from --root"
    )
    parser.add_argument(
        "--frames", default="", **folder, help="unpack the videos into folders of pictures below it, and list those"
    )
    parser.add_argument(
        "--template",
        default="img_{:05d}.jpg",
        metavar="NAME",
        help="what pictures are called (default: img_{:05d}.jpg)",
    )
    parser.add_argument(
        "--workers", type=int, default=usable_cores(), metavar="N", help="unpacking processes (default: one per core)"
    )
    add_common_arguments(parser)
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
