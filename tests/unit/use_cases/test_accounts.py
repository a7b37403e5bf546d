"""A group call is about two: the person who makes it, and the account, which is a profile of its own kind."""

from typing import Any

import msgspec

from onefold.domain.event import Event, FragmentKey, partition_key
from onefold.domain.head import Head
from onefold.domain.profile import join_fragments, traits_document
from onefold.use_cases.linking import live_head
from onefold.use_cases.stitch import StitchReport, stitch
from tests.fakes.events import NOON_MS, event, identifier, key_of, record
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryTimeline

ACME = "group_id:acme"


def group(*names: str, account: str = ACME, **fields: Any) -> Event:
    called = event(*names, kind="group", **fields)
    return msgspec.structs.replace(called, account=identifier(account))


class World:
    def __init__(self) -> None:
        self.fragments, self.graph, self.timeline = MemoryFragments(), MemoryGraph(), MemoryTimeline()
        self.sequence = 0

    def take(self, *events: Event) -> StitchReport:
        self.sequence += 1
        return stitch([record(self.sequence, *events)], self.fragments, self.graph, self.timeline)

    def head(self, name: str) -> Head:
        head = live_head(self.graph.stored_heads, self.graph.identities[key_of(name)])
        assert head is not None
        return head

    def traits(self, name: str) -> dict[str, object]:
        stored = self.fragments.all()
        head = self.head(name)
        return traits_document(join_fragments(head, (stored[key].fragment for key in head.fragments)))


def test_an_account_is_a_profile_with_the_traits_that_its_members_give_it() -> None:
    world = World()

    report = world.take(
        group("user_id:ann", "anonymous_id:a1", traits={"name": "Acme", "seats": 5}, at=NOON_MS),
        group("user_id:ben", traits={"seats": 7}, at=NOON_MS + 1),
        event("user_id:ann", kind="identify", traits={"name": "Ann"}, at=NOON_MS + 2),
    )

    assert report.failed == {}
    account = world.head(ACME)
    assert account.kind == "account"
    assert world.traits(ACME) == {"name": "Acme", "seats": 7}
    assert world.traits("user_id:ann") == {"name": "Ann"}
    members = {FragmentKey.parse(key).member for key in account.fragments}
    assert members == {key_of("user_id:ann"), key_of("user_id:ben")}
    assert len(world.graph.live_heads()) == 3, "colleagues stay different persons"


def test_a_person_may_be_in_many_accounts_and_none_of_them_merges() -> None:
    world = World()

    world.take(group("user_id:ann"), group("user_id:ann", account="group_id:other"))

    assert world.head(ACME) is not world.head("group_id:other")
    assert {head.kind for head in world.graph.live_heads()} == {"person", "account"}


def test_a_group_call_that_names_nobody_still_tells_of_the_account() -> None:
    world = World()
    nameless = group(traits={"plan": "pro"})

    report = world.take(nameless)

    assert partition_key(nameless) == key_of(ACME), "the account's fragment has one writer"
    assert world.traits(ACME) == {"plan": "pro"}
    assert report.counts["unresolved"] == 0


def test_a_group_call_delivered_again_changes_nothing() -> None:
    world = World()
    called = group("user_id:ann", traits={"seats": 5})
    world.take(called)
    before = world.fragments.all()

    world.sequence = 0
    world.take(called)

    assert world.fragments.all() == before


def test_members_of_different_devices_write_fragments_of_their_own() -> None:
    """One fragment of the account would have as many writers as the account has members."""
    world = World()
    calls = [group("user_id:ann", "device_id:phone"), group("user_id:ann", "device_id:laptop"), group("user_id:ben")]

    world.take(*calls)

    assert len({partition_key(each) for each in calls}) == 3
    assert len(world.head(ACME).fragments) == 3
