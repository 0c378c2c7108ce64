"""Draws a set of videos of people in the dark, with its lists: python tools/make_videos.py --out drawn --clips 100"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()


import argparse
import sys

from fragrant.launch import add_common_arguments, exit_code, path_argument


def main(arguments) -> None:
    from fragrant.synthetic.actions import actions_of
    from fragrant.synthetic.recipes import read_recipe
    from fragrant.synthetic.video_set import make_videos, plan_of

    axes = read_recipe(arguments.recipe)
    how = {name: getattr(arguments, name) for name in ("val", "test", "seed", "frames", "fps", "size")}
    plan = plan_of(actions_of(arguments.actions), arguments.clips, axes=axes, **how)
    make_videos(arguments.out, plan, workers=arguments.workers)


def numbers(text: str, between: str) -> tuple[int, int]:
    """ "48-64", or "48" for both, where "-" is ``between``."""
    first, _, second = text.partition(between)
    return int(first), int(second or first)


def span(text: str) -> tuple[int, int]:
    return numbers(text, "-")


def size(text: str) -> tuple[int, int]:
    return numbers(text, "x")


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    arid = ["jump", "run", "sit", "stand", "turn", "walk"]
    parser.add_argument("--out", required=True, type=path_argument, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--clips", type=int, default=100, metavar="N", help="training videos of each action")
    parser.add_argument("--val", type=int, metavar="N", help="validation videos of each; default a tenth of --clips")
    parser.add_argument("--test", type=int, metavar="N", help="test videos of each; default a tenth of --clips")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="everything follows from it")
    parser.add_argument(
        "--actions",
        nargs="+",
        default=arid,
        metavar="NAME",
        help=f"names, all, or files of poses or recordings; default {' '.join(arid)}; docs/synthetic.md lists them",
    )
    parser.add_argument(
        "--recipe", default="dark", metavar="NAME", help="ranges of what differs between clips: a name or a file"
    )
    parser.add_argument("--size", type=size, metavar="WxH", help="of the pictures; default 160x120")
    parser.add_argument("--frames", type=span, metavar="N[-N]", help="of a video; default 48-64")
    parser.add_argument("--fps", type=span, default=(30, 30), metavar="N[-N]", help="frames per second; default 30")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: one per core")
    add_common_arguments(parser)
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
