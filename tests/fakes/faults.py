"""Stores that fail at the calls they are told to, and the checks of what must hold however they failed."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from onefold.domain.errors import Unavailable
from onefold.domain.event import Event, FragmentKey, fragment_key
from onefold.domain.fragment import StoredFragment
from onefold.domain.head import Head
from onefold.domain.identity import GraphChanges
from onefold.domain.identity_rules import DEFAULT_RULES, IdentityRules
from onefold.use_cases.linking import live_head
from onefold.use_cases.stitch import StitchReport, StreamRecord, TimelineBatch, stitch
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryTimeline

Result = TypeVar("Result")
# Whether the store or the whole process fails, and whether the call had its effect by then.
Fault = Literal["unavailable before", "unavailable after", "crash before", "crash after"]
FAULTS: tuple[Fault, ...] = ("unavailable before", "unavailable after", "crash before", "crash after")


class Crash(Exception):  # noqa: N818 - the process is gone, nobody handles it
    """The function was killed."""


@dataclass
class World:
    """All stores, behind a count of the calls to them.

    Attributes:
        faults: Call number, from 0 → what goes wrong there.
        interruptions: Call number → what others do just before it.
    """

    fragments: MemoryFragments = field(default_factory=MemoryFragments)
    graph: MemoryGraph = field(default_factory=MemoryGraph)
    timeline: MemoryTimeline = field(default_factory=MemoryTimeline)
    faults: dict[int, Fault] = field(default_factory=dict)
    interruptions: dict[int, Callable[[], object]] = field(default_factory=dict)
    rules: IdentityRules = DEFAULT_RULES
    calls: int = 0

    def stitch(self, records: Sequence[StreamRecord]) -> StitchReport:
        return stitch(records, _Fragments(self), _Graph(self), _Timeline(self), rules=self.rules)

    def call(self, call: Callable[[], Result]) -> Result:
        number, self.calls = self.calls, self.calls + 1
        self.interruptions.pop(number, lambda: None)()
        fault = self.faults.pop(number, None)
        if fault is None:
            return call()
        if fault.endswith("after"):
            call()
        raise Crash if fault.startswith("crash") else Unavailable(fault)

    def deliver(self, records: Sequence[StreamRecord], *, size: int = 100, attempts_max: int = 50) -> None:
        """What Lambda does: batches in order, and after a failure again from the lowest record that failed."""
        position = 0
        for _ in range(attempts_max):
            if position >= len(records):
                return
            batch = records[position : position + size]
            try:
                failed = self.stitch(batch).failed
            except (Unavailable, Crash):
                continue
            kept = [number for number, each in enumerate(batch) if each.sequence in failed]
            position += kept[0] if kept else len(batch)
        raise AssertionError("The batch never got through")


@dataclass
class _Fragments:
    world: World

    def load(self, keys: Collection[str]) -> dict[str, StoredFragment]:
        return self.world.call(lambda: self.world.fragments.load(keys))

    def write(self, fragments: Sequence[StoredFragment]) -> Mapping[str, Unavailable]:
        """Each fragment is a call of its own, as it is in DynamoDB."""
        refused: dict[str, Unavailable] = {}
        for each in fragments:
            try:
                refused |= self.world.call(lambda each=each: self.world.fragments.write([each]))  # type: ignore[misc]
            except Unavailable as error:
                refused[each.key] = error
        return refused


@dataclass
class _Graph:
    world: World

    def owners(self, keys: Collection[str]) -> dict[str, str]:
        return self.world.call(lambda: self.world.graph.owners(keys))

    def heads(self, profile_ids: Collection[str]) -> dict[str, Head]:
        return self.world.call(lambda: self.world.graph.heads(profile_ids))

    def commit(self, changes: GraphChanges) -> None:
        self.world.call(lambda: self.world.graph.commit(changes))


@dataclass
class _Timeline:
    world: World

    def append(self, batches: Sequence[TimelineBatch]) -> None:
        """Every item is a call of its own: a batched write may stop in the middle."""
        for batch in batches:
            self.world.call(lambda batch=batch: self.world.timeline.append([batch]))  # type: ignore[misc]


def check(world: World, events: Iterable[Event]) -> None:
    """Each event of `events` counts once, each fragment is in one profile, each identifier leads to one that has it."""
    once = {(each.source, each.message_id): each for each in events}
    sent: Counter[str] = Counter()
    for each in once.values():
        key = fragment_key(each)
        if key is not None:
            sent[str(key)] += 1
    stored = world.fragments.all()
    assert {
        key: sum(count.times for count in each.fragment.facts.counts.values()) for key, each in stored.items()
    } == dict(sent)
    heads = world.graph.live_heads()
    assert sorted(fragment for head in heads for fragment in head.fragments) == sorted(sent)
    assert sorted(key for head in heads for key in head.identifiers) == sorted(world.graph.identities)
    for head in heads:
        for base in [*head.identifiers, *(FragmentKey.parse(fragment).base for fragment in head.fragments)]:
            assert live_head(world.graph.stored_heads, world.graph.identities[base]) is head
    shown = world.timeline.read(list(sent), 10_000)
    assert len(shown) == sent.total()
