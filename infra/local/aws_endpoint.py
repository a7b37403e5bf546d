"""Moto's HTTP server on the backends of this process, for the AWS CLI and other programs."""

import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer

from infra.local.http_api import StoppableServer, taking_port


class _QuietHandler(MotoRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 -- werkzeug's name
        """Nobody reads a line for every request."""


PORT_NAME: Final = "aws"  # under which a runtime's ports name it


class AwsEndpoint(StoppableServer, BaseWSGIServer):
    """Answers AWS requests on one port of this machine."""

    multithread = True

    def __init__(self, on_request: Callable[[], None], port: int = 0) -> None:
        """Listen.

        Args:
            on_request: Called before each request, from any thread.
            port: 0 lets the system choose.

        Raises:
            PortInUse: Somebody else has the port.
        """
        application = DomainDispatcherApplication(create_backend_app)

        def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            on_request()
            answer: Iterable[bytes] = application(environ, start_response)
            return answer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        with taking_port(port, "the AWS endpoint"), socket.create_server(("127.0.0.1", port)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            super().__init__("127.0.0.1", port, counted, _QuietHandler, fd=listener.fileno())
