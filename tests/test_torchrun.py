"""The last line of a process is what torchrun's list of failures shows, and the first cause stands first."""

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from fragrant.errors import LostContact, RunStopped, UserError
from fragrant.launch import exit_code
from fragrant.torchrun import tell


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    return tmp_path / "error.json"


def failure(path, rank: int = 0) -> ProcessFailure:
    return ProcessFailure(local_rank=rank, pid=1, exitcode=1, error_file=str(path))


def shown(*failures: ProcessFailure) -> str:
    return ChildFailedError("run_net.py", dict(enumerate(failures))).format_msg()


@pytest.mark.parametrize("error, line", [(UserError("no 'x'"), "error: no 'x'"), (RunStopped("full"), "stopped: full")])
def test_torchrun_shows_our_line(place, error, line):
    def main():
        raise error

    assert exit_code(main, debug=False) == (2 if isinstance(error, UserError) else 1)
    assert f"traceback : {line}\n" in shown(failure(place))


def test_the_first_line_counts(place):
    tell("stopped: one")
    tell("stopped: two")
    assert "one" in shown(failure(place)) and [path.name for path in place.parent.iterdir()] == ["error.json"]


def test_lost_contact_is_never_the_root_cause(tmp_path, monkeypatch):
    def fails(rank: int, error: Exception) -> ProcessFailure:
        def main():
            raise error

        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / f"{rank}.json"))
        exit_code(main, debug=False)
        return failure(tmp_path / f"{rank}.json", rank)

    monkeypatch.setattr("time.time", lambda: 1e9)  # within the same second
    text = shown(fails(0, LostContact("rank 0 lost contact")), fails(1, RunStopped("the reason")))
    assert "the reason" in text.partition("Root Cause")[2] and "lost contact" not in text.partition("Root Cause")[2]


def test_nobody_to_tell(tmp_path, monkeypatch):
    for path in (None, "", str(tmp_path / "gone" / "error.json")):
        monkeypatch.delenv("TORCHELASTIC_ERROR_FILE", raising=False)
        if path is not None:
            monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", path)
        tell("stopped: a")
    assert not list(tmp_path.iterdir())
