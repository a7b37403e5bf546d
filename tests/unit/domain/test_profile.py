"""What a profile's document says of campaigns, mail, support, devices, consents and accounts, and what it counts."""

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from onefold.domain.consent import CONSENTS_MAX, PROOF_LENGTH_MAX, PURPOSE_LENGTH_MAX
from onefold.domain.device import DEVICE_TEXT_LENGTH_MAX, DEVICES_MAX
from onefold.domain.event import Event
from onefold.domain.facts import ACCOUNTS_MAX, EVENT_NAMES_MAX, NOTHING, ORDERS_MAX, Dropped, fold
from onefold.domain.head import Attached, Head
from onefold.domain.order import REFUNDS_PER_ORDER_MAX
from onefold.domain.profile import Profile, profile_document
from onefold.domain.sales import CURRENCIES_MAX
from onefold.domain.session import SESSIONS_MAX
from onefold.domain.support import CONTACT_S_MAX
from onefold.domain.touch import (
    CAMPAIGN_TEXT_LENGTH_MAX,
    CAMPAIGNS_MAX,
    DAY_MS,
    TOUCHES_PER_CAMPAIGN_MAX,
    TOUCHES_SHOWN_MAX,
)
from onefold.domain.traits import TRAIT_BYTES_MAX, TRAIT_PATH_LENGTH_MAX, TRAITS_MAX
from tests.fakes.events import NOON_MS, event, identifier, key_of


def shown(*events: Event, head: Head | None = None) -> dict[str, Any]:
    forwards, backwards = (
        profile_document(Profile(head or Head("p", 1), fold(NOTHING, each))) for each in (events, events[::-1])
    )
    if not forwards["dropped"]:
        assert forwards == backwards
    return forwards


def touched(day: float, **campaign: object) -> Event:
    return event("user_id:u1", kind="page", at=round(NOON_MS + day * DAY_MS), context={"campaign": campaign})


def test_a_campaign_touches_once_a_day_at_the_earliest_time() -> None:
    events = [
        touched(0, name="spring", source="mail", is_test=True),
        touched(0.1, name="spring", source="mail"),
        touched(0.2, name="summer"),
        touched(1, name="spring", source="mail"),
        touched(1.1, name="spring", source="mail"),
    ]

    spring = {"name": "spring", "source": "mail"}
    assert shown(*events)["campaigns"] == {
        "first": {"at": events[0].at, **spring},
        "last": {"at": events[4].at, **spring},
        "touches": [
            {"at": events[3].at, **spring},
            {"at": events[2].at, "name": "summer"},
            {"at": events[0].at, **spring},
        ],
    }


def test_the_first_touch_outlives_all_bounds() -> None:
    days = TOUCHES_PER_CAMPAIGN_MAX + 5
    events = [
        touched(0, name="first"),
        *(touched(1 + number, name=f"c{number}") for number in range(CAMPAIGNS_MAX + 3)),
        *(touched(1 + number, name="daily") for number in range(days)),
    ]

    facts = fold(NOTHING, events)

    assert (len(facts.campaigns), facts.dropped) == (CAMPAIGNS_MAX, {"campaigns": 5})
    document = shown(*events)["campaigns"]
    assert document["first"] == {"at": NOON_MS, "name": "first"}
    assert document["last"] == {"at": events[-1].at, "name": "daily"}
    assert sum(each["name"] == "daily" for each in document["touches"]) == TOUCHES_PER_CAMPAIGN_MAX


@pytest.mark.parametrize("context", [{}, {"campaign": {}}, {"campaign": {"name": ""}}, {"campaign": {"name": 1}}])
def test_a_campaign_without_words_is_no_touch(context: dict[str, Any]) -> None:
    page = event("user_id:u1", kind="page", context=context)

    assert shown(page)["campaigns"] == {"first": None, "last": None, "touches": []}


def test_a_campaigns_long_words_are_cut_and_counted() -> None:
    document = shown(touched(0, name="x" * (CAMPAIGN_TEXT_LENGTH_MAX + 1)))

    assert document["campaigns"]["first"]["name"] == "x" * CAMPAIGN_TEXT_LENGTH_MAX
    assert document["dropped"] == {"campaign_texts": 1}


def test_mail_engagement_is_exact_whatever_else_is_counted() -> None:
    others = [event("user_id:u1", name=f"n{number}") for number in range(EVENT_NAMES_MAX + 20)]
    opened = [event("user_id:u1", name="Email Opened", at=NOON_MS + at) for at in (3, 1)]

    document = shown(*others, *opened)

    assert document["email"]["opened"] == {"times": 2, "first_at": NOON_MS + 1, "last_at": NOON_MS + 3}
    assert document["email"]["bounced"] is None
    assert document["events"]["other"]["times"] == document["dropped"]["event_names"] == 20


def test_support_contacts_of_each_kind_with_their_mean_length_and_the_last_answers() -> None:
    chats = [
        event("user_id:u1", name="Live Chat Conversation Ended", properties=each)
        for each in ({"conversation_duration": 60}, {"conversation_duration": 1.5, "nps": 9}, {"nps": 3, "csat": 4.5})
    ]
    call = event("user_id:u1", name="Support Call Ended", properties={"call_duration": 10})

    assert shown(*chats, call)["support"] == {
        "chats": {"count": 3, "total_ms": 61_500, "mean_ms": 30_750},
        "tickets": {"count": 0, "total_ms": 0, "mean_ms": None},
        "calls": {"count": 1, "total_ms": 10_000, "mean_ms": 10_000},
        "nps": {"value": 3, "at": chats[2].at},
        "csat": {"value": 4.5, "at": chats[2].at},
    }


@pytest.mark.parametrize("length", [-1, CONTACT_S_MAX + 1, "long"])
def test_a_contact_of_impossible_length_counts_without_one(length: object) -> None:
    document = shown(event("user_id:u1", name="Support Ticket Closed", properties={"ticket_duration": length}))

    assert document["support"]["tickets"] == {"count": 1, "total_ms": 0, "mean_ms": None}
    assert document["dropped"] == {"support_lengths": 1}


def test_a_device_shows_its_newest_description_and_the_identifier_that_it_has_in_the_profile() -> None:
    phone = identifier("device_id:d1")
    head = Head("p", 1, {phone.key: Attached(phone, NOON_MS)})
    contexts = [
        {"device": {"type": "ios", "model": "iPhone 12"}},
        {"device": {"type": "ios", "model": "iPhone 15"}, "os": {"name": "iOS", "version": "18"}},
        {"device": {"id": "d1"}, "os": {}},
    ]
    events = [event("device_id:d1", at=NOON_MS + at, context=each) for at, each in enumerate(contexts)]
    laptop = event("anonymous_id:a1", at=NOON_MS + 9, context={"os": {"name": "x" * 200}})

    assert shown(*events, laptop, head=head)["devices"] == [
        {
            "key": key_of("anonymous_id:a1"),
            "identifier": None,
            "first_seen_at": NOON_MS + 9,
            "last_seen_at": NOON_MS + 9,
            "type": None,
            "model": None,
            "os": "x" * DEVICE_TEXT_LENGTH_MAX,
        },
        {
            "key": phone.key,
            "identifier": "device_id:d1",
            "first_seen_at": NOON_MS,
            "last_seen_at": NOON_MS + 2,
            "type": "ios",
            "model": "iPhone 15",
            "os": "iOS 18",
        },
    ]


def decision(*, given: bool, at: int = 0, **fields: Any) -> Event:
    return event("user_id:u1", at=NOON_MS + at, consent={"marketing": given}, message_id=f"m{at}", **fields)


def test_an_older_event_never_undoes_a_newer_withdrawal() -> None:
    document = shown(decision(given=True), decision(given=False, at=2), decision(given=True, at=1))

    assert document["consents"] == {
        "marketing": {"given": False, "at": NOON_MS + 2, "source": "web", "message_id": "m2", "proof": None}
    }


def test_of_two_decisions_with_one_stamp_the_withdrawal_counts() -> None:
    yes, no = (decision(given=given) for given in (True, False))

    assert shown(yes, no)["consents"]["marketing"]["given"] is False
    assert fold(fold(NOTHING, [no]), [yes]) == fold(fold(NOTHING, [yes]), [no])


@pytest.mark.parametrize(
    ("context", "proof"),
    [
        ({}, None),
        ({"consent": {"categoryPreferences": {"marketing": True}}}, None),
        (
            {"consent": {"categoryPreferences": {}, "policy": "v3", "form": {"id": 7}}},
            {"policy": "v3", "form": {"id": 7}},
        ),
        ({"consentManagement": {"deniedConsentIds": ["a"], "provider": "oneTrust"}}, {"provider": "oneTrust"}),
        ({"consent": "CPXxRfAPXxRfA"}, {"text": "CPXxRfAPXxRfA"}),
        ({"consent": {"text": "x" * 600}}, {"cut": ('{"text":"' + "x" * 600)[:PROOF_LENGTH_MAX]}),
    ],
)
def test_a_decision_keeps_what_the_event_says_beside_it(context: dict[str, Any], proof: object) -> None:
    assert shown(decision(given=True, context=context))["consents"]["marketing"]["proof"] == proof


def test_accounts_are_those_that_the_person_named() -> None:
    groups = [
        event("user_id:u1", kind="group", account=identifier(f"group_id:{name}")) for name in ("acme", "zeta", "acme")
    ]

    assert shown(*groups)["accounts"] == ["acme", "zeta"]


def test_what_is_bounded_by_number_is_counted_beyond() -> None:
    many = 1 + max(ACCOUNTS_MAX, CONSENTS_MAX, DEVICES_MAX)
    events = [
        event(f"device_id:d{number}", kind="group", account=identifier(f"group_id:g{number}")) for number in range(many)
    ]
    purposes = {f"purpose {number}": True for number in range(CONSENTS_MAX + 2)} | {
        "p" * (PURPOSE_LENGTH_MAX + 1): True
    }
    facts = fold(NOTHING, [*events, event("user_id:u1", consent=purposes)])

    assert facts.dropped == {"accounts": many - ACCOUNTS_MAX, "devices": many - DEVICES_MAX, "consents": 3}
    assert (len(facts.accounts), len(facts.devices), len(facts.consents)) == (ACCOUNTS_MAX, DEVICES_MAX, CONSENTS_MAX)


def test_every_field_and_every_bound_is_documented() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "profile.md").read_text()

    assert [name for name in (*shown(), *get_args(Dropped)) if f"`{name}`" not in text] == []
    for bound in (
        f"{TRAITS_MAX} values (`traits`), {TRAIT_BYTES_MAX:,} bytes each",
        f"{TRAIT_PATH_LENGTH_MAX} characters a path",
        f"{EVENT_NAMES_MAX} names",
        f"{SESSIONS_MAX} one by one",
        f"{DEVICES_MAX} (`devices`), {DEVICE_TEXT_LENGTH_MAX} characters",
        f"{ORDERS_MAX} orders one by one",
        f"{REFUNDS_PER_ORDER_MAX} reports of refunds",
        f"{CURRENCIES_MAX} currencies",
        f"{CAMPAIGNS_MAX} campaigns (`campaigns`), {TOUCHES_PER_CAMPAIGN_MAX} days each, {TOUCHES_SHOWN_MAX} touches",
        f"{CAMPAIGN_TEXT_LENGTH_MAX} characters a text (`campaign_texts`)",
        f"{CONTACT_S_MAX // 86_400} days a contact",
        f"{CONSENTS_MAX} purposes of {PURPOSE_LENGTH_MAX} characters",
        f"{PROOF_LENGTH_MAX} characters of proof",
        f"{ACCOUNTS_MAX} (`accounts`)",
    ):
        assert bound in text


def test_an_empty_profile_has_every_field() -> None:
    document = shown()

    assert msgspec.json.encode(document)
    assert document["dropped"] == document["traits"] == document["orders"] == document["consents"] == {}
    assert document["first_seen_at"] is None
