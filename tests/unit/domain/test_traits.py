"""Traits: objects grow leaf by leaf, older words never undo newer ones, and each value knows where it is from."""

from itertools import permutations
from typing import Any

import pytest

from onefold.domain.facts import NOTHING, Facts, fold
from onefold.domain.head import Head
from onefold.domain.profile import Profile, provenance_document, traits_document
from onefold.domain.traits import TRAIT_BYTES_MAX, TRAIT_DEPTH_MAX, TRAIT_PATH_LENGTH_MAX, TRAITS_MAX
from tests.fakes.events import NOON_MS, event


def told(*words: dict[str, Any]) -> Facts:
    return fold(
        NOTHING, [event("user_id:u1", kind="identify", at=NOON_MS + at, traits=each) for at, each in enumerate(words)]
    )


def shown(facts: Facts) -> dict[str, Any]:
    return traits_document(Profile(Head("p", 1), facts))


@pytest.mark.parametrize(
    ("words", "traits"),
    [
        ([{"address": {"city": "Leeds"}}, {"address": {"zip": "LS1"}}], {"address": {"city": "Leeds", "zip": "LS1"}}),
        ([{"address": {"city": "Leeds"}}, {"address": {"city": "York"}}], {"address": {"city": "York"}}),
        ([{"address": {"city": "Leeds"}}, {"address": None}], {}),
        ([{"address": {"city": "Leeds"}}, {"address": None}, {"address": {"zip": "1"}}], {"address": {"zip": "1"}}),
        ([{"address": {"city": "Leeds"}}, {"address": "unknown"}], {"address": "unknown"}),
        ([{"address": "unknown"}, {"address": {"city": "Leeds"}}], {"address": {"city": "Leeds"}}),
        ([{"address": "unknown"}, {"address": {"city": "Leeds"}}, {"address": {"city": None}}], {}),
        ([{"address": {"city": "Leeds", "zip": "1"}}, {"address": {"zip": None}}], {"address": {"city": "Leeds"}}),
        ([{"a": {"b": 1}}, {"a": {}}], {"a": {"b": 1}}),
        ([{"tags": ["a", "b"]}, {"tags": ["c"]}], {"tags": ["c"]}),
        ([{"a": {"x": 1}}, {"a": 2}, {"a": {"y": 3}}], {"a": {"y": 3}}),
        ([{"a.b": 1}, {"a": {"b": 2}}], {"a": {"b": 2}, "a.b": 1}),
    ],
)
def test_objects_grow_and_the_newest_word_counts_however_they_arrive(
    words: list[dict[str, Any]], traits: dict[str, Any]
) -> None:
    events = [event("user_id:u1", kind="identify", at=NOON_MS + at, traits=each) for at, each in enumerate(words)]

    for arrival in permutations(events):
        assert shown(fold(NOTHING, arrival)) == traits


def test_each_value_tells_where_it_is_from() -> None:
    first = event("user_id:u1", kind="identify", traits={"plan": "pro", "address": {"city": "Leeds"}}, source="till")
    second = event("user_id:u1", kind="identify", traits={"plan": "free", "a.b": 1, "old": None}, received_at=NOON_MS)

    document = provenance_document(Profile(Head("p", 1), fold(NOTHING, [first, second])))

    of_first, of_second = (
        {"source": e.source, "at": e.at, "received_at": e.received_at, "message_id": e.message_id}
        for e in (first, second)
    )
    assert document == {"a\\.b": of_second, "address.city": of_first, "plan": of_second}
    assert list(document) == ["a\\.b", "address.city", "plan"]


def test_what_lies_deeper_than_the_bound_is_one_value() -> None:
    deep: Any = {"leaf": 1}
    for number in reversed(range(TRAIT_DEPTH_MAX)):
        deep = {f"level{number}": deep}

    facts = told(deep)

    (path,) = facts.traits
    assert path.count(".") == TRAIT_DEPTH_MAX - 1
    assert facts.traits[path].value == {"leaf": 1}
    assert shown(facts) == deep


def test_what_finds_no_room_is_counted() -> None:
    many = {f"t{number:03}": number for number in range(TRAITS_MAX + 7)}
    large = {"large": "x" * (TRAIT_BYTES_MAX + 1), "n" * (TRAIT_PATH_LENGTH_MAX + 1): 1}

    assert told(large).dropped == {"trait_values": 1, "trait_names": 1}
    assert told(many).dropped == {"traits": 7}
    assert len(told(many).traits) == TRAITS_MAX


def test_an_object_that_was_overwritten_leaves_room() -> None:
    whole = {"address": {f"line{number}": number for number in range(TRAITS_MAX - 1)}}
    facts = told(whole, {"address": None}, {"city": 1, "zip": 2})

    assert facts.dropped == {}
    assert shown(facts) == {"city": 1, "zip": 2}
