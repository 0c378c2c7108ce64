"""How often a property is tried: a short form in the default tests, a long one marked slow; the same inputs every time."""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**63)  # of mutations


def examples(few: int, many: int):
    """A parameter ``number``: a few examples by default, many with ``-m slow``, or as many as FRAGRANT_FUZZ says."""
    many = int(os.environ.get("FRAGRANT_FUZZ", many))
    return pytest.mark.parametrize("number", [few, pytest.param(many, marks=pytest.mark.slow)], ids=["short", "long"])


def tried(check: Callable, strategy: st.SearchStrategy, number: int) -> None:
    """Runs ``check(value)`` for so many values; what it raises is the failure, with the smallest value that causes it."""
    limits = settings(
        max_examples=number, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )

    def check_one(value) -> None:
        check(value)

    limits(given(strategy)(check_one))()
