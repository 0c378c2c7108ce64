"""Writes pseudo-labels of videos without labels, to train on: python tools/pseudo_label.py --checkpoint best.pyth
--list dark.csv --top-share 0.5 --out output/labels KEY VALUE ..."""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import argparse
import os
import sys
from functools import partial
from typing import Any

from fragrant.config import changed
from fragrant.launch import add_checkpoint_arguments, add_common_arguments, exit_code, gpu_if_any, path_argument

EPILOG = """\
OUT/pseudo.csv has a row path,p0,...,pK-1 for each video that is sure enough; labels in the list are not read, the list
is not touched. All given limits count; without any it is --top-share 0.5. Train with DATA.EXTRA_TRAIN_LIST
OUT/pseudo.csv. With pairs (DATA.COLOR_PATH_TO_DATA_DIR) LIST is in both folders, and OUT/color and OUT/thermal have a
pseudo.csv each, which the same value names.
BN.ADAPT_LIST and TEST.ADAPT adapt the network first. Rounds of it: tools/curriculum.py --recipe
configs/demo/pseudo_rounds.yml --rounds 3.
"""


def main(arguments) -> None:
    from fragrant.config.streams import tests_pairs
    from fragrant.engine.labelling.build import label_list
    from fragrant.engine.run import run
    from fragrant.files import is_address
    from fragrant.runtime.build import config_of_checkpoint
    from fragrant.scores.pseudo_labels import Rule

    pairs = [*arguments.pairs, *arguments.opts]
    cfg = config_of_checkpoint(arguments.checkpoint, arguments.cfg, pairs)
    fixed = {"TRAIN.ENABLE": False, "TEST.NUM_PARTS": 1, "TEST.PART": 0, "TEST.NUM_TEMPORAL_CLIPS": []}
    cfg = changed(cfg, fixed | {"TEST.CHECKPOINT_FILE_PATH": arguments.checkpoint, "OUTPUT_DIR": arguments.out})
    as_it_is = is_address(arguments.list) or tests_pairs(cfg)  # of pairs a name in both folders
    path = arguments.list if as_it_is else os.path.abspath(arguments.list)
    limits = arguments.top_share, arguments.quantile, arguments.threshold
    top_share = 0.5 if limits == (None, None, None) else arguments.top_share or 0.0
    rule = Rule(top_share, arguments.quantile or 0.0, tuple(arguments.threshold or ()), arguments.temperature)
    run(cfg, gpu_if_any(cfg.NUM_GPUS), work=partial(label_list, path=path, rule=rule))


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number, nor numbers with commas between") from None


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    file: dict[str, Any] = {"type": path_argument, "metavar": "FILE"}
    add_checkpoint_arguments(parser, "trained weights; config and class names are inside")
    parser.add_argument("--cfg", **file, help="a config in place of the checkpoint's, for files from elsewhere")
    parser.add_argument("--list", required=True, **file, help="the videos, one path a line; labels are not read")
    parser.add_argument("--out", required=True, type=path_argument, metavar="DIR", help="folder of what is written")
    number: dict[str, Any] = {"type": float, "metavar": "N"}
    parser.add_argument("--top-share", **number, help="keep this share of each predicted class, the surest ones")
    parser.add_argument("--quantile", **number, help="threshold of a class: this quantile of its probability")
    parser.add_argument("--threshold", type=_numbers, metavar="N[,N...]", help="lowest probability, or one per class")
    parser.add_argument("--temperature", default=1.0, **number, help="of the targets, below 1 = sharper (default 1)")
    parser.add_argument("--opts", nargs="*", default=[], metavar="KEY VALUE", help="overrides, as behind the others")
    parser.add_argument("pairs", nargs="*", metavar="KEY VALUE", help="overrides: DATA.PATH_PREFIX videos")
    add_common_arguments(parser)
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
