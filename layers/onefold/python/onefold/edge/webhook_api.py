"""Webhooks over HTTP: the request as API Gateway hands it over, and the answers."""

import base64
import binascii
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from onefold.domain.device_message import DeviceMessage, parse_device_message
from onefold.domain.errors import BodyInvalid, OnefoldError
from onefold.domain.message import Arrival
from onefold.edge.batches import BatchResponse, QueueMessage, batch_response
from onefold.edge.observability import Observability
from onefold.edge.problems import problem_response
from onefold.edge.tracking_request import GZIP_MAGIC, inflate
from onefold.use_cases.collect import Outcome
from onefold.use_cases.receive import WebhookRequest

PATH_PREFIX: Final = "/v1/webhooks/"


def parse_webhook(event: Mapping[str, Any]) -> WebhookRequest:
    """Read API Gateway's event, payload format 2.0. The body's bytes stay what they were: the signature is theirs.

    Raises:
        BodyInvalid: Its base64 is damaged.
    """
    raw = event.get("body") or ""
    try:
        body = base64.b64decode(raw, validate=True) if event.get("isBase64Encoded") else raw.encode()
    except (binascii.Error, ValueError) as error:
        raise BodyInvalid("body_unreadable", "The body is not valid base64 or UTF-8") from error
    context = event["requestContext"]
    return WebhookRequest(
        source=event["rawPath"].rstrip("/").removeprefix(PATH_PREFIX),
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        body=body,
        arrival=Arrival(int(context["timeEpoch"])),  # address and agent are the provider's, and nobody's
    )


def inflate_if_packed(body: bytes) -> bytes:
    """A body without its gzip, if it has any."""
    return inflate(body) if body.startswith(GZIP_MAGIC) else body


def accepted(outcome: Outcome) -> dict[str, Any]:
    """Answer what was stored. What is in the quarantine is stored too: sending it again would change nothing."""
    document = {
        "success": True,
        "accepted": outcome.accepted,
        "repeated": len(outcome.repeated),
        "refused": len(outcome.refused),
        "suppressed": len(outcome.suppressed),
    }
    return {
        "statusCode": int(HTTPStatus.OK),
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(document),
    }


def count_outcomes(observe: Observability, outcomes: Iterable[Outcome]) -> None:
    """Count and log what became of a batch's messages, source by source; the metrics know one source at most."""
    sums: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        counts = {
            "accepted": outcome.accepted,
            "repeated": len(outcome.repeated),
            "refused": len(outcome.refused),
            "suppressed": len(outcome.suppressed),
            "spooled": outcome.spooled,
        }
        sums.setdefault(outcome.source, Counter()).update(counts)
    for source, numbers in sums.items():
        observe.info("messages received", source=source, **numbers)
        for word, number in numbers.items():
            observe.count(f"Events{word.capitalize()}", number)
    if len(sums) == 1:
        observe.of_source(*sums)


def receive_messages(
    observe: Observability, delivered: Sequence[QueueMessage], receive: Callable[[DeviceMessage], Outcome]
) -> BatchResponse:
    """Receive message by message; one that failed comes again, and ends among the dead letters."""
    outcomes, failed, now_ms = [], [], round(time.time() * 1_000)
    for message in delivered:
        try:
            outcomes.append(receive(parse_device_message(message.body, now_ms=now_ms)))
        except OnefoldError as error:
            failed.append(message.message_id)
            observe.warning("message not received", detail=str(error), attempts=message.receive_count)
    count_outcomes(observe, outcomes)
    observe.count("RecordsFailed", len(failed))
    return batch_response(failed, delivered=delivered)


def refuse_webhook(event: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    """Answer a request of which nothing was stored."""
    return problem_response(error, request_id=str(event.get("requestContext", {}).get("requestId", "")))
