"""Makes the calls of a simulated day: through Segment's Python library, and as plain requests."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

import httpx
from segment.analytics.client import Client

from cli.problems import CommandError
from cli.simulator import Call

CONNECTIONS: Final = 4
TIMEOUT_S: Final = 30
UPLOAD_MESSAGES: Final = 100
QUEUED_MESSAGES_MAX: Final = 1_000_000


def send_day(
    calls: Sequence[Call], collector: str, write_keys: Mapping[str, str], on_call: Callable[[], None] = lambda: None
) -> None:
    """Send all calls in their order in time, as far as several senders keep one; returns when all are answered.

    Args:
        calls: Of a simulated day.
        collector: Its address.
        write_keys: Source → write key.
        on_call: Called after each call that was handed over.

    Raises:
        CommandError: The collector refused something.
    """
    troubles: list[str] = []
    sources = sorted({call.source for call in calls if call.transport == "sdk"})
    clients = {source: _library(write_keys[source], collector, troubles) for source in sources}
    with (
        httpx.Client(timeout=TIMEOUT_S, limits=httpx.Limits(max_connections=CONNECTIONS)) as http,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        plain = []
        for call in calls:
            if call.transport == "sdk":
                _track(clients[call.source], call.body)
                on_call()
            else:
                plain.append(pool.submit(_post, http, collector, write_keys[call.source], call, on_call))
        for future in plain:
            future.result()
    for client in clients.values():
        client.shutdown()
    if troubles:
        raise CommandError(f"The collector refused what the library sent: {troubles[0]}")


def _library(write_key: str, collector: str, troubles: list[str]) -> Client:
    return Client(
        write_key,
        host=collector,
        gzip=True,
        upload_size=UPLOAD_MESSAGES,
        max_queue_size=QUEUED_MESSAGES_MAX,
        timeout=TIMEOUT_S,
        on_error=lambda error, _: troubles.append(str(error)),
    )


def _track(client: Client, body: Mapping[str, Any]) -> None:
    common = {
        "user_id": body.get("userId"),
        "anonymous_id": body.get("anonymousId"),
        "context": dict(body["context"]),
        "timestamp": datetime.fromisoformat(body["timestamp"]),
        "message_id": body["messageId"],
    }
    if body["type"] == "identify":
        client.identify(traits=dict(body["traits"]), **common)
    elif body["type"] == "page":
        client.page(name=body["name"], properties=dict(body["properties"]), **common)
    else:
        client.track(event=body["event"], properties=dict(body["properties"]), **common)


def _post(http: httpx.Client, collector: str, write_key: str, call: Call, on_call: Callable[[], None]) -> None:
    if call.source == "web":
        # A browser names its key in the body, and says text/plain to be spared the preflight.
        path, headers = f"/v1/{call.body['type'][0]}", {"Content-Type": "text/plain"}
        body = {**call.body, "writeKey": write_key}
    else:
        key = b64encode(f"{write_key}:".encode()).decode()
        path = f"/v1/{call.body['type']}"
        headers, body = {"Content-Type": "application/json", "Authorization": f"Basic {key}"}, dict(call.body)
    answer = http.post(f"{collector}{path}", content=json.dumps(body), headers=headers)
    if answer.status_code != httpx.codes.OK or answer.json().get("quarantined"):
        raise CommandError(f"{collector}{path} refused an event: HTTP {answer.status_code}: {answer.text[:200]}")
    on_call()
