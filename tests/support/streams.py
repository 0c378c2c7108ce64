"""Streams for tests, from this process: MPEG-TS over HTTP, which can be stopped and started again, and over RTSP."""

import contextlib
import http.server
import socketserver
import struct
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


# ----------------------------------------------------------------------------------------------------------------- RTSP
SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track0\r\n"


class _Camera(socketserver.StreamRequestHandler):
    """RTSP as far as a camera needs it (RFC 2326): MPEG-TS in RTP (RFC 2250) within the same TCP connection."""

    def handle(self):
        while (line := self.rfile.readline()).strip():
            method, headers = line.split()[0].decode(), {}
            while (header := self.rfile.readline()).strip():
                name, _, value = header.decode().partition(":")
                headers[name.strip().lower()] = value.strip()
            more = {
                "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
                "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n",
                "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
            }.get(method, "Session: 1\r\n")
            body = SDP if method == "DESCRIBE" else ""
            self.wfile.write(f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\n{more}\r\n{body}".encode())
            if method == "PLAY":
                with contextlib.suppress(OSError):
                    self.play()
                return

    def play(self):
        data, number, began = self.server.data, 0, time.monotonic()
        while not self.server.ended.is_set():
            at = number * 7 * 188 % len(data)
            stamp = int((time.monotonic() - began) * 90000)
            packet = struct.pack("!BBHII", 0x80, 33, number & 0xFFFF, stamp, 1) + data[at : at + 7 * 188]
            self.wfile.write(struct.pack("!cBH", b"$", 0, len(packet)) + packet)
            number += 1
            time.sleep(self.server.pause)


@contextlib.contextmanager
def camera(path: Path, *, seconds: float = 1.0):
    """An RTSP server that sends an MPEG-TS file again and again, each time in about ``seconds``. Yields its address."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Camera)
    server.daemon_threads, server.block_on_close = True, False
    data = path.read_bytes()
    server.data, server.ended = data, threading.Event()
    server.pause = seconds * 7 * 188 / len(data)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    try:
        yield f"rtsp://me:secret@127.0.0.1:{server.server_address[1]}/stream"
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
