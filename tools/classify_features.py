"""Classifies videos by their frozen features, computed where they are missing: python tools/classify_features.py --cfg
FILE KEY VALUE ..."""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import sys
from pathlib import Path

from fragrant.config import dump_cfg
from fragrant.launch import argument_parser, config_of, exit_code, pick_device
from fragrant.texts import say


def main(arguments) -> None:
    cfg = config_of(arguments)
    if arguments.print_config:
        print(dump_cfg(cfg), end="")
        return
    device = pick_device(cfg.NUM_GPUS, cfg.NUM_SHARDS)
    from fragrant.features import build_features, build_study, compare_rows, own_output_dir
    from fragrant.features.report import describe_results, save_results, table_lines
    from fragrant.runtime.build import prepare_device

    prepare_device(cfg, device)
    with own_output_dir(cfg, print):
        if arguments.tables:
            results = compare_rows(cfg, device, print)
            name, lines = "tables", table_lines(results)
        elif arguments.probe:
            from fragrant.features.probes import probe_videos, trial_lines

            mode = "clips" if arguments.clips else "frames"
            results, class_names = probe_videos(cfg, arguments.probe, mode, device, print)
            name, lines = "probed", describe_results(results, class_names) + trial_lines(results)
        else:
            study = build_study(cfg)
            tables = build_features(cfg, "clips" if arguments.clips else "frames", device, print)
            results = study.run(**tables)
            name, lines = "classified", describe_results(results, tables["test"].class_names)
        path = save_results(Path(cfg.OUTPUT_DIR), name, results, lines)
    say(lines)
    print(f"Results are in {path}")


def start(words: list[str]) -> int:
    parser = argument_parser(__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--frames", action="store_true", help="an image network on single frames (FEATURES.*), the default"
    )
    which.add_argument(
        "--clips", action="store_true", help="the backbone MODEL.MODEL_NAME on the views of a test (DATA.*, TEST.*)"
    )
    which.add_argument(
        "--tables", action="store_true", help="tables 1 to 3 of the report on the dark: sampling, gamma, classifier"
    )
    parser.add_argument(
        "--probe",
        action="append",
        choices=("attentive", "linear"),
        help="classify by every place of the feature maps: with one learned query, or their mean; may be given twice",
    )
    arguments = parser.parse_intermixed_args(words)
    if arguments.probe and arguments.tables:
        parser.error("--tables and --probe do not go together")
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
