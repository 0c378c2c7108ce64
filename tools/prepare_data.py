"""Writes lists and class names of a set as it is distributed: python tools/prepare_data.py arid --root /data/ARID --out lists/arid"""

import argparse
import sys
from pathlib import Path

from fragrant.engine.launch import exit_code


def main(arguments) -> None:
    from fragrant.data.prepare import prepared_set, write_set

    for edition in arguments.edition:
        found = prepared_set(arguments.set, arguments.root, edition=edition, videos=arguments.videos)
        out = Path(arguments.out, edition) if len(arguments.edition) > 1 else Path(arguments.out)
        print(f"{arguments.set} {found.edition}".strip() + f" -> {out}")
        print("\n".join(write_set(found, arguments.root, out)))
        sets = f"TRAIN.DATASET {arguments.set} TEST.DATASET {arguments.set}"
        classes = f" MODEL.NUM_CLASSES {len(found.class_names)}" if found.class_names else ""
        print(f"use: {sets} DATA.PATH_TO_DATA_DIR {out} DATA.PATH_PREFIX {arguments.root}{classes}")


def start(words: list[str]) -> int:
    from fragrant.data.prepare import SETS

    editions = "\n".join(f"  {name:9} {' '.join(SETS.get(name).editions)}" for name in SETS.names())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"sets and editions:\n{editions}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", choices=SETS.names(), metavar="SET", help=", ".join(SETS.names()))
    parser.add_argument("--root", required=True, metavar="DIR", help="the folder that the set was unpacked in")
    parser.add_argument("--out", required=True, metavar="DIR", help="where train.csv, val.csv, test.csv and classes.txt are written")
    parser.add_argument("--edition", nargs="+", default=[""], metavar="NAME", help="editions, several go into folders of their own")
    parser.add_argument("--videos", default="", metavar="DIR", help="the folder of the videos, where it is not found below --root")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
