"""The simulated day is the same for a seed, and its truth is what its calls say."""

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from cli.simulator import Day, simulate


@pytest.fixture(scope="module")
def day() -> Day:
    return simulate(seed=7, persons=200)


def named(day: Day, name: str) -> list[Any]:
    distinct = {call.body["messageId"]: call.body for call in day.calls}
    return [body for body in distinct.values() if body.get("event") == name]


def test_a_seed_gives_the_same_day_and_another_seed_another(day: Day) -> None:
    assert simulate(seed=7, persons=200) == day
    assert simulate(seed=8, persons=200) != day


def test_a_day_has_the_size_of_a_small_shops(day: Day) -> None:
    assert 5_000 < day.truth.events < 7_000
    assert len(day.calls) == day.truth.events + day.truth.repeats
    assert {call.transport for call in day.calls} == {"sdk", "http"}
    assert simulate(seed=7, persons=20).truth.events < day.truth.events / 5


def test_every_message_has_its_own_id_and_a_time_of_the_day_or_the_night_after(day: Day) -> None:
    times = [call.body["timestamp"] for call in simulate(seed=7, persons=50, day=date(2026, 5, 2)).calls]

    assert times == sorted(times)
    assert times[0] > "2026-05-02T06"
    assert times[-1] < "2026-05-03T06"
    assert len({call.body["messageId"] for call in day.calls}) == day.truth.events


def test_profiles_share_out_the_events_and_the_money(day: Day) -> None:
    truth = day.truth

    assert sum(profile.events for profile in truth.profiles) == truth.events
    assert sum(profile.orders for profile in truth.profiles) == len(named(day, "Order Completed"))
    gross = sum((profile.gross for profile in truth.profiles), Decimal(0))
    assert gross == sum((sales.gross for sales in truth.sales_by_country.values()), Decimal(0))
    assert gross == sum(
        (Decimal(str(body["properties"]["total"])) for body in named(day, "Order Completed")), Decimal(0)
    )


def test_identifiers_name_one_profile_each(day: Day) -> None:
    owners = Counter(identifier for profile in day.truth.profiles for identifier in profile.identifiers)

    assert set(owners.values()) == {1}


def test_a_tablet_is_used_by_three_persons_and_by_nobody_in_particular(day: Day) -> None:
    tablet = next(profile for profile in day.truth.profiles if profile.label == "tablet")
    device = tablet.identifiers[0].removeprefix("anonymous_id:")
    bodies = [call.body for call in day.calls if call.body.get("anonymousId") == device]

    assert len({body["userId"] for body in bodies if "userId" in body}) == 3
    assert sum("userId" not in body for body in bodies) == tablet.events


def test_audiences_are_neither_empty_nor_everybody(day: Day) -> None:
    for name in ("cart_abandoners", "loyal_customers", "detractors"):
        assert 0 < len(day.truth.members(name)) < len(day.truth.profiles) / 2


def test_nothing_identifies_with_a_value_that_is_blocked(day: Day) -> None:
    from tests.fakes.events import normalise

    for profile in day.truth.profiles:
        for identifier in profile.identifiers:
            kind, _, value = identifier.partition(":")
            assert normalise(kind, value) == value
