"""Tests of Triton kernels in Triton's interpreter: it is switched on before Triton is first imported, so in a new process."""

import os
import re
import subprocess
import sys

import pytest


def passed_in_interpreter(file: str, *, slow: bool = False) -> int:
    """How many tests of ``file`` with "interpreter" in their name pass there; fails with the output where one does not.

    Args:
        slow: those marked slow, else the others.
    """
    command = [sys.executable, "-m", "pytest", file, "-k", "interpreter", "-p", "no:cacheprovider", "-n", "0"]
    command += ["-m", "slow" if slow else "not slow"]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "InterpreterError: TypeError('only 0-dimensional arrays can be converted" in done.stdout:
        pytest.skip("this Triton's interpreter does not work with a numpy as new as this one")  # Triton 3.6, numpy 2.5
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return int(re.search(r"(\d+) passed", done.stdout)[1])
