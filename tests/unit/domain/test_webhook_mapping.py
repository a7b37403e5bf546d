from decimal import Decimal
from typing import Any

import msgspec
import pytest

from onefold.domain.definition import Definition
from onefold.domain.errors import MappingInvalid
from onefold.domain.webhook_mapping import parse_payload_mapping, payload_mappings, read_mapped, read_unmapped

LOYALTY: dict[str, Any] = {
    "format": "json",
    "message_id": "loyalty/{$.id}",
    "timestamp": "$.at",
    "identifiers": {"loyalty_card": "$.member.card", "email": "$.member.email", "user_id": "$.member.number"},
    "events": [
        {"event": "Points Earned", "when": {"path": "$.type", "equals": "points.earned"}},
        {"kind": "identify", "when": {"path": "$.type", "starts_with": "member."}},
        {"event": "$.type", "when": {"path": "$.type", "exists": True}},
    ],
    "properties": {
        "points": "$.points",
        "spent": {"path": "$.spent_cents", "minor_digits": 2},
        "shop": {"path": "$.shop", "type": "text"},
        "weight": {"path": "$.weight", "type": "number"},
        "currency": "EUR",
        "version": 2,
    },
    "traits": {"firstName": "$.member.name"},
}
EARNED = {
    "id": "ev_1",
    "type": "points.earned",
    "at": "2026-11-12T10:00:00Z",
    "member": {"card": "L-7", "email": "eva@posteo-demo.net", "number": 17, "name": "Eva"},
    "points": 120,
    "spent_cents": 5999,
    "shop": 4,
    "weight": "1.50",
}


def read(body: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    return read_mapped(parse_payload_mapping(LOYALTY | changes), body, message_id="m-1")


def test_a_document_becomes_a_message_in_our_words() -> None:
    [message] = read(EARNED)

    assert (message["event"], message["messageId"], message["userId"]) == ("Points Earned", "loyalty/ev_1", "17")
    assert {each["type"]: each["id"] for each in message["context"]["externalIds"]} == {
        "loyalty_card": "L-7",
        "email": "eva@posteo-demo.net",
    }
    assert message["timestamp"] == EARNED["at"]
    assert message["properties"] == {
        "points": 120,
        "spent": Decimal("59.99"),
        "shop": "4",
        "weight": Decimal("1.50"),
        "currency": "EUR",
        "version": 2,
    }


def test_the_first_rule_that_holds_counts_and_what_none_takes_is_kept_whole() -> None:
    assert read(EARNED | {"type": "member.updated"})[0]["traits"] == {"firstName": "Eva"}
    assert read(EARNED | {"type": "points.lost"})[0]["event"] == "points.lost"
    untyped = {"id": "ev_2", "odd": [1]}
    [kept] = read(untyped)
    assert (kept["event"], kept["properties"]) == ("Webhook Received", untyped)


def test_equal_means_of_one_type() -> None:
    rules = [{"event": "Yes", "when": {"path": "$.flag", "equals": True}}, {"event": "No"}]

    assert [read({"flag": flag}, events=rules)[0]["event"] for flag in (True, 1, "true")] == ["Yes", "No", "No"]


def test_without_properties_the_whole_document_is_kept_and_without_an_id_the_senders() -> None:
    [message] = read({"type": "a"}, properties=None)

    assert (message["properties"], message["messageId"]) == ({"type": "a"}, "m-1")


def test_elements_of_an_array_are_messages_each_with_an_id_of_its_own() -> None:
    first, second = read({"events": [{"type": "a"}, 7]}, each="$.events")
    [odd] = read({"events": "none"}, each="$.events")

    assert [first["messageId"], second["messageId"]] == ["m-1/0", "m-1/1"]
    assert second["properties"] == {"value": 7}
    assert odd["properties"] == {"events": "none"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"events": []}, "#/events"),
        ({"events": [{"when": {"path": "$.a"}}]}, "#/events/0"),
        ({"events": [{"event": "$..a"}]}, "#/events/0/event"),
        ({"events": [{"event": "a", "when": {"path": "a"}}]}, "#/events/0/when/path"),
        ({"timestamp": "at"}, "#/timestamp"),
        ({"each": "$.events[*]"}, "#/each"),
        ({"message_id": "x/{id}"}, "#/message_id"),
        ({"identifiers": {"Card No": "$.a"}}, "#/identifiers/Card No"),
        ({"identifiers": {"card": "a"}}, "#/identifiers/card"),
        ({"properties": {"a": "$."}}, "#/properties/a"),
        ({"properties": {"a": {"path": "b"}}}, "#/properties/a/path"),
        ({"traits": {"a": {"path": "$.b", "minor_digits": 9}}}, "#/traits"),
        ({"colour": "red"}, "#"),
    ],
)
def test_a_faulty_mapping_is_refused_with_its_place(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(MappingInvalid) as refused:
        parse_payload_mapping(LOYALTY | changes)

    assert refused.value.pointer.startswith(pointer)


def test_mappings_of_rows_and_broken_ones_are_left_out() -> None:
    stored = msgspec.json.encode(parse_payload_mapping(LOYALTY))
    definitions = [
        Definition("mapping/loyalty", stored, 1),
        Definition("mapping/rows", b'{"message_id": "{a}"}', 1),
        Definition("mapping/newer", b'{"format": "json", "later": 1}', 1),
        Definition("mapping/broken", b"{", 1),
        Definition("source/loyalty", stored, 1),
    ]

    assert payload_mappings(definitions) == {"loyalty": parse_payload_mapping(LOYALTY)}


def test_a_document_of_no_declared_shape_is_read_as_standard_webhooks_advises() -> None:
    standard = {"type": "invoice.paid", "timestamp": "2026-11-12T10:00:00Z", "data": {"id": 1}}
    [advised], [other] = (read_unmapped(body, message_id="m-1") for body in (standard, {"data": {"id": 1}, "x": 2}))

    assert (advised["event"], advised["timestamp"], advised["properties"]) == (
        "invoice.paid",
        "2026-11-12T10:00:00Z",
        {"id": 1},
    )
    assert (other["event"], other["properties"]) == ("Webhook Received", {"data": {"id": 1}, "x": 2})
