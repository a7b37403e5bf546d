"""HTTP servers for the HTTP APIs of a deployment, each on a port of its own."""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any

from infra.local.http_routes import HttpApi, Request, Response, gateway_error

BODY_BYTES_MAX = 10 * 1024 * 1024
LINGER_BYTES_MAX = 64 * 1024 * 1024  # read and dropped after a refusal
LINGER_S = 2.0
CHUNK_LINE_BYTES_MAX = 1024


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


class StoppableServer(ThreadingMixIn):
    """A server with a thread for each connection, all of which end when it is closed."""

    daemon_threads = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.threads: list[threading.Thread] = []  # to wait for after `close`
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(*arguments, **options)

    def start(self, name: str) -> None:
        server: Any = self
        self.threads.append(threading.Thread(target=server.serve_forever, args=(0.05,), name=name, daemon=True))
        self.threads[0].start()

    def close(self) -> None:
        """Stop listening, and end the connections that wait for a next request."""
        server: Any = self
        if self.threads:
            server.shutdown()
        server.server_close()
        with self._lock:
            connections = tuple(self._connections)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._lock:
            self._connections.add(request)
            self.threads = [*(known for known in self.threads if known.is_alive()), thread]
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        server: Any = super()
        server.shutdown_request(request)


class HttpServer(StoppableServer, HTTPServer):
    """Listens from the start, answers once `serve` gave it its API."""

    request_queue_size = 256

    def __init__(self, name: str, port: int) -> None:
        self.api: HttpApi | None = None
        self.in_flight = 0
        with taking_port(port, f"the HTTP API {name}"):
            super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def serve(self, api: HttpApi) -> None:
        self.api = api
        self.start(f"http-{api.name}")

    def count(self, change: int) -> None:
        with self._lock:
            self.in_flight += change

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: HttpServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server_version = ""
    sys_version = ""

    def _answer(self) -> None:
        self.server.count(1)
        try:
            body = self._read_body()
            if body is None:
                self._refuse(gateway_error(413, "Request Entity Too Large"))
            else:
                self._send(self._respond(body))
        except ValueError:
            self._refuse(gateway_error(400, "Bad Request"))
        finally:
            self.server.count(-1)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def _read_body(self) -> bytes | None:
        """The whole body, which mobile SDKs send in chunks; None if it is too large.

        Raises:
            ValueError: A length is no number.
        """
        if "transfer-encoding" not in self.headers:
            length = int(self.headers.get("content-length") or 0)
            return self.rfile.read(length) if 0 <= length <= BODY_BYTES_MAX else None
        body = bytearray()
        while size := int(self.rfile.readline(CHUNK_LINE_BYTES_MAX).partition(b";")[0], 16):
            if size < 0 or len(body) + size > BODY_BYTES_MAX:
                return None
            body += self.rfile.read(size)
            self.rfile.readline(CHUNK_LINE_BYTES_MAX)
        while self.rfile.readline(CHUNK_LINE_BYTES_MAX).strip():
            pass  # trailers say nothing here
        return bytes(body)

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
        return api.answer(request)

    def _send(self, response: Response) -> None:
        body = response.body
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _refuse(self, response: Response) -> None:
        """Answer without reading the body, which is dropped so that the client gets to see it."""
        self._send(response)
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
