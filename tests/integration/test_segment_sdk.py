"""Segment's own Python SDK against the tracking API on a socket: what it sends is stored, and it sees no error."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from segment.analytics.client import Client

from onefold.domain.event import Event
from onefold.domain.source import Source
from onefold.edge.tracking_answers import refuse
from onefold.edge.tracking_api import respond
from onefold.edge.tracking_request import parse_tracking_request
from onefold.use_cases.collect import Collector
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER
from tests.fakes.requests import RECEIVED_AT

KEY = "key-of-shop"


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


@pytest.fixture
def url(log: MemoryEventLog) -> Iterator[str]:
    source = Source("shop", KEY, phone_region="DE")
    collector = Collector(KnownSources(source), log, MemorySpool(), HASHER, lambda text, region: None)

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            event = {
                "rawPath": self.path,
                "headers": dict(self.headers),
                "requestContext": {"http": {"method": "POST", "sourceIp": "127.0.0.1"}, "timeEpoch": RECEIVED_AT},
                "body": base64.b64encode(body).decode(),
                "isBase64Encoded": True,
            }
            try:
                answer = respond(parse_tracking_request(event), lambda: collector).answer
            except Exception as error:  # noqa: BLE001 - as the handler's outermost edge does
                answer = refuse(event, error)
            self.send_response(answer["statusCode"])
            for name, value in answer["headers"].items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer["body"].encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def client(url: str, key: str, errors: list[Any], *, compressed: bool = False) -> Client:
    return Client(key, host=url, gzip=compressed, on_error=lambda error, items: errors.append(error), max_retries=1)


def stored(log: MemoryEventLog) -> dict[str, Event]:
    return {event.kind: event for _, batch in log.batches for event in batch.events}


@pytest.mark.parametrize("compressed", [False, True])
def test_every_call_of_the_sdk_becomes_an_event(log: MemoryEventLog, url: str, *, compressed: bool) -> None:
    errors: list[Any] = []
    segment = client(url, KEY, errors, compressed=compressed)

    segment.identify("u1", {"email": "Eva@Shop.de", "age": 41})
    segment.track("u1", "Order Completed", {"total": 12.5, "products": [{"sku": "Wörter"}]})
    segment.page("u1", "Shop", "Home", {"path": "/"})
    segment.screen("u1", "App", "Basket")
    segment.group("u1", "g1", {"seats": 5})
    segment.alias("a1", "u1")
    segment.shutdown()

    assert errors == []
    events = stored(log)
    assert set(events) == {"identify", "track", "page", "screen", "group", "alias"}
    assert all(event.violations == () for event in events.values())
    assert [each.value for each in events["identify"].identifiers] == ["u1", "eva@shop.de"]
    assert events["track"].properties == '{"total":12.5,"products":[{"sku":"Wörter"}]}'.encode()
    assert events["page"].name == "Home"
    assert events["group"].account is not None
    assert events["group"].account.value == "g1"
    assert [each.value for each in events["alias"].previous] == ["a1", "a1"]


def test_a_wrong_key_reaches_the_application_as_an_error(log: MemoryEventLog, url: str) -> None:
    errors: list[Any] = []
    segment = client(url, "a-wrong-key", errors)

    segment.track("u1", "Order Completed")
    segment.shutdown()

    assert len(errors) == 1
    assert "Invalid write key" in str(errors[0])
    assert log.batches == []
