"""The tracking API as a WSGI program over memory: what API Gateway makes of a request, and of an answer."""

import base64
from collections.abc import Callable, Iterable
from typing import Any

from onefold.domain.source import Source
from onefold.edge.tracking_answers import refuse
from onefold.edge.tracking_api import respond
from onefold.edge.tracking_request import parse_tracking_request
from onefold.use_cases.collect import Collector
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER
from tests.fakes.requests import RECEIVED_AT

KEY = "key-of-web"
SOURCE = Source("web", KEY, kind="browser", phone_region="DE", app_ids=("shop",))


def memory_collector() -> tuple[Collector, MemoryEventLog]:
    log = MemoryEventLog()
    return Collector(KnownSources(SOURCE), log, MemorySpool(), HASHER, lambda text, region: None), log


def answer_event(event: dict[str, Any], collector: Collector) -> dict[str, Any]:
    """As the function's handler does, but a defect is not caught: it is what the tests look for."""
    try:
        return respond(parse_tracking_request(event), lambda: collector).answer
    except Exception as error:
        answer = refuse(event, error)
        if answer["statusCode"] == 500:
            raise
        return answer


def gateway(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """One request for a collector of its own."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    event = {
        "rawPath": environ["PATH_INFO"],
        "rawQueryString": environ.get("QUERY_STRING", ""),
        "headers": headers,
        "requestContext": {
            "http": {"method": environ["REQUEST_METHOD"], "sourceIp": "203.0.113.7"},
            "timeEpoch": RECEIVED_AT,
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
    answer = answer_event(event, memory_collector()[0])
    content = base64.b64decode(answer["body"]) if answer.get("isBase64Encoded") else answer["body"].encode()
    start_response(f"{answer['statusCode']} x", list(answer["headers"].items()))
    return [content]
