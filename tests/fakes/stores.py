"""Stores in memory that keep the promises of the real ones; the integration suite holds both to them."""

from collections.abc import Collection, Mapping, Sequence
from threading import Lock

import msgspec

from onefold.adapters.compression import pack, unpack
from onefold.adapters.memory_graph import MemoryGraph as MemoryGraph  # noqa: PLC0414 - part of what is here
from onefold.domain.errors import Unavailable, VersionConflict
from onefold.domain.event import Event, Refusal
from onefold.domain.fragment import StoredFragment
from onefold.domain.timeline import newest
from onefold.use_cases.activate import Transition
from onefold.use_cases.archive import ArchivedEvent
from onefold.use_cases.stitch import TimelineBatch


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
