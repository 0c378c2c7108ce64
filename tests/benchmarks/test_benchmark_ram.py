"""The benchmark of FAM and RAM prints a row for every form, and says when the published form is missing."""

import pytest
import torch
from tiny import run_here

from fragrant.benchmarks.ram import Case, benchmark_fam, benchmark_ram, fam_cases, ram_cases

CPU = torch.device("cpu")


def test_ram_table():
    case = Case("V/V, 1 head", 1, 8, 4, dict(key_dim=4))
    heading, published, ours = benchmark_ram([case], device=CPU, rounds=1).splitlines()
    assert heading.split() == "forward + backward form seconds [min, max] faster extra MiB smaller difference".split()
    assert published.startswith("V/V, 1 head, 1 x 8 x 8 x 4 x 4") and "published" in published and "1.0x" in published
    assert ours.split()[0] == "PyTorch"
    assert float(ours.split()[-1]) < 1e-5


def test_half_precision_is_compared_too():
    case = Case("VplusR/R", 1, 8, 4, dict(key_dim=4, kernel_type="VplusR", feature_type="R"))
    rows = benchmark_ram([case], device=CPU, rounds=1, autocast=torch.bfloat16).splitlines()
    assert float(rows[-1].split()[-1]) < 0.5


def test_fam_table():
    rows = benchmark_fam([Case("FAM", 1, 4, 3, {})], device=CPU, rounds=1).splitlines()
    assert len(rows) == 3 and float(rows[2].split()[-1]) < 1e-5


def test_cases_are_the_maps_after_stage_2_and_3():
    assert {(case.clips, case.channels, case.size) for case in fam_cases(clips=8)} == {(8, 128, 28), (8, 320, 14)}
    cases = ram_cases(clips=8, clips_of_relational_features=1)
    assert len(cases) == 8
    assert {case.title for case in cases if case.clips == 1} == {"VplusR/R, 1 head"}


@pytest.mark.cuda
def test_cuda_table_has_triton_and_the_floor():
    rows = benchmark_ram([Case("V/V", 2, 32, 14, dict(key_dim=16))], device=torch.device("cuda"), rounds=1).splitlines()
    assert [row[50:60].strip() for row in rows] == ["form", "published", "PyTorch", "Triton", "floor"]


def test_the_command_runs_without_a_config_and_without_a_gpu():
    done = run_here(tool="benchmark", arguments=("fam", "--batch-size", "1", "--rounds", "1"))
    assert done.returncode == 0, done.stderr
    first, heading, *rows = done.stdout.strip().splitlines()
    assert first.startswith("CPU, 1 threads; torch") and heading.startswith("forward + backward")
    assert [form for row in rows for form in ("published", "PyTorch") if form in row] == ["published", "PyTorch"] * 2
