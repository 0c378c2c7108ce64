"""The page's server: three paths, reading only, the right names, viewers that do not matter to each other."""

import http.client
import json
import socket
import time

import pytest
import torch
from streams import until

from fragrant.errors import UserError
from fragrant.inference.predictor import Ranked
from fragrant.live.board import EVENTS_KEPT, WINDOWS_KEPT, Board
from fragrant.live.messages import ActionEvent, LiveWindow, News
from fragrant.live.page import live_page
from fragrant.live.server import PageServer, allowed_name

NAMES = ["jump", "run", "sit"]


def window(end: float, *probs: float) -> LiveWindow:
    smooth = torch.tensor(probs or (0.2, 0.7, 0.1))
    top = [Ranked(NAMES[k], k, float(smooth[k])) for k in smooth.argsort(descending=True).tolist()]
    return LiveWindow(end - 1, end, 1.7e9 + end, 0, 7, smooth, smooth, smooth, top, 0.05, 0.03, 2, 1, {})


@pytest.fixture
def served():
    board = Board("camera <0>", NAMES)
    server = PageServer("127.0.0.1", 0)
    server.start(live_page("camera <0>"), board.snapshot)
    yield server, board
    server.close()


def ask(server, path: str, *, method: str = "GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_three_paths_and_nothing_else(served):
    server, board = served
    page, body = ask(server, "/")
    assert (
        page.status == 200
        and b"camera &lt;0&gt;" in body
        and b"http://" not in body.replace(b"http://www.w3.org/", b"")
    )
    assert (
        "default-src 'none'" in page.headers["Content-Security-Policy"] and page.headers["Cache-Control"] == "no-store"
    )
    state, body = ask(server, "/state.json")
    assert state.status == 200 and json.loads(body)["status"]["kind"] == "starting"
    for path in ("/../etc/passwd", "/live.js", "/state.json/x", "/fragrant/"):
        assert ask(server, path)[0].status == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(server, "/", method=method)[0].status == 501
    assert ask(server, "/state.json?since=-1;drop")[0].status == 200


def test_only_what_is_new_is_sent(served):
    server, board = served
    board.window(window(1.0))
    board.event(ActionEvent("enter", "run", 1, 1.0, 1.7e9, 0.7, 1.0))
    first = json.loads(ask(server, "/state.json")[1])
    assert first["windows"][0]["p"] == [[0, 0.2], [1, 0.7], [2, 0.1]] and first["windows"][0]["luma"] == 0.05
    assert first["events"][0]["kind"] == "enter" and first["active"] == [{"number": 1, "since": 1.0}]
    assert first["names"]["1"] == "run" and first["latency_ms"] == 30 and first["dropped"] == 2
    board.window(window(2.0))
    second = json.loads(ask(server, f"/state.json?since={first['number']}")[1])
    assert [entry["t"] for entry in second["windows"]] == [2.0] and second["events"] == []
    board.news(News("lost", 0.0, "torn", 4.0))
    board.event(ActionEvent("leave", "run", 1, 2.0, 1.7e9, 0.7, 1.0))
    third = json.loads(ask(server, "/state.json")[1])
    assert third["status"] == {"kind": "lost", "text": "lost: torn; the next try in 4 s"} and third["active"] == []


def test_the_board_forgets(served):
    _, board = served
    for at in range(WINDOWS_KEPT + 50):
        board.window(window(float(at)))
        board.event(ActionEvent("enter", "run", 1, float(at), 0.0, 0.7, float(at)))
    state = board.snapshot()
    assert len(state["windows"]) == WINDOWS_KEPT and len(state["events"]) == EVENTS_KEPT


@pytest.mark.parametrize(
    "header, host, allowed",
    [
        ("127.0.0.1:8080", "127.0.0.1", True),
        ("localhost:8080", "127.0.0.1", True),
        ("[::1]:8080", "127.0.0.1", True),
        ("evil.example:8080", "127.0.0.1", False),
        ("192.168.1.7:8080", "127.0.0.1", False),
        ("192.168.1.7:8080", "0.0.0.0", True),
        ("evil.example", "0.0.0.0", False),
        (socket.gethostname().lower(), "0.0.0.0", True),
        ("camera.example:8080", "camera.example", True),
        (None, "127.0.0.1", False),
        ("[::1", "127.0.0.1", False),
    ],
)
def test_names_that_lead_here(header, host, allowed):
    assert allowed_name(header, host) is allowed


def test_another_name_is_refused(served):
    assert ask(served[0], "/state.json", Host="evil.example")[0].status == 421


def test_a_port_in_use(served):
    with pytest.raises(UserError, match=rf"--serve {served[0].port}: nothing can be served on .*: it is in use"):
        PageServer("127.0.0.1", served[0].port)
    with pytest.raises(UserError, match="--serve 0: nothing can be served on 300.1.1.1"):
        PageServer("300.1.1.1", 0)


def test_viewers_get_pictures_whatever_others_do(served):
    """One who never reads, one who goes away, one who looks."""
    server, _ = served
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(3)]
    for connection in connections:
        connection.sendall(b"GET /picture.mjpeg HTTP/1.1\r\nHost: localhost\r\n\r\n")
    until(lambda: server.picture._viewers == 3)
    connections[1].close()
    data = bytes(300_000)
    longest = 0.0
    for _ in range(30):  # 9 MB: more than the buffers of a connection
        begun = time.monotonic()
        server.picture.put(data)
        longest = max(longest, time.monotonic() - begun)
        time.sleep(0.01)
    server.picture.put(b"last")
    received = b""
    while not received.endswith(b"last\r\n--picture\r\n"):
        received += connections[2].recv(1 << 20)
    assert b"multipart/x-mixed-replace" in received and received.count(b"--picture") >= 2
    assert longest < 5.0  # nobody waits for those who do not read
    for connection in connections:
        connection.close()
