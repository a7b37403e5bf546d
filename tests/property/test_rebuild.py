"""Rebuild equals live: what the history alone gives, held against what the stream made of the same records."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.event_history import DuckDbHistory
from onefold.adapters.lake_rows import INSTANTS, event_of_row
from onefold.adapters.memory_graph import MemoryGraph
from onefold.adapters.s3_lake import event_table
from onefold.domain.decision import Decision
from onefold.domain.event import Event, parts
from onefold.domain.fragment import Fragment
from onefold.domain.head import Head
from onefold.domain.identifier import Identifier
from onefold.domain.identity_rules import DEFAULT_RULES, DeclaredRules, build_rules
from onefold.domain.profile import join_fragments, profile_document
from onefold.use_cases.archive import ArchivedEvent
from onefold.use_cases.linking import Candidate
from onefold.use_cases.rebuild import in_order_of_time, light, rebuild_fragments, replay
from onefold.use_cases.stitch import StreamRecord
from tests.fakes.events import NOON_MS, event, identifier, key_of, record
from tests.fakes.faults import World
from tests.fakes.history import MemoryHistory, archived_events, bases_of, write_lake
from tests.faults.histories import random_history
from tests.faults.invariants import ARRIVAL, _bare

MS = st.integers(0, 4_000_000_000_000)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
JSON = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT, max_size=3).map(
    msgspec.json.encode
)
IDENTIFIERS = st.builds(Identifier, TEXT, TEXT, TEXT, st.integers(0, 1_000), st.integers(0, 3))
EVENTS = st.builds(
    Event,
    message_id=TEXT,
    kind=st.sampled_from(["track", "identify", "page", "screen", "group", "alias"]),
    name=TEXT,
    source=TEXT,
    identifiers=st.lists(IDENTIFIERS, max_size=3).map(tuple),
    at=MS,
    received_at=MS,
    sent_at=st.none() | MS,
    original_at=st.none() | MS,
    clock=st.sampled_from(["as_sent", "corrected", "clamped", "received"]),
    traits=JSON,
    properties=JSON,
    context=JSON,
    consent=st.dictionaries(TEXT, st.booleans(), max_size=3),
    violations=st.lists(TEXT, max_size=3).map(tuple),
    previous=st.lists(IDENTIFIERS, max_size=2).map(tuple),
    account=st.none() | IDENTIFIERS,
)


def rows_of(archived: Sequence[ArchivedEvent]) -> list[dict[str, Any]]:
    """The rows of a file, with instants as whole numbers."""
    table = event_table(archived)
    for name in INSTANTS:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table.column(place).cast("int64"))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


@settings(deadline=None)  # the first example loads pyarrow
@given(st.lists(EVENTS, max_size=4))
def test_an_event_comes_back_from_the_lake_as_it_was(events: list[Event]) -> None:
    rows = rows_of([ArchivedEvent(each, str(number), number) for number, each in enumerate(events)])

    assert [event_of_row(row) for row in rows] == events


def test_what_an_identifier_is_comes_from_the_rules_where_the_lake_does_not_say() -> None:
    sent = event("user_id:u1", "anonymous_id:a1")
    (row,) = rows_of([ArchivedEvent(sent, "1")])
    old = {name: value for name, value in row.items() if not name.startswith("identifier_")}

    assert event_of_row(old) == sent


def histories(seed: int) -> tuple[list[StreamRecord], Any]:
    """Records with repeats, in the order of the stream, with sequence numbers of one and two digits."""
    random = Random(f"rebuild {seed}")
    history = random_history(random, with_repeats=True)
    records = [StreamRecord(str(number), batch) for number, batch in enumerate(history.records, start=5)]
    return records, history


def documents(heads: Sequence[Head], fragments: dict[str, Fragment]) -> dict[str, bytes]:
    return {
        head.profile_id: msgspec.json.encode(
            profile_document(join_fragments(head, [fragments[key] for key in head.fragments if key in fragments]))
        )
        for head in heads
    }


def check_fragments(live: dict[str, Any], history: Any) -> dict[str, Fragment]:
    """Fragments are the same down to the ring, but for what linking has settled."""
    rebuilt = {each.key: each for each in rebuild_fragments(history)}
    assert rebuilt.keys() == live.keys()
    for key, each in rebuilt.items():
        stored = live[key]
        assert each.cursor == stored.cursor
        assert each.fragment == msgspec.structs.replace(stored.fragment, known={})
    return {key: each.fragment for key, each in rebuilt.items()}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_rebuilt_fragments_are_those_of_the_stream_however_it_was_batched_and_redelivered(seed: int, size: int) -> None:
    records, _ = histories(seed)
    world = World(faults={Random(seed).randint(0, 20): "unavailable after", Random(seed).randint(0, 40): "crash after"})
    world.deliver(records, size=size)
    once = MemoryHistory(archived_events(records))

    fragments = check_fragments(world.fragments.all(), once)

    live = {key: stored.fragment for key, stored in world.fragments.all().items()}
    heads = world.graph.live_heads()
    assert documents(heads, fragments) == documents(heads, live)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_events_in_the_order_of_the_stream_give_the_same_graph(seed: int) -> None:
    """Limits, shared devices and all: the same order gives the same profiles, ids and links, whatever the rules."""
    records, history = histories(seed)
    records = [record(number, each) for number, each in enumerate(_events(records), start=5)]
    world = World(rules=history.rules)
    world.deliver(records, size=1)
    rebuilt = MemoryGraph()
    candidates = [
        Candidate(key, part)
        for delivered, _, _ in MemoryHistory(archived_events(records)).delivered
        for key, part in parts(delivered)
    ]

    replay(candidates, rebuilt, history.rules)

    assert rebuilt.identities == world.graph.identities
    assert _bare(rebuilt.stored_heads) == _bare(world.graph.stored_heads)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_where_no_rule_interferes_the_lakes_own_order_gives_the_same_profiles(seed: int) -> None:
    """The lake knows when an event was received, not when it was linked: ids may differ by that, facts may not."""
    random = Random(f"rebuild {seed}")
    history = next(each for each in iter(lambda: random_history(random, with_repeats=True), None) if each.is_free)
    records = [StreamRecord(str(number), batch) for number, batch in enumerate(history.records, start=5)]
    world = World(rules=history.rules)
    world.deliver(records, size=3)
    archived = MemoryHistory(archived_events(records))
    rebuilt = MemoryGraph()

    replay(in_order_of_time(archived.candidates(history.rules), []), rebuilt, history.rules)

    fragments = {each.key: each.fragment for each in rebuild_fragments(archived)}
    live = {key: stored.fragment for key, stored in world.fragments.all().items()}
    assert comparable(rebuilt.live_heads(), fragments) == comparable(world.graph.live_heads(), live)


def comparable(heads: Sequence[Head], fragments: dict[str, Fragment]) -> list[bytes]:
    """Profiles as bytes, without what the order of arrival decides."""
    found = []
    for document in documents(heads, fragments).values():
        read = msgspec.json.decode(document)
        rest = {name: value for name, value in read.items() if name not in ARRIVAL}
        rest["identifiers"] = [(each["type"], each["value"]) for each in read["identifiers"]]
        found.append(msgspec.json.encode(rest))
    return sorted(found)


def test_a_decision_counts_at_its_time_and_one_that_fits_no_more_is_passed_over() -> None:
    u1, a1 = key_of("user_id:u1"), key_of("anonymous_id:a1")
    before = event("user_id:u1", "anonymous_id:a1", at=NOON_MS)
    after = event("user_id:u1", "anonymous_id:a1", at=NOON_MS + 10)
    archived = MemoryHistory(archived_events([record(1, before), record(2, after)]))
    split = Decision("d1", "split", NOON_MS + 5, "tests", u1, a1)
    unknown = Decision("d2", "detach", NOON_MS + 6, "tests", key_of("user_id:u9"))
    graph = MemoryGraph()

    counts = replay(in_order_of_time(archived.candidates(DEFAULT_RULES), [unknown, split]), graph, DEFAULT_RULES)

    assert counts == {"candidates": 2, "linked": 1, "decisions": 1, "passed_over": 1}
    assert graph.identities[u1] != graph.identities[a1]
    assert "d1" in graph.records


def test_a_huge_fragment_is_folded_in_portions_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record(number, event("user_id:u1", "anonymous_id:a1")) for number in range(1, 40)]
    archived = MemoryHistory(archived_events([*records, *records[:3]]))
    (whole,) = rebuild_fragments(archived)
    monkeypatch.setattr("onefold.use_cases.rebuild.EVENTS_PER_FOLD", 7)

    (portioned,) = rebuild_fragments(archived)

    assert portioned == whole


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_the_history_on_disk_is_the_history_in_memory(seed: int) -> None:
    """Two files, of which the second repeats a part of the first as an archive does whose batch came again."""
    records, history = histories(seed)
    archived = archived_events(records)
    group = event("user_id:u0", kind="group", account=identifier("group_id:acme"))
    archived += [ArchivedEvent(group, "999"), ArchivedEvent(group, "1000")]
    expected = MemoryHistory(archived)
    keys = [key for key, _ in expected.fragments()]
    naming = {key_of("user_id:u0"), key_of("email:e0@b.co")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        write_lake(folder / "lake", archived, name="a")
        write_lake(folder / "lake", archived[len(archived) // 2 :], name="b")
        with closing(DuckDbHistory(folder / "lake", folder / "work", DEFAULT_RULES)) as found:
            assert [(key, list(group)) for key, group in found.fragments()] == [
                (key, list(group)) for key, group in expected.fragments()
            ]
            bases = bases_of(keys[:2])
            assert [key for key, _ in found.fragments(bases)] == [key for key, _ in expected.fragments(bases)]
            assert found.newest_at == expected.newest_at
            assert found.unknown_fragments([*keys, "x|y"]) == {"x|y"}
            messages = {(each.event.source, each.event.message_id) for each in archived}
            assert found.unknown_messages({*messages, ("web", "?")}) == {("web", "?")}
            last = build_rules(DeclaredRules(shared_devices="last"))
            for wanted in (None, naming):
                assert list(found.candidates(last, wanted)) == [
                    Candidate(each.fragment, light(each.event)) for each in expected.candidates(last, wanted)
                ]
            reduced, whole = MemoryGraph(), MemoryGraph()
            replay(found.candidates(history.rules), reduced, history.rules)
            replay(expected.candidates(history.rules), whole, history.rules)
            assert reduced.stored_heads == whole.stored_heads


def _events(records: Sequence[StreamRecord]) -> list[Event]:
    return [each for record in records for each in record.batch.events]
