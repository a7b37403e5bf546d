"""The laws of decisions: parting gives what never having merged gives, and leaves the graph whole in every step."""

from collections.abc import Sequence
from typing import Any

import networkx as nx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from onefold.domain.decision import Action, Decision
from onefold.domain.errors import Rejected
from onefold.domain.event import Event, FragmentKey
from onefold.domain.evidence import path, snapshot
from onefold.domain.head import Head
from onefold.use_cases import decide as deciding
from onefold.use_cases.decide import decide
from onefold.use_cases.linking import Candidate, link, live_head
from tests.fakes.events import NOON_MS, event, key_of
from tests.fakes.stores import MemoryGraph
from tests.property.test_identity import key_of as fragment_of
from tests.property.test_identity import link_all, owner, partition

# Never more values of a type than a profile may have, so that only decisions keep apart.
FREE = [
    *(f"anonymous_id:a{number}" for number in range(4)),
    *(f"external_id:x{number}" for number in range(3)),
    "email:e0@b.co",
    "email:e1@b.co",
    "user_id:u0",
]


@st.composite
def histories(draw: st.DrawFn, names: Sequence[str] = FREE) -> list[Event]:
    """Events of one to three identifiers in the order in which they were received, at any time before."""
    shown = draw(st.lists(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True), max_size=14))
    return [
        event(*each, message_id=f"h{number}", at=NOON_MS + draw(st.integers(0, 9)), received_at=NOON_MS + 100 + number)
        for number, each in enumerate(shown)
    ]


def ruled(action: Action, left: str, right: str = "", *, number: int = 1, **fields: Any) -> Decision:
    other = key_of(right) if right else ""
    return Decision(f"d{number}", action, NOON_MS + 1_000, "tests", key_of(left), other, **fields)


def state(graph: MemoryGraph) -> dict[str, object]:
    """Everything that a profile is, but for the evidence itself and how identities lead to it."""
    return {
        head.profile_id: (head.founded_at, head.identifiers, sorted(head.fragments), head.foundings)
        for head in graph.live_heads()
    }


def check_whole(graph: MemoryGraph) -> None:
    heads = graph.live_heads()
    assert sorted(key for head in heads for key in head.identifiers) == sorted(graph.identities)
    for head in heads:
        assert all(owner(graph, key) is head for key in head.identifiers)
        assert all(owner(graph, FragmentKey.parse(key).base) is head for key in head.fragments)
        linked = nx.Graph([link.pair for link in head.links])
        linked.add_nodes_from(head.identifiers)
        assert set(linked) == set(head.identifiers), "a link leads out of its profile"
        assert nx.is_connected(linked), "the evidence does not hold the profile together"
        assert all(live_head(graph.stored_heads, profile_id) is head for profile_id in head.foundings)
    for stored in graph.stored_heads.values():
        assert live_head(graph.stored_heads, stored.profile_id) in heads


@settings(max_examples=400)
@given(histories(), st.lists(st.sampled_from(FREE), min_size=2, max_size=2, unique=True))
def test_split_gives_what_never_having_merged_gives(history: list[Event], pair: list[str]) -> None:
    """Two worlds: in one the two are known to be different from the start, in the other they are split at the end."""
    births = [event(name, message_id=f"birth {name}", at=NOON_MS, received_at=NOON_MS) for name in pair]
    known = link_all(births)
    decide(known, ruled("split", *pair))
    for each in history:
        _link(known, each)

    merged = link_all([*births, *history])
    decide(merged, ruled("split", *pair))

    assert state(merged) == state(known)
    check_whole(merged)
    check_whole(known)


@given(histories(), st.lists(st.sampled_from(FREE), min_size=2, max_size=2, unique=True), histories())
def test_what_was_split_is_not_joined_by_more_of_the_same(
    history: list[Event], pair: list[str], more: list[Event]
) -> None:
    graph = link_all([event(*pair, received_at=NOON_MS), *history])
    decide(graph, ruled("split", *pair))
    assert owner(graph, key_of(pair[0])) is not owner(graph, key_of(pair[1]))

    for each in (*history, *more, event(*pair)):
        _link(graph, each)

    assert owner(graph, key_of(pair[0])) is not owner(graph, key_of(pair[1]))
    check_whole(graph)
    decide(graph, ruled("link", *pair, number=2))
    assert owner(graph, key_of(pair[0])) is owner(graph, key_of(pair[1]))
    check_whole(graph)


@given(histories(), st.sampled_from(FREE))
def test_a_detached_identifier_is_alone_and_the_rest_is_what_other_evidence_connects(
    history: list[Event], name: str
) -> None:
    graph = link_all([event(name), *history])
    key = key_of(name)
    whole = owner(graph, key)

    decide(graph, ruled("detach", name))

    check_whole(graph)
    assert list(owner(graph, key).identifiers) == [key]
    oracle = nx.Graph([link.pair for link in whole.links if key not in link.pair])
    oracle.add_nodes_from(whole.identifiers)
    expected = {frozenset(each) for each in nx.connected_components(oracle)}
    assert {each for each in partition(graph) if each <= set(whole.identifiers)} == expected


@given(histories(), st.data())
def test_retracting_a_message_leaves_what_the_others_say(history: list[Event], data: st.DataObject) -> None:
    assume(history)
    graph = link_all(history)
    gone = data.draw(st.sampled_from(history))
    whole = owner(graph, gone.identifiers[0].key)
    messages = ((gone.source, gone.message_id),)

    decide(graph, ruled("retract", f"{gone.identifiers[0].type}:{gone.identifiers[0].value}", messages=messages))

    check_whole(graph)
    kept = [link.pair for link in whole.links if (link.source, link.message_id) not in messages]
    oracle = nx.Graph(kept)
    oracle.add_nodes_from(whole.identifiers)
    assert {each for each in partition(graph) if each <= set(whole.identifiers)} == {
        frozenset(each) for each in nx.connected_components(oracle)
    }


class SmallCommits(MemoryGraph):
    """Looks at the graph after each commit."""

    commits = 0

    def commit(self, *args: object) -> None:
        super().commit(*args)  # type: ignore[arg-type]
        self.commits += 1
        heads = self.live_heads()
        listed = sorted(key for head in heads for key in head.identifiers)
        assert listed == sorted(self.identities), "an identifier has no live owner, or two"
        assert all(owner(self, key).identifiers[key] for key in self.identities)


@settings(max_examples=60)
@given(histories(), st.sampled_from(FREE), st.integers(1, 3), st.integers(1, 2))
def test_a_parting_in_many_steps_leaves_the_graph_whole_after_each(
    history: list[Event], name: str, changes: int, parts: int
) -> None:
    at_once, stepwise = link_all([event(name, message_id="b"), *history]), SmallCommits()
    stepwise.identities, stepwise.stored_heads = dict(at_once.identities), dict(at_once.stored_heads)
    decide(at_once, ruled("detach", name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deciding, "CHANGES_MAX", changes)
        patch.setattr(deciding, "PARTS_PER_COMMIT", parts)
        decide(stepwise, ruled("detach", name))

    assert state(stepwise) == state(at_once)
    check_whole(stepwise)


def test_a_hub_of_hundreds_of_identifiers_comes_apart() -> None:
    """F29: what was wrongly merged a hundred times is undone, though no transaction could hold it."""
    spokes = [event("external_id:hub", f"anonymous_id:a{number}") for number in range(45)]
    alone = [event(f"anonymous_id:a{number}", at=1) for number in range(45)]
    graph = SmallCommits()
    for each in (*alone, *spokes):
        _link(graph, each)
    before = len(graph.live_heads())

    decide(graph, ruled("detach", "external_id:hub"))

    assert (before, len(graph.live_heads())) == (1, 46)
    check_whole(graph)


@given(histories(), st.data())
def test_explain_names_a_shortest_chain_of_links(history: list[Event], data: st.DataObject) -> None:
    graph = link_all(history)
    heads = [head for head in graph.live_heads() if len(head.identifiers) > 1]
    assume(heads)
    head = data.draw(st.sampled_from(heads))
    left, right = data.draw(st.lists(st.sampled_from(sorted(head.identifiers)), min_size=2, max_size=2, unique=True))

    chain = path(head.links, left, right)

    assert chain is not None
    oracle = nx.Graph([link.pair for link in head.links])
    assert len(chain) == nx.shortest_path_length(oracle, left, right)
    here = left
    for step in chain:
        assert here in step.pair
        here = step.right if step.left == here else step.left
    assert here == right


@given(histories(), st.integers(0, 13), st.sampled_from(FREE))
def test_the_graph_as_of_a_time_is_what_it_was_then(history: list[Event], moment: int, name: str) -> None:
    """Whatever was merged, split or detached since."""
    then = NOON_MS + 100 + moment
    past = link_all([each for each in history if each.received_at <= then])
    graph = link_all(history)
    if key_of(name) in graph.identities:
        decide(graph, ruled("detach", name))

    for key in past.identities:
        expected = owner(past, key)
        seen = _as_of(graph, key, then)
        assert set(seen) == set(expected.identifiers)


def test_a_probability_below_the_rules_joins_nobody() -> None:
    graph = link_all([event("user_id:u0"), event("email:e0@b.co")])
    guess = ruled("link", "user_id:u0", "email:e0@b.co", why="probabilistic", probability=0.9)

    with pytest.raises(Rejected) as refused:
        decide(graph, guess)

    assert refused.value.reason == "probability_too_low"
    sure = ruled("link", "user_id:u0", "email:e0@b.co", why="probabilistic", probability=0.995, number=2)
    record = decide(graph, sure)
    assert len(record.before) == 2
    assert len(record.after) == 1
    assert [link.probability for link in owner(graph, key_of("user_id:u0")).links] == [0.995]


def test_a_decision_is_carried_out_once() -> None:
    graph = link_all([event("user_id:u0", "email:e0@b.co")])
    first = decide(graph, ruled("split", "user_id:u0", "email:e0@b.co"))
    decide(graph, ruled("link", "user_id:u0", "email:e0@b.co", number=2))

    again = decide(graph, ruled("split", "user_id:u0", "email:e0@b.co"))

    assert again == first
    assert len(graph.live_heads()) == 1


def _as_of(graph: MemoryGraph, key: str, at: int) -> Sequence[str]:
    heads: dict[str, Head] = {}
    wanted = {key}
    while wanted:
        heads |= {head.profile_id: head for head in (owner(graph, each) for each in wanted)}
        seen = snapshot(list(heads.values()), key, at)
        wanted = set(seen.missing)
    return seen.identifiers


def _link(graph: MemoryGraph, each: Event) -> None:
    link(graph, [Candidate(fragment_of(each), each)])
