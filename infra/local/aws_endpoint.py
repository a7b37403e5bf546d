"""Moto's HTTP server on the backends of this process, for the AWS CLI and other programs."""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


class _QuietHandler(MotoRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 -- werkzeug's name
        """Nobody reads a line for every request."""


class AwsEndpoint:
    """Answers AWS requests on a port that the system chooses."""

    def __init__(self, on_request: Callable[[], None]) -> None:
        """Args: on_request: Called before each request, from any thread."""
        application = DomainDispatcherApplication(create_backend_app)

        def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            on_request()
            answer: Iterable[bytes] = application(environ, start_response)
            return answer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server("127.0.0.1", 0, counted, threaded=True, request_handler=_QuietHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="aws", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
