"""Reading processes: what they hand over, and how a run ends when one of them dies, stops, hangs or fails."""

import contextlib
import faulthandler
import gc
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fragrant.data.reader_pool import ReaderPool, end_all_readers, read_in_order
from fragrant.distributed import signals
from fragrant.distributed.signals import StopRequest
from fragrant.errors import RunStopped, UserError
from fragrant.launch import exit_code

SOON = 20  # seconds, of a machine with much else to do


class Squares:
    """Item k is k * k; some items do something to the process that reads them."""

    def __init__(self, deeds: dict | None = None):
        self.deeds = deeds or {}

    def __len__(self) -> int:
        return 40

    def __getitem__(self, key: int) -> torch.Tensor:
        self.deeds.get(key, lambda: None)()
        return torch.full((3, 2), float(key * key))


def pool_of(deeds: dict | None = None, **options) -> ReaderPool:
    return ReaderPool(Squares(deeds), torch.stack, num_workers=2, **options, name=lambda key: f"item {key}")


PLAN = [[2 * number, 2 * number + 1] for number in range(20)]
WHOLE = torch.arange(40.0).square()


def firsts(batches) -> torch.Tensor:
    return torch.cat([batch[:, 0, 0] for batch in batches])


def gone(pid: int) -> bool:
    """Ended; those that lost their parent are waited for by the system, sooner or later."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        with contextlib.suppress(OSError):
            return state.read_text().rpartition(")")[2].split()[0] == "Z"
        return Path("/proc/self/stat").exists()
    return True


@contextlib.contextmanager
def ended_within(seconds: float = SOON):
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def pids(pool: ReaderPool) -> list[int]:
    return [reader.process.pid for reader in pool._readers]


def test_in_order_again_and_again_and_after_leaving_early():
    pool = pool_of()
    assert torch.equal(firsts(pool.batches(PLAN)), WHOLE)
    before = pids(pool)
    for count in (0, 1, 3):
        batches = pool.batches(PLAN)
        for _ in range(count):
            next(batches)
        batches.close()
    assert torch.equal(firsts(pool.batches(PLAN)), WHOLE)
    assert pids(pool) == before
    pool.close()
    assert all(map(gone, before))
    assert torch.equal(firsts(pool.batches(PLAN[:1])), WHOLE[:2])  # new ones


def test_readers_end_with_their_pool():
    pool = pool_of()
    list(pool.batches(PLAN))
    ended = pids(pool)
    del pool
    gc.collect()
    assert all(map(gone, ended))


def test_no_batch_keeps_a_descriptor_or_a_process():
    list(read_in_order(Squares(), range(4), num_workers=2))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(3):
        assert len(list(read_in_order(Squares(), range(40), num_workers=2))) == 40
    gc.collect()
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_batches_do_not_lie_in_dev_shm():
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no /dev/shm here")

    def mapped() -> set[str]:
        """Files in this process's memory; other tests may have left locks of multiprocessing there."""
        return {line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines()}

    before = mapped()
    pool = pool_of()
    batches = pool.batches(PLAN)
    next(batches)
    new = mapped() - before
    assert any("memfd:fragrant batch" in name for name in new) or not hasattr(os, "memfd_create")
    assert not any("/dev/shm" in name for name in new)
    pool.close()


# ------------------------------------------------------------------------------------------------ ways in which it ends
def do_exit() -> None:
    os._exit(7)


def do_kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def do_crash() -> None:
    faulthandler.disable()  # of pytest: it would tell of this process
    os.kill(os.getpid(), signal.SIGSEGV)


def do_stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def do_hang() -> None:
    time.sleep(1000)


def do_fail() -> None:
    raise KeyError("brightness")


def do_tell() -> None:
    raise UserError("train.csv:3: no such class")


class Odd(RunStopped):
    """Cannot be rebuilt from what it says."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def do_odd() -> None:
    raise Odd("one", "two")


def do_run_out() -> None:
    raise OSError(28, "No space left on device")


ENDS = {
    "killed": (
        do_kill,
        RunStopped,
        r"was ended by SIGKILL, while it read item 6, item 7; .*fewer DATA_LOADER.NUM_WORK",
    ),
    "crashed": (do_crash, RunStopped, r"was ended by SIGSEGV, while it read item 6, item 7; a library crashed"),
    "left": (do_exit, RunStopped, r"ended by itself with exit code 7, while it read item 6, item 7; "),
    "stopped": (
        do_stop,
        RunStopped,
        r"is stopped \(SIGSTOP\): no sign of it for 1 s \(DATA_LOADER.TIMEOUT\), while it",
    ),
    "hangs": (
        do_hang,
        RunStopped,
        r"hangs, perhaps .*: no sign of it for 1 s \(DATA_LOADER.TIMEOUT\), while it read it",
    ),
    "failed": (do_fail, RunStopped, r"an error in a reading process, while it read item 7: KeyError: 'brightness'"),
    "told": (do_tell, UserError, r"^train.csv:3: no such class$"),
    "odd": (do_odd, RunStopped, r"while it read item 7: Odd: one and two"),
    "full": (do_run_out, RunStopped, r"OSError: \[Errno 28\] No space left on device"),
}


@pytest.mark.parametrize(
    "deed, kind, message",
    [pytest.param(*ENDS[name], id=name, marks=[pytest.mark.slow] * (name == "hangs")) for name in ENDS],
)
def test_an_end_is_one_line_and_no_process_is_left(deed, kind, message):
    pool = pool_of({7: deed}, timeout=1.0)
    seen = []
    with ended_within(), pytest.raises(kind, match=message) as raised:
        for batch in pool.batches(PLAN):
            seen.append(batch)
    assert "\n" not in str(raised.value)
    if deed in (do_fail, do_tell, do_odd, do_run_out):  # errors come in their place, whoever was faster
        assert torch.equal(firsts(seen), WHOLE[:6])
    ended = pids(pool)
    with ended_within():
        pool.close()
    assert all(map(gone, ended))


def test_an_idle_reader_that_is_killed_is_missed_by_the_next_batch_of_any_pool():
    idle, busy = pool_of(), pool_of()
    list(idle.batches(PLAN))
    batches = busy.batches(PLAN)
    next(batches)
    os.kill(pids(idle)[0], signal.SIGKILL)
    with ended_within(), pytest.raises(RunStopped, match="was ended by SIGKILL; "):
        for _ in batches:
            time.sleep(0.05)
    end_all_readers()


def test_after_a_signal_the_patience_is_short(monkeypatch):
    monkeypatch.setattr("fragrant.data.reader_pool.PATIENCE_AFTER_SIGNAL", 1.0)
    pool = pool_of({7: do_stop})
    with StopRequest():
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.heard() == "SIGTERM"
        with ended_within(), pytest.raises(RunStopped, match=r"is stopped .*after SIGTERM had asked the run to end"):
            list(pool.batches(PLAN))
    assert signals.heard() == ""
    pool.close()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"])
def test_readers_leave_signals_to_the_main_process(name):
    pool = pool_of({7: lambda: os.kill(os.getpid(), getattr(signal, name))})
    assert torch.equal(firsts(pool.batches(PLAN)), WHOLE)
    pool.close()


@pytest.mark.slow
def test_slow_items_are_no_reason_to_end():
    pool = pool_of({key: lambda: time.sleep(1.1) for key in (6, 7)}, timeout=1.9)
    assert torch.equal(firsts(pool.batches(PLAN[:5])), WHOLE[:10])
    pool.close()


# ---------------------------------------------------------------------------------------------- signals and the command
@pytest.mark.parametrize("name, code", [("SIGTERM", 1), ("SIGUSR1", 1), ("SIGHUP", 1), ("SIGINT", 130)])
def test_a_signal_while_waiting_for_a_reader_that_is_stopped(name, code, capfd):
    """Before there is anything to save: it ends at once, whatever it waits for."""
    before, pool = signal.getsignal(getattr(signal, name)), pool_of({7: do_stop})

    def wait() -> None:
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), getattr(signal, name)))
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        list(pool.batches(PLAN))

    with ended_within(10):
        assert exit_code(wait, debug=False) == code
    (line,) = capfd.readouterr().err.splitlines()
    assert re.match(f"stopped: (by {name}|interrupted from the keyboard); the last checkpoint stays$", line)
    assert signal.getsignal(getattr(signal, name)) == before
    pool.close()


SCRIPT = """
import os, signal, sys, time
import test_reader_pool as ours
from fragrant.launch import exit_code

pool = ours.pool_of({30: ours.do_stop})
def main():
    batches = pool.batches(ours.PLAN)
    next(batches)
    print(*ours.pids(pool), flush=True)
    %s
    return 3
try:
    code = exit_code(main, debug=False)
finally:
    print("ends", flush=True)
sys.exit(code)
"""
DEEDS = {  # what the main process does -> its exit code, the first words on stderr
    "returns": ("pass", 3, ""),
    "fails": ("raise KeyError('x')", 1, "stopped: KeyError: 'x' (<string>:11); --debug shows the traceback"),
    "wrong input": ("raise ours.UserError('no such key')", 2, "error: no such key"),
    "leaves": ("sys.exit(5)", 5, ""),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
    "fails at exit": ("import atexit; atexit.register(lambda: 1 / 0)", 3, "Exception ignored in atexit callback"),
}


@pytest.mark.parametrize(
    "deed, code, said",
    [pytest.param(*DEEDS[name], id=name, marks=[pytest.mark.slow] * (name != "fails")) for name in DEEDS],
)
def test_however_the_main_process_ends_its_readers_end_too(deed, code, said):
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    line = [sys.executable, "-c", SCRIPT % deed]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(said) and (said or not done.stderr)
    readers = [int(word) for word in done.stdout.splitlines()[0].split()]
    assert len(readers) == 2
    with ended_within():
        while not all(map(gone, readers)):
            time.sleep(0.1)
