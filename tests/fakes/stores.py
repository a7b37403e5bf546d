"""Stores in memory that keep the promises of the real ones; the integration suite holds both to them."""

from collections.abc import Collection, Mapping, Sequence
from threading import Lock

import msgspec

from onefold.adapters.compression import pack, unpack
from onefold.domain.errors import Unavailable, VersionConflict
from onefold.domain.event import Event, Refusal
from onefold.domain.fragment import StoredFragment
from onefold.domain.head import Head
from onefold.domain.identity import GraphChanges
from onefold.domain.timeline import newest
from onefold.use_cases.activate import Transition
from onefold.use_cases.archive import ArchivedEvent
from onefold.use_cases.stitch import TimelineBatch

CHANGES_MAX = 100


class MemoryFragments:
    """Fragments as packed bytes, so that a benchmark pays for what a real store makes it pay."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.items: dict[str, tuple[int, bytes]] = {}

    def load(self, keys: Collection[str]) -> dict[str, StoredFragment]:
        with self._lock:
            found = {key: self.items[key][1] for key in keys if key in self.items}
        return {key: unpack(body, StoredFragment) for key, body in found.items()}

    def write(self, fragments: Sequence[StoredFragment]) -> Mapping[str, Unavailable]:
        refused: dict[str, Unavailable] = {}
        for stored in fragments:
            body = pack(msgspec.structs.replace(stored, version=stored.version + 1))
            with self._lock:
                if self.items.get(stored.key, (0, b""))[0] == stored.version:
                    self.items[stored.key] = (stored.version + 1, body)
                else:
                    refused[stored.key] = VersionConflict("Another writer changed the fragment")
        return refused

    def all(self) -> dict[str, StoredFragment]:
        return self.load(list(self.items))


class MemoryGraph:
    def __init__(self) -> None:
        self._lock = Lock()
        self.identities: dict[str, str] = {}
        self.stored_heads: dict[str, Head] = {}

    def owners(self, keys: Collection[str]) -> dict[str, str]:
        with self._lock:
            return {key: self.identities[key] for key in keys if key in self.identities}

    def heads(self, profile_ids: Collection[str]) -> dict[str, Head]:
        with self._lock:
            return {each: self.stored_heads[each] for each in profile_ids if each in self.stored_heads}

    def write(self, head: Head) -> None:
        self.commit(GraphChanges((head,), {}))

    def commit(self, changes: GraphChanges) -> None:
        if len(changes) > CHANGES_MAX:
            raise ValueError("Too many changes for one transaction")
        with self._lock:
            stale = [head for head in changes.heads if self._version(head.profile_id) != head.version]
            lost = [key for key, change in changes.identities.items() if self.identities.get(key) != change.expected]
            if stale or lost:
                raise VersionConflict("Another writer changed a profile")
            for head in changes.heads:
                self.stored_heads[head.profile_id] = msgspec.structs.replace(head, version=head.version + 1)
            self.identities.update({key: change.profile_id for key, change in changes.identities.items()})

    def _version(self, profile_id: str) -> int:
        head = self.stored_heads.get(profile_id)
        return 0 if head is None else head.version

    def live_heads(self) -> list[Head]:
        return [head for head in self.stored_heads.values() if not head.merged_into]


class MemoryTimeline:
    def __init__(self) -> None:
        self.items: dict[tuple[str, int], bytes] = {}

    def append(self, batches: Sequence[TimelineBatch]) -> None:
        self.items.update({(batch.fragment_key, int(batch.sequence)): pack(batch.events) for batch in batches})

    def read(self, fragment_keys: Collection[str], limit: int) -> list[Event]:
        wanted = [self.items[place] for place in sorted(self.items, reverse=True) if place[0] in fragment_keys]
        return newest((event for body in wanted for event in unpack(body, tuple[Event, ...])), limit)

    def holds(self, fragment_key: str, source: str, message_id: str, *, from_sequence: str) -> bool:
        later = [body for (key, at), body in self.items.items() if key == fragment_key and at >= int(from_sequence)]
        events = (event for body in later for event in unpack(body, tuple[Event, ...]))
        return any((event.source, event.message_id) == (source, message_id) for event in events)


class MemoryLake:
    def __init__(self) -> None:
        self.events: dict[str, list[ArchivedEvent]] = {}
        self.refusals: dict[str, list[Refusal]] = {}

    def write_events(self, events: Sequence[ArchivedEvent], name: str) -> None:
        self.events[name] = list(events)

    def write_refusals(self, refusals: Sequence[Refusal], name: str) -> None:
        self.refusals[name] = list(refusals)


class MemoryBus:
    def __init__(self) -> None:
        self.published: list[Transition] = []

    def publish(self, transitions: Sequence[Transition]) -> None:
        self.published.extend(transitions)
