"""Strips of videos in rows, several sets side by side: python tools/contact_sheet.py drawn/train.csv real.txt --to
sheet.png"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()


import argparse
import sys

from fragrant.launch import add_common_arguments, exit_code, path_argument


def main(arguments) -> None:
    from fragrant.report.contact_sheet import write_contact_sheet

    how = {name: getattr(arguments, name) for name in ("rows", "frames", "height", "seed")}
    write_contact_sheet(arguments.sources, arguments.to, brighten=not arguments.as_is, **how)
    print(f"The sheet is in {arguments.to}")


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "sources",
        nargs="+",
        type=path_argument,
        metavar="SOURCE",
        help="a list file (paths relative to it), a folder of videos, or a video; each is a column of the sheet",
    )
    parser.add_argument("--to", default="sheet.png", type=path_argument, metavar="FILE", help="a .png or .jpg file")
    parser.add_argument("--rows", type=int, default=12, metavar="N", help="videos of each source")
    parser.add_argument("--frames", type=int, default=8, metavar="N", help="of each video, evenly spaced")
    parser.add_argument("--height", type=int, default=90, metavar="PIXELS", help="of a frame")
    parser.add_argument("--seed", type=int, metavar="N", help="pick videos by chance; else evenly from the list")
    parser.add_argument("--as-is", action="store_true", help="do not brighten")
    add_common_arguments(parser)
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
