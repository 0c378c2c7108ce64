"""Runs the tests that need a GPU in a process of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MARK = re.compile(r"mark\.cuda\b")


def files_with_gpu_tests(folder: Path) -> list[Path]:
    """Lists the test files that use the mark ``cuda``."""
    return sorted(path for path in folder.rglob("test_*.py") if MARK.search(path.read_text(encoding="utf-8")))


def run_gpu_tests(log: Path, *, seconds: float, root: Path = ROOT, require: bool = True) -> dict:
    """Runs the tests and returns the numbers of passed, failed and skipped ones and the last lines; everything else is
    in ``log``.

    Args:
        seconds: time after which the tests are ended; what was done by then is in the log.
        require: whether a skipped test is a failure.
    """
    files = [str(path.relative_to(root)) for path in files_with_gpu_tests(root / "tests")]
    if not files:
        return {"ended": "no tests marked cuda found"}
    line = [sys.executable, "-u", "-m", "pytest", "-n", "0", "-m", "cuda", "-v", "--tb=short", "--durations=8", *files]
    environment = {**os.environ, "FRAGRANT_REQUIRE_CUDA": "1"} if require else dict(os.environ)
    with log.open("w", encoding="utf-8") as out:
        try:
            code = subprocess.run(
                line, cwd=root, stdout=out, stderr=subprocess.STDOUT, env=environment, timeout=seconds
            ).returncode
            ended = f"exit code {code}"
        except subprocess.TimeoutExpired:
            ended = f"stopped after {seconds:.0f} s"
    return {"ended": ended, **_outcomes(log.read_text(encoding="utf-8", errors="replace"))}


def _outcomes(text: str) -> dict:
    found = {
        word.lower(): len(re.findall(rf"^\S+::.* {word}\b", text, re.MULTILINE))
        for word in ("PASSED", "FAILED", "ERROR", "SKIPPED")
    }
    failures = re.findall(r"^(?:FAILED|ERROR) .*$", text, re.MULTILINE)
    return {**found, "failures": [line[:300] for line in failures[:20]], "last": text.strip().splitlines()[-1:]}
