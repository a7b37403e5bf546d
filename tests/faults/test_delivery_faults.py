"""What an event source does to stitch: parts that fail, poison, resharding, lanes side by side, throttles, hot keys."""

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import Any

import networkx as nx
import pytest

from infra.local.event_records import failed_identifiers
from onefold.domain.errors import Unavailable, VersionConflict
from onefold.domain.event import Event, EventBatch, fragment_key, partition_key
from onefold.domain.fragment import StoredFragment
from onefold.edge.batches import StreamRecord as Delivered
from onefold.edge.batches import batch_response
from onefold.use_cases.stitch import StreamRecord
from tests.fakes.events import NOON_MS, event
from tests.fakes.faults import World, check
from tests.fakes.stores import MemoryFragments
from tests.faults.baton import Killed
from tests.faults.event_sources import Chance, Entry, Lane
from tests.faults.histories import BLOCKED, read

SEEDS = range(20)
INVOCATIONS_MAX = 2_000
RETRIES_MAX = 10  # as the event-source mappings have it
ITEM_BYTES_MAX = 400_000
PEOPLE = tuple((f"user_id:u{number}", f"device_id:d{number}") for number in range(6))


class Fragments(MemoryFragments):
    """Fragments whose store refuses.

    Attributes:
        refused: Fragment key → how often its write is still refused, and why.
        is_throttled: Nothing is read or written.
        writes: How often each fragment was written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, list[Unavailable]] = {}
        self.is_throttled = False
        self.writes: Counter[str] = Counter()

    def load(self, keys: Collection[str]) -> dict[str, StoredFragment]:
        if self.is_throttled:
            raise Unavailable("throttled")
        return super().load(keys)

    def write(self, fragments: Sequence[StoredFragment]) -> Mapping[str, Unavailable]:
        outcome: dict[str, Unavailable] = {}
        for each in fragments:
            self.writes[each.key] += 1
            if self.refused.get(each.key):
                outcome[each.key] = self.refused[each.key].pop()
            else:
                outcome |= super().write([each])
        return outcome


class Source:
    """An event source of some lanes: what was delivered, and what it gave up."""

    def __init__(self, *, lanes: int = 1, batch_size: int = 8, retries_max: int = RETRIES_MAX, seed: int = 0) -> None:
        self.random = Random(seed)
        self.fragments = Fragments()
        self.world = World(fragments=self.fragments)
        self.given_up: list[Entry] = []
        self.deliveries: list[list[int]] = []
        self.before: Callable[[Sequence[Entry]], None] = lambda _entries: None
        self.after: Callable[[Sequence[Entry]], None] = lambda _entries: None
        self.lanes = [self.lane(batch_size, retries_max) for _ in range(lanes)]
        self.sequence = 0

    def lane(self, batch_size: int = 8, retries_max: int = RETRIES_MAX, parents: Collection[Lane] = ()) -> Lane:
        return Lane(
            "stitch",
            self.stitch,
            Chance(self.random, (), 0, 0),
            batch_size=batch_size,
            retries_max=retries_max,
            give_up=self.given_up.extend,
            parents=parents,
        )

    def put(self, events: Sequence[Event], lanes: Sequence[Lane] = ()) -> None:
        """Append one record an event, by its partition key."""
        lanes = lanes or self.lanes
        for each in events:
            self.sequence += self.random.choice([1, 9])  # 9 to 10 is where texts and numbers differ in order
            lane = lanes[zlib.crc32(partition_key(each).encode()) % len(lanes)]
            lane.records.append(Entry(self.sequence, EventBatch((each,))))

    def stitch(self, entries: Sequence[Entry]) -> list[int]:
        """The handler, and Lambda's reading of its answer."""
        self.deliveries.append([entry.sequence for entry in entries])
        self.before(entries)
        records = [StreamRecord(str(entry.sequence), entry.body) for entry in entries]  # type: ignore[arg-type]
        report = self.world.stitch(records)
        self.after(entries)
        delivered = [Delivered(record.sequence, "shard", "key", 0, b"") for record in records]
        answer = batch_response(report.failed, delivered=delivered)
        failed = failed_identifiers(answer, {record.sequence: int(record.sequence) for record in records})
        assert failed is not None, "Lambda would read the answer as if the whole batch had failed"
        return failed

    def run(self, *, invocations_max: int = INVOCATIONS_MAX) -> None:
        """Invoke lanes in any order until all are drained, or so many times."""
        for number in range(invocations_max):
            ready = [lane for lane in self.lanes if lane.is_ready]
            if not ready:
                assert all(lane.is_drained for lane in self.lanes), "a lane is stuck"
                return
            self.random.choice(ready).start(number).run()
        assert invocations_max < INVOCATIONS_MAX, "the backlog does not empty"


def digest(world: World) -> tuple[Any, ...]:
    """What must be the same in any order: the facts of each fragment, and who belongs to whom."""
    facts = {key: each.fragment.facts for key, each in world.fragments.all().items()}
    heads = sorted((sorted(head.identifiers), sorted(head.fragments)) for head in world.graph.live_heads())
    return facts, heads


def visits(count: int = 30, seed: int = 0) -> list[Event]:
    random = Random(f"visits {seed}")
    return [event(*random.choice(PEOPLE), at=NOON_MS + number) for number in range(count)]


@pytest.mark.parametrize("reason", [VersionConflict("raced"), Unavailable("throttled")], ids=["conflict", "throttle"])
def test_f13_a_failure_in_the_middle_brings_the_rest_again_and_counts_nothing_twice(reason: Unavailable) -> None:
    """One fragment of a batch is refused: Lambda starts again at its record, and those after it come a second time."""
    source, events = Source(batch_size=1_000), visits()
    source.put(events)
    lane = source.lanes[0]
    refused = str(fragment_key(events[10]))
    first = next(place for place, each in enumerate(events) if str(fragment_key(each)) == refused)
    source.fragments.refused[refused] = [reason]
    lane._sizes = [len(events)]  # one batch of everything

    lane.start(1).run()
    assert lane.position == first
    source.run()

    delivered = Counter(sequence for batch in source.deliveries for sequence in batch)
    again = {entry.sequence for entry in lane.records[first:]}
    assert {sequence for sequence, times in delivered.items() if times > 1} == again
    assert source.given_up == []
    check(source.world, events)


def carries(entries: Sequence[Entry], poison: Event) -> bool:
    return any(entry.body == EventBatch((poison,)) for entry in entries)


@pytest.mark.parametrize("is_after", [False, True], ids=["at once", "after its writes"])
@pytest.mark.parametrize("place", [0, 13, 29])
def test_f17_a_record_that_kills_the_process_is_set_aside_alone_and_can_be_sent_again(
    place: int, *, is_after: bool
) -> None:
    """Memory or a crash ends every invocation that sees the record: halved, tried, set aside, and later repaired."""
    source, events = Source(batch_size=16), visits()
    poison, is_cured = events[place], False

    def kill(entries: Sequence[Entry]) -> None:
        if carries(entries, poison) and not is_cured:
            raise Killed

    source.put(events)
    source.after, source.before = (kill, source.before) if is_after else (source.after, kill)
    source.run()

    assert [entry.body for entry in source.given_up] == [EventBatch((poison,))]
    stored = source.world.fragments.all()
    folded = sum(count.times for each in stored.values() for count in each.fragment.facts.counts.values())
    assert folded == len(events) - (not is_after)

    is_cured = True
    source.put([each for entry in source.given_up for each in entry.body.events])  # type: ignore[attr-defined]
    source.run()
    assert len(source.given_up) == 1
    check(source.world, events)


@pytest.mark.parametrize("seed", SEEDS)
def test_f19_a_shard_that_is_split_or_merged_during_traffic_changes_nothing(seed: int) -> None:
    """New shards are read when the old ones are drained, so a partition's records keep their order."""
    source, events = Source(lanes=1 + seed % 2, seed=seed), visits(40, seed)
    source.put(events[:20])
    source.run(invocations_max=2)
    parents = list(source.lanes)
    children = [source.lane(parents=parents) for _ in range(3 - len(parents))]  # one becomes two, two become one
    source.lanes += children
    source.put(events[20:30], children)
    source.run(invocations_max=3)
    source.put(events[30:], children)
    source.run()

    unhindered = Source()
    unhindered.put(events)
    unhindered.run()
    last_of_parents = max(entry.sequence for lane in parents for entry in lane.records)
    began = next(number for number, batch in enumerate(source.deliveries) if batch[0] > last_of_parents)
    assert all(max(batch) <= last_of_parents for batch in source.deliveries[:began])
    assert all(min(batch) > last_of_parents for batch in source.deliveries[began:])
    check(source.world, events)
    assert digest(source.world) == digest(unhindered.world)


@pytest.mark.parametrize("seed", SEEDS)
def test_f20_ten_lanes_side_by_side_keep_each_partition_in_order(seed: int) -> None:
    """The parallelization factor at its highest, lanes in any order, some batches failing: the same profiles."""
    source, events = Source(lanes=10, seed=seed), visits(60, seed)
    source.put(events)
    for each in source.random.sample(events, 3):
        source.fragments.refused[str(fragment_key(each))] = [Unavailable("throttled")]
    source.run()

    one = Source(lanes=1)
    one.put(events)
    one.run()
    check(source.world, events)
    assert digest(source.world) == digest(one.world)
    assert sum(bool(lane.records) for lane in source.lanes) > 1


@pytest.mark.parametrize("seed", SEEDS)
def test_f21_a_session_that_changes_its_partition_key_needs_no_order(seed: int) -> None:
    """A visitor logs in, so later events travel under other keys, and may overtake the earlier ones: I3 and I8 hold."""
    random = Random(seed)
    anonymous, person = "anonymous_id:a1", "user_id:u1"
    session = [
        *(event(anonymous, at=NOON_MS + number) for number in range(4)),
        event(anonymous, person, kind="identify", at=NOON_MS + 4, traits={"plan": "free"}),
        *(event(anonymous, person, at=NOON_MS + 5 + number) for number in range(4)),
        event(person, kind="identify", at=NOON_MS + 9, traits={"plan": "pro"}),
        *(event(person, "email:a@b.co", at=NOON_MS + 10 + number) for number in range(3)),
    ]
    assert len({partition_key(each) for each in session}) > 1
    shuffled = random.sample(session, len(session))
    source, ordered = Source(lanes=4, seed=seed), Source()
    source.put(shuffled)
    source.run()
    ordered.put(session)
    ordered.run()

    graph = nx.Graph()
    for each in session:
        nx.add_path(graph, [identifier.key for identifier in each.identifiers])
    (component,) = nx.connected_components(graph)
    (head,) = source.world.graph.live_heads()
    assert set(head.identifiers) == component
    check(source.world, session)
    assert digest(source.world) == digest(ordered.world), f"seed {seed}"


def test_f27_while_the_store_throttles_records_wait_and_afterwards_all_are_counted() -> None:
    """Nothing is passed over, quarantined or set aside: the iterator stands still, and drains when the store heals."""
    source, events = Source(batch_size=8), visits()
    source.put(events)
    source.fragments.is_throttled = True

    source.run(invocations_max=RETRIES_MAX - 1)

    assert source.lanes[0].position == 0
    assert (source.given_up, source.fragments.items) == ([], {})
    source.fragments.is_throttled = False
    source.run()
    assert source.given_up == []
    check(source.world, events)


def test_f30_a_hot_key_costs_one_write_a_batch_and_nobody_else_a_failure() -> None:
    """A bot is half of the traffic under one anonymous id: its events are folded together, its failures are its own."""
    random, source = Random(7), Source(batch_size=1_000)
    bot = [
        event(
            "anonymous_id:bot",
            name=random.randbytes(30).hex(),
            properties={random.randbytes(8).hex(): random.randbytes(100).hex()},
        )
        for _ in range(500)
    ]
    others = [event(f"anonymous_id:a{number}") for number in range(500)]
    mixed = random.sample([*bot, *others], 1_000)
    hot = str(fragment_key(bot[0]))
    records = [StreamRecord(str(number), EventBatch((each,))) for number, each in enumerate(mixed, 1)]

    source.fragments.refused[hot] = [VersionConflict("raced")]
    report = source.world.stitch(records)

    assert set(source.fragments.writes.values()) == {1}
    assert len(source.fragments.writes) == 501
    assert report.counts["folded"] == len(others)
    assert {mixed[int(sequence) - 1].identifiers for sequence in report.failed} == {bot[0].identifiers}
    assert source.world.stitch(records).failed == {}
    check(source.world, mixed)
    assert all(len(body) < ITEM_BYTES_MAX for _, body in source.fragments.items.values())


@pytest.mark.parametrize("name", BLOCKED)
def test_f30_a_value_on_the_block_list_writes_nothing(name: str) -> None:
    """What everybody sends identifies nobody: collect does not make an identifier of it."""
    assert read(name) is None
