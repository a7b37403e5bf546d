from typing import Any

import msgspec
import pytest

from onefold.adapters.phone_numbers import read_e164
from onefold.domain.errors import EventInvalid
from onefold.domain.event import Event, Kind
from onefold.domain.message import Arrival, EventReader, Message
from onefold.domain.message_identifiers import IDENTIFIERS_MAX, IdentifierReader
from onefold.domain.source import Source
from tests.fakes.events import HASHER

NOON = 1_794_484_800_000
BROWSER = Source("web", "key-of-web", kind="browser", phone_region="DE")
SERVER = Source("shop", "key-of-shop", kind="server", phone_region="DE")
TRACK = {"type": "track", "event": "Product Viewed", "messageId": "m1", "userId": "u1"}


def read(
    fields: dict[str, Any],
    *,
    kind: Kind | None = None,
    source: Source = SERVER,
    shared_context: dict[str, Any] | None = None,
    sent_at: int | None = None,
) -> Event:
    reader = EventReader(
        source=source,
        arrival=Arrival(NOON, "203.0.113.7", "Browser/1.0"),
        identifiers=IdentifierReader(HASHER, read_e164, source.phone_region),
        sent_at=sent_at,
        shared_context=shared_context,
    )
    return reader.read(msgspec.convert(fields, Message), kind, lambda: msgspec.json.encode(fields), [])


def named(event: Event) -> list[tuple[str, str]]:
    return [(identifier.type, identifier.value) for identifier in event.identifiers]


def context_of(event: Event) -> dict[str, Any]:
    context: dict[str, Any] = msgspec.json.decode(event.context)
    return context


def test_a_track_message_becomes_an_event_with_all_its_parts() -> None:
    event = read(
        TRACK
        | {
            "anonymousId": "a-1",
            "timestamp": "2026-11-12T11:59:59Z",
            "properties": {"price": 12.5},
            "context": {"locale": "de-DE"},
            "traits": {"email": "not@counted.here"},
        },
        sent_at=NOON,
    )

    assert (event.message_id, event.kind, event.name, event.source) == ("m1", "track", "Product Viewed", "shop")
    assert named(event) == [("user_id", "u1"), ("anonymous_id", "a-1")]
    assert (event.at, event.clock, event.received_at, event.sent_at) == (NOON - 1_000, "as_sent", NOON, NOON)
    assert (event.properties, event.context, event.traits) == (b'{"price":12.5}', b'{"locale":"de-DE"}', b"{}")
    assert event.violations == ()


@pytest.mark.parametrize("kind", ["track", "identify", "page", "screen", "group", "alias"])
def test_the_route_says_the_kind_and_a_batch_leaves_it_to_the_message(kind: Kind) -> None:
    fields = TRACK | {"type": "", "groupId": "g", "previousId": "p"}

    assert read(fields, kind=kind).kind == kind
    assert read(fields | {"type": kind}).kind == kind


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": None}, "kind_unknown"),
        ({"type": "purchase"}, "kind_unknown"),
        ({"type": ["track"]}, "kind_unknown"),
        ({"event": None}, "event_name_missing"),
        ({"event": "  "}, "event_name_missing"),
        ({"event": 5}, "event_name_missing"),
        ({"event": "x" * 501}, "event_name_too_long"),
        ({"properties": []}, "properties_not_an_object"),
        ({"context": "x"}, "context_not_an_object"),
        ({"type": "identify", "traits": 1}, "traits_not_an_object"),
        ({"type": "identify", "context": {"traits": "x"}}, "traits_not_an_object"),
        ({"type": "group"}, "group_id_missing"),
        ({"type": "group", "groupId": ""}, "group_id_missing"),
        ({"type": "group", "groupId": True}, "group_id_missing"),
        ({"type": "alias"}, "alias_incomplete"),
        ({"type": "alias", "previousId": "null"}, "alias_incomplete"),
        ({"type": "alias", "previousId": "p", "userId": None}, "alias_incomplete"),
    ],
)
def test_what_is_no_event_is_refused_with_its_reason(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(EventInvalid) as refused:
        read(TRACK | fields)

    assert refused.value.reason == reason


@pytest.mark.parametrize(("source", "fits"), [(BROWSER, 32 * 1_024), (SERVER, 256 * 1_024)])
def test_a_page_may_send_less_in_one_event_than_a_server(source: Source, fits: int) -> None:
    context_bytes = 200  # of what the connection adds

    assert read(TRACK | {"properties": {"x": "y" * (fits - context_bytes)}}, source=source).name == "Product Viewed"
    with pytest.raises(EventInvalid) as refused:
        read(TRACK | {"properties": {"x": "y" * fits}}, source=source)
    assert refused.value.reason == "event_too_large"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"userId": "", "anonymousId": "a-1"}, [("anonymous_id", "a-1")]),
        ({"userId": 17}, [("user_id", "17")]),
        ({"userId": 12345678901234567890}, [("user_id", "12345678901234567890")]),
        ({"userId": None, "context": {"device": {"id": "d-1"}}}, [("device_id", "d-1")]),
        (
            {"context": {"device": {"id": "d-1", "advertisingId": "ad-1", "adTrackingEnabled": True}}},
            [("user_id", "u1"), ("device_id", "ad-1"), ("device_id", "d-1")],
        ),
        (
            {"context": {"device": {"advertisingId": "ad-1", "adTrackingEnabled": False}}},
            [("user_id", "u1")],
        ),
        (
            {"context": {"device": {"advertisingId": "00000000-0000-0000-0000-000000000000"}}},
            [("user_id", "u1")],
        ),
        (
            {
                "context": {
                    "externalIds": [
                        {"id": "L-17", "type": "loyalty_id", "collection": "users"},
                        {"id": "17", "type": "external_id"},
                        {"id": "Eva@Shop.DE", "type": "email"},
                        {"id": "idfa-1", "type": "ios.idfa"},
                        {"id": "acme", "type": "crm", "collection": "accounts"},
                    ]
                }
            },
            [
                ("user_id", "u1"),
                ("external_id", "17"),
                ("external_id", "loyalty_id:L-17"),
                ("email", "eva@shop.de"),
                ("device_id", "idfa-1"),
            ],
        ),
        (
            {"type": "identify", "traits": {"email": " Eva@Shop.DE ", "phone": "030 1234567"}},
            [("user_id", "u1"), ("email", "eva@shop.de"), ("phone", "+49301234567")],
        ),
        (
            {"type": "identify", "context": {"traits": {"email": "eva@shop.de"}}},
            [("user_id", "u1"), ("email", "eva@shop.de")],
        ),
        ({"type": "page", "context": {"traits": {"email": "stale@shop.de"}}}, [("user_id", "u1")]),
        ({"context": {"traits": {"email": "stale@shop.de"}}}, [("user_id", "u1")]),
        (
            {"event": "Email Opened", "context": {"traits": {"email": "eva@shop.de"}}},
            [("user_id", "u1"), ("email", "eva@shop.de")],
        ),
        ({"properties": {"email": "eva@shop.de"}}, [("user_id", "u1")]),
    ],
)
def test_identifiers_are_taken_from_where_they_stand_strongest_first(
    fields: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    event = read(TRACK | fields)

    assert named(event) == expected
    assert all(
        identifier.key == HASHER.identifier(identifier.type, identifier.value).key for identifier in event.identifiers
    )


def test_properties_name_a_person_only_where_the_source_says_so() -> None:
    trusting = msgspec.structs.replace(SERVER, email_in_properties=True)

    event = read(TRACK | {"properties": {"email": "eva@shop.de"}}, source=trusting)

    assert named(event) == [("user_id", "u1"), ("email", "eva@shop.de")]


def test_a_phone_number_is_read_in_the_country_of_the_source() -> None:
    fields = {"type": "identify", "userId": "u1", "traits": {"phone": "(415) 555-2671"}}
    american = msgspec.structs.replace(SERVER, phone_region="US")
    nowhere = msgspec.structs.replace(SERVER, phone_region="")

    assert ("phone", "+14155552671") in named(read(fields, source=american))
    assert read(fields, source=nowhere).violations == ("phone_unusable", "message_id_missing")


@pytest.mark.parametrize(
    ("fields", "violation"),
    [
        ({"userId": "anonymous", "anonymousId": "a"}, "user_id_unusable"),
        ({"userId": True, "anonymousId": "a"}, "user_id_unusable"),
        ({"userId": {"id": 1}, "anonymousId": "a"}, "user_id_unusable"),
        ({"anonymousId": "00000000-0000-0000-0000-000000000000"}, "anonymous_id_unusable"),
        ({"context": {"externalIds": "x1"}}, "external_id_unusable"),
        ({"context": {"externalIds": [5]}}, "external_id_unusable"),
        ({"context": {"externalIds": [{}]}}, "external_id_unusable"),
        ({"context": {"device": "x"}}, None),
        ({"userId": None}, "identifier_missing"),
        ({"timestamp": "yesterday"}, "timestamp_unreadable"),
        ({"timestamp": "1931-01-01T00:00:00Z"}, "timestamp_implausible"),
        ({"sentAt": "now"}, "sent_at_unreadable"),
        ({"properties": {"id": 2**60}}, "number_as_text"),
        ({"messageId": None}, "message_id_missing"),
        ({"messageId": ""}, "message_id_missing"),
        ({"messageId": "x" * 101}, "message_id_too_long"),
        ({"messageId": 5}, "message_id_not_text"),
        ({"context": {"consent": "yes"}}, "consent_unreadable"),
    ],
)
def test_what_is_let_through_is_written_down(fields: dict[str, Any], violation: str | None) -> None:
    assert read(TRACK | fields).violations == ((violation,) if violation else ())


@pytest.mark.parametrize("given", [{}, *({"messageId": each} for each in (None, "", "x" * 10_000, 5, True, {"a": 1}))])
def test_f08_a_message_id_that_is_none_is_replaced_and_said(given: dict[str, Any]) -> None:
    """Missing, of ten kilobytes, or no text: the same message gets the same id again, and nothing is refused."""
    sent = {"type": "track", "event": "Paid", "userId": "u1"} | given

    first, again = read(sent), read(sent | {"sentAt": "2026-11-12T12:00:00Z"})

    assert first.message_id.startswith("made-")
    assert again.message_id == first.message_id
    assert [violation for violation in first.violations if violation.startswith("message_id_")]


def test_f08_a_message_id_of_ours_is_the_same_for_the_same_message_sent_again_and_no_other() -> None:
    """A message without an id: ours is a hash of its source and content."""
    bare = {"type": "track", "event": "Paid", "userId": "u1", "properties": {"a": 1, "b": 2}}
    again = {"properties": {"b": 2, "a": 1}, **{name: bare[name] for name in ("userId", "event", "type")}}

    made = read(bare).message_id

    assert made.startswith("made-")
    assert read(again | {"sentAt": "2026-11-12T12:00:00Z", "writeKey": "k"}).message_id == made
    assert read(bare | {"properties": {"a": 1, "b": 3}}).message_id != made
    assert read(bare, source=BROWSER).message_id != made


def test_traits_are_those_of_identify_wherever_they_stand_and_of_a_group() -> None:
    remembered = {"context": {"traits": {"plan": "old"}}}

    assert read(TRACK | remembered | {"traits": {"plan": "x"}}).traits == b"{}"
    assert read(TRACK | remembered | {"type": "identify"}).traits == b'{"plan":"old"}'
    assert read(TRACK | remembered | {"type": "identify", "traits": {"plan": "new"}}).traits == b'{"plan":"new"}'
    group = read(TRACK | remembered | {"type": "group", "groupId": 7, "traits": {"seats": 5}})
    assert group.account is not None
    assert (group.account.value, group.traits) == ("7", b'{"seats":5}')
    assert read(TRACK | remembered | {"type": "group", "groupId": "7"}).traits == b"{}"


def test_an_alias_names_its_former_identity_in_both_forms() -> None:
    event = read({"type": "alias", "messageId": "m", "userId": "u1", "previousId": "a-1"})

    assert named(event) == [("user_id", "u1")]
    assert [(each.type, each.value) for each in event.previous] == [("user_id", "a-1"), ("anonymous_id", "a-1")]
    assert read({"type": "alias", "messageId": "m", "userId": "u1", "anonymousId": "a-1"}).previous == event.previous


def test_a_page_has_a_name_and_a_category_in_either_place() -> None:
    page = read(TRACK | {"type": "page", "name": "Home", "category": "Shop"})

    assert (page.name, page.properties) == ("Home", b'{"category":"Shop"}')
    assert read(TRACK | {"type": "screen", "properties": {"name": "Basket"}}).name == "Basket"
    assert read(TRACK | {"type": "page"}).name == ""


def test_the_connection_enriches_the_context_where_the_person_holds_it() -> None:
    assert context_of(read(TRACK, source=BROWSER)) == {"ip": "203.0.113.7", "userAgent": "Browser/1.0"}
    assert context_of(read(TRACK | {"context": {"ip": "198.51.100.1", "userAgent": "x"}}, source=BROWSER)) == {
        "ip": "198.51.100.1",
        "userAgent": "x",
    }
    assert context_of(read(TRACK)) == {}
    assert context_of(read(TRACK | {"context": {"direct": True}}))["ip"] == "203.0.113.7"


def test_the_context_beside_a_batch_is_each_messages_unless_it_has_its_own() -> None:
    shared = {"library": {"name": "lib"}, "locale": "de"}

    event = read(TRACK | {"context": {"locale": "fr"}, "channel": "server"}, shared_context=shared)

    assert context_of(event) == {"library": {"name": "lib"}, "locale": "fr", "channel": "server"}
    assert shared == {"library": {"name": "lib"}, "locale": "de"}


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (
            {"consent": {"categoryPreferences": {"marketing": False, "analytics": True}}},
            {"marketing": False, "analytics": True},
        ),
        ({"consent": {"categoryPreferences": {}}}, {}),
        ({"consent": {}}, {}),
        (
            {"consentManagement": {"allowedConsentIds": ["a", "b"], "deniedConsentIds": ["b", "c"], "provider": "x"}},
            {"a": True, "b": False, "c": False},
        ),
        ({"consentManagement": {"allowedConsentIds": None, "deniedConsentIds": []}}, {}),
    ],
)
def test_consent_is_read_in_both_dialects(context: dict[str, Any], expected: dict[str, bool]) -> None:
    event = read(TRACK | {"context": context})

    assert event.consent == expected
    assert event.violations == ()


@pytest.mark.parametrize(
    "context",
    [
        {"consent": {"categoryPreferences": {"marketing": "yes"}}},
        {"consent": {"categoryPreferences": [1]}},
        {"consentManagement": "x"},
        {"consentManagement": {"allowedConsentIds": "a,b"}},
        {"consentManagement": {"allowedConsentIds": [1]}},
        {"consentManagement": {"allowedConsentIds": [""]}},
    ],
)
def test_consent_that_cannot_be_read_gives_none(context: dict[str, Any]) -> None:
    event = read(TRACK | {"context": context})

    assert event.consent == {}
    assert event.violations == ("consent_unreadable",)


def test_numbers_of_purposes_and_identifiers_are_bounded() -> None:
    many = {
        "consent": {"categoryPreferences": {f"p{number}": True for number in range(300)}},
        "externalIds": [{"type": "email", "id": f"e{number}@shop.de"} for number in range(300)],
    }

    event = read(TRACK | {"context": many})

    assert len(event.consent) == 100
    assert len(event.identifiers) == IDENTIFIERS_MAX
    assert event.identifiers[0].type == "user_id"
    assert set(event.violations) == {"identifiers_too_many", "consent_too_many_purposes"}
