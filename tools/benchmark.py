"""Times the parts, each against its plain form in the same run: python tools/benchmark.py model --cfg FILE KEY VALUE ..."""

import sys

import torch

from fragrant.engine.launch import argument_parser, config_of, exit_code, pick_device


def model(cfg, arguments) -> None:
    """Forward, forward + backward and whole step of the config's model."""
    from fragrant.engine.benchmark import benchmark_model
    from fragrant.engine.build import build_settings, prepare_device

    device = pick_device(cfg.NUM_GPUS, cfg.NUM_SHARDS)
    prepare_device(cfg, device)
    n, size = arguments.batch_size or cfg.TRAIN.BATCH_SIZE, cfg.DATA.TRAIN_CROP_SIZE
    clips = torch.randint(0, 256, (n, cfg.DATA.NUM_FRAMES, size, size, 3), dtype=torch.uint8, device=device).permute(0, 4, 1, 2, 3)
    labels = torch.randint(0, cfg.MODEL.NUM_CLASSES, (n,), device=device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{cfg.MODEL.MODEL_NAME}, {n} clips of {cfg.DATA.NUM_FRAMES}x{size}x{size}; {name}; torch {torch.__version__}")
    print(f"median [min, max] of {arguments.rounds} rounds, the settings in turn; ratio = plain / config")
    settings = build_settings(cfg, device)
    print(benchmark_model(settings, clips, labels, clip_norm=cfg.SOLVER.CLIP_GRADIENT, rounds=arguments.rounds))


WHAT = {"model": model}


def start(words: list[str]) -> int:
    parser = argument_parser(__doc__, what=list(WHAT))
    parser.add_argument("--batch-size", type=int, metavar="N", help="clips; default TRAIN.BATCH_SIZE")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="counted rounds")
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: WHAT[arguments.what](config_of(arguments), arguments), debug=arguments.debug)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
