"""The bar of a run: what it says, and that nothing of it is left where it is not drawn."""

import contextlib
import io
import sys

import pytest
from support.screen import Screen, terminal

from fragrant.logs import RunLog
from fragrant.progress import RunProgress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    "epochs, begins, done, seconds, eta",
    [
        (10, 0, 0, 5, ""),  # no pace yet
        (10, 0, 2.5, 10, "0:00:30"),
        (10, 4, 5, 60, "0:05:00"),  # resumed: the four epochs of another process cost this one nothing
        (10, 4.5, 4.75, 5, "0:01:45"),  # resumed in the middle of an epoch
        (10, 0, 10, 10, "0:00:00"),
    ],
)
def test_the_rest_of_the_whole_run(epochs, begins, done, seconds, eta):
    clock = Clock()
    progress = RunProgress(epochs, done=begins, shown=False, clock=clock)
    clock.now += seconds
    progress.at(done)
    assert progress.eta() == eta


def test_words():
    clock = Clock()
    progress = RunProgress(50, shown=False, clock=clock)
    assert progress.in_words() == "0/50 epochs"
    clock.now += 10
    progress.at(2.5, loss="0.5321", val="top-1 61.20 %")
    progress.at(2.5, loss="0.5000")
    assert progress.in_words() == "2/50 epochs, ETA 0:03:10, loss 0.5000, val top-1 61.20 %"
    progress.at(50)
    assert progress.in_words().startswith("50/50 epochs, ETA 0:00:00")


def used(log: RunLog) -> None:
    """A run of two epochs of three steps, as the loops use the log."""
    with log.run_bar(2, done=0.0):
        for epoch in range(2):
            for step in log.bar(iter(range(3)), total=3, title=f"epoch {epoch + 1}/2"):
                if step == 1:
                    log.warn(f"a warning within epoch {epoch + 1}")
                log.at(epoch + (step + 1) / 3, loss=f"{1 / (step + 1):.2f}")
            log.say(f"epoch {epoch + 1}/2: done")
    log.say("after all")


def test_lines_stand_above_the_bars_and_nothing_is_left_of_them(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    with terminal() as (file, screen, pieces), contextlib.redirect_stdout(file), RunLog() as log:
        used(log)
    said = [
        f"{words} {n}{end}" for n in (1, 2) for words, end in (("a warning within epoch", ""), ("epoch", "/2: done"))
    ]
    assert [line for line in screen.lines() if line] == [*said, "after all"]
    assert screen.most_bars == 2  # the run's and the epoch's at one time, and no third
    text = "".join(pieces)
    assert "run  50%|" in text and "1/2 epochs, ETA 0:00:0" in text and "loss 0.33" in text


def test_the_echo_of_ctrl_c_is_wiped_with_the_bars(monkeypatch):
    """The terminal writes ^C where the cursor stands; what answers it takes the place of both bars."""
    monkeypatch.setenv("TERM", "xterm")
    with terminal(width=90) as (file, screen, _), contextlib.redirect_stdout(file), RunLog() as log:
        with log.run_bar(2, done=0.0):
            for step in log.bar(iter(range(3)), total=3, title="epoch 1/2"):
                log.at((step + 1) / 3, loss="0.5", val="top-1 61.20 %", best="63.00 %")
                if step == 1:
                    file.flush()
                    file.write("^C\r\x1b[JCtrl-C: finishing this step\n")
        log.say("Stopped")
    assert [line for line in screen.lines() if line] == ["Ctrl-C: finishing this step", "Stopped"]


@pytest.mark.parametrize("why", ["other rank", "redirected", "dumb"])
def test_no_bar(monkeypatch, why):
    monkeypatch.setenv("TERM", "dumb" if why == "dumb" else "xterm")
    with terminal() as (file, screen, pieces):
        out = io.StringIO() if why == "redirected" else file
        monkeypatch.setattr(sys, "stdout", out)
        with RunLog(main=why != "other rank") as log:
            used(log)
        monkeypatch.undo()
    text = out.getvalue() if why == "redirected" else "".join(pieces)
    assert "%|" not in text and "\r" not in text and "\x1b" not in text
    assert text.count("\n") == (0 if why == "other rank" else 5)


def test_the_screen_of_these_tests():
    screen = Screen(5)
    screen.write("abc\rx\n1234567\x1b[A\rz\n\x1b[J!")
    assert screen.lines() == ["xbc", "z2345", "!"]
