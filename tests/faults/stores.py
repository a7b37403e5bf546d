"""The stores as a function sees them: each call may be preceded by others, fail, or see half of what was written."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from onefold.domain.decision import DecisionRecord
from onefold.domain.errors import Unavailable
from onefold.domain.fragment import StoredFragment
from onefold.domain.head import Head
from onefold.domain.identity import GraphChanges, LimitReached
from onefold.use_cases.activate import HeadChange, Transition
from onefold.use_cases.linking import live_head
from onefold.use_cases.stitch import TimelineBatch

if TYPE_CHECKING:
    from tests.faults.river import River

Value = TypeVar("Value")


def _read(
    river: "River", name: str, keys: Collection[str], read: Callable[[Collection[str]], dict[str, Value]]
) -> dict[str, Value]:
    """A batched read is one of each key and not of one moment: now and then somebody writes in between."""
    ordered = sorted(keys)  # a set's order differs from run to run
    if len(ordered) > 1 and river.random.random() < 0.3:
        middle = river.random.randint(1, len(ordered) - 1)
        found = river.call(name, lambda: read(ordered[:middle]))
        return found | river.call(name, lambda: read(ordered[middle:]))
    return river.call(name, lambda: read(ordered))


@dataclass
class Fragments:
    river: "River"

    def load(self, keys: Collection[str]) -> dict[str, StoredFragment]:
        return _read(self.river, "load fragments", keys, self.river.fragments.load)

    def write(self, fragments: Sequence[StoredFragment]) -> Mapping[str, Unavailable]:
        """Each fragment is a call of its own, as it is in DynamoDB."""
        refused: dict[str, Unavailable] = {}
        for each in fragments:
            try:
                refused |= self.river.call("write fragment", lambda each=each: self._write(each))  # type: ignore[misc]
            except Unavailable as error:
                refused[each.key] = error
        return refused

    def _write(self, stored: StoredFragment) -> Mapping[str, Unavailable]:
        refused = self.river.fragments.write([stored])
        if not refused:
            self.river.fragment_changed(stored.key)
        return refused


@dataclass
class Graph:
    river: "River"

    def owners(self, keys: Collection[str]) -> dict[str, str]:
        return _read(self.river, "read owners", keys, self.river.graph.owners)

    def heads(self, profile_ids: Collection[str]) -> dict[str, Head]:
        return _read(self.river, "read heads", profile_ids, self.river.graph.heads)

    def decision(self, decision_id: str) -> DecisionRecord | None:
        return self.river.call("read decision", lambda: self.river.graph.decision(decision_id))

    def commit(self, changes: GraphChanges, record: DecisionRecord | None = None) -> None:
        self.river.call("commit", lambda: self._commit(changes, record))

    def write(self, head: Head) -> None:
        self.river.call("write head", lambda: self._commit(GraphChanges((head,), {})))

    def _commit(self, changes: GraphChanges, record: DecisionRecord | None = None) -> None:
        graph = self.river.graph
        before = {head.profile_id: graph.stored_heads.get(head.profile_id) for head in changes.heads}
        graph.commit(changes, record)
        added = getattr(changes, "added", None)
        if added:
            self.river.linked.append(added)
        if record is not None:
            self.river.linked.append(record.decision)
        for head in graph.live_heads():
            led = [live_head(graph.stored_heads, graph.identities[key]) for key in head.identifiers]
            assert all(each is head for each in led), "an identifier has two owners, or none"
        for profile_id, old in before.items():
            self.river.head_changed(HeadChange(old, graph.stored_heads[profile_id], self.river.now_ms))


@dataclass
class Findings:
    river: "River"

    def publish(self, findings: Sequence[LimitReached]) -> None:
        self.river.call("tell findings", lambda: self.river.findings.extend(findings))


@dataclass
class Timeline:
    river: "River"

    def append(self, batches: Sequence[TimelineBatch]) -> None:
        """Every item is a call of its own: a batched write may stop in the middle."""
        for batch in batches:
            self.river.call("append", lambda batch=batch: self.river.timeline.append([batch]))  # type: ignore[misc]


@dataclass
class Bus:
    river: "River"

    def publish(self, transitions: Sequence[Transition]) -> None:
        """The bus takes some of a request and refuses others."""
        for each in transitions:
            self.river.call("publish", lambda each=each: self.river.published.append(each))  # type: ignore[misc]
