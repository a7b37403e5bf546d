"""Events per CPU second through collect without AWS, against decoding and re-encoding the same bytes and no more.

The whole way is measured, from API Gateway's event to its answer: base64, gzip, JSON, identifiers with their keyed
hashes, event time, consent, and the compressed stream records; only the call of Kinesis is replaced by a stub. The
limit decodes the JSON and encodes it again, with the faster of msgspec and orjson.

Run: python -m benchmarks.collect_throughput [--seconds S]
"""

import argparse
import base64
import gzip
import random
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import orjson

from onefold.adapters.kinesis_event_log import KinesisEventLog
from onefold.adapters.phone_numbers import read_e164
from onefold.adapters.user_agents import read_user_agent
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.source import Source
from onefold.edge.tracking_api import respond
from onefold.edge.tracking_request import parse_tracking_request
from onefold.use_cases.collect import Collector
from tests.fakes.collecting import KnownSources, MemorySpool

SEED = 20_261_112
RECEIVED_AT = 1_794_477_600_000
ROUNDS = 20
BATCHES = 8  # different bodies in turn, so that no cache is warm for the wrong reason
PRODUCTS = ("Monopoly: 3rd Edition", "Uno Card Game", "Würfelbecher", "Chess set, walnut", "Puzzle, 1,000 pieces")
EVENTS = ("Product Viewed", "Product Added", "Checkout Started", "Order Completed")


class AcceptingStream:
    """Stands for Kinesis: takes every record, and counts the bytes."""

    def __init__(self) -> None:
        self.record_bytes = 0
        self.records = 0

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: ARG002, N803
        self.records += len(Records)
        self.record_bytes += sum(len(record["Data"]) for record in Records)
        return {"FailedRecordCount": 0, "Records": [{"SequenceNumber": "1"}] * len(Records)}


def shop_event(rng: random.Random, person: int, second: int) -> dict[str, Any]:
    """One event of a shop, as analytics.js and the server SDKs shape it; 1.2 KB on average."""
    name = rng.choice(EVENTS)
    product = {
        "product_id": f"p-{rng.randrange(500)}",
        "sku": f"G-{rng.randrange(500)}",
        "category": "Games",
        "name": rng.choice(PRODUCTS),
        "brand": "Hasbro",
        "price": rng.randrange(500, 9_000) / 100,
        "quantity": rng.randrange(1, 4),
        "position": rng.randrange(20),
    }
    properties: dict[str, Any] = {"cart_id": f"c-{person}", "currency": "EUR", **product}
    if name in {"Checkout Started", "Order Completed"}:
        properties = {"order_id": f"o-{rng.randrange(10**6)}", "currency": "EUR", "products": [product] * 3}
    return {
        "type": "track",
        "event": name,
        "messageId": f"ajs-next-{RECEIVED_AT + second}-{UUID(int=rng.getrandbits(128))}",
        "anonymousId": str(UUID(int=random.Random(person).getrandbits(128))),
        "userId": f"u-{person}",
        "timestamp": f"2026-11-12T09:{second // 60 % 60:02d}:{second % 60:02d}.{rng.randrange(1000):03d}Z",
        "integrations": {},
        "properties": properties,
        "context": {
            "ip": "203.0.113.7",
            "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/156.0",
            "locale": "de-DE",
            "timezone": "Europe/Berlin",
            "page": {
                "path": f"/p/{product['product_id']}",
                "referrer": "",
                "search": "?utm_source=newsletter&utm_medium=email",
                "title": product["name"],
                "url": f"https://shop.example/p/{product['product_id']}?utm_source=newsletter&utm_medium=email",
            },
            "campaign": {"source": "newsletter", "medium": "email", "name": "autumn"},
            "library": {"name": "analytics.js", "version": "npm:next-1.84.0"},
        },
    }


def request(body: bytes, *, path: str, compressed: bool) -> dict[str, Any]:
    """API Gateway's event; it hands a compressed body over in base64."""
    text = base64.b64encode(gzip.compress(body)).decode() if compressed else body.decode()
    return {
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"authorization": "Basic " + base64.b64encode(b"write-key-of-web:").decode()},
        "requestContext": {"http": {"method": "POST", "sourceIp": "203.0.113.7"}, "timeEpoch": RECEIVED_AT},
        "body": text,
        "isBase64Encoded": compressed,
    }


def cpu_per_call(works: list[Callable[[int], object]], seconds: float) -> list[float]:
    """CPU seconds of one call of each, the best of many short rounds.

    The works take turns, so that what else the machine does disturbs them alike.
    """
    best = [float("inf")] * len(works)
    for _ in range(ROUNDS):
        for number, work in enumerate(works):
            calls, started = 0, time.process_time()
            while time.process_time() - started < seconds / ROUNDS:
                work(calls % BATCHES)
                calls += 1
            best[number] = min(best[number], (time.process_time() - started) / calls)
    return best


def measure(collector: Collector, count: int, people: int, *, compressed: bool, seconds: float) -> tuple[float, ...]:
    """Events per CPU second: (limit with msgspec, limit with orjson, collect), and bytes an event."""
    rng = random.Random(SEED)
    bodies = []
    for batch in range(BATCHES):
        events = [shop_event(rng, batch * count + index % people, index) for index in range(count)]
        whole = events[0] | {"sentAt": "2026-11-12T10:00:00.000Z"} if count == 1 else None
        bodies.append(orjson.dumps(whole or {"batch": events, "sentAt": "2026-11-12T10:00:00.000Z"}))
    path = "/v1/track" if count == 1 else "/v1/batch"
    requests = [request(body, path=path, compressed=compressed) for body in bodies]

    def collect(index: int) -> None:
        reply = respond(parse_tracking_request(requests[index]), lambda: collector)
        assert reply.outcome is not None
        assert reply.outcome.accepted == count

    by_msgspec, by_orjson, collected = cpu_per_call(
        [
            lambda index: msgspec.json.encode(msgspec.json.decode(bodies[index])),
            lambda index: orjson.dumps(orjson.loads(bodies[index])),
            collect,
        ],
        seconds,
    )
    return count / by_msgspec, count / by_orjson, count / collected, sum(map(len, bodies)) / BATCHES / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="CPU seconds for each number")
    seconds = parser.parse_args().seconds
    stream = AcceptingStream()
    source = Source("web", "write-key-of-web", kind="browser", phone_region="DE")
    log = KinesisEventLog(stream, "events", sleep=time.sleep, jitter=random.random)  # type: ignore[arg-type]
    collector = Collector(
        KnownSources(source),
        log,
        MemorySpool(),
        IdentifierHasher(b"s" * 64),
        read_e164,
        read_user_agent=read_user_agent,
    )
    print("| request | bytes an event | limit, msgspec | limit, orjson | collect | of msgspec | of orjson |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in (1, 20, 100, 500):
        for people, who in ((1, "one browser"), (count, "a person each")):
            if count == 1 and people != 1:
                continue
            for compressed in (False, True):
                by_msgspec, by_orjson, collected, size = measure(
                    collector, count, people, compressed=compressed, seconds=seconds
                )
                name = f"{count} event{'s' * (count > 1)}, {who}{', gzip' * compressed}"
                print(
                    f"| {name} | {size:,.0f} | {by_msgspec:,.0f} | {by_orjson:,.0f} | {collected:,.0f} "
                    f"| {collected / by_msgspec:.0%} | {collected / by_orjson:.0%} |",
                    flush=True,
                )
            if count == 1:
                break


if __name__ == "__main__":
    main()
