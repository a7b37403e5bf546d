"""Events per CPU second of stitch without AWS, against decoding and re-encoding the same events with msgspec.

    python benchmarks/stitch_throughput.py [--profile]

The stores are in memory but hold packed bytes, so that unpacking, folding, packing and compressing are in the figures;
the identifiers are known, as they are for all but a fragment's first events. Two limits: only to unpack and pack again
the bytes that pass (record in, state in and out, timeline out), and the bare msgpack of the events alone.
"""

import cProfile
import pstats
import random
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / folder) for folder in (".", "layers/onefold/python")]

import msgspec  # noqa: E402

from onefold.adapters.compression import pack, unpack  # noqa: E402
from onefold.domain.event import Event, EventBatch, Kind  # noqa: E402
from onefold.domain.fragment import StoredFragment  # noqa: E402
from onefold.domain.identifier import IdentifierHasher  # noqa: E402
from onefold.domain.identity_rules import DEFAULT_RULES  # noqa: E402
from onefold.use_cases.stitch import StreamRecord, stitch  # noqa: E402
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryTimeline  # noqa: E402

EVENTS_PER_FRAGMENT = (1, 5, 50)
EVENTS = 2_000  # of one batch
BATCHES = 8
TARGET = 0.15
NOW_MS = 1_750_000_000_000

CONTEXT = {
    "ip": "203.0.113.7",
    "library": {"name": "analytics.js", "version": "2.11.1"},
    "locale": "en-GB",
    "page": {"path": "/products/kettle", "referrer": "https://www.example.org/", "title": "Kettle", "url": "https://shop.example.org/products/kettle"},
    "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.4 Safari/605.1.15",
}  # fmt: skip
encode = msgspec.json.encode
PRODUCT: dict[str, object] = {
    "product_id": "p-1042",
    "sku": "K-77",
    "name": "Kettle",
    "category": "Kitchen",
    "price": 29.95,
    "quantity": 1,
}


def shop_events(fragment: int, batch: int, count: int) -> list[Event]:
    """What a shop's visitor does: pages, products, now and then an order, an identify, a campaign."""
    hasher = IdentifierHasher(b"a secret for benchmarks, long enough")
    named = {"user_id": f"u{fragment}", "anonymous_id": f"a{fragment}"}
    identifiers = tuple(DEFAULT_RULES.identifier(hasher, kind, value) for kind, value in named.items())
    chance = random.Random(f"{fragment}/{batch}")
    events = []
    for number in range(count):
        at = NOW_MS + batch * 60_000 + number * 1_000
        context = CONTEXT | ({"campaign": {"name": "spring", "source": "mail"}} if chance.random() < 0.05 else {})
        traits: dict[str, object] = {}
        properties: dict[str, object] = {"path": "/products/kettle", "title": "Kettle"}
        kind: Kind = "page"
        name, draw = "Product", chance.random()
        if draw < 0.4:
            kind, name, properties = "track", chance.choice(["Product Viewed", "Product Added"]), PRODUCT
        elif draw < 0.47:
            kind, name = "track", "Order Completed"
            properties = {
                "order_id": f"o{fragment}-{batch}-{number}",
                "total": 59.9,
                "currency": "EUR",
                "products": [PRODUCT] * 2,
            }
        elif draw < 0.5:
            kind, name, properties, traits = "identify", "", {}, {"plan": "pro", "city": "Leeds"}
        events.append(
            Event(
                f"ajs-{fragment:08x}-{batch:04x}-{number:04x}-8f1c2b",
                kind,
                name,
                "web",
                identifiers,
                at,
                at + 80,
                at + 20,
                at,
                traits=encode(traits),
                properties=encode(properties),
                context=encode(context),
                consent={"marketing": True},
            )
        )
    return events


def cpu_s(work: Callable[[int], None], batch: int) -> float:
    begin = process_time()
    work(batch)
    return process_time() - begin


class Run:
    """One size of visits: the first batch founds the profiles, the others are measured."""

    def __init__(self, events_per_fragment: int) -> None:
        fragments = EVENTS // events_per_fragment
        self.stores = MemoryFragments(), MemoryGraph(), MemoryTimeline()
        self.batches = [
            [EventBatch(tuple(shop_events(fragment, batch, events_per_fragment))) for fragment in range(fragments)]
            for batch in range(BATCHES + 1)
        ]
        self.records = [[pack(each) for each in batch] for batch in self.batches]
        self.plain = [[msgspec.msgpack.encode(each) for each in batch] for batch in self.batches]
        self.events = fragments * events_per_fragment
        self.stitch(0)

    def stitch(self, batch: int) -> None:
        begin = batch * 1_000_000
        records = [
            StreamRecord(str(begin + number), unpack(data, EventBatch))
            for number, data in enumerate(self.records[batch], start=1)
        ]
        report = stitch(records, *self.stores)
        assert not report.failed
        assert report.counts["repeats"] == report.counts["skipped"] == 0

    def unpack_and_pack(self, batch: int) -> None:
        states = [body for _, body in self.stores[0].items.values()]
        for data, state in zip(self.records[batch], states, strict=True):
            pack(unpack(data, EventBatch).events)
            pack(unpack(state, StoredFragment))

    def decode_and_encode(self, batch: int) -> None:
        decoder, encoder = msgspec.msgpack.Decoder(EventBatch), msgspec.msgpack.Encoder()
        for data in self.plain[batch]:
            encoder.encode(decoder.decode(data))

    def rate(self, work: Callable[[int], None]) -> float:
        """Events per CPU second of the best batch: what else runs on the machine costs the others."""
        return self.events / min(cpu_s(work, batch) for batch in range(1, BATCHES + 1))


def main() -> None:
    print("events per CPU second")
    print(
        f"{'events a fragment':>18} {'stitch':>9} {'bytes passed':>13} {'share':>6} {'bare msgpack':>13} {'share':>6}"
    )
    for size in EVENTS_PER_FRAGMENT:
        run = Run(size)
        profile = cProfile.Profile(builtins=False) if "--profile" in sys.argv else None
        if profile:
            profile.enable()
        rate = run.rate(run.stitch)
        if profile:
            profile.disable()
        passed, bare = run.rate(run.unpack_and_pack), run.rate(run.decode_and_encode)
        verdict = "" if rate / passed >= TARGET else f"  below the target of {TARGET:.0%}"
        shares = f"{passed:>13,.0f} {rate / passed:>6.1%} {bare:>13,.0f} {rate / bare:>6.1%}"
        print(f"{size:>18} {rate:>9,.0f} {shares}{verdict}")
        if profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(18)


if __name__ == "__main__":
    main()
