"""The laws of explanations: what is told of any two identifiers is what a plain graph of the links says."""

from itertools import pairwise

import networkx as nx
from hypothesis import assume, given
from hypothesis import strategies as st

from onefold.domain.decision import Action
from onefold.domain.event import Event
from onefold.domain.identity_rules import DEFAULT_RULES
from onefold.use_cases.decide import decide
from onefold.use_cases.explain import explain, graph_as_of
from onefold.use_cases.rule import rehearse, rule
from tests.fakes.events import NOON_MS, event, key_of
from tests.fakes.stores import MemoryGraph
from tests.property.test_identity import link_all, owner
from tests.property.test_parting import FREE, histories, ruled

pairs = st.lists(st.sampled_from(FREE), min_size=2, max_size=2, unique=True)
actions: st.SearchStrategy[Action] = st.sampled_from(["split", "detach", "link", "allow"])
decisions = st.lists(st.tuples(actions, pairs), max_size=3)


def world(history: list[Event], made: list[tuple[Action, list[str]]]) -> MemoryGraph:
    births = [event(name, message_id=f"birth {name}", at=NOON_MS, received_at=NOON_MS) for name in FREE]
    graph = link_all([*births, *history])
    for number, (action, pair) in enumerate(made):
        sides = pair[:1] if action == "detach" else pair
        decide(graph, ruled(action, *sides, number=100 + number))
    return graph


@given(histories(), decisions, pairs)
def test_any_two_identifiers_are_explained(
    history: list[Event], made: list[tuple[Action, list[str]]], pair: list[str]
) -> None:
    graph = world(history, made)
    left, right = map(key_of, pair)
    mine, other = owner(graph, left), owner(graph, right)

    told = explain(graph, left, right, DEFAULT_RULES, now_ms=NOON_MS + 5_000)

    assert told["is_complete"]
    assert (told["left"]["profile_id"], told["right"]["profile_id"]) == (mine.profile_id, other.profile_id)
    steps = [(step["left"]["key"], step["right"]["key"]) for step in told["path"]]
    if mine is other:
        assert told["verdict"] == "together"
        assert not any("retracted" in step for step in told["path"])
        assert len(steps) == nx.shortest_path_length(nx.Graph([link.pair for link in mine.links]), left, right)
        return
    heads = graph.live_heads()
    remembered = nx.Graph([each.link.pair for head in heads for each in head.retracted])
    remembered.add_edges_from(link.pair for head in heads for link in head.links)
    remembered.add_nodes_from([left, right])
    assert bool(steps) == nx.has_path(remembered, left, right)
    assert any("retracted" in step for step in told["path"]) == bool(steps)
    apart = {
        (each.left, each.right) for head in (mine, other) for each in head.parted
        if {owner(graph, key).profile_id for key in (each.left, each.right)} == {mine.profile_id, other.profile_id}
    }  # fmt: skip
    assert {(each["left"]["key"], each["right"]["key"]) for each in told["parted"]} == apart
    assert told["verdict"] == ("parted" if apart else "was_linked" if steps else "never_linked")
    assert (told["obstacle"] == "parted") == bool(apart)
    here = left
    for step in steps:
        assert here in step
        here = step[1] if step[0] == here else step[0]
    assert here == (right if steps else left)


@given(histories(), decisions, st.sampled_from(FREE), st.integers(0, 14))
def test_the_graph_as_of_a_time_is_what_was_known_then(
    history: list[Event], made: list[tuple[Action, list[str]]], name: str, moment: int
) -> None:
    """However many profiles its identifiers are in today."""
    then = NOON_MS + 100 + moment
    past = world([each for each in history if each.received_at <= then], [])
    graph = world(history, made)

    told = graph_as_of(graph, key_of(name), then)

    expected = owner(past, key_of(name))
    assert {each["key"] for each in told["identifiers"]} == set(expected.identifiers)
    assert told["is_complete"]
    assert all(each["value"] for each in told["identifiers"])
    known = set(expected.identifiers)
    assert all({link["left"]["key"], link["right"]["key"]} <= known for link in told["links"])


@given(histories(), decisions, actions, pairs)
def test_a_rehearsal_tells_what_the_decision_does(
    history: list[Event], made: list[tuple[Action, list[str]]], action: Action, pair: list[str]
) -> None:
    graph = world(history, made)
    decision = ruled(action, *(pair[:1] if action == "detach" else pair), number=500)
    before = dict(graph.stored_heads), dict(graph.identities)

    told = rehearse(graph, decision, DEFAULT_RULES)

    assert (graph.stored_heads, graph.identities) == before
    assume(told["before"])
    record = rule(graph, decision, DEFAULT_RULES)
    assert (told["before"], told["after"], told["retracted"]) == (
        list(record.before),
        list(record.after),
        record.retracted,
    )
    live = {head.profile_id: head for head in graph.live_heads()}
    for each in told["profiles_after"]:
        assert sum(each["identifiers"].values()) == len(live[each["profile_id"]].identifiers)
        assert each["fragments"] == len(live[each["profile_id"]].fragments)


def test_a_path_through_profiles_that_are_apart_today_is_found() -> None:
    """The link in the middle is remembered by neither of the two that are asked for."""
    chain = ["anonymous_id:a0", "anonymous_id:a1", "anonymous_id:a2", "anonymous_id:a3"]
    graph = link_all([event(*pair, received_at=NOON_MS) for pair in pairwise(chain)])
    decide(graph, ruled("detach", chain[1], number=1))
    decide(graph, ruled("detach", chain[2], number=2))

    told = explain(graph, key_of(chain[0]), key_of(chain[3]), DEFAULT_RULES, now_ms=NOON_MS)

    assert told["verdict"] == "was_linked"
    assert [step["retracted"]["by"] for step in told["path"]] == ["d1", "d1", "d2"]
    assert told["is_complete"]
