"""Lightening: a fragment that strangers blew up gets smaller each time, and says so."""

from random import Random

import pytest

from onefold.adapters.compression import pack
from onefold.domain.facts import fold
from onefold.domain.fragment import NEW_FRAGMENT, Fragment, fold_events
from onefold.domain.lighten import lighten
from onefold.domain.sales import totals_by_currency
from onefold.domain.session import SESSION_GAP_MS
from tests.fakes.events import NOON_MS, event, identifier


@pytest.fixture(scope="module")
def blown_up() -> Fragment:
    random = Random(3)
    events = [
        event(
            f"device_id:{random.randbytes(8).hex()}",
            kind=kind,
            name=random.choice(["Order Completed", "Email Opened", random.randbytes(100).hex()]),
            at=NOON_MS + number * 2 * SESSION_GAP_MS,
            properties={"order_id": f"o{number}", "total": 1, "currency": f"C{number % 60}", "nps": number},
            traits={random.randbytes(9).hex(): {random.randbytes(9).hex(): "x" * 500} for _ in range(9)},
            context={"campaign": {"name": random.randbytes(90).hex()}, "device": {"model": random.randbytes(40).hex()}},
            consent={random.randbytes(50).hex(): True},
            account=identifier(f"group_id:{random.randbytes(200).hex()}"),
        )
        for number in range(900)
        for kind in ("track", "identify", "group")
    ]
    return fold_events(NEW_FRAGMENT, events)


def test_each_time_it_gets_smaller_until_next_to_nothing_is_left(blown_up: Fragment) -> None:
    sizes, fragment = [len(pack(blown_up))], blown_up
    for _ in range(12):
        fragment = lighten(fragment)
        sizes.append(len(pack(fragment)))

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 4_000


def test_what_can_be_kept_in_sums_is(blown_up: Fragment) -> None:
    lighter = lighten(blown_up).facts
    facts = blown_up.facts

    assert sum(each.times for each in lighter.counts.values()) == 2_700
    assert lighter.counts["track:Email Opened"] == facts.counts["track:Email Opened"]
    orders = [totals_by_currency(each.orders.values(), each.settled).values() for each in (facts, lighter)]
    assert sum(each.orders for each in orders[0]) > sum(each.orders for each in orders[1]) > 0
    assert lighter.settled_sessions is not None
    assert facts.settled_sessions is not None
    assert lighter.settled_sessions.count + len(lighter.sessions) == facts.settled_sessions.count + len(facts.sessions)
    assert lighter.dropped["lightened"] > 0
    assert lighter.dropped.items() >= facts.dropped.items()


def test_a_lightened_fragment_goes_on(blown_up: Fragment) -> None:
    lighter = lighten(blown_up).facts

    assert fold(lighter, [event("user_id:u1", kind="identify", traits={"plan": "pro"})]).traits["plan"].value == "pro"
