"""The laws of identity resolution, over random events; networkx is the oracle where no limit interferes."""

from collections.abc import Sequence

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.domain.event import Event, FragmentKey, fragment_key
from onefold.domain.head import Head
from onefold.domain.identity_rules import DEFAULT_TYPES
from onefold.use_cases.linking import Candidate, link, live_head
from tests.fakes.events import NOON_MS, event
from tests.fakes.stores import MemoryGraph

# Never more values of a type than a profile may have, so that every event joins all that it names.
FREE = [
    *(f"anonymous_id:a{number}" for number in range(12)),
    *(f"device_id:d{number}" for number in range(6)),
    *(f"external_id:x{number}" for number in range(4)),
    *(f"phone:+4930111{number}" for number in range(3)),
    *(f"email:e{number}@b.co" for number in range(2)),
    "user_id:u0",
]
# Few devices and more persons than a profile may have: limits and shared devices all the time.
CROWDED = [
    *(f"user_id:u{number}" for number in range(4)),
    *(f"email:e{number}@b.co" for number in range(5)),
    *(f"anonymous_id:a{number}" for number in range(3)),
    "device_id:d0",
]


@st.composite
def event_lists(draw: st.DrawFn, names: Sequence[str]) -> list[Event]:
    """Each with one to three of these identifiers, at times that collide and run backwards."""
    return [
        event(*draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)), at=NOON_MS + at)
        for at in draw(st.lists(st.integers(0, 5), max_size=14))
    ]


def key_of(each: Event) -> FragmentKey:
    key = fragment_key(each)
    assert key is not None
    return key


def link_all(events: Sequence[Event], *, sizes: Sequence[int] = (1,)) -> MemoryGraph:
    """Link in calls of these sizes, over and over."""
    graph, done, turn = MemoryGraph(), 0, 0
    while done < len(events):
        size = sizes[turn % len(sizes)]
        link(graph, [Candidate(key_of(each), each) for each in events[done : done + size]])
        done, turn = done + size, turn + 1
    return graph


def owner(graph: MemoryGraph, key: str) -> Head:
    head = live_head(graph.stored_heads, graph.identities[key])
    assert head is not None
    return head


def partition(graph: MemoryGraph) -> set[frozenset[str]]:
    clusters: dict[str, set[str]] = {}
    for key in graph.identities:
        clusters.setdefault(owner(graph, key).profile_id, set()).add(key)
    return {frozenset(cluster) for cluster in clusters.values()}


@given(event_lists(FREE))
def test_clusters_are_the_connected_components(events: list[Event]) -> None:
    oracle = nx.Graph()
    for each in events:
        nx.add_path(oracle, [identifier.key for identifier in each.identifiers])

    graph = link_all(events)

    assert partition(graph) == {frozenset(component) for component in nx.connected_components(oracle)}


@given(event_lists(FREE), st.randoms(use_true_random=False))
def test_without_limits_the_order_of_arrival_does_not_matter(events: list[Event], random: object) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert partition(link_all(shuffled)) == partition(link_all(events))


@given(event_lists(FREE))
def test_the_oldest_profile_survives_and_every_id_leads_to_it(events: list[Event]) -> None:
    graph = link_all(events)

    for profile_id in graph.stored_heads:
        survivor = live_head(graph.stored_heads, profile_id)
        assert survivor is not None
        assert survivor.age <= graph.stored_heads[profile_id].age


@given(event_lists(CROWDED), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_a_batch_gives_what_its_events_give_one_by_one(events: list[Event], sizes: list[int]) -> None:
    one_by_one, batched = link_all(events), link_all(events, sizes=sizes)

    assert batched.identities.keys() == one_by_one.identities.keys()
    assert {key: owner(batched, key).profile_id for key in batched.identities} == {
        key: owner(one_by_one, key).profile_id for key in one_by_one.identities
    }
    facts = [
        {head.profile_id: (head.founded_at, head.identifiers, set(head.fragments), head.merges) for head in each}
        for each in (one_by_one.live_heads(), batched.live_heads())
    ]
    assert facts[0] == facts[1]


@given(event_lists(CROWDED), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_linking_again_changes_nothing(events: list[Event], sizes: list[int]) -> None:
    graph = link_all(events, sizes=sizes)
    before = {head.profile_id: (set(head.identifiers), set(head.fragments)) for head in graph.live_heads()}
    owners = dict(graph.identities)

    last = [Candidate(key_of(each), each) for each in events[-1:]]
    link(graph, last)

    assert {head.profile_id: (set(head.identifiers), set(head.fragments)) for head in graph.live_heads()} == before
    assert graph.identities == owners


@settings(max_examples=300)
@given(event_lists(CROWDED), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_whatever_happens_the_graph_hangs_together(events: list[Event], sizes: list[int]) -> None:
    graph = link_all(events, sizes=sizes)

    heads = graph.live_heads()
    listed = [key for head in heads for key in head.identifiers]
    assert sorted(listed) == sorted(graph.identities), "each identifier is in exactly one live head"
    for head in heads:
        assert all(owner(graph, key) is head for key in head.identifiers)
        for kind in DEFAULT_TYPES.values():
            assert sum(each.identifier.type == kind.name for each in head.identifiers.values()) <= kind.limit
        if head.is_shared_device:
            assert all(each.identifier.is_device for each in head.identifiers.values())
    fragments = [fragment for head in heads for fragment in head.fragments]
    assert sorted(fragments) == sorted({str(key_of(each)) for each in events}), "each fragment is in one live head"
    for head in heads:
        assert all(owner(graph, FragmentKey.parse(fragment).base) is head for fragment in head.fragments)
