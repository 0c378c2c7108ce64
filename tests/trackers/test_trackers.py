"""Trackers: what a service is told, that it never stops or delays a run, that a resumed run goes on in its run."""

import json
import subprocess
import sys
import threading
import time
import types

import pytest
from tiny import TINY, run_here

from fragrant.config import ConfigError, load_cfg
from fragrant.errors import UserError
from fragrant.logs import RunLog
from fragrant.trackers import Begin
from fragrant.trackers.build import build_trackers, tracker_classes, wants_board
from fragrant.trackers.quiet import Quiet
from fragrant.trackers.run_ids import keep_run, read_runs

SHORT = "SOLVER.MAX_EPOCH 1 TEST.NUM_ENSEMBLE_VIEWS 1 TEST.NUM_SPATIAL_CROPS 1".split()


class FakeWandb(types.ModuleType):
    """A module with what is used of wandb; notes every call."""

    def __init__(self, fails: str = ""):
        super().__init__("wandb")
        self.calls: list[tuple] = []
        self.fails = fails
        self.url = "https://example.org/run"
        self.summary = types.SimpleNamespace(update=lambda values: self._note("summary", values))

    def _note(self, name, *values):
        if name == self.fails:
            raise ConnectionError("no route\nto host")
        self.calls.append((name, *values))

    def Settings(self, **named):  # noqa: N802 (wandb's name)
        return named

    def init(self, **named):
        self._note("init", named)
        self.id = named["id"]
        return self

    def define_metric(self, name, *, step_metric):
        self._note("define_metric", name, step_metric)

    def log(self, values):
        self._note("log", values)

    def finish(self, *, exit_code):
        self._note("finish", exit_code)

    def of(self, name) -> list:
        return [call[1] for call in self.calls if call[0] == name]


@pytest.fixture
def wandb(monkeypatch) -> FakeWandb:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


class Service:
    """A tracker that does as it is told."""

    run_id, link = "1", "somewhere"

    def __init__(self, wrong: bool = False, wait: threading.Event | None = None):
        self.wrong, self.wait, self.got = wrong, wait, []

    def _take(self, *what):
        if self.wait:
            self.wait.wait()
        if self.wrong:
            raise OSError("gone")
        self.got.append(what)

    def scalars(self, values, step):
        self._take("scalars", values, step)

    def result(self, values):
        self._take("result", values)

    def close(self, *, failed):
        self._take("close", failed)


def quiet(begin, **more) -> tuple[Quiet, list[str]]:
    lines: list[str] = []
    return Quiet("it", begin, opened=lambda tracker: None, say=lines.append, warn=lines.append, **more), lines


# ---------------------------------------------------------------------------------------------------------- the thread
def test_everything_arrives_in_order():
    service = Service()
    tracker, lines = quiet(lambda: service)
    tracker.scalars({"a": 1.0}, 3)
    tracker.result({"top1": 50.0})
    tracker.close(failed=True)
    assert service.got == [("scalars", {"a": 1.0}, 3), ("result", {"top1": 50.0}), ("close", True)] and not lines


def test_failures_are_one_warning_and_a_count():
    tracker, lines = quiet(lambda: Service(wrong=True))
    for step in range(3):
        tracker.scalars({"a": 1.0}, step)
    tracker.close()
    assert lines[0] == "it: OSError: gone; the run goes on without it where it has to"
    assert len(lines) == 2 and "4 entries of this run did not get through" in lines[1]


def test_a_beginning_that_fails_is_tried_again():
    service, tries = Service(), []

    def begin():
        tries.append(1)
        if len(tries) == 1:
            raise TimeoutError("no answer")
        return service

    tracker, lines = quiet(begin, pause=0.0)
    tracker.scalars({"a": 1.0}, 1)
    tracker.close()
    assert service.got == [("scalars", {"a": 1.0}, 1), ("close", False)] and len(lines) == 1


def test_a_service_that_hangs_holds_nobody_up():
    wait = threading.Event()
    tracker, lines = quiet(lambda: Service(wait=wait), patience=0.1)
    began = time.monotonic()
    for step in range(10_050):
        tracker.scalars({"a": 1.0}, step)
    tracker.close()
    wait.set()
    assert time.monotonic() - began < 10 and len(lines) == 1 and "did not get through" in lines[0]


# ----------------------------------------------------------------------------------------------------------- the config
def test_names_and_packages(monkeypatch):
    assert wants_board(load_cfg(None, ["LOG.TRACKERS", "[tensorboard]"])) and not wants_board(load_cfg(None))
    assert tracker_classes(load_cfg(None, ["LOG.TRACKERS", "[tensorboard]"])) == {}
    with pytest.raises(ConfigError, match="LOG.TRACKERS 'wandbb' is not known; did you mean 'wandb'"):
        load_cfg(None, ["LOG.TRACKERS", "[wandbb]"])
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(
        UserError, match=r"LOG.TRACKERS \[mlflow\]: the package mlflow is not installed.*'\.\[mlflow\]'"
    ):
        tracker_classes(load_cfg(None, ["LOG.TRACKERS", "[mlflow]"]))


def test_nothing_is_imported_unless_asked():
    """In a process of its own: other tests here have asked."""
    code = "import sys, fragrant.trackers.build; sys.exit(len({'wandb', 'mlflow', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_ids_are_kept(tmp_path):
    keep_run(tmp_path, "wandb", run_id="ab", link="there")
    keep_run(tmp_path, "mlflow", run_id="cd", link="here")
    assert read_runs(tmp_path) == {
        "wandb": {"run_id": "ab", "link": "there"},
        "mlflow": {"run_id": "cd", "link": "here"},
    }
    (tmp_path / "trackers.json").write_text("[1")
    assert read_runs(tmp_path) == {}


def test_a_run_that_fails_says_so(tmp_path, wandb):
    cfg = load_cfg(None, ["LOG.TRACKERS", "[wandb]", "OUTPUT_DIR", str(tmp_path)])
    with pytest.raises(RuntimeError), RunLog(tmp_path) as log:
        for tracker in build_trackers(cfg, say=log.say, warn=log.warn):
            log.track(tracker)
        raise RuntimeError("broken")
    assert wandb.of("finish") == [1]


def test_a_part_of_a_test_tells_nobody(tmp_path, wandb):
    """Each would begin a run of its own, or overwrite the numbers of the others."""
    words = ["TRAIN.ENABLE", "False", "TEST.NUM_PARTS", "2", "LOG.TRACKERS", "[wandb,tensorboard]"]
    for part in ("0", "1"):
        cfg, lines = load_cfg(None, [*words, "TEST.PART", part, "OUTPUT_DIR", str(tmp_path)]), []
        assert list(build_trackers(cfg, say=lines.append, warn=lines.append)) == [] and not wants_board(cfg)
        assert len(lines) == 1 and "tools/ensemble.py puts the parts together" in lines[0]
    assert not wandb.calls and not (tmp_path / "trackers.json").exists()


# --------------------------------------------------------------------------------------------------------------- a run
def test_a_run_tells_its_tracker_everything_and_goes_on_in_it(tmp_path, wandb):
    words = [*TINY, *SHORT, "DATA.PATH_TO_DATA_DIR", str(tmp_path / "demo"), "OUTPUT_DIR", str(tmp_path / "out")]
    words += ["LOG.TRACKERS", "[wandb,tensorboard]", "LOG.PROJECT", "dark"]
    done = run_here(*words)
    assert done.returncode == 0, done.stderr
    assert "wandb: this run is https://example.org/run" in done.stdout
    (init,) = wandb.of("init")
    assert init["project"] == "dark" and init["name"] == "out" and init["config"]["SOLVER.MAX_EPOCH"] == 1
    logged = wandb.of("log")
    assert [row["step"] for row in logged if "Train/loss" in row] == [0, 1, 2]
    assert [row["epoch"] for row in logged if "Val/Top1_err" in row or "Epoch/loss" in row] == [1, 1]
    assert [row["epoch"] for row in logged if "Test/Top1_acc" in row] == [1]
    (result,) = wandb.of("summary")
    tested = json.loads((tmp_path / "out/scores.json").read_text())["summary"]
    assert result["test/top1"] == tested["top1"]["percent"] and result["test/videos"] == 6
    assert result["test/epoch"] == 1
    assert wandb.of("finish") == [0] and list((tmp_path / "out/runs-demo").glob("events*"))
    lines: list[str] = []
    for tracker in build_trackers(load_cfg(None, words), say=lines.append, warn=lines.append):
        tracker.close()
    assert lines == ["wandb: goes on in https://example.org/run"]
    assert wandb.of("init")[1]["id"] == init["id"] == read_runs(tmp_path / "out")["wandb"]["run_id"]


def test_a_tracker_without_network_does_not_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", FakeWandb(fails="log"))
    with RunLog(tmp_path) as log:
        cfg = load_cfg(None, ["LOG.TRACKERS", "[wandb]", "OUTPUT_DIR", str(tmp_path)])
        for tracker in build_trackers(cfg, say=log.say, warn=log.warn):
            log.track(tracker)
        for step in range(3):
            log.scalars({"Train/loss": 1.0}, step)
    said = (tmp_path / "stdout.log").read_text()
    assert said.count("WARNING") == 1 and "wandb: ConnectionError: no route to host; the run goes on" in said


# --------------------------------------------------------------------------------------------------- the real packages
def begin(tmp_path, run_id: str = "") -> Begin:
    return Begin(tmp_path, "dark", "short", {f"KEY{number}": number for number in range(130)}, run_id)


def test_mlflow_itself(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="no mlflow here: pip install -e '.[mlflow]'")
    from mlflow.tracking import MlflowClient

    from fragrant.trackers.mlflow_run import MlflowRun

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = MlflowRun(begin(tmp_path))
    run.scalars({"Train/loss": 2.0, "Train/lr": float("nan")}, 7)
    run.close(failed=False)
    again = MlflowRun(begin(tmp_path, run.run_id))
    again.scalars({"Train/loss": 1.0}, 8)
    again.result({"top1": 50.0, "epoch": 2, "protocol": "optimistic"})
    again.close(failed=True)
    client = MlflowClient(tracking_uri=run.link)
    found = client.get_run(run.run_id)
    assert len(found.data.params) == 130 and found.info.status == "FAILED" and found.info.run_name == "short"
    assert [(m.step, m.value) for m in client.get_metric_history(run.run_id, "Train/loss")] == [(7, 2.0), (8, 1.0)]
    assert [(m.step, m.value) for m in client.get_metric_history(run.run_id, "test/top1")] == [(2, 50.0)]
    assert found.data.metrics["test/top1"] == 50.0 and found.data.tags["test/protocol"] == "optimistic"


@pytest.mark.slow
def test_wandb_itself_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="no wandb here: pip install -e '.[wandb]'")
    from fragrant.trackers.wandb_run import WandbRun

    monkeypatch.setenv("WANDB_MODE", "offline")
    run = WandbRun(begin(tmp_path))
    run.scalars({"Train/loss": 2.0}, 7)
    run.result({"top1": 50.0})
    run.close(failed=False)
    assert list((tmp_path / "wandb").glob(f"offline-run-*-{run.run_id}/run-{run.run_id}.wandb"))
