"""The arguments of the tools that draw figures for papers: size, resolution and type."""

import argparse


def add_figure_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --size, --width, --dpi, --font-size and --latex; ``figure_style.look_of`` reads them."""
    group = parser.add_argument_group("the figure")
    one = group.add_mutually_exclusive_group()
    one.add_argument("--size", metavar="WxH", help="width and height: 17x6cm, 6.9x2.5in, 240x180pt (of TeX)")
    one.add_argument(
        "--width",
        metavar="W",
        help="width alone, the height follows: 8.5cm, 240pt, or column or text (of CVPR's style)",
    )
    group.add_argument("--dpi", type=float, default=300, help="pixels per inch of a PNG, and of frames; default 300")
    group.add_argument("--font-size", type=float, default=8, metavar="PT", help="default 8 points")
    group.add_argument("--latex", action="store_true", help="type like Times, as most LaTeX styles of papers have it")
