"""Fragments: the ring of recent messages, the cursor, and what is known of identifiers."""

import pytest

from onefold.domain.event import FINGERPRINT_BYTES, FragmentKey, fingerprint, fragment_key, partition_key
from onefold.domain.fragment import (
    KNOWN_MAX,
    NEW_FRAGMENT,
    RECENT_MAX,
    Fragment,
    StoredFragment,
    fold_events,
    is_unlinked,
    settle,
)
from tests.fakes.events import event, key_of


def counted(fragment: Fragment) -> int:
    return sum(count.times for count in fragment.facts.counts.values())


def test_a_repeat_counts_once_within_a_batch_and_over_batches() -> None:
    seen = event("user_id:u1")

    fragment = fold_events(fold_events(NEW_FRAGMENT, [seen, seen]), [seen])

    assert (counted(fragment), fragment.repeats) == (1, 2)


def test_f09_the_same_message_id_of_another_source_is_another_message() -> None:
    """Two sources number their messages alike: both count."""
    web, till = (event("user_id:u1", message_id="m", source=source) for source in ("web", "till"))

    assert counted(fold_events(NEW_FRAGMENT, [web, till])) == 2


def test_the_ring_remembers_the_last_messages_and_no_more() -> None:
    events = [event("user_id:u1") for _ in range(RECENT_MAX + 1)]
    fragment = fold_events(NEW_FRAGMENT, events)

    assert len(fragment.recent) == RECENT_MAX * FINGERPRINT_BYTES
    assert fold_events(fragment, [events[1]]).repeats == 1
    assert fold_events(fragment, [events[0]]).repeats == 0


def test_a_fingerprint_that_only_seems_to_be_there_is_none() -> None:
    """The bytes of two neighbours may hold a third one's between them."""
    seen = event("user_id:u1")
    mark = fingerprint(seen)
    between = b"\0" + mark + b"\0" * (2 * FINGERPRINT_BYTES - len(mark) - 1)

    assert fold_events(Fragment(recent=between), [seen]).repeats == 0
    assert fold_events(Fragment(recent=between + mark), [seen]).repeats == 1


@pytest.mark.parametrize(
    ("cursor", "sequence", "folded"),
    [("", "1", False), ("9", "9", True), ("9", "10", False), ("10", "9", True), ("49" * 28, "49" * 27 + "50", False)],
)
def test_a_record_at_or_below_the_cursor_is_folded_already(cursor: str, sequence: str, *, folded: bool) -> None:
    assert StoredFragment("a|", cursor=cursor).has_folded(sequence) is folded


def test_an_event_is_unlinked_while_one_of_its_identifiers_is_unsettled() -> None:
    both = event("user_id:u1", "anonymous_id:a1")
    settled = settle(NEW_FRAGMENT, {key_of("user_id:u1"): True, key_of("anonymous_id:a1"): False})

    assert is_unlinked(NEW_FRAGMENT, both)
    assert not is_unlinked(settled, both)
    assert is_unlinked(settled, event("user_id:u1", "email:a@b.co"))


def test_an_alias_is_always_unlinked() -> None:
    settled = settle(NEW_FRAGMENT, {key_of("user_id:u1"): True})

    assert is_unlinked(settled, event("user_id:u1", kind="alias", previous=["user_id:u0"]))


def test_what_is_known_has_a_bound_and_the_newest_stays() -> None:
    known = {f"anonymous_id:{number}": True for number in range(KNOWN_MAX + 5)}

    assert list(settle(NEW_FRAGMENT, known).known) == list(known)[5:]


def test_an_events_fragment_is_its_strongest_device_and_its_strongest_person() -> None:
    everything = event("anonymous_id:a1", "device_id:d1", "email:a@b.co", "user_id:u1")

    assert fragment_key(everything) == FragmentKey(key_of("device_id:d1"), key_of("user_id:u1"))
    assert fragment_key(event("anonymous_id:a1")) == FragmentKey(key_of("anonymous_id:a1"), "")
    assert fragment_key(event("email:a@b.co")) == FragmentKey("", key_of("email:a@b.co"))
    assert fragment_key(event()) is None


@pytest.mark.parametrize("names", [["device_id:d1", "user_id:u1"], ["device_id:d1"], ["user_id:u1"]])
def test_a_partition_is_a_function_of_the_fragment(names: list[str]) -> None:
    named = event(*names)
    key = fragment_key(named)

    assert key is not None
    assert partition_key(named) == (key.device or key.person)
    assert FragmentKey.parse(str(key)) == key


def test_an_event_of_nobody_goes_anywhere() -> None:
    nobody = event()

    assert partition_key(nobody) == nobody.message_id


def test_what_was_left_out_is_tried_again_under_other_rules() -> None:
    both = event("user_id:u1", "anonymous_id:a1")
    settled = settle(NEW_FRAGMENT, {key_of("user_id:u1"): True, key_of("anonymous_id:a1"): False}, rules_version=1)

    assert not is_unlinked(settled, both, rules_version=1)
    assert is_unlinked(settled, both, rules_version=2)
    again = settle(settled, {key_of("user_id:u1"): True}, rules_version=2)
    assert is_unlinked(again, both, rules_version=2), "only what these rules decided is remembered"
    assert not is_unlinked(again, event("user_id:u1"), rules_version=3)
