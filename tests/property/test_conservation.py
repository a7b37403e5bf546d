"""Every acknowledged message is in exactly one place, whatever happened on its way; and replays count once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.adapters.compression import pack, unpack
from onefold.domain.event import EventBatch
from onefold.domain.message import Arrival
from onefold.domain.source import Source
from onefold.use_cases.archive import archive
from onefold.use_cases.collect import Collector, CollectRequest, KeyedBatch
from onefold.use_cases.drain import Pace, drain
from onefold.use_cases.marks import BEGUN_MS_MAX
from onefold.use_cases.quarantine import Repair, Replayer
from onefold.use_cases.stitch import StreamRecord, stitch
from tests.fakes.collecting import MemorySpool
from tests.fakes.events import HASHER, NOON_MS
from tests.fakes.quarantine import MemoryMarks, MemoryQuarantine, SourcesOf
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryLake, MemoryTimeline
from tests.unit.use_cases.test_drain import VirtualClock

SOURCES = (Source("web", "key-of-web"), Source("till", "key-of-till"))
REPAIRED = "Repaired"


class Killed(BaseException):
    """The process is gone; nothing catches it."""


@dataclass
class FlakyLog:
    """Takes each batch or does not, as chance has it; may die after it took them, or before."""

    random: Random
    refuse: float = 0.0
    kill: float = 0.0
    records: list[tuple[str, bytes]] = field(default_factory=list)

    def append(self, batches: Sequence[KeyedBatch]) -> list[KeyedBatch]:
        if self.random.random() < self.kill:
            raise Killed
        left = [batch for batch in batches if self.random.random() < self.refuse]
        self.records += [(key, pack(batch)) for key, batch in batches if (key, batch) not in left]
        if self.random.random() < self.kill:
            raise Killed
        return left


@dataclass
class World:
    random: Random
    log: FlakyLog
    spool: MemorySpool = field(default_factory=MemorySpool)
    lake: MemoryLake = field(default_factory=MemoryLake)
    fragments: MemoryFragments = field(default_factory=MemoryFragments)
    marks: MemoryMarks = field(default_factory=MemoryMarks)

    @property
    def collector(self) -> Collector:
        return Collector(
            sources=SourcesOf(*SOURCES), log=self.log, spool=self.spool, hasher=HASHER, phone=lambda *_: None
        )

    @property
    def replayer(self) -> Replayer:
        return Replayer(
            entries=MemoryQuarantine(self.lake),
            marks=self.marks,
            sources=SourcesOf(*SOURCES),
            collector=self.collector,
            unpack_record=lambda data: unpack(data, EventBatch),
        )

    def come_to_rest(self) -> None:
        """Drain the spool in any order, then let stitch and archive see everything, in batches of any size, twice."""
        self.log.refuse = self.log.kill = 0.0
        keys = list(self.spool.objects)
        self.random.shuffle(keys)
        for key in keys:
            drain(key, spool=self.spool, log=self.log, pace=Pace(1e9, 1e12, 1.0), clock=VirtualClock())
        records = [StreamRecord(str(at), unpack(data, EventBatch)) for at, (_, data) in enumerate(self.log.records, 1)]
        start = 0
        while start < len(records):
            end = start + self.random.randint(1, 4)
            batch = records[start:end]
            for _ in range(2):
                archive(batch, [], self.lake, name=f"shard-{batch[0].sequence}-{batch[-1].sequence}")
                stitch(batch, self.fragments, MemoryGraph(), MemoryTimeline())
            start = end

    def in_lake(self) -> Counter[tuple[str, str]]:
        events = (each.event for archived in self.lake.events.values() for each in archived)
        return Counter((event.source, event.message_id) for event in events)

    def counted(self) -> Counter[str]:
        """How often each event name was folded, over all fragments."""
        return Counter(
            {
                name: sum(
                    each.fragment.facts.counts[name].times for each in stored if name in each.fragment.facts.counts
                )
                for stored in [list(self.fragments.all().values())]
                for name in {name for each in stored for name in each.fragment.facts.counts}
            }
        )


# What is wrong with a message, by the number that it is made of; the generator knows, and need not ask our code.
def message(number: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "track",
        "messageId": f"m{number}",
        "userId": f"u{number % 3}",
        "event": f"E{number}",
        "timestamp": NOON_MS - 1_000 + number,
    }
    if is_refused(number):
        made.pop("event")
    return made


def is_refused(number: int) -> bool:
    return number % 4 == 0


numbers = st.integers(0, 30)
requests = st.lists(st.tuples(st.sampled_from(SOURCES), st.lists(numbers, min_size=1, max_size=6)), max_size=8)


@settings(deadline=None)
@given(requests, st.floats(0, 0.6), st.randoms(use_true_random=False))
def test_i1_every_acknowledged_message_is_in_the_lake_or_in_the_quarantine(
    sent: list[tuple[Source, list[int]]], refuse: float, random: Random
) -> None:
    world = World(random, FlakyLog(random, refuse))
    said: Counter[str] = Counter()
    for at, (source, batch) in enumerate(sent):
        body = msgspec.json.encode({"batch": [message(number) for number in batch]})
        outcome = world.collector.collect(CollectRequest(body, None, (source.write_key,), Arrival(NOON_MS + at)))
        said.update(accepted=outcome.accepted, repeated=len(outcome.repeated), refused=len(outcome.refused))
    world.come_to_rest()

    expected = {(source.name, number) for source, batch in sent for number in batch}
    assert sum(said.values()) == sum(len(batch) for _, batch in sent)
    assert set(world.in_lake()) == {(source, f"m{number}") for source, number in expected if not is_refused(number)}
    kept = {(entry.source, entry.body) for entry in MemoryQuarantine(world.lake).entries().values()}
    assert kept == {(source, msgspec.json.encode(message(number))) for source, number in expected if is_refused(number)}
    folded = {f"track:E{number}": 0 for _, number in expected if not is_refused(number)}
    for _, number in {(source, number) for source, number in expected if not is_refused(number)}:
        folded[f"track:E{number}"] += 1
    assert world.counted() == Counter(folded)


@settings(deadline=None)
@given(
    st.sets(numbers.filter(is_refused), min_size=1, max_size=5),
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 0.4), st.booleans()), min_size=1, max_size=6),
    st.sets(st.integers(1, 30), max_size=6),
    st.sets(st.integers(1, 30), max_size=6),
    st.randoms(use_true_random=False),
)
def test_replays_count_once_however_often_they_die(
    refused: set[int],
    attempts: list[tuple[float, float, bool]],
    lost_before: set[int],
    lost_after: set[int],
    random: Random,
) -> None:
    """Replays are killed between any two steps, the stream refuses, and the marks' store fails or answers too late."""
    world = World(random, FlakyLog(random))
    body = msgspec.json.encode({"batch": [message(number) for number in sorted(refused)]})
    world.collector.collect(CollectRequest(body, None, ("key-of-web",), Arrival(NOON_MS)))
    world.come_to_rest()
    ids = list(MemoryQuarantine(world.lake).entries())
    repair = Repair({"event": REPAIRED})
    world.marks.broken_before, world.marks.broken_after = lost_before, lost_after

    now = NOON_MS
    for refuse, kill, wait in attempts:
        world.log.refuse, world.log.kill = refuse, kill
        now += BEGUN_MS_MAX if wait else 1
        try:
            world.replayer.replay(ids, repair, now=now, request_id="r")
        except Killed:
            continue
    world.log.refuse = world.log.kill = 0.0
    world.marks.broken_before = world.marks.broken_after = set()
    last = world.replayer.replay(ids, repair, now=now + BEGUN_MS_MAX, request_id="last")
    sent = len(world.log.records)
    once_more = world.replayer.replay(ids, repair, now=now + 2 * BEGUN_MS_MAX, request_id="more")
    assert len(world.log.records) == sent

    world.come_to_rest()
    assert {each.status for each in last} <= {"replayed", "already_replayed"}
    assert {each.status for each in once_more} == {"already_replayed"}
    assert world.counted() == Counter({f"track:{REPAIRED}": len(refused)})
    assert set(world.in_lake()) == {("web", f"m{number}") for number in refused}


@settings(deadline=None)
@given(requests, st.floats(0.2, 0.9), st.randoms(use_true_random=False), st.randoms(use_true_random=False))
def test_f05_the_order_in_which_the_spool_is_drained_changes_no_profile(
    sent: list[tuple[Source, list[int]]], refuse: float, one: Random, other: Random
) -> None:
    """F05: spooled events return beside live ones, in any order."""
    found = []
    for order in (one, other):
        chance = Random(repr(sent))
        world = World(order, FlakyLog(chance, refuse))
        for at, (source, batch) in enumerate(sent):
            body = msgspec.json.encode({"batch": [message(number) for number in batch]})
            world.collector.collect(CollectRequest(body, None, (source.write_key,), Arrival(NOON_MS + at)))
        world.come_to_rest()
        found.append({key: each.fragment.facts for key, each in world.fragments.all().items()})

    assert found[0] == found[1]
