"""Sessions: half an hour without an event ends one, and late events bridge two."""

from itertools import permutations
from typing import Any

from onefold.domain.event import Event
from onefold.domain.facts import NOTHING, Facts, fold, join
from onefold.domain.head import Head
from onefold.domain.profile import Profile, profile_document
from onefold.domain.session import SESSION_GAP_MS, SESSIONS_MAX
from tests.fakes.events import NOON_MS, event

MINUTE = 60_000


def seen(*minutes: float, device: str = "anonymous_id:a1") -> list[Event]:
    return [event("user_id:u1", device, at=NOON_MS + round(each * MINUTE)) for each in minutes]


def shown(facts: Facts) -> Any:
    return profile_document(Profile(Head("p", 1), facts))["sessions"]


def test_a_pause_of_exactly_half_an_hour_is_within_a_session_and_a_longer_one_ends_it() -> None:
    at = NOON_MS + SESSION_GAP_MS
    within, beyond = (event("anonymous_id:a1", at=each) for each in (at, at + SESSION_GAP_MS + 1))

    assert shown(fold(NOTHING, [*seen(0), within, beyond])) == {
        "count": 2,
        "first_at": NOON_MS,
        "last_at": beyond.at,
        "total_ms": SESSION_GAP_MS,
        "recent": [
            {"start_at": beyond.at, "end_at": beyond.at, "events": 1},
            {"start_at": NOON_MS, "end_at": at, "events": 2},
        ],
    }


def test_a_late_event_bridges_two_sessions_however_they_arrive() -> None:
    events = seen(0, 25, 50)

    for arrival in permutations(events):
        facts = NOTHING
        for each in arrival:
            facts = fold(facts, [each])
        assert [(session["end_at"] - NOON_MS, session["events"]) for session in shown(facts)["recent"]] == [
            (50 * MINUTE, 3)
        ]


def test_two_devices_at_the_same_time_are_one_session_of_their_person() -> None:
    phone, laptop = fold(NOTHING, seen(0, 20)), fold(NOTHING, seen(10, 45, device="anonymous_id:a2"))

    assert shown(join(phone, laptop)) == shown(join(laptop, phone))
    assert shown(join(phone, laptop))["count"] == 1
    assert shown(join(phone, laptop))["total_ms"] == 45 * MINUTE


def test_what_names_no_device_is_no_visit() -> None:
    assert shown(fold(NOTHING, [event("user_id:u1", name="Order Completed")])) == {
        "count": 0,
        "first_at": None,
        "last_at": None,
        "total_ms": 0,
        "recent": [],
    }


def test_older_sessions_settle_into_the_totals() -> None:
    count = SESSIONS_MAX + 5
    facts = NOTHING
    for number in range(count):
        facts = fold(facts, seen(100 * number, 100 * number + 10))

    document = shown(facts)

    assert len(facts.sessions) == len(document["recent"]) == SESSIONS_MAX
    assert (document["count"], document["total_ms"]) == (count, count * 10 * MINUTE)
    assert (document["first_at"], document["last_at"]) == (NOON_MS, NOON_MS + (100 * count - 90) * MINUTE)
