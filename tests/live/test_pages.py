"""The page of a live run and the timeline of a file in a real browser: they draw, follow, and leave nothing to the net."""

import json

import chromium as browser_support
import numpy as np
import pytest
import torch
from make_video import encode
from streams import until

from fragrant.inference.predictor import Ranked
from fragrant.live.board import Board
from fragrant.live.messages import ActionEvent, LiveWindow, News
from fragrant.live.page import live_page
from fragrant.live.pictures import jpeg
from fragrant.live.server import PageServer
from fragrant.report.timeline import Piece, parted, save_timeline, segments_of

NAMES = ["jump", "run", "sit", "stand", "turn", "walk"]


@pytest.fixture(scope="module")
def driver():
    with browser_support.chromium() as driver:
        yield driver


def texts(driver, selector: str) -> list[str]:
    """At one moment: the page draws itself anew all the time."""
    look = (
        "return [...document.querySelectorAll(arguments[0])].map((node) => (node.innerText ?? node.textContent).trim())"
    )
    return driver.execute_script(look, selector)


def held_to_the_rules(driver, name: str) -> None:
    """No errors, nothing sticks out on a desk or a phone, light or dark."""
    for size in browser_support.SIZES:
        browser_support.resized(driver, size)
        for dark in (False, True):
            browser_support.in_the_dark(driver, dark)
            assert not browser_support.sticks_out(driver)
            browser_support.keep_screenshot(driver, f"{name}_{size}_{'dark' if dark else 'light'}")
    browser_support.in_the_dark(driver, False)
    browser_support.resized(driver, "wide")
    assert browser_support.errors(driver) == []


# ------------------------------------------------------------------------------------------------------------- timeline
def pieces() -> list[Piece]:
    """Four windows of 2 s, one every second: walk, walk, sit, sit."""
    rows = [(0.05, 0.05, 0.1, 0.1, 0.0, 0.7), (0.05, 0.05, 0.2, 0.1, 0.0, 0.6), (0.0, 0.1, 0.8, 0.05, 0.0, 0.05), (0.0, 0.1, 0.9, 0.0, 0.0, 0.0)]  # fmt: skip
    return [Piece(at, at + 2.0, row, 0.02 + 0.01 * at) for at, row in enumerate(rows)]


def test_overlapping_windows_become_neighbours():
    found = parted(pieces())
    assert [(piece.start, piece.end) for piece in found] == [(0, 1.5), (1.5, 2.5), (2.5, 3.5), (3.5, 5)]
    assert [(part.start, part.end, NAMES[part.number]) for part in segments_of(found)] == [
        (0, 2.5, "walk"),
        (2.5, 5, "sit"),
    ]
    assert [part.prob for part in segments_of(found)] == pytest.approx([0.65, 0.85])


@pytest.mark.parametrize(
    "suffix, head",
    [
        ("svg", b"<?xml"),
        pytest.param("png", b"\x89PNG", marks=pytest.mark.slow),
        pytest.param("pdf", b"%PDF", marks=pytest.mark.slow),
    ],
)
def test_timelines_as_pictures(tmp_path, suffix, head):
    save_timeline(tmp_path / f"t.{suffix}", "a.mp4", pieces(), NAMES)
    assert (tmp_path / f"t.{suffix}").read_bytes().startswith(head)


def test_the_timeline_leads_through_the_video(driver, tmp_path):
    video = encode(tmp_path / "a walk & more.mp4", 50, fps=10, height=120, width=160)
    save_timeline(tmp_path / "t.html", video, pieces(), NAMES, subtitle="4 windows, 5.0 s")
    browser_support.resized(driver, "wide")
    driver.get((tmp_path / "t.html").as_uri())
    assert driver.execute_script("return document.body.dataset.ready") == "yes"
    assert texts(driver, "h1") == ["a walk & more.mp4"]
    assert "brightness" in "".join(texts(driver, "#timeline")) and len(texts(driver, "#timeline .area")) == 6
    assert [text.replace("\n", " ") for text in texts(driver, "#actions li")] == [
        "0:00.0 – 0:02.5 walk 65 %",
        "0:02.5 – 0:05.0 sit 85 %",
    ]
    until(lambda: driver.execute_script("return document.querySelector('video').readyState") >= 2)
    place = "return document.querySelector('video').currentTime"
    driver.find_elements("css selector", "#actions button")[1].click()
    assert driver.execute_script(place) == pytest.approx(2.5, abs=0.05)
    from selenium.webdriver import ActionChains, Keys

    holder = driver.find_element("css selector", "#timeline")
    width = holder.size["width"]
    ActionChains(driver).move_to_element_with_offset(holder, width // 4, 0).click().perform()
    assert driver.execute_script(place) == pytest.approx(3.75, abs=0.1)
    assert driver.find_element("css selector", "#tip").text.startswith("0:03.7")
    holder.send_keys(Keys.ARROW_LEFT)
    assert driver.execute_script(place) == pytest.approx(2.75, abs=0.1)
    assert float(holder.get_attribute("aria-valuenow")) == pytest.approx(2.75, abs=0.1)
    held_to_the_rules(driver, "timeline")
    names = driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in names if not name.startswith(("data:", "file:"))] == []


def test_a_timeline_whose_video_is_gone_says_so(driver, tmp_path):
    save_timeline(tmp_path / "t.html", tmp_path / "gone.mp4", pieces(), NAMES)
    driver.get((tmp_path / "t.html").as_uri())
    until(lambda: "cannot play the video" in driver.find_element("css selector", "#page").text)
    driver.find_elements("css selector", "#actions button")[1].click()
    driver.get_log("browser")  # that the file is missing


# ----------------------------------------------------------------------------------------------------------- live page
def window(end: float, *probs: float) -> LiveWindow:
    smooth = torch.tensor(probs)
    top = [Ranked(NAMES[k], k, float(smooth[k])) for k in smooth.argsort(descending=True).tolist()]
    return LiveWindow(end - 1.6, end, 1.7e9 + end, 0, 7, smooth, smooth, smooth, top, 0.04, 0.032, 3, 1, {})


def filled(board: Board) -> None:
    """A minute: somebody walks, sits, walks again."""
    for at in range(240):
        sits = 80 <= at < 160
        wave = 0.12 * float(np.sin(at / 5))
        high, low = (0.75 + wave, 0.1 - wave / 2)
        board.window(window(at / 4, 0.02, 0.03, high if sits else low, 0.05, 0.0, low if sits else high))
        if at in (4, 80, 160):
            if at > 4:
                old = 5 if at == 80 else 2
                board.event(
                    ActionEvent("leave", NAMES[old], old, at / 4, 1.7e9 + at / 4, 0.3, 1.0 if at == 80 else 20.0)
                )
            new = 2 if at == 80 else 5
            board.event(ActionEvent("enter", NAMES[new], new, at / 4, 1.7e9 + at / 4, 0.8, at / 4))


def test_the_live_page(driver):
    board = Board("rtsp://***@camera/stream", NAMES)
    server = PageServer("127.0.0.1", 0)
    server.start(live_page(board.source), board.snapshot)
    try:
        filled(board)
        driver.get(server.address)
        until(lambda: driver.execute_script("return document.body.dataset.ready") == "yes")
        until(lambda: texts(driver, "#now") == ["walk"])
        assert texts(driver, "h1") == ["rtsp://***@camera/stream"] and texts(driver, "#status-text") == ["live"]
        assert [text.split("\n")[0] for text in texts(driver, "#bars li")][:2] == ["walk", "sit"]
        shown = [text.split("\n")[-1] for text in texts(driver, "#actions li")]
        assert shown == ["walk goes on", "sit for 20.0 s", "walk for 19.0 s"]
        assert (
            "32 ms to the answer" in texts(driver, "#figures")[0] and "3 frames dropped" in texts(driver, "#figures")[0]
        )
        until(lambda: server.picture.wanted)
        rows = np.linspace(0, 60, 240, dtype=np.uint8)[:, None, None]
        server.picture.put(jpeg(np.broadcast_to(rows, (240, 320, 3)).copy()))
        server.picture.put(jpeg(np.broadcast_to(rows, (240, 320, 3)).copy()))
        natural = "return document.getElementById('picture').naturalWidth"
        until(lambda: driver.execute_script(natural) == 320)
        until(lambda: not driver.find_element("css selector", "#cover").is_displayed())
        assert len(texts(driver, "#timeline .area")) == 6 and "brightness" in texts(driver, "#timeline")[0]
        held_to_the_rules(driver, "live")
        # another viewer does not matter, nor one who has gone
        driver.switch_to.new_window("tab")
        driver.get(server.address)
        until(lambda: server.picture._viewers == 2)
        driver.close()
        driver.switch_to.window(driver.window_handles[0])
        board.news(News("lost", 0.0, "Connection refused", 4.0))
        until(lambda: texts(driver, "#status-text") == ["lost: Connection refused; the next try in 4 s"])
        assert "Connection refused" in texts(driver, "#cover")[0]
        browser_support.keep_screenshot(driver, "live_lost")
        board.window(window(61.0, 0.9, 0.02, 0.02, 0.02, 0.02, 0.02))
        until(lambda: texts(driver, "#status-text") == ["live"])
        names = driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        assert all(name.startswith((server.address, "data:")) for name in names), json.dumps(names)
    finally:
        server.close()
    until(lambda: texts(driver, "#status-text") == ["the program does not answer"])
    driver.get_log("browser")  # that nobody answers any more
    driver.get("about:blank")
