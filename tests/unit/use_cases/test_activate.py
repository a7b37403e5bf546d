"""What a change of a head means to the world."""

import msgspec

from onefold.domain.head import Attached, Head, Membership
from onefold.use_cases.activate import IDENTIFIERS_MAX, HeadChange, Transition, activate, transitions
from tests.fakes.events import NOON_MS, identifier
from tests.fakes.stores import MemoryBus

AT = NOON_MS + 500


def head(*audiences: str, profile_id: str = "p_1", version: int = 1) -> Head:
    known = [identifier(name) for name in ("user_id:u1", "email:a@b.co", "anonymous_id:a2", "anonymous_id:a1")]
    return Head(
        profile_id,
        1,
        {each.key: Attached(each, 1) for each in known},
        memberships={name: Membership(NOON_MS, 1) for name in audiences},
        version=version,
    )


def shown(old: Head | None, new: Head | None) -> list[tuple[str, str, str]]:
    return [(each.kind, each.audience, each.reason) for each in transitions(HeadChange(old, new, AT))]


def test_memberships_that_come_and_go_are_entered_and_exited() -> None:
    found = transitions(HeadChange(head("a", "b"), head("b", "c", version=2), AT))

    identifiers = {"user_id": ["u1"], "email": ["a@b.co"], "anonymous_id": ["a1", "a2"]}
    assert found == [
        Transition("Audience Exited", "p_1:2:a", "p_1", AT, 2, "evaluated", "a", "exited", identifiers),
        Transition("Audience Entered", "p_1:2:c", "p_1", NOON_MS, 2, "evaluated", "c", "entered", identifiers),
    ]


def test_a_change_without_memberships_says_nothing() -> None:
    assert shown(None, head()) == []
    assert shown(head("a"), head("a", version=2)) == []
    assert shown(None, None) == []


def test_a_new_head_with_memberships_enters_them() -> None:
    assert shown(None, head("a")) == [("Audience Entered", "a", "evaluated")]


def test_a_merged_profile_leaves_its_audiences_and_names_its_survivor() -> None:
    redirect = Head("p_1", 1, merged_into="p_2", version=2)

    exited, merged = transitions(HeadChange(head("a"), redirect, AT))

    assert (exited.kind, exited.profile_id, exited.reason) == ("Audience Exited", "p_1", "merged")
    assert exited.identifiers["user_id"] == ["u1"], "receivers know people by their identifiers"
    assert (merged.kind, merged.profile_id, merged.merged_profile_id) == ("Profile Merged", "p_2", "p_1")
    assert merged.key == "p_1:2"


def test_a_redirect_that_is_written_again_says_nothing() -> None:
    redirect = Head("p_1", 1, merged_into="p_2", version=2)

    assert shown(redirect, msgspec.structs.replace(redirect, merged_into="p_3", version=3)) == []


def test_a_removed_profile_leaves_its_audiences() -> None:
    (exited,) = transitions(HeadChange(head("a", version=4), None, AT))

    assert (exited.kind, exited.reason, exited.key) == ("Audience Exited", "removed", "p_1:5:a")


def test_each_transition_has_a_key_of_its_own_and_a_repeat_has_the_same() -> None:
    changes = [
        HeadChange(head(), head("a", "b", version=2), AT),
        HeadChange(head("a", "b", version=2), head("b", version=3), AT),
        HeadChange(head("b", version=3), head("a", "b", version=4), AT),
        HeadChange(head("merged", version=4), Head("p_1", 1, merged_into="p_2", version=5), AT),
    ]
    bus = MemoryBus()

    activate(changes, bus)
    activate(changes, bus)

    keys = [each.key for each in bus.published]
    assert len(set(keys)) == 6
    assert keys[:6] == keys[6:]


def test_a_message_holds_only_the_strongest_identifiers() -> None:
    many = {each.key: Attached(each, 1) for each in (identifier(f"anonymous_id:a{n:03d}") for n in range(300))}
    crowded = msgspec.structs.replace(head("a"), identifiers=head().identifiers | many)

    (entered,) = transitions(HeadChange(None, crowded, AT))

    assert sum(map(len, entered.identifiers.values())) == IDENTIFIERS_MAX
    assert entered.identifiers["user_id"] == ["u1"]


def test_an_empty_batch_does_not_trouble_the_bus() -> None:
    bus = MemoryBus()

    assert activate([HeadChange(head(), head(version=2), AT)], bus) == []
    assert bus.published == []


def test_a_profile_that_lives_again_names_the_one_that_it_was_taken_out_of() -> None:
    redirect = Head("p_1", 1, merged_into="p_2", version=2)
    revived = msgspec.structs.replace(head("a"), split_from="p_2", version=3)

    entered, split = transitions(HeadChange(redirect, revived, AT))

    assert (entered.kind, split.kind) == ("Audience Entered", "Profile Split")
    assert (split.profile_id, split.split_from_profile_id, split.reason) == ("p_1", "p_2", "decided")
    assert split.key == "p_1:3"
    assert shown(revived, msgspec.structs.replace(revived, version=4)) == []
    assert shown(None, head()) == []
    device = msgspec.structs.replace(head(), split_from="p_2", kind="shared_device")
    assert shown(None, device) == [("Profile Split", "", "shared_device")]
