"""What must hold of a river that has come to rest, whatever happened on its way."""

from collections import Counter
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

import msgspec
import networkx as nx

from onefold.domain.decision import Decision
from onefold.domain.event import Event, FragmentKey, parts
from onefold.domain.head import EXPLICIT, Head
from onefold.domain.identity_rules import DEFAULT_RULES
from onefold.domain.profile import join_fragments, profile_document
from onefold.use_cases.activate import Transition
from onefold.use_cases.decide import decide
from onefold.use_cases.linking import link, live_head
from tests.fakes.events import key_of
from tests.fakes.stores import MemoryGraph
from tests.faults import oracle
from tests.faults.histories import BLOCKED
from tests.faults.river import River

ITEM_BYTES_MAX = 400_000
BLOCKED_KEYS = {key_of(name) for name in BLOCKED}
# What depends on which event of several came first; everything else is the same in any order.
ARRIVAL = ("profile_id", "founded_at", "merges", "audiences")


def check(river: River) -> None:
    sent = river.history.sent
    check_counts(river, sent)
    check_graph(river)
    check_evidence(river)
    check_splits(river)
    if river.decides_at_once:
        check_serial(river)
    check_timeline(river, sent)
    if river.history.is_free:
        check_components(river, sent)
    documents = profile_documents(river)
    check_facts(river, documents)
    check_memberships(river, documents)
    assert all(len(body) < ITEM_BYTES_MAX for _, body in river.fragments.items.values())


def check_counts(river: River, sent: Iterable[Event]) -> None:
    """I1: each message is folded exactly once, into its own fragment, and a group call into its account's besides."""
    expected = Counter(str(key) for event in sent for key, _ in parts(event))
    folded = {
        key: sum(count.times for count in each.fragment.facts.counts.values())
        for key, each in river.fragments.all().items()
    }
    assert folded == dict(expected), f"I1: folded {folded}, sent {dict(expected)}"


def check_graph(river: River) -> None:
    """I3: one live owner each, no limit exceeded but by an alias, no redirect that leads nowhere."""
    heads, owners = river.graph.stored_heads, river.graph.identities
    live = river.graph.live_heads()
    for head in heads.values():
        assert live_head(heads, head.profile_id) in live, "I3: a redirect leads nowhere"
        if head.merged_into:
            owned = [*head.identifiers, *head.fragments, *head.memberships]
            assert not owned, "I3: a redirect owns something"
    assert not BLOCKED_KEYS & owners.keys(), "I3: a blocked value identifies somebody"
    listed = sorted(key for head in live for key in head.identifiers)
    assert listed == sorted(owners), "I3: an identifier has no live owner, or two"
    fragments = sorted(key for head in live for key in head.fragments)
    assert fragments == sorted(river.fragments.items), "I3: a fragment is in no live head, or in two"
    for head in live:
        bases = [FragmentKey.parse(key).base for key in head.fragments]
        for key in (*head.identifiers, *bases):
            assert live_head(heads, owners[key]) is head, "I3: an identifier leads to another profile"
        evidence = [*head.links, *(each.link for each in head.retracted)]
        if not any(each.why in EXPLICIT for each in evidence):
            types = Counter(each.identifier.type for each in head.identifiers.values())
            assert all(count <= DEFAULT_RULES.type_of(kind).limit for kind, count in types.items()), (
                "I3: a limit is exceeded"
            )


def check_evidence(river: River) -> None:
    """R14: what holds a profile together is its evidence, and none of it joins what somebody has parted."""
    for head in river.graph.live_heads():
        linked = nx.Graph([each.pair for each in head.links])
        linked.add_nodes_from(head.identifiers)
        assert set(linked) == set(head.identifiers), "R14: a link leads out of its profile"
        assert nx.is_connected(linked), "R14: a profile is more than its evidence says"
        together = [each for each in head.parted if each.left in head.identifiers and each.right in head.identifiers]
        assert not together, "R14: what was parted is together"
        for profile_id in head.foundings:
            assert live_head(river.graph.stored_heads, profile_id) is head, "R7: a former id leads elsewhere"
        for former in head.foundings.keys() - {head.profile_id}:
            assert river.graph.stored_heads[former].merged_into == head.profile_id, "R7: more than one hop"


def check_splits(river: River) -> None:
    """R14: what was split stays so, unless something explicit came later."""
    if any(event.kind == "alias" for event in river.history.sent):
        return
    heads, owners = river.graph.stored_heads, river.graph.identities
    for place, step in enumerate(river.linked):
        later = [each.action for each in river.linked[place:] if isinstance(each, Decision)]
        if isinstance(step, Decision) and step.action == "split" and not {"link", "allow"} & set(later):
            left, right = (live_head(heads, owners[key]) for key in (step.left, step.right))
            assert left is not right, "R14: a split was undone by events"


def check_serial(river: River) -> None:
    """R13: one event and decision after the other, in the order of the transactions, gives the same graph."""
    serial = MemoryGraph()
    rules = river.history.rules
    for step in river.linked:
        if isinstance(step, Decision):
            decide(serial, step, rules)
        else:
            for candidate in step:
                link(serial, [candidate], rules)
    assert serial.identities == river.graph.identities, "R13: no serial order of the events gives these owners"
    assert _bare(serial.stored_heads) == _bare(river.graph.stored_heads), "R13: no serial order gives these heads"


def _bare(heads: Mapping[str, Head]) -> dict[str, Head]:
    """Heads without what evaluating and settling add."""
    bare = {}
    for key, head in heads.items():
        live = live_head(heads, key)
        assert live is not None
        target = live.profile_id if head.merged_into else ""
        bare[key] = msgspec.structs.replace(head, memberships={}, version=0, merged_into=target)
    return bare


def check_components(river: River, sent: Iterable[Event]) -> None:
    """I3: where no rule interferes, profiles are what the events connect."""
    graph = nx.Graph()
    for event in sent:
        nx.add_path(graph, [each.key for each in (*event.identifiers, *event.previous)])
    expected = sorted(map(sorted, nx.connected_components(graph)))
    people = [sorted(head.identifiers) for head in river.graph.live_heads() if head.kind != "account"]
    assert sorted(people) == expected, "I3: not the components"


def check_timeline(river: River, sent: Iterable[Event]) -> None:
    """Whoever reads the recent events of a fragment finds each message once."""
    named = {(each.source, each.message_id) for each in sent for _ in parts(each)}
    shown = [(each.source, each.message_id) for each in river.timeline.read(list(river.fragments.items), 10_000)]
    assert Counter(shown) == Counter(named), f"timeline: {named - set(shown)} not shown"


def profile_documents(river: River) -> dict[str, dict[str, Any]]:
    stored = river.fragments.all()
    return {
        head.profile_id: profile_document(join_fragments(head, (stored[key].fragment for key in head.fragments)))
        for head in river.graph.live_heads()
    }


def check_facts(river: River, documents: Mapping[str, dict[str, Any]]) -> None:
    """I2, and with it I8: a profile says what a plain loop over the set of its events says."""
    by_fragment: dict[str, list[Event]] = {}
    for event in river.history.sent:
        for key, part in parts(event):
            by_fragment.setdefault(str(key), []).append(part)
    for profile_id, document in documents.items():
        head = river.graph.stored_heads[profile_id]
        expected = oracle.facts_document(event for key in head.fragments for event in by_fragment[key])
        found = oracle.told(document)
        assert found == expected, f"I2: {found} instead of {expected}"


def check_memberships(river: River, documents: Mapping[str, dict[str, Any]]) -> None:
    """I4: heads know the audiences that the facts say, and who obeys the newest message of each key knows the same."""
    for profile_id, document in documents.items():
        head = river.graph.stored_heads[profile_id]
        expected = oracle.memberships(document) if head.kind == "person" else set()
        assert set(head.memberships) == expected, f"I4: in {set(head.memberships)} instead of {expected}"
    received = receive(river.random, river.published)
    stored = {(head.profile_id, name) for head in river.graph.live_heads() for name in head.memberships}
    assert received == stored, f"I4: the receiver differs by {received ^ stored}"


def receive(random: Random, published: list[Transition]) -> set[tuple[str, str]]:
    """What a destination holds that gets messages in any order, some twice, and keeps the newest of each key."""
    delivered = [*published, *random.choices(published, k=len(published) // 3)] if published else []
    random.shuffle(delivered)
    newest: dict[tuple[str, str], Transition] = {}
    for each in delivered:
        if each.audience:
            known = newest.get((each.profile_id, each.audience))
            assert known is None or known.version != each.version or known == each, "I4: one key, two meanings"
            if known is None or each.version > known.version:
                newest[each.profile_id, each.audience] = each
    return {place for place, each in newest.items() if each.status == "entered"}


def comparable(river: River) -> list[bytes]:
    """I8: the profiles as bytes, without what the order of arrival decides."""
    found = []
    for document in profile_documents(river).values():
        rest = {name: value for name, value in document.items() if name not in ARRIVAL}
        rest["identifiers"] = [(each["type"], each["value"]) for each in rest["identifiers"]]
        rest["audiences"] = [each["audience"] for each in document["audiences"]]
        found.append(msgspec.json.encode(rest))
    return sorted(found)
