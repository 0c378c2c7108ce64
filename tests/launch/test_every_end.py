"""A run ends, says why in one line, and leaves no process, whatever happens to it and whenever: whole commands."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from tiny import TINY, command, environment, run_tool

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc"),
]
LONG = [*TINY, "SOLVER.MAX_EPOCH", "100000", "TRAIN.EVAL_PERIOD", "3", "DATA_LOADER.NUM_WORKERS", "2"]
SOON = 40  # seconds that an end may take, of a machine with much else to do


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "set"
    made = run_tool(*TINY, "SOLVER.MAX_EPOCH", 1, "DATA.PATH_TO_DATA_DIR", folder, "OUTPUT_DIR", folder.parent / "made")
    assert made.returncode == 0, made.stderr
    return folder


class Process(NamedTuple):
    pid: int
    parent: int
    name: str
    session: int


def processes() -> list[Process]:
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(folder.name)
            name, _, rest = (folder / "stat").read_text(errors="replace").partition("(")[2].rpartition(")")
            state, parent, _, session, *_ = rest.split()
            if state != "Z":
                found.append(Process(pid, int(parent), name, int(session)))
    return found


class Run:
    """A command in a session of its own, from which no process gets out."""

    def __init__(self, line: list[str], folder: Path, *, terminal: bool = False, **more: str):
        self.out = folder / "out"
        self.err_path = folder / "stderr"
        self.master = None
        stdout = (folder / "stdout").open("w")
        options: dict = {}
        if terminal:
            self.master, stdout = pty.openpty()
            # the session gets the terminal, and with it the signals of its keys and of its end
            line = [
                sys.executable,
                "-c",
                "import os,sys; os.close(os.open(os.ttyname(1), os.O_RDWR)); os.execv(sys.argv[1], sys.argv[1:])",
                *line,
            ]
            options["stdin"] = stdout
        self.process = subprocess.Popen(
            line,
            stdout=stdout,
            stderr=self.err_path.open("w"),
            start_new_session=True,
            env={**environment(), **more},
            **options,
        )
        self.pid = self.process.pid

    def members(self, name: str = "") -> list[Process]:
        return [found for found in processes() if found.session == self.pid and name in found.name]

    def readers(self) -> list[int]:
        return [found.pid for found in self.members("pt_data_worker")]

    def trains(self, lines: int = 6) -> None:
        """Waits until it does."""
        self.until(lambda: self.log().count("\n") >= lines, 120)

    def until(self, true, seconds: float = SOON) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            self.empty_terminal()
            assert time.monotonic() < deadline, self.err() + str(self.members())
            time.sleep(0.05)

    def empty_terminal(self) -> None:
        if self.master is not None:
            os.set_blocking(self.master, False)
            with contextlib.suppress(OSError):
                while os.read(self.master, 65536):
                    pass

    def log(self) -> str:
        path = self.out / "metrics.jsonl"
        return path.read_text() if path.exists() else ""

    def err(self) -> str:
        return self.err_path.read_text()

    def ends(self, *codes: int) -> list[str]:
        """The lines on stderr, when all its processes are gone."""
        self.until(lambda: self.process.poll() is not None)
        self.until(lambda: not self.members())
        assert self.process.returncode in codes, self.err()
        assert "Traceback" not in self.err()
        return self.err().splitlines()

    def clean_up(self) -> None:
        for found in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start(demo, tmp_path):
    runs = []

    def begin(*pairs: str, line=None, arguments=(), **options) -> Run:
        where = ["DATA.PATH_TO_DATA_DIR", str(demo), "OUTPUT_DIR", str(tmp_path / "out")]
        tail = command(*LONG, *where, *pairs, arguments=arguments)
        runs.append(Run([*(line or [sys.executable]), *tail[1:]], tmp_path, **options))
        return runs[-1]

    yield begin
    for run in runs:
        run.clean_up()


def last_of_log(run: Run) -> str:
    return (run.out / "stdout.log").read_text().splitlines()[-1]


# ---------------------------------------------------------------------------------------------------------- one process
@pytest.mark.parametrize("trouble, said", [("SIGKILL", "was ended by SIGKILL"), ("SIGSTOP", "is stopped (SIGSTOP)")])
def test_a_reader_is_killed_or_stopped(start, trouble, said):
    run = start("DATA_LOADER.TIMEOUT", "2")
    run.trains()
    os.kill(run.readers()[0], getattr(signal, trouble))
    (line,) = run.ends(1)
    assert line.startswith("stopped: a reading process (pid ") and said in line
    assert said in last_of_log(run)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGHUP"])
def test_a_signal_to_all_while_it_trains(start, name, terminal):
    run = start(terminal=terminal)
    run.trains()
    os.killpg(run.pid, getattr(signal, name))
    assert run.ends(0) == []
    assert f"Stopped by {name}" in last_of_log(run) and "saved" in last_of_log(run)


@pytest.mark.parametrize("terminal", [False, True])
def test_the_keyboard(start, terminal):
    run = start(terminal=terminal)
    run.trains()
    os.killpg(run.pid, signal.SIGINT)
    pressed, last = run.ends(130)
    assert pressed.startswith("Ctrl-C: finishing this step and saving; once more ends at once")
    assert last == "stopped: interrupted from the keyboard; the last checkpoint stays"
    log = (run.out / "stdout.log").read_text()
    assert "Stopped by Ctrl-C after" in log and "to go on: python " in log


def test_the_keyboard_twice_while_it_waits_for_a_reader_that_is_stopped(start):
    run = start()
    run.trains()
    for reader in run.readers():
        os.kill(reader, signal.SIGSTOP)
    time.sleep(2)
    os.killpg(run.pid, signal.SIGINT)
    run.until(lambda: "Ctrl-C" in run.err())
    time.sleep(1)
    os.killpg(run.pid, signal.SIGINT)
    assert run.ends(130)[1:] == ["stopped: interrupted from the keyboard; the last checkpoint stays"]


def test_the_terminal_is_closed(start):
    run = start(terminal=True)
    run.trains()
    run.empty_terminal()
    os.close(run.master)
    run.master = None
    run.ends(0, 1)


@pytest.mark.parametrize("name, codes", [("SIGTERM", (1,)), ("SIGUSR1", (1,)), ("SIGHUP", (1,)), ("SIGINT", (130,))])
def test_a_signal_while_the_demo_set_is_drawn(start, tmp_path, name, codes):
    run = start("DATA.PATH_TO_DATA_DIR", str(tmp_path / "new"), "DEMO_SET.VIDEOS_PER_CLASS", "2000")
    run.until(lambda: len(list(tmp_path.glob("new/videos/train/*.mp4"))) > 3, 120)
    os.killpg(run.pid, getattr(signal, name))
    (line,) = run.ends(*codes)
    assert line.startswith("stopped: ")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGHUP"])
def test_a_signal_while_it_waits_for_a_reader_that_is_stopped(start, name):
    run = start()
    run.trains()
    for reader in run.readers():
        os.kill(reader, signal.SIGSTOP)
    time.sleep(2)
    os.kill(run.pid, getattr(signal, name))
    (line,) = run.ends(1)
    assert f"after {name} had asked the run to end" in line


def test_the_main_process_is_killed(start):
    run = start()
    run.trains()
    os.kill(run.pid, signal.SIGKILL)
    assert run.ends(-9) == []


# what a plug-in does wrong, and where: in a reading process, in the main one, in a hook, at exit
PLUG_INS = {
    "reader": (
        "from fragrant.data.transforms import TRANSFORMS\n"
        "@TRANSFORMS.register('odd')\n"
        "def odd(clip, rng):\n    return {}['brightness']\n",
        ["DATA.TRANSFORMS", "['odd']"],
        1,
        "stopped: an error in a reading process, while it read video '",
    ),
    "hook": (
        "import torch\n"
        "def hook(module, *_):\n    raise IndexError('in a hook')\n"
        "torch.nn.modules.module.register_module_forward_hook(hook)\n",
        [],
        1,
        "stopped: IndexError: in a hook (",
    ),
    "step": (
        "from fragrant.optim.step import Stepper\n"
        "def backward(self, loss, ids):\n    raise RuntimeError('first\\nsecond')\n"
        "Stepper.backward = backward\n",
        ["TENSORBOARD.ENABLE", "True"],
        1,
        "stopped: RuntimeError: first second (",
    ),
    "input": (
        "from fragrant.optim.step import Stepper\n"
        "from fragrant.errors import UserError\n"
        "def backward(self, loss, ids):\n    raise UserError('this is not allowed')\n"
        "Stepper.backward = backward\n",
        [],
        2,
        "error: this is not allowed",
    ),
    "memory": (
        "from fragrant.optim.step import Stepper\n"
        "def backward(self, loss, ids):\n    raise MemoryError\n"
        "Stepper.backward = backward\n",
        [],
        1,
        "stopped: MemoryError (",
    ),
    "exit": (
        "import sys\nfrom fragrant.optim.step import Stepper\n"
        "def backward(self, loss, ids):\n    sys.exit(0)\n"
        "Stepper.backward = backward\n",
        [],
        1,
        "stopped: SystemExit: 0 (",
    ),
    "exit of a reader": (
        "import sys\nfrom fragrant.data.transforms import TRANSFORMS\n"
        "@TRANSFORMS.register('odd')\n"
        "def odd(clip, rng):\n    sys.exit(0)\n",
        ["DATA.TRANSFORMS", "['odd']"],
        1,
        "stopped: an error in a reading process, while it read video '",
    ),
    "close": (
        "from fragrant.logs import RunLog\n"
        "def close(self):\n    raise OSError(28, 'No space left on device')\n"
        "RunLog.close = close\n",
        ["SOLVER.MAX_EPOCH", "1"],
        1,
        "stopped: OSError: [Errno 28] No space left on device (",
    ),
}


@pytest.mark.parametrize("text, pairs, code, said", PLUG_INS.values(), ids=PLUG_INS)
def test_an_error_anywhere(start, tmp_path, text, pairs, code, said):
    (tmp_path / "odd.py").write_text(text)
    run = start(*pairs, arguments=["--import", str(tmp_path / "odd.py")])
    (line,) = [line for line in run.ends(code) if "Warning" not in line and not line.startswith("  ")]
    assert line.startswith(said), line


def test_debug_shows_where_and_ends_too(start):
    run = start(
        "SOLVER.BASE_LR", "1e30", "SOLVER.CLIP_GRADIENT", "0", "TRAIN.MAX_BAD_STEPS", "2", arguments=["--debug"]
    )
    run.until(lambda: run.process.poll() is not None, 120)
    run.until(lambda: not run.members())
    assert run.process.returncode == 1 and "Traceback" in run.err()


def test_small_dev_shm(demo, tmp_path):
    """64 MB, as Docker gives; the batches of this test are 120 MB each."""
    large = [
        "DATA.NUM_FRAMES",
        "16",
        "DATA.TEST_CROP_SIZE",
        "224",
        "TEST.NUM_ENSEMBLE_VIEWS",
        "4",
        "TEST.BATCH_SIZE",
        "48",
    ]
    pairs = [*TINY, "TRAIN.ENABLE", "False", "DATA_LOADER.NUM_WORKERS", "2", "TEST.NUM_SPATIAL_CROPS", "3", *large]
    pairs += ["TEST.CHECKPOINT_FILE_PATH", demo.parent / "made/checkpoints/best.pyth"]
    pairs += ["DATA.PATH_TO_DATA_DIR", demo, "OUTPUT_DIR", tmp_path]
    words = " ".join(f"'{word}'" for word in command(*pairs))
    line = ["unshare", "-m", "bash", "-c", f"mount -t tmpfs -o size=64m tmpfs /dev/shm && {words}"]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0:
            done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=300)
            assert done.returncode == 0, done.stderr
            return
    pytest.skip("needs the right to mount")


# -------------------------------------------------------------------------------------------------------- two processes
TORCHRUN = [sys.executable, *"-m torch.distributed.run --nproc_per_node 2 --rdzv_backend c10d --rdzv_endpoint".split()]


def ranks(run: Run) -> list[int]:
    return [found.pid for found in run.members() if found.parent == run.pid]


def torchrun(start) -> Run:
    # torchrun puts its processes into sessions of their own: the environment marks them instead
    run = start(line=[*TORCHRUN, "localhost:0"])
    run.members = lambda name="": [  # type: ignore[method-assign]
        found for found in processes() if name in found.name and marked(found.pid, str(run.out))
    ]
    return run


def marked(pid: int, text: str) -> bool:
    with contextlib.suppress(OSError):
        return text in Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return False


def test_the_agent_of_torchrun_is_killed(start):
    run = torchrun(start)
    run.trains()
    os.kill(run.pid, signal.SIGKILL)
    lines = [line for line in run.ends(-9) if line.startswith("stopped: ")]
    assert lines == ["stopped: torchrun's agent, which started this process, is gone; the last checkpoint stays"]
    assert "torchrun's agent" in last_of_log(run)


@pytest.mark.parametrize("which", ["rank", "reader"])
def test_a_process_under_torchrun_is_killed(start, which):
    run = torchrun(start)
    run.trains()
    victims = ranks(run) if which == "rank" else run.readers()
    os.kill(victims[-1], signal.SIGKILL)
    run.until(lambda: run.process.poll() is not None)
    run.until(lambda: not run.members())
    assert run.process.returncode == 1
    assert which == "rank" or "was ended by SIGKILL" in run.err()


def test_a_signal_to_one_process_under_torchrun(start):
    """While it trains: all save, nothing is said. Before: torchrun shows its own traceback, and then our line."""
    run = torchrun(start)
    run.trains()
    os.kill(ranks(run)[-1], signal.SIGTERM)
    assert not [line for line in run.ends(0) if "Error" in line or "stopped: " in line]


def test_an_early_signal_to_one_process_under_torchrun(start):
    run = torchrun(start)
    run.until(lambda: len(ranks(run)) == 2 and all(listens(pid) for pid in ranks(run)))
    os.kill(ranks(run)[-1], signal.SIGTERM)
    run.until(lambda: run.process.poll() is not None)
    run.until(lambda: not run.members())
    assert run.process.returncode == 1
    line = "stopped: by SIGTERM; the last checkpoint stays"
    assert line in run.err().splitlines() and f"traceback : {line}" in run.err().partition("Root Cause")[2]


def listens(pid: int) -> bool:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        caught = int(next(line for line in lines if line.startswith("SigCgt")).split()[1], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1)
    return False
