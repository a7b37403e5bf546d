"""Identity resolution, rule by rule."""

from collections.abc import Sequence
from itertools import combinations, islice, permutations
from secrets import token_urlsafe

import pytest

from onefold.adapters.compression import pack
from onefold.domain.event import Event, fragment_key
from onefold.domain.head import (
    FRAGMENTS_MAX,
    IDENTIFIER_CHARACTERS_MAX,
    IDENTIFIERS_MAX,
    MERGES_MAX,
    PARTED_MAX,
    RETRACTED_MAX,
    SPARE_LINKS_MAX,
    Attached,
    Founding,
    Head,
    Link,
    Parted,
    Retracted,
    profile_id_for,
)
from onefold.domain.identity import Attachment, GraphIncomplete, IdentityGraph
from onefold.use_cases.linking import Candidate, link, live_head
from tests.fakes.events import NOON_MS, event, identifier, key_of
from tests.fakes.stores import MemoryGraph

ITEM_BYTES_MAX = 400_000


def attach(graph: MemoryGraph, *events: Event) -> list[Attachment]:
    attachments = []
    for each in events:
        key = fragment_key(each)
        assert key is not None
        attachments += link(graph, [Candidate(key, each)])
    return attachments


def head_of(graph: MemoryGraph, name: str) -> Head:
    head = live_head(graph.stored_heads, graph.identities[key_of(name)])
    assert head is not None
    return head


def names(head: Head) -> set[str]:
    return {f"{each.identifier.type}:{each.identifier.value}" for each in head.identifiers.values()}


def people(graph: MemoryGraph) -> set[frozenset[str]]:
    return {frozenset(names(head)) for head in graph.live_heads()}


TABLET = "device_id:tablet"


def test_the_first_person_on_a_device_owns_what_was_done_there_before() -> None:
    graph = MemoryGraph()

    attach(graph, event(TABLET), event(TABLET, "user_id:ann"))

    assert names(head_of(graph, TABLET)) == {TABLET, "user_id:ann"}
    assert set(head_of(graph, TABLET).fragments) == {
        f"{key_of(TABLET)}|",
        f"{key_of(TABLET)}|{key_of('user_id:ann')}",
    }


def test_a_second_person_makes_the_device_shared_and_its_anonymous_fragment_leaves_the_first_owner() -> None:
    graph = MemoryGraph()

    attach(graph, event(TABLET), event(TABLET, "user_id:ann"), event(TABLET, "user_id:ben"))

    shared, ann, ben = head_of(graph, TABLET), head_of(graph, "user_id:ann"), head_of(graph, "user_id:ben")
    assert shared.is_shared_device
    assert not ann.is_shared_device
    assert (names(shared), names(ann), names(ben)) == ({TABLET}, {"user_id:ann"}, {"user_id:ben"})
    assert shared.fragments == (f"{key_of(TABLET)}|",)
    assert ann.fragments == (f"{key_of(TABLET)}|{key_of('user_id:ann')}",)
    assert ben.fragments == (f"{key_of(TABLET)}|{key_of('user_id:ben')}",)


def test_what_is_done_anonymously_on_a_shared_device_stays_nobodys() -> None:
    graph = MemoryGraph()
    attach(graph, event(TABLET, "user_id:ann"), event(TABLET, "user_id:ben"))

    attach(graph, event(TABLET), event(TABLET, "anonymous_id:new"), event(TABLET, "user_id:cem"), event(TABLET))

    assert head_of(graph, TABLET).fragments == (f"{key_of(TABLET)}|",)
    assert people(graph) == {
        frozenset([TABLET]), frozenset(["user_id:ann"]), frozenset(["user_id:ben"]), frozenset(["user_id:cem"]),
    }  # fmt: skip


def test_the_order_of_logins_does_not_matter_for_who_is_who_in_the_end() -> None:
    events = [event(TABLET), event(TABLET, "user_id:ann"), event(TABLET, "user_id:ben"), event(TABLET, "user_id:cem")]
    outcomes = set()
    for order in permutations(events):
        graph = MemoryGraph()
        attach(graph, *order)
        outcomes.add(frozenset((frozenset(names(head)), frozenset(head.fragments)) for head in graph.live_heads()))

    assert len(outcomes) == 1


def test_a_person_keeps_other_devices_when_one_turns_out_to_be_shared() -> None:
    graph = MemoryGraph()

    attach(
        graph,
        event("device_id:phone"),
        event("device_id:phone", "user_id:ann"),
        event(TABLET, "user_id:ann"),
        event(TABLET, "user_id:ben"),
    )

    assert names(head_of(graph, "user_id:ann")) == {"user_id:ann", "device_id:phone"}


def test_a_device_that_only_clashes_with_another_device_limit_is_not_shared() -> None:
    graph = MemoryGraph()
    attach(graph, *(event(f"device_id:d{number}", "user_id:ann") for number in range(10)))

    (attachment,) = attach(graph, event("device_id:one_more", "user_id:ann"))

    assert attachment.attached[key_of("device_id:one_more")] is False
    assert [(finding.identifier_type, finding.limit) for finding in attachment.findings] == [("device_id", "device_id")]
    assert key_of("device_id:one_more") not in graph.identities


def test_several_profiles_merge_into_the_oldest_and_every_id_leads_there_in_one_hop() -> None:
    graph = MemoryGraph()
    attach(
        graph,
        event("email:a@b.co", at=NOON_MS + 3),
        event("phone:+49301112", at=NOON_MS + 1),
        event("user_id:ann", at=NOON_MS + 2),
    )

    (attachment,) = attach(graph, event("email:a@b.co", "phone:+49301112", "user_id:ann", at=NOON_MS + 9))

    survivor = head_of(graph, "phone:+49301112")
    assert attachment.profile_id == survivor.profile_id
    assert set(attachment.merged) == set(graph.stored_heads) - {survivor.profile_id}
    assert {graph.stored_heads[each].merged_into for each in attachment.merged} == {survivor.profile_id}
    assert survivor.merges == 2
    assert {link.why for link in survivor.links} == {"event"}


def test_what_breaks_a_limit_is_left_out_and_the_event_goes_on_without_it() -> None:
    graph = MemoryGraph()
    attach(graph, event("user_id:ann", "email:a@b.co"), event("user_id:ben", "email:b@b.co"))

    (attachment,) = attach(graph, event("user_id:ann", "email:b@b.co", "phone:+49301112"))

    assert attachment.attached == {
        key_of("user_id:ann"): True,
        key_of("email:b@b.co"): False,
        key_of("phone:+49301112"): True,
    }
    assert [(finding.identifier_type, finding.limit) for finding in attachment.findings] == [("email", "user_id")]


def alias(person: str, *former: str, device: Sequence[str] = ()) -> Event:
    return event(person, *device, kind="alias", previous=former)


def test_an_alias_may_exceed_a_limit_and_says_so_in_its_evidence() -> None:
    graph = MemoryGraph()
    attach(graph, event("user_id:ann", at=NOON_MS), event("user_id:ann_smith", at=NOON_MS + 1))

    attach(graph, alias("user_id:ann_smith", "user_id:ann"))

    head = head_of(graph, "user_id:ann_smith")
    assert names(head) == {"user_id:ann", "user_id:ann_smith"}
    assert [link.why for link in head.links] == ["alias"]


def test_an_alias_takes_the_former_identity_that_is_known() -> None:
    graph = MemoryGraph()
    attach(graph, event("anonymous_id:x"))

    attach(graph, alias("user_id:ann", "user_id:x", "anonymous_id:x"))

    assert names(head_of(graph, "user_id:ann")) == {"user_id:ann", "anonymous_id:x"}


def test_an_alias_cannot_claim_a_shared_device() -> None:
    graph = MemoryGraph()
    attach(graph, event(TABLET, at=NOON_MS), event(TABLET, "user_id:ann"), event(TABLET, "user_id:ben"))

    (attachment,) = attach(graph, alias("user_id:cem", TABLET))

    assert attachment.attached[key_of(TABLET)] is False
    assert head_of(graph, TABLET).is_shared_device
    assert names(head_of(graph, TABLET)) == {TABLET}
    assert not head_of(graph, "user_id:cem").is_shared_device


def test_an_alias_of_two_persons_on_one_device_leaves_the_device_with_them() -> None:
    graph = MemoryGraph()
    attach(graph, event(TABLET, "user_id:ann"))

    attach(graph, alias("user_id:ann_smith", TABLET, device=[TABLET]))

    assert people(graph) == {frozenset([TABLET, "user_id:ann", "user_id:ann_smith"])}


def crowd(profile_id: str, size: int, *, name: str, merges: int = 0, length: int = 1, fragments: int = 0) -> Head:
    known = {
        f"anonymous_id:{profile_id}{n}": Attached(identifier(f"anonymous_id:{n:0{length}}"), 1) for n in range(size - 1)
    }
    parts = tuple(f"{key_of(f'device_id:{profile_id}{n}')}|{key_of(name)}" for n in range(fragments))
    foundings = {f"{profile_id}{number}": Founding(key_of(name), 1, 1) for number in range(merges + 1)}
    return Head(profile_id, 1, known | {key_of(name): Attached(identifier(name), 1)}, (), parts, foundings=foundings)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (crowd("p_l", IDENTIFIERS_MAX, name="user_id:ann"), crowd("p_r", 1, name="user_id:ben")),
        (crowd("p_l", 1, name="user_id:ann", merges=MERGES_MAX), crowd("p_r", 1, name="user_id:ben")),
        (
            crowd("p_l", 1, name="user_id:ann", fragments=FRAGMENTS_MAX),
            crowd("p_r", 1, name="user_id:ben", fragments=1),
        ),
        (
            crowd("p_l", IDENTIFIER_CHARACTERS_MAX // 500, name="user_id:ann", length=500),
            crowd("p_r", 2, name="user_id:ben", length=500),
        ),
    ],
)
def test_at_a_cap_not_even_an_alias_merges(left: Head, right: Head) -> None:
    heads = {left.profile_id: left, right.profile_id: right}
    graph = IdentityGraph(heads, {key_of("user_id:ann"): "p_l", key_of("user_id:ben"): "p_r"})
    renamed = alias("user_id:ann", "user_id:ben")
    key = fragment_key(renamed)
    assert key is not None

    attachment = graph.add(renamed, key)

    assert attachment.merged == ()
    assert attachment.attached[key_of("user_id:ben")] is False
    assert attachment.findings


def test_someone_on_a_thousand_devices_keeps_a_head_that_fits_its_place() -> None:
    full = crowd("p_l", 1, name="user_id:ann", fragments=FRAGMENTS_MAX)
    graph = IdentityGraph({"p_l": full}, {key_of("user_id:ann"): "p_l"})
    another = event("device_id:one_more", "user_id:ann")
    key = fragment_key(another)
    assert key is not None

    attachment = graph.add(another, key)

    assert [finding.limit for finding in attachment.findings] == ["fragments"]
    assert [len(head.fragments) for head in graph.changes().heads] == [FRAGMENTS_MAX]


def test_the_largest_head_that_the_caps_allow_fits_an_item() -> None:
    def noise(characters: int) -> str:
        return token_urlsafe(characters)[:characters]

    length = IDENTIFIER_CHARACTERS_MAX // IDENTIFIERS_MAX
    largest = [identifier(f"anonymous_id:{noise(length)}") for _ in range(IDENTIFIERS_MAX)]
    identifiers = {each.key: Attached(each, NOON_MS + n) for n, each in enumerate(largest)}
    keys = list(identifiers)

    def evidence(count: int) -> list[Link]:
        """Each of another pair, learnt by a message of its own."""
        pairs = islice(combinations(keys, 2), count)
        return [Link(*pair, NOON_MS + n, "web", noise(36), "event", NOON_MS + n) for n, pair in enumerate(pairs)]

    fragments = tuple(f"{key_of(f'device_id:{n}')}|{keys[n]}" for n in range(FRAGMENTS_MAX))
    head = Head(
        "p_1",
        1,
        identifiers,
        tuple(evidence(IDENTIFIERS_MAX + SPARE_LINKS_MAX)),
        fragments,
        foundings={profile_id_for(key): Founding(key, NOON_MS, NOON_MS) for key in keys[: MERGES_MAX + 1]},
        retracted=tuple(Retracted(link, NOON_MS, noise(36)) for link in evidence(RETRACTED_MAX)),
        parted=tuple(Parted(keys[0], key, NOON_MS, noise(36)) for key in keys[:PARTED_MAX]),
    )

    assert len(pack(head)) < ITEM_BYTES_MAX


def test_a_head_that_does_not_list_its_identifier_asks_to_read_again() -> None:
    graph = IdentityGraph({"p_1": Head("p_1", 1)}, {key_of("user_id:ann"): "p_1"})

    with pytest.raises(GraphIncomplete):
        graph.owner(key_of("user_id:ann"))


def test_a_head_that_was_not_read_asks_to_read_again() -> None:
    graph = IdentityGraph({"p_1": Head("p_1", 1, merged_into="p_2")}, {key_of("user_id:ann"): "p_1"})

    with pytest.raises(GraphIncomplete):
        graph.owner(key_of("user_id:ann"))
