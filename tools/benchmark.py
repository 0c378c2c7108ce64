"""Times parts of the package, each against its plain or published form in the same run.

python tools/benchmark.py model --cfg FILE KEY VALUE ...
    forward, forward + backward and whole step of a config's model; ratio: plain / it
python tools/benchmark.py objective --cfg FILE KEY VALUE ...
    a training step plain and under each objective; ratio: to plain
python tools/benchmark.py gpu --minutes 8 --out DIR
    all that a GPU is judged by, the most important first, into DIR
python tools/benchmark.py live --minutes 5 (a stream: frames/s, latency, memory)
python tools/benchmark.py ram, fam, or global (UniFormerV2's attention of one query)
    it next to its published form; with TRAIN.PRECISION bf16, RAM and global in that
python tools/benchmark.py dgam
    gamma experts next to their published form; on a GPU their share of Swin-B's step
python tools/benchmark.py loader --cfg FILE KEY VALUE ...
    items next to reading alone: generated files, the training list
python tools/benchmark.py shards KEY VALUE ...
    the videos of the training list from shards and from files"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import sys

from fragrant.launch import argument_parser, config_of, exit_code, gpu_if_any, pick_device


def steps(cfg, arguments) -> str:
    from fragrant.benchmarks import build  # imported late: --help answers at once
    from fragrant.benchmarks.model import benchmark_model
    from fragrant.benchmarks.objective import benchmark_objective
    from fragrant.benchmarks.timing import machine

    device = pick_device(cfg.NUM_GPUS, cfg.NUM_SHARDS)
    batch = build.benchmark_batch(cfg, arguments.batch_size or cfg.TRAIN.BATCH_SIZE, device)
    print(machine(device))
    shape = f"{cfg.MODEL.MODEL_NAME}, clips {tuple(batch[0].shape)}"
    print(f"{shape}; median [min, max] of {arguments.rounds} rounds, the settings in turn")
    how = {"clip_norm": cfg.SOLVER.CLIP_GRADIENT, "rounds": arguments.rounds}
    if arguments.what == "model":
        return benchmark_model(build.build_settings(cfg, device), *batch, **how)
    return benchmark_objective(build.build_objective_settings(cfg, device), *batch, **how)


def beside_published(cfg, arguments) -> str:
    from fragrant.benchmarks import build
    from fragrant.benchmarks.global_attention import benchmark_global, global_cases
    from fragrant.benchmarks.ram import benchmark_fam, benchmark_ram, fam_cases, ram_cases
    from fragrant.benchmarks.timing import machine
    from fragrant.runtime.precision import DTYPES

    device, n, rounds = gpu_if_any(cfg.NUM_GPUS), arguments.batch_size, arguments.rounds
    if arguments.what == "loader":
        return build.loader_benchmark(cfg, rounds=rounds, list_files=n or 24)
    if arguments.what == "shards":
        return build.shards_benchmark(cfg, rounds=rounds, list_files=n or 100)
    print(machine(device))
    if arguments.what == "fam":
        return benchmark_fam(fam_cases(clips=n or 8), device=device, rounds=rounds)
    if arguments.what == "dgam":
        return build.dgam_benchmark(cfg, device, clips=n or 4, rounds=rounds)
    how = {"device": device, "rounds": rounds, "autocast": DTYPES.get(cfg.TRAIN.PRECISION)}
    if arguments.what == "global":
        return benchmark_global(global_cases(clips=n or 4), **how)
    cases = ram_cases(clips=n or 8, clips_of_relational_features=(n or 8) if device.type == "cuda" else 1)
    return benchmark_ram(cases, **how)


OTHERS = ("ram", "fam", "global", "dgam", "loader", "shards")
WHAT = {"model": steps, "objective": steps, **dict.fromkeys(OTHERS, beside_published)}


def start(words: list[str]) -> int:
    if words[:1] in (["gpu"], ["live"]):
        from fragrant.benchmarks import own_commands

        return exit_code(lambda: print(own_commands.of(words[0])(words[1:])), debug="--debug" in words)
    parser = argument_parser(__doc__, what=list(WHAT))
    parser.add_argument(
        "--batch-size", type=int, metavar="N", help="clips (loader: files); default TRAIN.BATCH_SIZE, 8, 4 or 24"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="counted rounds")
    arguments = parser.parse_intermixed_args(words)
    run = lambda: print(WHAT[arguments.what](config_of(arguments), arguments))  # noqa: E731
    return exit_code(run, debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
