"""The receiving side of a webhook, as a destination's owner would write it: checks signatures, drops repeats."""

import hmac
import json
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from rich.console import Console

from cli.apply import definition_table
from cli.deployment import Deployment
from cli.problems import CommandError
from cli.render import instant
from onefold.adapters.deployment_secret import load_deployment_secret
from onefold.domain.destination import Destination, parse_destination, webhook_secret

TOLERANCE_S: Final = 300
BODY_BYTES_MAX: Final = 1_000_000


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, *, now_s: float) -> bool:
    """Whether a delivery was signed with this secret, lately.

    Source: Standard Webhooks, specification v1. Written apart from what signs, so that each checks the other.
    """
    message_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdigit() or abs(now_s - int(sent_at)) > TOLERANCE_S:
        return False
    key = b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([message_id.encode(), sent_at.encode(), body])
    expected = "v1," + b64encode(hmac.new(key, signed, "sha256").digest()).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected, signature) for signature in given)


@dataclass(slots=True)
class Received:
    """What came in: genuine deliveries by their id, in order, and how many were repeats or forged."""

    deliveries: dict[str, dict[str, Any]] = field(default_factory=dict)
    repeats: int = 0
    forged: int = 0


class WebhookReceiver:
    """Listens on this machine and keeps what it gets."""

    def __init__(self, secret: str, port: int = 0, on_delivery: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Listen; port 0 takes a free one.

        Raises:
            CommandError: The port is taken.
        """
        self.received = Received()
        self._lock = threading.Lock()
        self._secret, self._on_delivery = secret, on_delivery
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), BODY_BYTES_MAX))
                self.send_response(204 if receiver.take(self.headers, body) else 401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads a line for every request."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise CommandError(
                f"Port {port} is taken: stop what listens there, or change the destination's url"
            ) from error
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/onefold"
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def take(self, headers: Any, body: bytes) -> bool:  # noqa: ANN401 - http.client's message
        lowered = {name.lower(): value for name, value in headers.items()}
        genuine = is_genuine(self._secret, lowered, body, now_s=time.time())
        with self._lock:
            if not genuine:
                self.received.forged += 1
            elif lowered["webhook-id"] in self.received.deliveries:
                self.received.repeats += 1
            else:
                delivery = self.received.deliveries[lowered["webhook-id"]] = json.loads(body)
                if self._on_delivery is not None:
                    self._on_delivery(delivery)
        return genuine

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def memberships(received: Received) -> dict[str, set[str]]:
    """Audience → ids of the profiles in it, as one who only listens knows it: each profile's latest word counts."""
    latest: dict[tuple[str, str], tuple[int, bool]] = {}
    for delivery in received.deliveries.values():
        transition = delivery["data"]
        if not transition.get("audience"):
            continue
        place = (transition["audience"], transition["profile_id"])
        word = (transition["version"], transition["status"] == "entered")
        latest[place] = max(word, latest.get(place, word))
    members: dict[str, set[str]] = {}
    for (audience, profile_id), (_, is_inside) in latest.items():
        if is_inside:
            members.setdefault(audience, set()).add(profile_id)
    return members


def find_destination(deployment: Deployment, name: str) -> Destination:
    """Raise CommandError where no destination has this name."""
    destinations = [parse_destination(each.body) for each in definition_table(deployment).load_current("destination")]
    found = next((each for each in destinations if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in destinations) or "none"
        raise CommandError(f'No destination "{name}" is declared; there are {known}')
    return found


def secret_for(deployment: Deployment, destination: Destination) -> str:
    key = load_deployment_secret(deployment.client("secretsmanager"), deployment.description.deployment_secret_arn)
    return webhook_secret(key, destination)


def destination_secret(deployment: Deployment, name: str) -> str:
    return secret_for(deployment, find_destination(deployment, name))


def listen_and_print(console: Console, deployment: Deployment, name: str) -> None:
    """Receive until Ctrl-C.

    Raises:
        CommandError: The destination is not declared, or has no address on this machine.
    """
    destination = find_destination(deployment, name)
    parts = urlsplit(destination.url)
    if parts.scheme != "http" or parts.port is None:
        raise CommandError(f"{name} sends to {destination.url}, which is not a port on this machine")

    def show(delivery: dict[str, Any]) -> None:
        data = delivery["data"]
        concerned = data.get("audience") or data.get("merged_profile_id", "")
        console.print(f"{instant(delivery['timestamp'])}  {delivery['type']}  {concerned}  {data['profile_id']}")

    receiver = WebhookReceiver(secret_for(deployment, destination), parts.port, show)
    console.print(f"Listening for {name} on {receiver.url}. Stop with Ctrl-C.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        receiver.close()
