"""The models that ship with the package: lists them, adds one, writes their cards into the docs."""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()


import argparse
import sys
from pathlib import Path
from typing import Any

from fragrant.errors import UserError
from fragrant.files import read_plain, save_file
from fragrant.launch import add_common_arguments, exit_code, path_argument
from fragrant.zoo import files_page, list_of_models, load_cards, model_page, save_card
from fragrant.zoo.box import FOLDER

PAGE = Path(__file__).resolve().parents[1] / "docs" / "model_zoo.md"
EPILOG = """\
  python tools/zoo.py list
  python tools/zoo.py add dark6-xs --checkpoint output/run/checkpoints/best.pyth --about configs/dark6/about.yml
      --scores "real clips, none seen=output/test/scores.npz" --videos real_clips
  python tools/zoo.py docs

add stores the weights in half precision, compares them with the checkpoint on --videos, and writes the docs again.
--about is a yaml file: summary, trained_on, licence, warning (texts), commands, not_for (lists of texts).
"""


def add(arguments) -> None:
    from fragrant.inference.build import load_for_entry, load_predictor
    from fragrant.inference.entry import compared, read_about, write_entry
    from fragrant.inference.predictor import find_videos
    from fragrant.scores.scoreboard import rows_of

    needed = {name: getattr(arguments, name) for name in ("name", "checkpoint", "about", "videos")}
    if missing := [name for name, value in needed.items() if not value]:
        raise UserError(f"tools/zoo.py add needs {' and '.join(missing)}; --help shows an example")
    own, folder = {"pairs": arguments.opts}, Path(arguments.folder)
    about, rows, videos = read_about(arguments.about), rows_of(arguments.rows), find_videos(arguments.videos)
    card = write_entry(folder, arguments.name, load_for_entry(arguments.checkpoint, **own), about, rows)
    original = load_predictor(arguments.checkpoint, device="cpu", **own)
    entry = load_predictor(folder / f"{arguments.name}.safetensors", device="cpu")
    card = compared(card, original, entry, videos)
    save_card(folder / f"{arguments.name}.json", card)
    print(f"{folder / arguments.name}.*: {card.bytes / 1e6:.2f} MB; {card.half_precision}")


def main(arguments) -> None:
    if arguments.what == "add":
        add(arguments)
    cards = load_cards(Path(arguments.folder))
    if arguments.what == "list":
        print(list_of_models(cards))
        return
    save_file(arguments.to, files_page(model_page(read_plain(arguments.to).decode(), cards)))
    print(f"The cards of {len(cards)} models and the list of published files are in {arguments.to}")


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    file: dict[str, Any] = {"type": path_argument, "metavar": "FILE"}
    parser.add_argument("what", choices=("add", "docs", "list"), help="what to do")
    parser.add_argument("name", nargs="?", help="add: of the new model; one that is there is replaced")
    parser.add_argument("--checkpoint", **file, help="add: trained weights, in float32")
    parser.add_argument("--opts", nargs="*", default=[], metavar="KEY VALUE", help="add: overrides of its config")
    parser.add_argument("--about", **file, help="add: the prose of the card")
    parser.add_argument("--scores", dest="rows", nargs="*", default=[], metavar="LABEL=SCORES", help="add: scores")
    parser.add_argument("--videos", nargs="*", type=path_argument, metavar="VIDEO", help="add: to compare both on")
    parser.add_argument("--folder", type=path_argument, default=str(FOLDER), metavar="DIR", help="default: the package")
    parser.add_argument("--to", default=str(PAGE), **file, help="the page with the cards; default: docs/model_zoo.md")
    add_common_arguments(parser)
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
