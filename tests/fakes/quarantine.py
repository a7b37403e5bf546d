"""Marks, the quarantine and the history in memory, over what a lake in memory holds."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock

from onefold.domain.errors import Unavailable, VersionConflict
from onefold.domain.event import Refusal, fragment_key
from onefold.domain.quarantine import Entry, Mark, entry_digest
from onefold.domain.source import Source
from onefold.use_cases.quarantine import Selection
from onefold.use_cases.trace import Arrival
from tests.fakes.stores import MemoryLake


class MemoryMarks:
    """Marks whose tag is a number; `broken_at` names the calls of `store` that fail, before or after they wrote."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.marks: dict[str, tuple[Mark, str]] = {}
        self.stores = 0
        self.broken_before: set[int] = set()
        self.broken_after: set[int] = set()

    def load(self, name: str) -> tuple[Mark, str] | None:
        with self._lock:
            return self.marks.get(name)

    def store(self, name: str, mark: Mark, *, after: str) -> str:
        with self._lock:
            self.stores += 1
            if self.stores in self.broken_before:
                raise Unavailable("the marks are broken")
            if self.marks.get(name, (None, ""))[1] != after:
                raise VersionConflict("somebody was faster")
            self.marks[name] = (mark, str(self.stores))
            if self.stores in self.broken_after:
                raise Unavailable("the answer was lost")
            return str(self.stores)


class MemoryQuarantine:
    """The refusals of a lake in memory, each with its bytes once."""

    def __init__(self, lake: MemoryLake) -> None:
        self._lake = lake

    def entries(self) -> dict[str, Entry]:
        copies: dict[str, list[Refusal]] = {}
        for refusals in self._lake.refusals.values():
            for refusal in refusals:
                copies.setdefault(entry_digest(refusal.source, refusal.message_id, refusal.body), []).append(refusal)
        return {entry.entry_id: entry for digest, found in copies.items() for entry in _entries(digest, found)}

    def find(self, selection: Selection) -> Sequence[Entry]:
        found = sorted(self.entries().values(), key=lambda entry: (-entry.received_at, entry.digest))
        return [entry for entry in found if not selection.message_id or entry.message_id == selection.message_id]

    def load(self, entry_ids: Collection[str]) -> Mapping[str, Entry]:
        return {entry_id: entry for entry_id, entry in self.entries().items() if entry_id in entry_ids}


def _entries(digest: str, copies: Sequence[Refusal]) -> Iterator[Entry]:
    first = min(copies, key=lambda copy: copy.received_at)
    day = datetime.fromtimestamp(first.received_at / 1_000, UTC).strftime("%Y-%m-%d")
    yield Entry(
        f"{day}-{digest}",
        first.message_id,
        first.source,
        first.reason,
        first.detail,
        first.component,
        first.version,
        first.received_at,
        max(copy.received_at for copy in copies),
        len(copies),
        first.body,
        first.envelope,
        "memory",
    )


class MemoryHistory:
    """What a lake in memory says of a message."""

    def __init__(self, lake: MemoryLake) -> None:
        self._lake = lake

    def arrivals(self, message_id: str, source: str, days: int) -> Sequence[Arrival]:
        found: dict[tuple[str, str], Arrival] = {}
        for name, archived in self._lake.events.items():
            for each in archived:
                event = each.event
                if event.message_id != message_id or source not in {"", event.source}:
                    continue
                earlier = found.get((event.source, each.sequence))
                paths = (*(earlier.paths if earlier else ()), name)
                found[event.source, each.sequence] = Arrival(
                    event.source,
                    each.sequence,
                    event.kind,
                    event.name,
                    str(fragment_key(event) or ""),
                    event.at,
                    event.received_at,
                    event.clock,
                    event.violations,
                    "2025-06-15",
                    "15",
                    paths,
                )
        return [found[place] for place in sorted(found, key=lambda place: (place[0], int(place[1])))]

    def refused(self, message_id: str, source: str, days: int) -> Sequence[Entry]:
        found = MemoryQuarantine(self._lake).entries().values()
        return [entry for entry in found if entry.message_id == message_id and source in {"", entry.source}]


class SourcesOf:
    """Declared sources by name, and by write key."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources

    def named(self, name: str) -> Source | None:
        return next((source for source in self._sources if source.name == name), None)

    def find(self, write_key: str) -> Source | None:
        return next((source for source in self._sources if source.write_key == write_key), None)
