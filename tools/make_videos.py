"""Draws a set of videos of people in the dark, with its lists: python tools/make_videos.py --out drawn --clips 100"""

import argparse
import sys

from fragrant.launch import add_common_arguments, exit_code, path_argument


def main(arguments) -> None:
    from fragrant.synthetic.actions import actions_of
    from fragrant.synthetic.axes import Axes
    from fragrant.synthetic.video_set import make_videos, plan_of

    plan = plan_of(
        actions_of(arguments.actions),
        arguments.clips,
        seed=arguments.seed,
        frames=arguments.frames,
        fps=arguments.fps,
        size=arguments.size,
        axes=Axes(),
    )
    make_videos(arguments.out, plan, workers=arguments.workers)


def span(text: str) -> tuple[int, int]:
    """ "48" or "48-64"."""
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def picture_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, type=path_argument, metavar="DIR", help="folder of the set")
    parser.add_argument("--clips", type=int, default=40, metavar="N", help="videos of each action to train with")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all draws")
    parser.add_argument("--size", type=picture_size, default=(160, 120), metavar="WxH", help="of the pictures")
    parser.add_argument("--frames", type=span, default=(48, 64), metavar="N[-N]", help="of a video")
    parser.add_argument("--fps", type=span, default=(30, 30), metavar="N[-N]", help="frames per second")
    parser.add_argument("--actions", nargs="+", default=["jump", "run", "sit", "stand", "turn", "walk"], metavar="NAME")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default one per core")
    add_common_arguments(parser)
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
