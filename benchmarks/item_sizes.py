"""How large the items of a simulated shop's day are: fragments, heads and the timeline, as bytes in the tables.

    python benchmarks/item_sizes.py [PERSONS] [DAYS]

The simulator's calls go through collect, stitch and evaluate over stores in memory that hold what the real ones hold,
packed bytes; here they are counted as whole items, with keys and names. DynamoDB bills a write per whole KB and a
consistent read per whole 4 KB, so these are what a profile costs; an item may have 400 KB. Then the same for real
histories, as far as ONEFOLD_DATA has them.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from statistics import quantiles
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / folder) for folder in (".", "layers/onefold/python")]

import msgspec  # noqa: E402

from benchmarks.real_histories import HISTORIES  # noqa: E402
from cli.costs import item_bytes  # noqa: E402
from cli.simulator import Call, simulate  # noqa: E402
from cli.simulator.shop import DEFAULT_DAY  # noqa: E402
from onefold.adapters.compression import pack, unpack  # noqa: E402
from onefold.adapters.dynamodb_timeline import SEQUENCE_DIGITS  # noqa: E402
from onefold.domain.audience_sql import compile_audience  # noqa: E402
from onefold.domain.event import Event, EventBatch, FragmentKey, fragment_key  # noqa: E402
from onefold.domain.head import Head  # noqa: E402
from onefold.domain.identifier import IdentifierHasher  # noqa: E402
from onefold.domain.message import Arrival  # noqa: E402
from onefold.domain.source import Source  # noqa: E402
from onefold.use_cases.collect import Collector, CollectRequest  # noqa: E402
from onefold.use_cases.evaluate import CurrentAudience, evaluate  # noqa: E402
from onefold.use_cases.stitch import StreamRecord, stitch  # noqa: E402
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool  # noqa: E402
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryTimeline  # noqa: E402

DELAY_MS = 80  # from a message's time to its arrival
REQUEST_MESSAGES_MAX = 20  # of a server library, within one second
WRITE_UNIT_BYTES = 1_024
CURSOR = "4" * 56  # as long as the stream's sequence numbers are


class Shop:
    """The whole way of an event over stores in memory."""

    def __init__(self, sources: Iterable[str]) -> None:
        self.log = MemoryEventLog()
        known = KnownSources(
            *(Source(name, f"{name}-write-key", "browser" if name == "web" else "server", "DE") for name in sources)
        )
        hasher = IdentifierHasher(b"a secret for benchmarks, long enough")
        self.collector = Collector(known, self.log, MemorySpool(), hasher, lambda _text, _region: None)
        self.fragments, self.graph, self.timeline = MemoryFragments(), MemoryGraph(), MemoryTimeline()
        self.audiences = [
            CurrentAudience(compile_audience(path.stem, path.read_text()), 1)
            for path in sorted((ROOT / "definitions/audiences").glob("*.sql"))
        ]
        self.sequence = self.refused = 0
        self.record_sizes: list[int] = []

    def live_second(self, calls: Sequence[Call], at: int) -> None:
        """What arrives within one second is one batch of the stream."""
        for request in _requests(calls):
            self._send(request, at + DELAY_MS)
        batches: list[EventBatch] = [batch for _, batch in self.log.batches]
        self.log.batches.clear()
        self.record_sizes += [len(pack(batch)) for batch in batches]
        records = [StreamRecord(str(self.sequence + number), batch) for number, batch in enumerate(batches, start=1)]
        self.sequence += len(records)
        report = stitch(records, self.fragments, self.graph, self.timeline)
        assert not report.failed
        changed = {key for batch in batches for key in map(fragment_key, batch.events) if key is not None}
        self._evaluate(changed, at)

    def _send(self, request: Sequence[Call], received_at: int) -> None:
        body = msgspec.json.encode({"batch": [call.body for call in request]})
        keys = (f"{request[0].source}-write-key",)
        outcome = self.collector.collect(CollectRequest(body, None, keys, Arrival(received_at, "203.0.113.7")))
        self.refused += len(outcome.refused)

    def _evaluate(self, changed: set[FragmentKey], at: int) -> None:
        evaluate(changed, self.audiences, self.graph, self.fragments, now_ms=at)


def _requests(calls: Sequence[Call]) -> Iterator[Sequence[Call]]:
    """Browsers and tills send one message at a time, server libraries what they have."""
    for (_, transport), together in groupby(calls, key=lambda call: (call.source, call.transport)):
        some = list(together)
        size = REQUEST_MESSAGES_MAX if transport == "sdk" else 1
        for begin in range(0, len(some), size):
            yield some[begin : begin + size]


def second_of(call: Call) -> int:
    return int(datetime.fromisoformat(call.body["timestamp"]).timestamp())


def replay(calls: Iterable[Call]) -> Shop:
    """A history, each second as if it were now."""
    shop = Shop(["files", "web"])
    for second, together in groupby(calls, key=second_of):
        shop.live_second(list(together), second * 1_000)
    assert not shop.refused, f"{shop.refused} messages were refused"
    return shop


def run(persons: int, days: int) -> Shop:
    shop = Shop(["web", "server", "mail", "support", "till"])
    for number in range(days):
        day = simulate(persons=persons, seed=1 + number, day=DEFAULT_DAY + timedelta(days=number))
        for second, calls in groupby(day.calls, key=second_of):
            shop.live_second(list(calls), second * 1_000)
    assert not shop.refused, f"{shop.refused} messages were refused"
    return shop


def print_line(name: str, sizes: Sequence[int]) -> None:
    cuts = quantiles(sizes, n=100, method="inclusive")
    units = sum(-(-size // WRITE_UNIT_BYTES) for size in sizes) / len(sizes)
    print(f"{name:<22} {len(sizes):>8,} {cuts[49]:>8,.0f} {cuts[98]:>8,.0f} {max(sizes):>8,} {units:>12.2f}")


def main() -> None:
    persons, days = (int(text) for text in (sys.argv[1:] + ["200", "1"][len(sys.argv) - 1 :]))
    print_shop(f"{persons} persons, {days} day(s)", run(persons, days))
    for name, (path, calls) in HISTORIES.items():
        if path.exists():
            print_shop(f"\n{name}", replay(calls()))
        else:
            print(f"\n{name}: there is no {path}; set ONEFOLD_DATA to its folder")


def print_shop(title: str, shop: Shop) -> None:
    live = shop.graph.live_heads()
    events = sum(len(unpack(body, tuple[Event, ...])) for body in shop.timeline.items.values())
    print(f"{title}, {events:,} events, {len(live)} profiles; bytes")
    print(f"{'':<22} {'items':>8} {'p50':>8} {'p99':>8} {'max':>8} {'KB billed':>12}")
    print_line("stream record", shop.record_sizes)
    for name, items in (
        ("fragment", fragment_items(shop)),
        ("head", head_items(live)),
        ("timeline", timeline_items(shop)),
    ):
        print_line(name, [item_bytes(item) for item in items])


def fragment_items(shop: Shop) -> Iterator[dict[str, dict[str, Any]]]:
    for key, stored in shop.fragments.all().items():
        state, version = {"B": pack(stored.fragment)}, {"N": str(stored.version)}
        yield {"fragment_key": {"S": key}, "state": state, "cursor": {"S": CURSOR}, "version": version}


def head_items(heads: Iterable[Head]) -> Iterator[dict[str, dict[str, Any]]]:
    for head in heads:
        yield {"profile_id": {"S": head.profile_id}, "body": {"B": pack(head)}, "version": {"N": str(head.version)}}


def timeline_items(shop: Shop) -> Iterator[dict[str, dict[str, Any]]]:
    for (key, _), body in shop.timeline.items.items():
        sequence = CURSOR.zfill(SEQUENCE_DIGITS)
        expires_at = {"N": "1773446400"}
        yield {"fragment_key": {"S": key}, "sequence": {"S": sequence}, "events": {"B": body}, "expires_at": expires_at}


if __name__ == "__main__":
    main()
