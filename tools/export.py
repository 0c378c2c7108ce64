"""Writes a trained model for other programs: python tools/export.py --checkpoint best.pyth --to onnx"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import argparse
import json
import sys
from pathlib import Path

from fragrant.files import is_address, save_file
from fragrant.launch import add_checkpoint_arguments, add_common_arguments, exit_code, path_argument
from fragrant.zoo import PREFIX, is_in_box

EPILOG = """\
The file takes clips (N, C, T, H, W) of float32 pixel values 0..255 and gives logits (N, K). N is free, or 1 where
the model needs it; the rest is as in the config.
Beside it lies a .json with the class names and how clips are made. ONNX needs: pip install -e ".[export]"
"""


def main(arguments) -> None:
    from fragrant.inference.build import load_deployed
    from fragrant.inference.export import FORMATS, export_model

    model, facts = load_deployed(arguments.checkpoint, cfg_path=arguments.cfg, pairs=arguments.opts)
    suffix = FORMATS[arguments.to].suffix
    here = is_address(arguments.checkpoint) or is_in_box(arguments.checkpoint)
    beside = Path(arguments.checkpoint.removeprefix(PREFIX)).name if here else arguments.checkpoint
    path = Path(arguments.out) if arguments.out else Path(beside).with_suffix(suffix)
    done = export_model(model, facts["clip_shape"], path, to=arguments.to)
    facts |= {"num_clips": done.num_clips or "any"}
    save_file(path.with_name(path.name + ".json"), json.dumps(facts, indent=1))
    number = "one clip at a time" if done.num_clips else "any number of clips"
    shape = " x ".join(map(str, facts["clip_shape"]))
    print(f"{done.path}: {arguments.to}, {number} of {shape}, {len(facts['class_names'])} classes")
    print(f"largest difference of a logit on random clips: {done.difference:.2g}")


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_checkpoint_arguments(parser, "trained weights; the config is inside")
    parser.add_argument("--to", required=True, choices=("onnx", "torch.export", "torchscript"), help="the format")
    parser.add_argument("--out", type=path_argument, metavar="FILE", help="default: beside the checkpoint")
    parser.add_argument(
        "--cfg",
        type=path_argument,
        metavar="FILE",
        help="a config in place of the checkpoint's, for files from elsewhere",
    )
    parser.add_argument(
        "--opts", nargs="*", default=[], metavar="KEY VALUE", help="overrides, for example DATA.TEST_CROP_SIZE 224"
    )
    add_common_arguments(parser)
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
