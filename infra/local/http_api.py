"""HTTP servers for the HTTP APIs of a deployment, each on a port of its own."""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from infra.local.http_routes import HttpApi, Request, Response, gateway_error

BODY_BYTES_MAX = 10 * 1024 * 1024
LINGER_BYTES_MAX = 64 * 1024 * 1024  # read and dropped after a refusal, so that the client gets to see it
LINGER_S = 2.0
_CHUNK_LINE_MAX = 1024


class PortInUse(Exception):  # noqa: N818 -- it is a fact about the port
    """Another program listens there; the text is one line with the remedy."""


@contextmanager
def taking_port(port: int, purpose: str) -> Iterator[None]:
    """Say in one line which port cannot be had, what for, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise PortInUse(
            f"Port {port} for {purpose} cannot be used ({error.strerror}): stop the program that has it, "
            "or choose another port"
        ) from error


class HttpServer(ThreadingHTTPServer):
    """Listens from the start, answers once `serve` gave it its API."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, name: str, port: int) -> None:
        self.api: HttpApi | None = None
        self.in_flight = 0
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        with taking_port(port, f"the HTTP API {name}"):
            super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def serve(self, api: HttpApi) -> None:
        self.api = api
        threading.Thread(target=self.serve_forever, args=(0.05,), name=f"http-{api.name}", daemon=True).start()

    def close(self) -> None:
        """Stop listening, and end the connections that wait for a next request."""
        if self.api is not None:
            self.shutdown()
        self.server_close()
        with self._lock:
            connections = tuple(self._connections)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)

    def count(self, change: int) -> None:
        with self._lock:
            self.in_flight += change

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: HttpServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server_version = ""
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self._answer_lock = threading.Lock()
        self._answered = False

    def _answer(self) -> None:
        self.server.count(1)
        try:
            self._answered = False
            try:
                body = self._read_body()
            except ValueError:
                self.close_connection = True
                self._send(gateway_error(400, "Bad Request"))
                return
            if body is None:
                self._send(gateway_error(413, "Request Entity Too Large"))
                self._linger()
            else:
                self._send(self._respond(body))
        finally:
            self.server.count(-1)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def _respond(self, body: bytes) -> Response:
        api = self.server.api
        if api is None:
            return gateway_error(503, "Service Unavailable")
        request = Request(
            method=self.command,
            target=self.path,
            headers=[(name.lower(), value.strip()) for name, value in self.headers.items()],
            body=body,
            source_ip=self.client_address[0],
            port=self.server.server_port,
        )
        return api.answer(request, on_late=self._send_late)

    def _send(self, response: Response) -> None:
        with self._answer_lock:
            if self._answered:
                return
            self._answered = True
        body = response.body
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _send_late(self, response: Response) -> None:
        """Answer while the handler still runs; what it returns later is not sent."""
        self.close_connection = True
        with suppress(OSError):
            self._send(response)
            self.connection.shutdown(socket.SHUT_WR)

    def _read_body(self) -> bytes | None:
        """The whole body, None if it is too large."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            chunks, size = [], 0
            for chunk in self._chunks():
                size += len(chunk)
                if size > BODY_BYTES_MAX:
                    return None
                chunks.append(chunk)
            return b"".join(chunks)
        length = int(self.headers.get("content-length") or 0)
        if length > BODY_BYTES_MAX:
            return None
        return self.rfile.read(length) if length else b""

    def _chunks(self) -> Iterator[bytes]:
        while True:
            size = int(self.rfile.readline(_CHUNK_LINE_MAX).partition(b";")[0], 16)
            if size > BODY_BYTES_MAX:
                yield bytes(BODY_BYTES_MAX + 1)
                return
            if size == 0:
                while self.rfile.readline(_CHUNK_LINE_MAX) not in (b"\r\n", b"\n", b""):
                    pass
                return
            yield self.rfile.read(size)
            self.rfile.readline(_CHUNK_LINE_MAX)

    def _linger(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER_S)
            dropped = 0
            while dropped < LINGER_BYTES_MAX and (data := self.connection.recv(64 * 1024)):
                dropped += len(data)

    def log_message(self, *_: object) -> None:
        """Requests are the functions' to log."""

    def version_string(self) -> str:
        return "local"
