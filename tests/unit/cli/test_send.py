"""Sending over real connections to a collector that fails in chosen ways."""

import gzip
import json
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cli import send
from cli.problems import CommandError
from cli.send import MESSAGES_PER_BATCH_MAX, Sender, SendingStoppedError, batches


class Collector:
    """Answers as `answer` says, and keeps what it was sent and took."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.requests = 0
        self.answer: Callable[[int, list[dict[str, Any]]], tuple[int, dict[str, Any]]] = lambda *_: (
            200,
            {"success": True},
        )
        self._lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                assert self.path == "/v1/batch"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                batch = json.loads(gzip.decompress(body))["batch"]
                with collector._lock:
                    collector.requests += 1
                    collector.keys.add(b64decode(self.headers["Authorization"].split()[1]).decode())
                    status, document = collector.answer(collector.requests, batch)
                    if status == 200:
                        collector.taken += batch
                if status == 0:
                    self.close_connection = True
                    return
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setattr(send, "BACKOFF_BASE_S", 0.001)
    collector = Collector()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()


def messages(count: int) -> list[bytes]:
    return [json.dumps({"type": "track", "event": "A", "messageId": str(n)}).encode() for n in range(count)]


def test_everything_arrives_once_with_the_key(collector: Collector) -> None:
    seen: list[int] = []

    sent = Sender(collector.url, "key-1").send(messages(2_000), lambda now: seen.append(now.done))

    assert sorted(int(m["messageId"]) for m in collector.taken) == list(range(2_000))
    assert collector.keys == {"key-1:"}
    assert (sent.accepted, sent.refused, sent.done) == (2_000, 0, 2_000)
    assert seen == sorted(seen)
    assert seen[-1] == 2_000


@pytest.mark.parametrize("trouble", [503, 429, 500, 0])
def test_passing_trouble_is_waited_out(collector: Collector, trouble: int) -> None:
    collector.answer = lambda number, _: (200 if number % 3 == 0 else trouble, {})

    sent = Sender(collector.url, "key-1").send(messages(1_000))

    assert sent.accepted == len(collector.taken) == 1_000
    assert sent.retries > 0


def test_what_was_refused_is_counted_with_its_reason(collector: Collector) -> None:
    refusal = {
        "index": 0,
        "status": "quarantined",
        "messageId": "0",
        "code": "event_name_missing",
        "message": "Send the event's name",
    }
    collector.answer = lambda *_: (
        200,
        {"success": True, "accepted": 248, "repeated": 1, "quarantined": 1, "events": [refusal]},
    )

    sent = Sender(collector.url, "key-1").send(messages(500))

    assert (sent.accepted, sent.repeated, sent.refused, sent.done) == (496, 2, 2, 500)
    assert sent.reasons == {"event_name_missing": 2}
    assert sent.details == {"event_name_missing": "Send the event's name"}


def test_a_wrong_key_stops_at_once_with_the_remedy(collector: Collector) -> None:
    collector.answer = lambda *_: (401, {"code": "unauthorized", "message": "Invalid write key"})

    with pytest.raises(SendingStoppedError, match="does not know the source's write key") as caught:
        Sender(collector.url, "key-1", connections=1).send(messages(10))

    assert collector.requests == 1
    assert caught.value.sent.done == 0


def test_lasting_trouble_ends_and_says_how_far_it_went(collector: Collector) -> None:
    collector.answer = lambda number, _: (200, {}) if number <= 2 else (503, {})

    with pytest.raises(SendingStoppedError, match="in 8 attempts: HTTP 503") as caught:
        Sender(collector.url, "key-1", connections=1).send(messages(5 * MESSAGES_PER_BATCH_MAX))

    assert caught.value.sent.done == 2 * MESSAGES_PER_BATCH_MAX == len(collector.taken)


def test_no_collector_at_all_gives_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "BACKOFF_BASE_S", 0.001)

    with pytest.raises(CommandError, match="did not take a batch in 8 attempts"):
        Sender("http://127.0.0.1:9", "key-1").send(messages(1))


def test_batches_keep_the_limits_of_a_request() -> None:
    large = [b"x" * 200_000] * 5

    assert [len(batch) for batch in batches(large)] == [2, 2, 1]
    assert [len(batch) for batch in batches(messages(600))] == [250, 250, 100]
    assert [len(batch) for batch in batches([b"x" * 600_000, b"y"])] == [1, 1]
    assert list(batches([])) == []
