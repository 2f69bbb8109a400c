"""Servers on this machine that play a hub: a sound one, and one that sends any bytes."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 4000
SHA = hashlib.sha256(CONTENT).hexdigest()


class Hub(BaseHTTPRequestHandler):
    content, etag, cut, ranges = CONTENT, '"one"', None, []

    def do_GET(self):
        if self.path == "/absent":
            self.send_error(404, "Not Found")
            return
        start = 0
        wanted = self.headers.get("Range")
        type(self).ranges.append(wanted)
        if wanted and self.headers.get("If-Range") == self.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        else:
            self.send_response(200)
        body = self.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.etag)
        self.end_headers()
        self.wfile.write(body if self.cut is None else body[: self.cut])
        self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def hub_server() -> Iterator[tuple[type[Hub], str]]:
    """Give the handler of a hub, whose attributes may be changed, and its address."""
    handler = type("OneHub", (Hub,), {"ranges": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield handler, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@contextmanager
def raw_server(*answers: bytes | Callable[[socket.socket], None]) -> Iterator[tuple[str, list[str]]]:
    """Give the address of a server, and the requests it has had; the last answer is given to all further requests.

    Args:
        answers: what is sent for one request after the other, or what sends it.
    """
    requests: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection:
            text = b""
            while b"\r\n\r\n" not in text and (part := connection.recv(4096)):
                text += part
            requests.append(text.decode("latin-1"))
            given = answers[min(len(requests), len(answers)) - 1]
            try:
                given(connection) if callable(given) else connection.sendall(given)
            except OSError:
                return  # the client has gone

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    finally:
        done.set()
        listener.close()


def reply(status: str, body: bytes = b"", **headers: str | int) -> bytes:
    """Return an answer of HTTP; ``content_length=5`` gives ``Content-Length: 5``."""
    lines = [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]).encode() + body


def trickle(start: bytes, part: bytes, pause: float = 0.05) -> Callable[[socket.socket], None]:
    """Return what sends some bytes at once and then a part again and again, for as long as it can."""

    def send(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(part)
            time.sleep(pause)

    return send
