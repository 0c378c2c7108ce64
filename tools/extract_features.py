"""Turns the videos of a config into feature vectors: python tools/extract_features.py --cfg FILE [--frames | --clips]
KEY VALUE ..."""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import sys

from fragrant.config import dump_cfg
from fragrant.launch import argument_parser, config_of, exit_code, pick_device


def main(arguments) -> None:
    cfg = config_of(arguments)
    if arguments.print_config:
        print(dump_cfg(cfg), end="")
        return
    device = pick_device(cfg.NUM_GPUS, cfg.NUM_SHARDS)
    from fragrant.features import build_features, own_output_dir
    from fragrant.runtime.build import prepare_device

    prepare_device(cfg, device)
    mode = "clips" if arguments.clips else "frames"
    with own_output_dir(cfg, print):
        if arguments.tokens:
            from fragrant.features.probes import extract_tokens

            extract_tokens(cfg, mode, device, print)
            return
        tables = build_features(cfg, mode, device, print)
    for split, table in tables.items():
        print(
            f"{cfg.OUTPUT_DIR}/features_{split}.npz: {table.features.shape[0]} videos x {table.features.shape[1]} "
            "features"
        )


def start(words: list[str]) -> int:
    parser = argument_parser(__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--frames", action="store_true", help="an image network on single frames (FEATURES.*), the default"
    )
    which.add_argument(
        "--clips", action="store_true", help="the backbone MODEL.MODEL_NAME on the views of a test (DATA.*, TEST.*)"
    )
    parser.add_argument(
        "--tokens", action="store_true", help="every place of the feature maps, for classify_features.py --probe"
    )
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
