"""The shares of a model's parts: each is run again as it was called, and the table adds up."""

import torch
from tiny import run_here
from torch import nn

from fragrant.benchmarks.parts import again, calls_of, parts_table
from fragrant.benchmarks.timing import Measured

TINY = """
    NUM_GPUS 0 MODEL.MODEL_NAME MieNet MODEL.NUM_CLASSES 4 MIE.NUM_SEGMENTS 2 DATA.NUM_FRAMES 8 DATA.SAMPLING segment DATA.SEGMENT_LENGTH 4
    DATA.INPUT_CHANNEL_NUM [3] DATA.TRAIN_CROP_SIZE 32 TEST.NUM_ENSEMBLE_VIEWS 1
""".split()


def test_parts_run_again_as_in_the_model():
    first, second = nn.Linear(3, 4), nn.Linear(4, 4)
    seen = []
    second.register_forward_hook(
        lambda module, inputs, output: seen.append((inputs[0].detach().clone(), inputs[0].requires_grad))
    )
    calls = calls_of({"first": [first], "second": [second]}, lambda: second(second(first(torch.ones(2, 3)))))
    assert [(call.module, call.inputs[0].requires_grad) for call in calls["first"]] == [(first, False)]
    assert [call.module for call in calls["second"]] == [second, second]
    expected, seen[:] = list(seen), []
    again(calls["second"], lambda: torch.autocast("cpu", enabled=False))()
    assert [grad for _, grad in seen] == [True, True]
    assert all(torch.equal(now, then) for (now, _), (then, _) in zip(seen, expected, strict=True))
    assert second.weight.grad is None and not first._forward_pre_hooks


def test_table_adds_up():
    results = {name: Measured([seconds], 0) for name, seconds in (("A", 0.1), ("B", 0.1), ("whole step", 1.0))}
    lines = [line.split() for line in parts_table(results).splitlines()]
    assert lines[1] == ["A", "0.100", "10.0%", "11.1%"]
    assert lines[3] == ["A", "+", "B", "0.200", "20.0%", "25.0%"]
    assert lines[4] == ["whole", "step", "1.000"]


def test_benchmark_shows_the_parts_of_mie_net():
    done = run_here("model", *TINY, "--batch-size", "2", "--rounds", "1", tool="benchmark")
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.index("part of the whole step") :]
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["PA", "AFM", "DPTAM", "PA", "whole"]
