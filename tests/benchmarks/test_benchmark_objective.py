"""tools/benchmark.py objective: a row for every objective and every part of SV-Mix, and each times what it says."""

import copy

import pytest
import torch
from tiny import TINY, run_here

from fragrant.benchmarks import objective as bench
from fragrant.benchmarks.build import benchmark_batch, build_objective_settings, objective_ways
from fragrant.benchmarks.timing import Measured
from fragrant.config import changed, load_cfg
from fragrant.models import build_model

TWO = [f"two streams, {way}" for way in ("concat_bert", "dff", "mean", "cross", "concat_bert, supcon", "retinex")]
TWO += ["pairs, cross", "pairs, cross, two trunks", "pairs, cross, each stream"]
STEPS = ["plain", "mixup", "contrastive", "masked 0.5", "masked 0.75", "masked 0.9", "supcon", *TWO]
STEPS += ["distill", "distill, two streams", "darkener", "dark copies", "svmix"]
PARTS = ["student, forward and backward", "teacher's feature map", "teacher's judgement, backward to the clips"]
PARTS += ["mixer in space", "moving average"]
CPU = torch.device("cpu")


CFG = load_cfg(None, [*TINY, "PRETRAIN.TUBE_SIZE", "8", "PRETRAIN.DECODER_WIDTH", "16"])


def table(text: str) -> dict[str, list[str]]:
    """Row -> seconds, ratio, MiB, ratio."""
    return {line[:44].strip(): line[44:].split() for line in text.splitlines()}


@pytest.fixture
def settings() -> list:
    return build_objective_settings(CFG, CPU)


def test_rows():
    tubes = ("PRETRAIN.TUBE_SIZE", "8", "PRETRAIN.DECODER_WIDTH", "16")
    done = run_here(*TINY, *tubes, tool="benchmark", arguments=("objective", "--rounds", "1", "--batch-size", "2"))
    assert done.returncode == 0, done.stderr
    machine, what, *lines = done.stdout.splitlines()
    assert machine.startswith("CPU, 1 threads; torch") and what.startswith(
        "Uniformer, clips (2, 3, 4, 32, 32); median [min, max] of 1 rounds"
    )
    rows = table("\n".join(lines))
    assert list(rows) == ["step", *STEPS, "", "parts of a step of svmix; ratio: of the stud", *PARTS]
    for name in STEPS + PARTS:
        seconds, ratio, *_ = rows[name]
        assert float(seconds) >= 0 and float(ratio.removesuffix("x")) > 0, name
    assert rows["plain"][1] == rows[PARTS[0]][1] == "1.00x"


def test_a_network_that_cannot_be_masked_has_no_such_rows():
    """Nor has one whose tubes do not fit."""
    for changes in ({"MODEL.MODEL_NAME": "H2CN", "DATA.NUM_FRAMES": 5}, {"PRETRAIN.TUBE_SIZE": 32}):
        cfg = changed(CFG, changes)
        assert list(objective_ways(cfg, build_model(cfg))) == ["plain", "mixup", "contrastive", "supcon", *TWO, "svmix"]


def test_every_row_has_its_own_numbers_beside_the_first(settings, monkeypatch):
    """With known measurements; every function that would be measured runs once."""

    def measure(variants, *, device, rounds):
        for function in variants.values():
            function()
        return {name: Measured([0.5 * k, 90.0, 0.0], k * 2**20) for k, name in enumerate(variants, 1)}

    monkeypatch.setattr(bench, "measure", measure)
    before = [copy.deepcopy(setting.objective.state_dict()) for setting in settings]
    clips, labels = benchmark_batch(load_cfg(None, TINY), 2, CPU)
    rows = table(bench.benchmark_objective(settings, clips, labels, clip_norm=None, rounds=3))
    for names in (STEPS, PARTS):
        for k, name in enumerate(names, 1):
            assert rows[name] == [f"{0.5 * k:.3f}", f"{k}.00x", str(k), f"{k}.00x"]
    for setting, old in zip(settings, before, strict=True):  # a step is a step of the optimiser too
        now = setting.objective.state_dict()
        last = ("head.weight", "paint.weight", "projector.2.weight", "darkener.net.last.bias")
        assert any(not torch.equal(now[name], value) for name, value in old.items() if name.endswith(last)), (
            setting.name
        )


def test_parts_of_an_sv_mix_step_do_what_their_names_say(settings):
    objective = settings[-1].objective
    clips, _ = benchmark_batch(load_cfg(None, TINY), 2, CPU)
    parts = bench.sv_mix_parts(settings[-1], clips)
    assert list(parts) == PARTS
    ran = []
    for name in ("model", "teacher", "mixer"):
        getattr(objective, name).register_forward_hook(
            lambda module, args, output, name=name: ran.append((name, output.requires_grad))
        )
    features, called = objective.teacher.forward_features, []
    objective.teacher.forward_features = lambda clips: called.append(torch.is_grad_enabled()) or features(clips)
    who = {}
    for name, part in parts.items():
        ran.clear(), called.clear()
        part()
        who[name] = (ran[:], called[:])
    expected = [
        ([("model", True)], []),
        ([], [False]),
        ([("teacher", True)], [True]),
        ([("mixer", True)], []),
        ([], []),
    ]
    assert list(who.values()) == expected
    with torch.no_grad():
        objective.model.head.weight.add_(1)
    before = objective.teacher.head.weight.clone()
    parts["moving average"]()
    assert not torch.equal(objective.teacher.head.weight, before)
