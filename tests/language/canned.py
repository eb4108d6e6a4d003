"""A server that answers requests one after the other with what it is given."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Canned(ThreadingHTTPServer):
    """Answers requests one after the other with what it is given: (status, headers, body); the last for ever."""

    daemon_threads = True

    def __init__(self, *replies: tuple[int, dict[str, str], Any]) -> None:
        self.replies, self.bodies, self.headers, self.times = list(replies), [], [], []  # type: ignore[var-annotated]
        super().__init__(("127.0.0.1", 0), _Canned)

    def __enter__(self) -> Canned:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Canned(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        server.times.append(time.monotonic())
        server.headers.append({name.lower(): value for name, value in self.headers.items()})
        server.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        status, headers, body = server.replies.pop(0) if len(server.replies) > 1 else server.replies[0]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response_only(status)  # without its own date
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
