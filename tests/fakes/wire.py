"""Faults between a boto3 client and moto: answers that get lost, and requests that are answered in part."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.awsrequest import AWSResponse
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber

ANSWERED = "http://answered.invalid/"
Answer = Callable[[Any], AWSResponse | None]


@contextmanager
def answering(client: Any, operation: str, answer: Answer) -> Iterator[None]:
    """Let `answer` see each request of an operation first, as it would be sent; None leaves it to moto."""
    event = f"before-send.{client.meta.service_model.service_id.hyphenize()}.{operation}"

    def handler(request: Any, **_: Any) -> AWSResponse | None:
        answered = answer(request)
        if answered is not None:
            # botocore asks every handler and takes the first answer, so moto would have its effect all the same.
            request.url = ANSWERED
        return answered

    client.meta.events.register_first(event, handler)
    try:
        yield
    finally:
        client.meta.events.unregister(event, handler)


@contextmanager
def answers_lost(client: Any, operation: str, *, times: int = 1) -> Iterator[list[bytes]]:
    """The next `times` requests have their effect, and a server error for an answer; gives their bodies."""
    bodies: list[bytes] = []

    def lose(request: Any) -> AWSResponse | None:
        if len(bodies) == times:
            return None
        bodies.append(bytes(request.body))
        sent = botocore_stubber("before-send", request)
        assert sent is not None
        assert sent.status_code < 300, sent.text
        return document(request, {"__type": "InternalServerError", "message": "lost"}, status=500)

    with answering(client, operation, lose):
        yield bodies
    assert len(bodies) == times, "fewer requests than answers to lose"


def document(request: Any, content: dict[str, Any], *, status: int = 200) -> AWSResponse:
    """An answer in DynamoDB's and Kinesis's form."""
    body = json.dumps(content).encode()
    headers = {"Content-Type": "application/x-amz-json-1.0", "Content-Length": str(len(body))}
    return AWSResponse(request.url, status, headers, MockRawResponse(body))  # type: ignore[arg-type]


def forward(request: Any, content: dict[str, Any]) -> dict[str, Any]:
    """What moto answers to this request with another body."""
    request.body = json.dumps(content).encode()
    request.headers["Content-Length"] = str(len(request.body))
    sent = botocore_stubber("before-send", request)
    assert sent is not None
    answer: dict[str, Any] = json.loads(sent.text)
    return answer
