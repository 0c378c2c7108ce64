"""Serves the page of a live run: three fixed paths, read only, on loopback unless told otherwise."""

import contextlib
import errno
import ipaddress
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qs, urlsplit

import simplejson

from fragrant.errors import UserError
from fragrant.live.pictures import LatestPicture

MOST_VIEWERS = 32  # who look at the picture at the same time
SILENCE = 10.0  # seconds after which a viewer who takes nothing is given up
KEEP_ALIVE = 2.0  # seconds after which a picture is sent again although none is new
BOUNDARY = "picture"
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def is_loopback(host: str) -> bool:
    return host == "localhost" or _address(host) is not None and cast(ipaddress.IPv4Address, _address(host)).is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def allowed_name(header: str | None, host: str) -> bool:
    """Whether a Host header names this server: a page of somebody else whose name was made to lead here (DNS rebinding)
    must not read it. Addresses of this machine are fine where the server listens beyond loopback."""
    try:
        name = urlsplit(f"//{header or ''}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", host.strip("[]")):
        return True
    address = _address(name)
    if address is None:
        return not is_loopback(host) and name == socket.gethostname().lower()
    return address.is_loopback or not is_loopback(host)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "fragrant", ""
    timeout = SILENCE

    def do_GET(self) -> None:
        server = cast("_Server", self.server)
        if server.over:  # a connection that was kept open
            self.close_connection = True
            return None
        if not allowed_name(self.headers.get("Host"), server.host):
            return self._answer(HTTPStatus.MISDIRECTED_REQUEST, "this server is not called so")
        where = urlsplit(self.path)
        if where.path == "/":
            return self._answer(HTTPStatus.OK, server.page, "text/html; charset=utf-8")
        if where.path == "/state.json":
            since = parse_qs(where.query).get("since", ["0"])[0]
            state = server.state(int(since) if since.isdecimal() and len(since) < 16 else 0)
            text = simplejson.dumps(state, ignore_nan=True).encode()
            return self._answer(HTTPStatus.OK, text, "application/json")
        if where.path == "/picture.mjpeg":
            return self._pictures(server)
        self._answer(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _answer(self, status: HTTPStatus, answer: bytes | str, kind: str = "text/plain; charset=utf-8") -> None:
        body = answer if isinstance(answer, bytes) else f"{answer}\n".encode()
        self.send_response(status)
        self._headers(kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _headers(self, kind: str) -> None:
        headers = {"Content-Type": kind, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        headers |= {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        for name, value in headers.items():
            self.send_header(name, value)

    def _pictures(self, server: "_Server") -> None:
        """Sends the newest picture again and again, as fast as this viewer takes them."""
        if not server.places.acquire(blocking=False):
            return self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "too many look at the picture")
        self.close_connection = True
        try:
            with server.picture.viewer():
                self.send_response(HTTPStatus.OK)
                self._headers(f"multipart/x-mixed-replace; boundary={BOUNDARY}")
                self.end_headers()
                self.wfile.write(f"--{BOUNDARY}\r\n".encode())
                number = 0
                while (newest := server.picture.after(number, KEEP_ALIVE)) is not None:
                    number, data = newest
                    if data:  # with the next boundary: browsers show a picture when they see where it ends
                        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                        self.wfile.write(head.encode() + data + f"\r\n--{BOUNDARY}\r\n".encode())
        finally:
            server.places.release()

    def log_message(self, *_) -> None:
        """Nothing: the terminal is for what the network says."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    over = False

    def __init__(self, host: str, port: int, page: bytes, state: Callable[[int], dict], picture: LatestPicture):
        self.host, self.page, self.state, self.picture = host, page, state, picture
        self.places = threading.BoundedSemaphore(MOST_VIEWERS)
        address = _address(host)
        self.address_family = socket.AF_INET6 if address is not None and address.version == 6 else socket.AF_INET
        super().__init__((host.strip("[]"), port), _Handler)

    def server_bind(self) -> None:  # without asking a name server who we are, as the base class does
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.host, self.server_address[1]

    def handle_error(self, request, client_address) -> None:
        """Nothing: a viewer who has gone away is no error."""


class PageServer:
    """The server in a thread of its own; the port is taken at once, requests are answered from ``start`` on.

    Args:
        port: 0 = any that is free.

    Raises:
        UserError: the port cannot be had.
    """

    def __init__(self, host: str, port: int):
        self.host, self.port = host, port
        self._picture = LatestPicture()
        try:
            self._server = _Server(host, port, b"", lambda since: {}, self._picture)
        except (OSError, OverflowError) as error:
            why = "it is in use" if getattr(error, "errno", None) == errno.EADDRINUSE else _why(error)
            raise UserError(f"--serve {port}: nothing can be served on {host}, port {port}: {why}") from error
        self.port = self._server.server_port

    @property
    def picture(self) -> LatestPicture:
        return self._picture

    @property
    def address(self) -> str:
        host = self.host if ":" not in self.host else f"[{self.host.strip('[]')}]"
        return f"http://{host}:{self.port}/"

    def start(self, page: str, state: Callable[[int], dict]) -> None:
        """Answers from here on: the page, and the state since an entry."""
        self._server.page, self._server.state = page.encode(), state
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True, name="server")
        self._thread.start()

    def close(self) -> None:
        self._server.over = True
        self._picture.end()
        if hasattr(self, "_thread"):
            self._server.shutdown()
        with contextlib.suppress(OSError):
            self._server.server_close()


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
