"""The benchmark of the one-query attention prints a row for both forms, which agree."""

import torch

from fragrant.benchmarks.global_attention import Case, benchmark_global, global_cases


def test_table():
    heading, published, folded = benchmark_global(
        [Case("tiny", 2, 50, 32, 4)], device=torch.device("cpu"), rounds=1
    ).splitlines()
    assert heading.split()[:4] == "forward + backward form".split()
    assert published.startswith("tiny, 2 x 50 x 32") and "published" in published and folded.split()[0] == "folded"
    assert float(folded.split()[-1]) < 1e-5


def test_half_precision_is_compared_too():
    case = Case("tiny", 2, 50, 32, 4)
    rows = benchmark_global([case], device=torch.device("cpu"), rounds=1, autocast=torch.bfloat16).splitlines()
    assert float(rows[-1].split()[-1]) < 0.5


def test_cases_are_those_of_the_recipes():
    assert [(case.tokens, case.width, case.heads) for case in global_cases(clips=1)] == [
        (1576, 768, 12),
        (3152, 768, 12),
        (4112, 1024, 16),
    ]
