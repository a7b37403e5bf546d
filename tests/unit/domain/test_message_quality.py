"""What the door does to a whole message: plan, consent, robots, limits, in their order."""

import copy
from typing import Any

import msgspec
import pytest

from onefold.adapters.json_schema import compile_schema
from onefold.adapters.phone_numbers import read_e164
from onefold.domain.enrichment import Enricher
from onefold.domain.errors import EventInvalid, EventSuppressed, PlanViolated
from onefold.domain.event import Event
from onefold.domain.message import Arrival, EventReader, Message
from onefold.domain.message_identifiers import IdentifierReader
from onefold.domain.source import ConsentRules, Limits, Source
from onefold.domain.tracking_plan import compile_plan, parse_plan
from onefold.domain.user_agent import UserAgent
from tests.fakes.events import HASHER

NOON = 1_794_484_800_000
TRACK = {"type": "track", "event": "Product Viewed", "messageId": "m1", "userId": "u1", "anonymousId": "a1"}
IDENTIFY = {"type": "identify", "messageId": "m1", "userId": "u1", "traits": {"email": "ada@lovelace.dev"}}
DENIED = {"consent": {"categoryPreferences": {"analytics": False}}}
GIVEN = {"consent": {"categoryPreferences": {"analytics": True}}}


def web(**fields: Any) -> Source:
    return Source("web", "key-of-web", kind=fields.pop("kind", "browser"), **fields)


def read(fields: dict[str, Any], source: Source, *, plan: dict[str, Any] | None = None, gpc: bool = False) -> Event:
    compiled = plan and compile_plan(
        parse_plan(msgspec.json.encode({"name": "p", "sources": ["web"], **plan})), "plan/p@1", compile_schema
    )
    reader = EventReader(
        source=source,
        arrival=Arrival(NOON, "203.0.113.7", "Browser/1.0", gpc=gpc),
        identifiers=IdentifierReader(HASHER, read_e164, "DE"),
        enricher=Enricher(source, lambda text: UserAgent(robot="Somebot" if "bot" in text else "")),
        plan=compiled or None,
    )
    message = msgspec.convert(copy.deepcopy(fields), Message)
    return reader.read(message, None, lambda: msgspec.json.encode(fields), [])


def context_of(event: Event) -> dict[str, Any]:
    context: dict[str, Any] = msgspec.json.decode(event.context)
    return context


def whole(event: Event) -> bytes:
    return msgspec.msgpack.encode(event)


def test_a_robots_event_is_kept_and_names_nobody() -> None:
    fields = TRACK | {"context": {"userAgent": "a bot"}, "properties": {"price": 5}}

    event = read(fields, web())

    assert (event.identifiers, event.previous, event.properties) == ((), (), b'{"price":5}')
    assert context_of(event)["traffic"] == {"bot": "Somebot", "identifiers": {"userId": "u1", "anonymousId": "a1"}}
    assert event.violations == ()
    assert read(TRACK, web()).identifiers
    assert read(fields, web(bots="keep")).identifiers
    assert context_of(read(fields, web(bots="keep")))["traffic"] == {"bot": "Somebot"}


def test_a_robots_alias_joins_nobody() -> None:
    event = read(
        {"type": "alias", "userId": "u1", "previousId": "a1", "context": {"userAgent": "a bot"}}, web(kind="server")
    )

    assert (event.identifiers, event.previous) == ((), ())


def test_a_mail_that_a_program_opened_for_its_person_names_the_person() -> None:
    opened = TRACK | {
        "event": "Email Opened",
        "context": {"userAgent": "a bot", "traits": {"email": "ada@lovelace.dev"}},
    }

    assert {known.type for known in read(opened, web(kind="server")).identifiers} == {
        "user_id",
        "email",
        "anonymous_id",
    }


def test_a_servers_own_address_and_agent_are_nobodys() -> None:
    assert context_of(read(TRACK, web(kind="server"))) == {}
    assert context_of(read(TRACK, web())) == {"ip": "203.0.113.0", "userAgent": "Browser/1.0"}
    assert read(TRACK, web(kind="server"), gpc=True).consent == {}
    assert read(TRACK, web(), gpc=True).consent == {"sale_or_sharing": False}


REDUCING = ConsentRules(required=("analytics",))


@pytest.mark.parametrize("context", [{}, DENIED, {"consent": {"categoryPreferences": {"marketing": True}}}])
def test_without_consent_an_event_is_reduced_to_what_happened(context: dict[str, Any]) -> None:
    fields = TRACK | {
        "context": {"ip": "203.0.113.7", "traits": {"email": "ada@lovelace.dev"}, "locale": "de", **context},
        "properties": {"price": 5, "email": "ada@lovelace.dev"},
    }

    event = read(fields, web(consent=REDUCING))

    assert (event.identifiers, event.properties, event.name) == ((), b'{"price":5}', "Product Viewed")
    assert context_of(event) == context
    assert event.violations == ("consent_refused",)
    for secret in (b"ada", b"203.0.113", b"u1", b"a1"):
        assert secret not in whole(event)


def test_without_consent_an_identify_says_nothing_of_anybody() -> None:
    event = read(IDENTIFY | {"context": DENIED}, web(consent=REDUCING))

    assert (event.traits, event.identifiers, event.consent) == (b"{}", (), {"analytics": False})


def test_with_consent_or_where_none_is_required_an_event_is_whole() -> None:
    for context, rules in (
        (GIVEN, REDUCING),
        (DENIED, ConsentRules()),
        ({}, ConsentRules(required=("analytics",), missing="given")),
    ):
        event = read(IDENTIFY | {"context": context}, web(consent=rules))
        assert event.identifiers
        assert event.traits == b'{"email":"ada@lovelace.dev"}'


def test_where_the_source_suppresses_nothing_is_left() -> None:
    source = web(consent=ConsentRules(required=("analytics",), refused="suppress"))

    with pytest.raises(EventSuppressed) as suppressed:
        read(TRACK | {"context": DENIED}, source)

    assert (suppressed.value.reason, "analytics" in suppressed.value.detail) == ("consent_refused", True)
    assert read(TRACK | {"context": GIVEN}, source).identifiers


@pytest.mark.parametrize("refused", ["reduce", "suppress"])
def test_a_withdrawal_keeps_its_identifiers_so_that_it_takes_effect(refused: Any) -> None:
    fields = TRACK | {"event": "Segment Consent Preference Updated", "context": DENIED | {"ip": "203.0.113.7"}}

    event = read(fields, web(consent=ConsentRules(required=("analytics",), refused=refused)))

    assert [known.value for known in event.identifiers] == ["u1", "a1"]
    assert event.consent == {"analytics": False}
    assert context_of(event) == DENIED


@pytest.mark.parametrize(
    "fault", [{"event": ""}, {"type": "purchase"}, {"properties": 5}, {"properties": {"x": "y" * 40_000}}]
)
def test_a_faulty_event_of_somebody_who_refused_is_not_kept_in_the_quarantine_either(fault: dict[str, Any]) -> None:
    with pytest.raises(EventSuppressed) as suppressed:
        read(TRACK | {"context": DENIED} | fault, web(consent=REDUCING))
    with pytest.raises(EventInvalid) as refused:
        read(TRACK | {"context": GIVEN} | fault, web(consent=REDUCING))

    assert suppressed.value.reason == refused.value.reason


def test_a_plan_speaks_before_identifiers_are_taken() -> None:
    schema = {"properties": {"email": {"type": "string", "format": "email"}, "age": {"type": "integer"}}}
    plan = {"mode": "strip", "kinds": {"identify": {"traits": schema}}}
    fields = {"type": "identify", "userId": "u1", "traits": {"email": "not one", "age": 5}, "messageId": "m"}

    event = read(fields, web(), plan=plan)

    assert [known.type for known in event.identifiers] == ["user_id"]
    assert event.traits == b'{"age":5}'
    assert event.violations == ("plan_format:/traits/email", "stripped:/traits")


def test_a_plan_that_quarantines_refuses_the_event() -> None:
    plan = {"mode": "quarantine", "events": {"Product Viewed": {"properties": {"required": ["price"]}}}}

    with pytest.raises(PlanViolated) as refused:
        read(TRACK, web(), plan=plan)

    assert (refused.value.reason, refused.value.version) == ("plan_violated", "plan/p@1")
    with pytest.raises(EventSuppressed):
        read(TRACK | {"context": DENIED}, web(consent=REDUCING), plan=plan)


@pytest.mark.parametrize(
    ("limits", "fields", "reason"),
    [
        (Limits(properties=3), {"properties": dict.fromkeys("abcd", 1)}, "too_many_properties"),
        (Limits(traits=1), {"type": "identify", "traits": {"a": 1, "b": 2}}, "too_many_traits"),
        (Limits(keys=20), {"properties": {"a": [{"k": 1}] * 21}}, "too_many_keys"),
        (Limits(event_bytes=1_024), {"properties": {"a": "x" * 1_024}}, "event_too_large"),
    ],
)
def test_limits_are_the_sources_and_have_names(limits: Limits, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(EventInvalid) as refused:
        read(TRACK | fields, web(limits=limits))

    assert refused.value.reason == reason
    assert read(TRACK | fields, web())


def test_a_hundred_thousand_names_are_too_many_for_any_source() -> None:
    names = {f"k{number}": 1 for number in range(9_999)}
    fields = TRACK | {"properties": {"a": names, "b": names}}

    with pytest.raises(EventInvalid) as refused:
        read(fields, web(kind="server"))

    assert refused.value.reason == "too_many_keys"
