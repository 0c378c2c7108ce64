"""Times the parts, each against its plain form in the same run:
python tools/benchmark.py model --cfg FILE KEY VALUE ...   forward, forward + backward, whole step of a config's model; ratio: plain / it
python tools/benchmark.py objective --cfg FILE ...         a training step plain, with Mixup and with SV-Mix; ratio: to plain
python tools/benchmark.py gpu --minutes 8 --out DIR        all that a GPU is judged by, the most important first, into DIR
python tools/benchmark.py kernels                          registers, shared memory and floor of every Triton kernel; without a GPU
python tools/benchmark.py ram, fam or dgam                 next to its published form; ram TRAIN.PRECISION bf16: in that
python tools/benchmark.py loader --cfg FILE KEY VALUE ...  items next to reading alone: generated files, the training list
"""

import sys

from fragrant.benchmarks.gpu.command import gpu_command
from fragrant.benchmarks.kernels import kernels_command
from fragrant.engine.benchmark import benchmark_model
from fragrant.engine.benchmark_objective import benchmark_objective
from fragrant.engine.benchmark_ram import benchmark_fam, benchmark_ram, fam_cases, ram_cases
from fragrant.engine.build import benchmark_batch, build_objective_settings, build_settings, dgam_benchmark, loader_benchmark
from fragrant.engine.launch import argument_parser, config_of, exit_code, gpu_if_any, pick_device
from fragrant.engine.measure import machine
from fragrant.engine.precision import DTYPES


def steps(cfg, arguments) -> str:
    device, (build, run) = pick_device(cfg.NUM_GPUS, cfg.NUM_SHARDS), STEPS[arguments.what]
    batch = benchmark_batch(cfg, arguments.batch_size or cfg.TRAIN.BATCH_SIZE, device)
    print(machine(device))
    print(f"{cfg.MODEL.MODEL_NAME}, clips {tuple(batch[0].shape)}; median [min, max] of {arguments.rounds} rounds, the settings in turn")
    return run(build(cfg, device), *batch, clip_norm=cfg.SOLVER.CLIP_GRADIENT, rounds=arguments.rounds)


def beside_published(cfg, arguments) -> str:
    if arguments.what == "loader":
        return loader_benchmark(cfg, rounds=arguments.rounds, list_files=arguments.batch_size or 24)
    n, rounds = arguments.batch_size, arguments.rounds
    print(machine(device := gpu_if_any(cfg.NUM_GPUS)))
    if arguments.what == "fam":
        return benchmark_fam(fam_cases(clips=n or 8), device=device, rounds=rounds)
    if arguments.what == "dgam":
        return dgam_benchmark(cfg, device, clips=n or 4, rounds=rounds)
    cases = ram_cases(clips=n or 8, clips_of_relational_features=(n or 8) if device.type == "cuda" else 1)
    return benchmark_ram(cases, device=device, rounds=rounds, autocast=DTYPES.get(cfg.TRAIN.PRECISION))


STEPS = {"model": (build_settings, benchmark_model), "objective": (build_objective_settings, benchmark_objective)}
WHAT = {**dict.fromkeys(STEPS, steps), **dict.fromkeys(("ram", "fam", "dgam", "loader"), beside_published)}
COMMANDS = {"gpu": gpu_command, "kernels": kernels_command}


def start(words: list[str]) -> int:
    if words and words[0] in COMMANDS:
        return exit_code(lambda: print(COMMANDS[words[0]](words[1:])), debug="--debug" in words)
    parser = argument_parser(__doc__, what=list(WHAT))
    parser.add_argument("--batch-size", type=int, metavar="N", help="clips (loader: files); default TRAIN.BATCH_SIZE, 8, 4 or 24")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="counted rounds")
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: print(WHAT[arguments.what](config_of(arguments), arguments)), debug=arguments.debug)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
