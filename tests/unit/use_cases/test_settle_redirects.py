"""Every id that a profile ever had leads to the living one in one hop, once that is settled."""

from onefold.domain.event import fragment_key
from onefold.domain.head import Head
from onefold.use_cases.linking import Candidate, link
from onefold.use_cases.settle_redirects import former_ids, settle_redirects
from tests.fakes.events import NOON_MS, event
from tests.fakes.stores import MemoryGraph


def attach(graph: MemoryGraph, *names: str, at: int) -> None:
    each = event(*names, at=NOON_MS + at)
    key = fragment_key(each)
    assert key is not None
    link(graph, [Candidate(key, each)])


def test_a_chain_of_merges_is_shortened_to_one_hop() -> None:
    graph = MemoryGraph()
    for number in range(4):
        attach(graph, f"anonymous_id:a{number}", at=10 - number)
    before: dict[str, Head] = {}
    wanted: list[str] = []
    for number in range(3):
        old = dict(graph.stored_heads)
        attach(graph, f"anonymous_id:a{number}", f"anonymous_id:a{number + 1}", at=20)
        before |= old
        wanted += [each for key, head in graph.stored_heads.items() for each in former_ids(old.get(key), head)]
    (live,) = graph.live_heads()
    assert sorted(len(_hops(graph, key)) for key in graph.stored_heads) == [0, 1, 2, 3]

    settled = settle_redirects(wanted, graph)

    assert settled == 2
    assert {head.merged_into for head in graph.stored_heads.values()} == {"", live.profile_id}
    assert settle_redirects(wanted, graph) == 0


def test_only_a_head_that_becomes_a_redirect_has_ids_to_settle() -> None:
    alive, redirect = Head("p_1", 1), Head("p_1", 1, merged_into="p_2")

    assert former_ids(None, alive) == former_ids(alive, alive) == former_ids(redirect, redirect) == ()
    assert settle_redirects([], MemoryGraph()) == 0


def _hops(graph: MemoryGraph, profile_id: str) -> list[str]:
    hops = []
    while graph.stored_heads[profile_id].merged_into:
        profile_id = graph.stored_heads[profile_id].merged_into
        hops.append(profile_id)
    return hops
