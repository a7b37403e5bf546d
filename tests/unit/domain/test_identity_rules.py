"""Declared identity rules: what they refuse, how values are read, and how far each type links."""

from collections.abc import Mapping

import msgspec
import pytest

from onefold.domain.errors import DefinitionInvalid
from onefold.domain.event import Event, FragmentKey, fragment_key
from onefold.domain.head import Head
from onefold.domain.identifier import DEVICE, REFERENCE
from onefold.domain.identity import Attachment
from onefold.domain.identity_rules import IdentityRules, parse_rules
from onefold.domain.message import Message
from onefold.domain.message_identifiers import IdentifierReader, claims_of
from onefold.use_cases.linking import Candidate, link, live_head
from tests.fakes.events import HASHER, NOON_MS, event, key_of
from tests.fakes.stores import MemoryGraph

DAY_MS = 24 * 3_600_000


def rules(**declared: object) -> IdentityRules:
    return parse_rules(msgspec.json.encode(declared))


def attach(graph: MemoryGraph, in_force: IdentityRules, *events: Event) -> list[Attachment]:
    attachments = []
    for each in events:
        key = fragment_key(each)
        assert key is not None
        attachments += link(graph, [Candidate(key, each)], in_force)
    return attachments


def owner(graph: MemoryGraph, name: str) -> Head:
    head = live_head(graph.stored_heads, graph.identities[key_of(name)])
    assert head is not None
    return head


@pytest.mark.parametrize(
    ("declared", "pointer"),
    [
        ({"types": {"email": {"limit": 0}}}, "#/types/email/limit"),
        ({"types": {"email": {"priority": 0}}}, "#/types/email/priority"),
        ({"types": {"email": {"limit_days": -1}}}, "#/types/email/limit_days"),
        ({"types": {"email": {"pattern": "("}}}, "#/types/email/pattern"),
        ({"types": {"email": {"blocked_patterns": ["a", "["]}}}, "#/types/email/blocked_patterns/1"),
        ({"types": {"email": {"from": ["traits.email", "ip"]}}}, "#/types/email/from/1"),
        ({"types": {"card": {"priority": 2}}}, "#/types/card"),
        ({"types": {"group_id": {"priority": 2, "limit": 1}}}, "#/types/group_id"),
        ({"types": {"profile_id": {"priority": 2, "limit": 1}}}, "#/types/profile_id"),
        ({"types": {"Card": {"priority": 2, "limit": 1}}}, "#/types/Card"),
        ({"types": {"token": {"priority": 2, "limit": 1, "class": "device"}}}, "#/types/token/priority"),
        ({"types": {"card": {"priority": 3, "limit": 1, "links": False}}}, "#/types/card/priority"),
        ({"types": {"email": {"colour": "red"}}}, "#/types"),
        ({"shared_devices": "nobody"}, "#/shared_devices"),
        ({"generic_users": 0}, "#/generic_users"),
        ({"probability_min": 1.5}, "#/probability_min"),
        ({"merges_max": 101}, "#/merges_max"),
        ({"identifiers_max": 1_001}, "#/identifiers_max"),
        ({"types": {f"t{number}": {"priority": 2, "limit": 1} for number in range(31)}}, "#/types"),
    ],
)
def test_rules_that_cannot_be_are_refused_with_their_place(declared: object, pointer: str) -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        parse_rules(msgspec.json.encode(declared))

    assert refused.value.pointer.startswith(pointer)
    assert refused.value.detail


def test_what_is_not_declared_stays_as_it_is() -> None:
    declared = rules(types={"email": {"limit": 4}}).types

    assert (declared["email"].limit, declared["email"].priority, declared["email"].form) == (4, 3, "email")
    assert declared["phone"].limit == 3
    assert declared["anonymous_id"].role == DEVICE


def read(in_force: IdentityRules, message: Mapping[str, object], kind: str = "track") -> list[tuple[str, str]]:
    parsed = msgspec.convert(message, Message)
    claims = claims_of(
        kind,  # type: ignore[arg-type]
        "Card Read",
        parsed,
        in_force,
        context=parsed.context or {},
        traits=parsed.traits or {},
        properties=parsed.properties or {},
    )
    identifiers = IdentifierReader(HASHER, lambda _text, _region: None, "", in_force).read(claims, [])
    return [(each.type, each.value) for each in identifiers]


def test_a_type_of_ones_own_is_read_from_its_places_in_its_own_pattern() -> None:
    in_force = rules(
        types={
            "card": {
                "priority": 2,
                "limit": 3,
                "pattern": "[a-z]{2}-?([0-9]{8})",
                "normalise": "lower",
                "from": ["properties.card.number", "traits.card"],
                "blocked": ["12345678"],
            }
        }
    )

    assert read(in_force, {"properties": {"card": {"number": "DE-00112233"}}}) == [("card", "00112233")]
    assert read(in_force, {"properties": {"card": {"number": "00112233"}}}) == []
    assert read(in_force, {"properties": {"card": {"number": "de12345678"}}}) == []
    assert read(in_force, {"properties": {"card": "de00112233"}}) == []
    assert read(in_force, {"traits": {"card": "de00112233"}}, "identify") == [("card", "00112233")]
    assert read(in_force, {"traits": {"card": "de00112233"}}) == [], "traits count for identify only"
    external = {"context": {"externalIds": [{"type": "card", "id": "DE00112244"}, {"type": "till", "id": "7"}]}}
    assert read(in_force, external) == [("card", "00112244"), ("external_id", "till:7")]


def test_a_reference_is_known_but_founds_and_joins_nobody() -> None:
    in_force = rules(types={"visit": {"priority": 9, "limit": 5, "links": False, "from": ["context.visit"]}})
    assert read(in_force, {"context": {"visit": "v1"}}) == []
    assert in_force.types["visit"].role == REFERENCE
    graph = MemoryGraph()
    visit = in_force.identifier(HASHER, "visit", "v1")

    def seen(user: str) -> Event:
        return msgspec.structs.replace(event(user), identifiers=(*event(user).identifiers, visit))

    attach(graph, in_force, seen("user_id:ann"), seen("user_id:ben"))

    assert len(graph.live_heads()) == 2
    ann = owner(graph, "user_id:ann")
    assert visit.key in ann.identifiers
    assert graph.identities[visit.key] == ann.profile_id


def test_a_limit_with_a_window_counts_what_was_attached_lately() -> None:
    in_force = rules(types={"device_id": {"limit": 1, "limit_days": 30}})
    graph = MemoryGraph()

    early, refused, later = attach(
        graph,
        in_force,
        event("user_id:ann", "device_id:one", at=NOON_MS),
        event("user_id:ann", "device_id:two", at=NOON_MS + 29 * DAY_MS),
        event("user_id:ann", "device_id:three", at=NOON_MS + 30 * DAY_MS),
    )

    assert early.attached[key_of("device_id:one")]
    assert not refused.attached[key_of("device_id:two")]
    assert later.attached[key_of("device_id:three")]


def test_a_mailbox_that_many_users_share_links_nobody_any_more() -> None:
    in_force = rules(generic_users=3)
    graph, mailbox = MemoryGraph(), "email:office@firm.de"
    attach(graph, in_force, *(event(f"user_id:u{number}", mailbox) for number in range(3)))
    assert attach(graph, in_force, event(mailbox, "anonymous_id:a1"))[0].attached[key_of("anonymous_id:a1")]

    attach(graph, in_force, event("user_id:u3", mailbox))
    again = attach(graph, in_force, event(mailbox, "anonymous_id:a2"), event("user_id:u0", mailbox))

    assert again[0].attached[key_of("anonymous_id:a2")] is False
    assert [finding.limit for finding in again[0].findings] == ["generic_value"]
    assert len(graph.live_heads()) == 4
    assert len(owner(graph, mailbox).identifiers[key_of(mailbox)].rivals) == 3


TABLET = "device_id:tablet"


def test_with_first_the_first_owner_keeps_a_shared_device() -> None:
    graph = MemoryGraph()
    in_force = rules(shared_devices="first")

    attach(graph, in_force, event(TABLET), event(TABLET, "user_id:ann"), event(TABLET, "user_id:ben"), event(TABLET))

    assert owner(graph, TABLET) is owner(graph, "user_id:ann")
    assert f"{key_of(TABLET)}|" in owner(graph, "user_id:ann").fragments
    assert owner(graph, "user_id:ben").fragments == (f"{key_of(TABLET)}|{key_of('user_id:ben')}",)


def test_with_last_whoever_was_seen_last_has_a_shared_device() -> None:
    graph = MemoryGraph()
    in_force = rules(shared_devices="last")

    attach(graph, in_force, event(TABLET, at=1), event(TABLET, "user_id:ann", at=2))
    (taken,) = attach(graph, in_force, event(TABLET, "user_id:ben", at=5))
    assert owner(graph, TABLET) is owner(graph, "user_id:ben")
    assert f"{key_of(TABLET)}|" in owner(graph, "user_id:ben").fragments
    assert key_of(TABLET) not in taken.attached, "the next login must be seen again"
    attach(graph, in_force, event(TABLET, "user_id:ann", at=4))
    assert owner(graph, TABLET) is owner(graph, "user_id:ben"), "an older login takes nothing back"
    attach(graph, in_force, event(TABLET, "user_id:ann", at=6))

    assert owner(graph, TABLET) is owner(graph, "user_id:ann")
    assert len(graph.live_heads()) == 2
    for head in graph.live_heads():
        assert all(FragmentKey.parse(key).base in head.identifiers for key in head.fragments)
