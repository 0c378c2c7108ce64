"""A signal in the first seconds of a command, while it is still importing: one line, and the exit code of a run."""

import ast
import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from tiny import environment

from fragrant.early import SIGNALS

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
TOOLS = sorted((ROOT / "tools").glob("*.py"))
SAID = {
    "SIGTERM": ("stopped: by SIGTERM; the last checkpoint stays\n", 1),
    "SIGUSR1": ("stopped: by SIGUSR1; the last checkpoint stays\n", 1),
    "SIGHUP": ("stopped: by SIGHUP; the last checkpoint stays\n", 1),
    "SIGINT": ("stopped: interrupted from the keyboard; the last checkpoint stays\n", 130),
}
DELAYS = (0.0, 0.2, 0.5, 1.0, 2.0)  # seconds after it listens
CASES = [
    pytest.param(name, delay, marks=[pytest.mark.slow] * (name != "SIGTERM" and delay not in (0.0, 0.5)))
    for name in SAID
    for delay in DELAYS
]
PLUG_IN = "import torch, fragrant.engine.run, time\ntime.sleep(600)\n"  # what a run imports, and then no end of it


def listens(pid: int) -> bool:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        caught = int(next(line for line in lines if line.startswith("SigCgt")).split()[1], 16)
        return all(caught >> (number - 1) & 1 for number in SIGNALS)
    return False


def as_at_a_terminal(ignored: signal.Signals | None = None) -> None:
    """Whatever these tests were told to ignore (nohup, a job in the background)."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)


@contextlib.contextmanager
def started(*words: str, **options):
    options = {"preexec_fn": as_at_a_terminal, **options}
    line = [sys.executable, *map(str, words)]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), **options
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def heard(process, name: str, delay: float) -> None:
    deadline = time.monotonic() + 60
    while not listens(process.pid):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(getattr(signal, name))


@pytest.mark.parametrize("name, delay", CASES)
def test_a_signal_while_it_imports(tmp_path, name, delay):
    (tmp_path / "long.py").write_text(PLUG_IN)
    with started(ROOT / "tools" / "run_net.py", "--import", tmp_path / "long.py") as process:
        heard(process, name, delay)
        out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("", *SAID[name])


def test_what_is_ignored_stays_ignored(tmp_path):
    """As nohup does it."""
    (tmp_path / "short.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGHUP)\nprint('goes on')\n")
    line = [ROOT / "tools" / "run_net.py", "--import", tmp_path / "short.py", "--print-config"]
    with started(*line, preexec_fn=lambda: as_at_a_terminal(signal.SIGHUP)) as process:
        out, err = process.communicate(timeout=60)
    assert out.startswith("goes on\n") and (err, process.returncode) == ("", 0)


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.stem)
def test_every_command_listens_first(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert ast.unparse(body[1]) == "if __name__ == '__main__':\n    from fragrant.early import listen\n    listen()"


@pytest.mark.parametrize(
    "tool, words",
    [
        ("run_net", ("--help",)),
        ("run_net", ("--cfg", "configs/demo/uniformer_xs.yaml", "--print-config")),  # NUM_GPUS auto: nothing is counted
        ("run_net", ("--cfg", "zoo:dark6-xs", "--print-config")),
        ("classify_features", ("--cfg", "configs/arid/lite0_probe.yaml", "--print-config")),
    ],
)
def test_a_command_that_only_answers_does_without_torch(tool, words):
    """A second or less, where torch alone takes several."""
    with started("-X", "importtime", ROOT / "tools" / f"{tool}.py", *words, cwd=ROOT) as process:
        out, err = process.communicate(timeout=60)
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert process.returncode == 0 and out
    assert "fragrant.launch" in imported and not imported & {"torch", "torchvision", "numpy", "av"}


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_signal_to_all_of_a_run_that_starts(tmp_path, delay, processes):
    """Whole runs, which may have begun to train by then, and so have something to save: then the exit code is 0."""
    from tiny import TINY

    line = [ROOT / "tools" / "run_net.py", *TINY, "OUTPUT_DIR", tmp_path / "out", "DATA.PATH_TO_DATA_DIR", tmp_path]
    with started(*line, "SOLVER.MAX_EPOCH", "1000", "DATA_LOADER.NUM_WORKERS", processes) as process:
        heard(process, "SIGTERM", delay)
        out, err = process.communicate(timeout=60)
    assert "Traceback" not in err and process.returncode in (0, 1)
    assert process.returncode == 0 or err == SAID["SIGTERM"][0]
