"""From request to profile: whatever stream, spool and collector do, an acknowledged message counts once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from onefold.domain.errors import StreamUnavailable
from onefold.domain.event import Event
from onefold.domain.message import Arrival
from onefold.domain.source import Source
from onefold.use_cases.collect import Collector, CollectRequest, KeyedBatch
from onefold.use_cases.drain import Pace, drain
from onefold.use_cases.stitch import StreamRecord
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER, NOON_MS
from tests.fakes.faults import World, check
from tests.faults.baton import Killed

KEY = "key-of-web"


class VirtualClock:
    """Time that passes by sleeping alone."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


SEEDS = range(20)
ATTEMPTS_MAX = 20
REQUESTS: tuple[tuple[dict[str, Any], ...], ...] = tuple(
    tuple(
        {
            "type": "track",
            "event": "Order Completed",
            "messageId": f"m{3 * request + number}",
            "userId": f"u{(request + number) % 3}",
            "anonymousId": f"a{request % 2}",
            "timestamp": NOON_MS - 1_000 * ((7 * request + number) % 5),
            "properties": {"order_id": f"o{3 * request + number}", "total": 1 + number, "currency": "EUR"},
        }
        for number in range(3)
    )
    for request in range(4)
)


@dataclass
class Ingest:
    """A client that sends until it is answered, a collector, a stream, a spool, and what empties the spool.

    Attributes:
        kills: Numbers of the calls to stream and spool at which the process dies, and whether after their effect.
        loses_answers: The stream takes everything and answers nothing.
        stream_down, spool_down: What takes nothing.
        acknowledged: Ids of the messages that the client needs no longer keep.
    """

    kills: dict[int, bool] = field(default_factory=dict)
    loses_answers: bool = False
    stream_down: bool = False
    spool_down: bool = False
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    spool: MemorySpool = field(default_factory=MemorySpool)
    acknowledged: set[str] = field(default_factory=set)
    calls: int = 0
    now_ms: int = NOON_MS

    def send(self, messages: Sequence[dict[str, Any]]) -> bool:
        """One HTTP request; whether it was acknowledged."""
        self.now_ms += 1_000
        body = json.dumps({"batch": list(messages)}).encode()
        sources = KnownSources(Source("web", KEY, kind="server"))
        collector = Collector(sources, _Log(self), _Spool(self), HASHER, lambda _text, _region: None)
        try:
            collector.collect(CollectRequest(body, None, (KEY,), Arrival(self.now_ms)))
        except (Killed, StreamUnavailable):
            return False
        self.acknowledged |= {message["messageId"] for message in messages}
        return True

    def send_until_acknowledged(self, messages: Sequence[dict[str, Any]]) -> None:
        for _ in range(ATTEMPTS_MAX):
            if self.send(messages):
                return
        raise AssertionError("the client was never answered")

    def drain(self) -> None:
        """Empty the spool, each object as often as its message comes."""
        for key in list(self.spool.objects):
            for _ in range(ATTEMPTS_MAX):
                try:
                    pace = Pace(records_per_s=1e9, bytes_per_s=1e12, share=1.0)
                    drain(key, spool=_Spool(self), log=_Log(self), pace=pace, clock=VirtualClock())
                    break
                except (Killed, StreamUnavailable):
                    continue
        assert not self.spool.objects

    def call(self, work: Any) -> Any:
        number, self.calls = self.calls, self.calls + 1
        if self.kills.get(number) is False:
            raise Killed
        result = work()
        if number in self.kills:
            raise Killed
        return result


@dataclass
class _Log:
    ingest: Ingest

    def append(self, batches: Sequence[KeyedBatch]) -> list[KeyedBatch]:
        return self.ingest.call(lambda: self._append(batches))  # type: ignore[no-any-return]

    def _append(self, batches: Sequence[KeyedBatch]) -> list[KeyedBatch]:
        if self.ingest.stream_down:
            return list(batches)
        left = self.ingest.log.append(batches)
        return list(batches) if self.ingest.loses_answers else left


@dataclass
class _Spool:
    ingest: Ingest

    def append(self, batches: Sequence[KeyedBatch], *, received_at: int) -> None:
        self.ingest.spool.broken = self.ingest.spool_down
        self.ingest.call(lambda: self.ingest.spool.append(batches, received_at=received_at))

    def load(self, key: str) -> list[KeyedBatch] | None:
        return self.ingest.call(lambda: self.ingest.spool.load(key))  # type: ignore[no-any-return]

    def delete(self, key: str) -> None:
        self.ingest.call(lambda: self.ingest.spool.delete(key))


def delivered(batches: Sequence[KeyedBatch], size: int = 4) -> tuple[World, list[Event]]:
    """The profiles that stitch makes of the stream, and the events that were on it."""
    world = World()
    world.deliver([StreamRecord(str(number), batch) for number, (_, batch) in enumerate(batches, 1)], size=size)
    return world, [each for _, batch in batches for each in batch.events]


def check_once(ingest: Ingest) -> None:
    """Every message that was sent is on the stream at least once, and in the profiles exactly once."""
    world, events = delivered(ingest.log.batches)
    sent = {message["messageId"] for request in REQUESTS for message in request}
    assert ingest.acknowledged == sent
    assert {each.message_id for each in events} == sent
    check(world, events)
    assert sum(
        each.fragment.facts.counts["track:Order Completed"].times for each in world.fragments.all().values()
    ) == len(sent)


def test_f02_events_that_the_stream_took_without_saying_so_count_once() -> None:
    """Every answer of the stream is lost: the same events come a second time by way of the spool."""
    ingest = Ingest(loses_answers=True)
    for request in REQUESTS:
        ingest.send_until_acknowledged(request)
    ingest.loses_answers = False

    ingest.drain()

    assert len(ingest.log.batches) == 2 * len({id(batch) for _, batch in ingest.log.batches}), "each came twice"
    check_once(ingest)


def test_f03_a_stream_that_is_down_costs_no_request_and_no_event() -> None:
    """Everything is acknowledged from the spool, and counted when the stream is back."""
    ingest = Ingest(stream_down=True)

    assert all(ingest.send(request) for request in REQUESTS)

    assert ingest.log.batches == []
    ingest.stream_down = False
    ingest.drain()
    check_once(ingest)


def test_f03_when_stream_and_spool_are_down_the_client_keeps_its_events() -> None:
    """Nothing is acknowledged, nothing is lost: the client sends again, and each message counts once."""
    ingest = Ingest(stream_down=True, spool_down=True)

    assert not any(ingest.send(request) for request in REQUESTS)

    assert (ingest.acknowledged, ingest.log.batches, ingest.spool.objects) == (set(), [], {})
    ingest.stream_down = ingest.spool_down = False
    for request in REQUESTS:
        ingest.send_until_acknowledged(request)
    check_once(ingest)


@pytest.mark.parametrize("is_down", [False, True], ids=["stream up", "stream down"])
@pytest.mark.parametrize("is_after", [False, True], ids=["before its effect", "after its effect"])
def test_f04_a_collector_that_is_killed_at_any_call_loses_and_doubles_nothing(*, is_down: bool, is_after: bool) -> None:
    """Between stream, spool and acknowledgement, and while the spool is emptied: a duplicate at worst, counted once."""

    def play(kills: dict[int, bool]) -> Ingest:
        ingest = Ingest(kills=kills, stream_down=is_down)
        for request in REQUESTS:
            ingest.send_until_acknowledged(request)
        ingest.stream_down = False
        ingest.drain()
        return ingest

    for number in range(play({}).calls):
        check_once(play({number: is_after}))


@pytest.mark.parametrize("seed", SEEDS)
def test_f05_events_that_waited_in_the_spool_may_arrive_anywhere_among_live_ones(seed: int) -> None:
    """The spool is emptied while new events arrive: any interleaving gives the same profiles."""
    random = Random(seed)
    ingest = Ingest()
    for request in REQUESTS:
        ingest.stream_down = random.random() < 0.5
        ingest.send_until_acknowledged(request)
    ingest.stream_down = False
    live = list(ingest.log.batches)
    ingest.drain()
    late, mixed = ingest.log.batches[len(live) :], list(live)
    for batch in late:
        mixed.insert(random.randint(0, len(mixed)), batch)
    ingest.log.batches = mixed
    unhindered = Ingest()
    for request in REQUESTS:
        unhindered.send_until_acknowledged(request)

    check_once(ingest)

    here, there = (delivered(each.log.batches, random.randint(1, 6))[0] for each in (ingest, unhindered))
    facts = [{key: each.fragment.facts for key, each in world.fragments.all().items()} for world in (here, there)]
    assert facts[0] == facts[1], f"seed {seed}"
    people = [sorted(sorted(head.identifiers) for head in world.graph.live_heads()) for world in (here, there)]
    assert people[0] == people[1], f"seed {seed}"


def test_f06_a_batch_that_the_client_sends_again_counts_once() -> None:
    """New HTTP requests with the messages of old ones, whole and in part, under the same message ids."""
    ingest = Ingest()
    for request in REQUESTS:
        ingest.send_until_acknowledged(request)
    for request in (*REQUESTS, REQUESTS[0][1:]):
        ingest.send_until_acknowledged(request)

    check_once(ingest)
