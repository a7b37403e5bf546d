"""Stitch under whatever a stream and its stores may do: each event counts once."""

from collections.abc import Sequence

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.domain.event import Event, partition_key
from onefold.domain.facts import NOTHING, fold
from onefold.domain.profile import join_fragments
from onefold.use_cases.linking import live_head
from onefold.use_cases.stitch import StreamRecord
from tests.fakes.events import NOON_MS, event, records_of
from tests.fakes.faults import FAULTS, World, check
from tests.property.test_identity import CROWDED, FREE


@st.composite
def event_lists(draw: st.DrawFn, names: Sequence[str]) -> list[Event]:
    """Events of which some are sent twice, and some name nobody."""
    events = [
        event(
            *draw(st.lists(st.sampled_from(names), max_size=3, unique=True)),
            name=draw(st.sampled_from(["Product Viewed", "Order Completed"])),
            at=NOON_MS + number,
            properties={"order_id": f"o{draw(st.integers(0, 4))}", "total": draw(st.integers(0, 9)), "currency": "EUR"},
        )
        for number in range(draw(st.integers(1, 14)))
    ]
    for repeated in draw(st.lists(st.sampled_from(events), max_size=4)):
        events.insert(draw(st.integers(events.index(repeated), len(events))), repeated)
    return events


def stream(events: Sequence[Event]) -> list[StreamRecord]:
    """The records in an order that keeps each partition's own."""
    return records_of(sorted(events, key=partition_key)) if len(events) % 2 else records_of(events)


faults = st.dictionaries(st.integers(0, 60), st.sampled_from(FAULTS), max_size=6)


@settings(max_examples=300)
@given(event_lists(CROWDED), faults, st.integers(1, 8))
def test_each_event_counts_once_whatever_fails(events: list[Event], live: dict[int, str], size: int) -> None:
    world = World(faults=dict(live))  # type: ignore[arg-type]

    world.deliver(stream(events), size=size)

    check(world, events)


@given(event_lists(CROWDED), st.integers(1, 8), st.integers(0, 13))
def test_f12_a_stream_that_is_read_again_changes_nothing(events: list[Event], size: int, begin: int) -> None:
    """Whole batches are delivered again: the stored bytes stay the same."""
    world, records = World(), stream(events)
    world.deliver(records, size=size)
    fragments, heads = world.fragments.items.copy(), world.graph.stored_heads.copy()

    report = world.stitch(records[begin:])

    assert report.failed == {}
    assert world.fragments.items == fragments
    assert world.graph.stored_heads == heads


@given(event_lists(FREE), faults, st.integers(1, 8))
def test_profiles_are_the_connected_components_and_hold_all_that_their_people_did(
    events: list[Event], live: dict[int, str], size: int
) -> None:
    oracle = nx.Graph()
    for each in events:
        nx.add_path(oracle, [identifier.key for identifier in each.identifiers])
    world = World(faults=dict(live))  # type: ignore[arg-type]

    world.deliver(stream(events), size=size)

    stored = world.fragments.all()
    once = list({each.message_id: each for each in events}.values())
    for component in nx.connected_components(oracle):
        heads = {
            head.profile_id: head
            for key in component
            if (head := live_head(world.graph.stored_heads, world.graph.identities[key]))
        }
        (head,) = heads.values()
        assert set(head.identifiers) == component
        theirs = [each for each in once if each.identifiers and each.identifiers[0].key in component]
        profile = join_fragments(head, [stored[key].fragment for key in head.fragments])
        assert profile.facts == fold(NOTHING, theirs)


def test_events_that_name_nobody_are_counted_as_unresolved_and_found_no_profile() -> None:
    world = World()

    report = world.stitch(records_of([event(), event("user_id:u1")]))

    assert (report.counts["events"], report.counts["unresolved"], report.counts["created"]) == (2, 1, 1)
    assert len(world.graph.live_heads()) == 1


@pytest.mark.parametrize("count", [255, 256, 257, 600])
def test_a_repeat_is_found_among_the_last_256_messages(count: int) -> None:
    events = [event("user_id:u1", at=NOON_MS + number) for number in range(count)]
    world = World()
    world.deliver(records_of(events))

    report = world.stitch(records_of([events[0], events[-1]], start=10_000))

    assert report.counts["repeats"] == (2 if count <= 256 else 1)
