"""Streams for tests: MPEG-TS over HTTP from this process, which can be stopped and started again on the same port."""

import contextlib
import http.server
import threading
import time
from pathlib import Path


class _Sender(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.server.ended.is_set():
                for at in range(0, len(self.server.data), self.server.block):
                    self.wfile.write(self.server.data[at : at + self.server.block])
                    if self.server.ended.wait(self.server.pause):
                        return
                if not self.server.repeat:
                    return

    def log_message(self, *_):
        pass


class _Streamer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_):
        pass


@contextlib.contextmanager
def streaming(path: Path, *, port: int = 0, seconds: float = 1.0, repeat: bool = True):
    """Sends the bytes of a file to whoever asks, evenly in about ``seconds``, again and again. Yields the address."""
    server = _Streamer(("127.0.0.1", port), _Sender)
    server.data, server.repeat, server.ended = path.read_bytes(), repeat, threading.Event()
    server.block = max(188, len(server.data) // 40 // 188 * 188)
    server.pause = seconds / max(1, len(server.data) // server.block)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live.ts"
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()


def until(condition, *, within: float = 60.0) -> None:
    """Waits for something that another thread does."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)
