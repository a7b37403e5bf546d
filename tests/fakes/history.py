"""The history as plain lists: what was archived, sorted and told apart by loops."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from onefold.adapters.s3_lake import event_table
from onefold.domain.event import Event, FragmentKey, parts
from onefold.domain.head import Head
from onefold.domain.identity_rules import IdentityRules
from onefold.use_cases.archive import ArchivedEvent
from onefold.use_cases.linking import Candidate
from onefold.use_cases.rebuild import Delivered
from onefold.use_cases.reconcile_fragments import chunks
from onefold.use_cases.stitch import StreamRecord
from tests.fakes.stores import MemoryFragments, MemoryGraph


class MemoryHistory:
    def __init__(self, archived: Iterable[ArchivedEvent]) -> None:
        once = {
            (int(each.sequence), each.position, each.event.source, each.event.message_id): each for each in archived
        }
        self.archived = [once[place] for place in sorted(once)]
        seen: set[tuple[str, str]] = set()
        self.delivered: list[tuple[Event, str, bool]] = []
        for each in self.archived:
            message = (each.event.source, each.event.message_id)
            self.delivered.append((each.event, each.sequence, message in seen))
            seen.add(message)

    @property
    def newest_at(self) -> int:
        return max((event.received_at for event, _, _ in self.delivered), default=0)

    def fragments(self, bases: Collection[str] | None = None) -> Iterator[tuple[str, Iterator[Delivered]]]:
        found: dict[str, list[Delivered]] = {}
        for event, sequence, is_repeat in self.delivered:
            for key, part in parts(event):
                if bases is None or key.base in bases:
                    found.setdefault(str(key), []).append(Delivered(part, sequence, is_repeat))
        return ((key, iter(found[key])) for key in sorted(found))

    def candidates(self, rules: IdentityRules, naming: Collection[str] | None = None) -> Iterator[Candidate]:
        in_order = sorted(self.delivered, key=lambda each: each[0].received_at)
        for event, _, is_repeat in in_order:
            named = {each.key for each in (*event.identifiers, *event.previous)}
            named |= {event.account.key} if event.account else set()
            if not is_repeat and (naming is None or named & set(naming)):
                for key, part in parts(event):
                    yield Candidate(key, part)

    def unknown_fragments(self, keys: Collection[str]) -> set[str]:
        return set(keys) - {str(key) for event, _, _ in self.delivered for key, _ in parts(event)}

    def unknown_messages(self, messages: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        return set(messages) - {(event.source, event.message_id) for event, _, _ in self.delivered}


def archived_events(records: Iterable[StreamRecord]) -> list[ArchivedEvent]:
    """What archive writes of records."""
    return [
        ArchivedEvent(event, record.sequence, position)
        for record in records
        for position, event in enumerate(record.batch.events)
    ]


def write_lake(folder: Path, archived: Iterable[ArchivedEvent], *, name: str = "shard-1-2") -> None:
    """A file as archive writes it."""
    import pyarrow.parquet as pq

    place = folder / "raw" / "dt=2025-06-15" / "hour=12"
    place.mkdir(parents=True, exist_ok=True)
    pq.write_table(event_table(list(archived)), place / f"{name}.parquet")


def bases_of(keys: Iterable[str]) -> set[str]:
    return {FragmentKey.parse(key).base for key in keys}


class MemoryTables:
    """The stores in memory from end to end, two items a page."""

    def __init__(self, fragments: MemoryFragments, graph: MemoryGraph) -> None:
        self._fragments, self._graph = fragments, graph

    def fragment_keys(self) -> Iterator[list[str]]:
        yield from chunks(sorted(self._fragments.items), 2)

    def heads(self) -> Iterator[list[Head]]:
        yield from chunks(list(self._graph.stored_heads.values()), 2)

    def identities(self) -> Iterator[dict[str, str]]:
        for keys in chunks(sorted(self._graph.identities), 2):
            yield {key: self._graph.identities[key] for key in keys}
