"""A way to the collector on which requests go wrong: answers of 500 and 429, and connections that are cut."""

import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import urlsplit

# `…_after`: the collector got and stored the request, and the client does not learn of it.
Fault = Literal["500", "429", "cut", "500_after", "cut_after"]
EVERY_FAULT: tuple[Fault, ...] = ("500", "cut_after", "429", "cut", "500_after")
RETRY_AFTER_S = "1"
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}
TIMEOUT_S = 30


class FaultyProxy:
    """Forwards to one collector. The first POSTs of events meet the planned faults, one each; the others pass."""

    def __init__(self, upstream: str, faults: Iterable[Fault] = ()) -> None:
        self.upstream = urlsplit(upstream)
        self.faults = list(faults)
        self.met: Counter[str] = Counter()
        self.requests: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def next_fault(self, method: str, path: str) -> str:
        with self._lock:
            self.requests.append((method, path))
            fault = self.faults.pop(0) if method == "POST" and self.faults else ""
            self.met[fault or "passed"] += method == "POST"
            return fault

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: FaultyProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def forward(self) -> None:
        body = self._body()
        fault = self.server.proxy.next_fault(self.command, self.path)
        if fault == "cut":
            self._cut()
            return
        if fault in {"500", "429"}:
            self._refuse(int(fault))
            return
        status, headers, content = self._ask(body)
        if fault == "cut_after":
            self._cut()
        elif fault == "500_after":
            self._refuse(500)
        else:
            self._send(status, headers, content)

    do_GET = do_POST = do_OPTIONS = do_HEAD = forward  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.proxy.upstream.netloc, timeout=TIMEOUT_S)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    connection.putheader(name, value)
            # What stands before API Gateway keeps the name that the client asked for.
            connection.putheader("Host", self.headers.get("host", ""))
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _refuse(self, status: int) -> None:
        origin = self.headers.get("origin", "*")
        headers = [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", "Retry-After, X-RateLimit-Reset"),
            ("Retry-After", RETRY_AFTER_S),
            ("X-RateLimit-Reset", RETRY_AFTER_S),
            ("Content-Type", "application/json"),
        ]
        self._send(status, headers, b'{"success":false,"code":"unavailable","message":"Send it again"}')

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _cut(self) -> None:
        """Reset the connection, so that the client sees neither an answer nor an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
