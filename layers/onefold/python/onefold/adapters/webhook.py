"""Webhooks, signed as Standard Webhooks says: one POST, no redirects, and what the answer means."""

import hmac
import time
from base64 import b64decode, b64encode
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from onefold.domain.destination import Destination, webhook_secret
from onefold.domain.errors import Rejected, Unavailable
from onefold.use_cases.deliver import Delivery

TIMEOUT_S: Final = 10
ANSWER_BYTES_MAX: Final = 65_536
USER_AGENT: Final = "onefold-webhooks/1"
# 4xx says that the request is at fault, but for these two, which ask for patience.
PATIENCE: Final = frozenset([HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS])


def signature(secret: str, message_id: str, sent_at_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: HMAC-SHA-256 over `id.timestamp.body`.

    Source: Standard Webhooks, specification v1 (standard-webhooks/standard-webhooks).
    """
    key = b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{sent_at_s}.".encode() + body, "sha256")
    return f"v1,{b64encode(digest).decode()}"


class WebhookSender:
    def __init__(self, deployment_secret: bytes) -> None:
        self._deployment_secret = deployment_secret

    def send(self, destination: Destination, delivery: Delivery) -> None:
        """Send once.

        Raises:
            Rejected: The answer was 4xx: the destination does not want it, now or later.
            Unavailable: No answer, a redirect, 408, 429 or 5xx.
        """
        sent_at_s = int(time.time())
        secret = webhook_secret(self._deployment_secret, destination)
        headers = {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "webhook-id": delivery.id,
            "webhook-timestamp": str(sent_at_s),
            "webhook-signature": signature(secret, delivery.id, sent_at_s, delivery.body),
        }
        try:
            status = _post(destination.url, delivery.body, headers)
        except (OSError, HTTPException) as error:
            raise Unavailable(f"Destination {destination.name} does not answer") from error
        if status // 100 == 2:  # noqa: PLR2004 - the class of success
            return
        if status // 100 == 4 and status not in PATIENCE:  # noqa: PLR2004 - the class of refusals
            raise Rejected("delivery_refused", f"Destination {destination.name} answered {status}")
        raise Unavailable(f"Destination {destination.name} answered {status}")


def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """The status of one POST; the connection is not kept, for a sandbox may sleep for minutes in between."""
    parts = urlsplit(url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request("POST", path, body=body, headers=headers)
        response = connection.getresponse()
        response.read(ANSWER_BYTES_MAX)
        return response.status
    finally:
        connection.close()
