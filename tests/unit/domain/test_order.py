"""The ledger of orders: repeats, corrections and refunds in any order."""

from itertools import permutations
from typing import Any

import msgspec
import pytest

from onefold.domain.event import Event
from onefold.domain.facts import NOTHING, ORDERS_MAX, fold
from onefold.domain.order import REFUNDS_PER_ORDER_MAX, read_order
from onefold.domain.sales import CURRENCIES_MAX, SUM_MAX, Totals, order_totals, totals_by_currency
from tests.fakes.events import NOON_MS, event


def order_event(name: str = "Order Completed", *, at: int = 0, **properties: Any) -> Event:
    return event("user_id:u1", name=name, at=NOON_MS + at, properties={"order_id": "o1", **properties})


def totals(*events: Event) -> dict[str, Totals]:
    return totals_by_currency(fold(NOTHING, events).orders.values(), {})


EURO = 1_000_000


@pytest.mark.parametrize(
    ("properties", "gross"),
    [
        ({"total": 12.5, "revenue": 9, "value": 8}, 12.5),
        ({"revenue": 9, "value": 8}, 9),
        ({"value": 8}, 8),
        ({"products": [{"price": 2.5, "quantity": 3}, {"price": 0.99}]}, 8.49),
        ({"total": "19.90"}, 19.9),
        ({"total": 0, "products": [{"price": 5}]}, 0),
        ({}, 0),
    ],
)
def test_an_orders_sum_is_the_first_that_is_stated(properties: dict[str, Any], gross: float) -> None:
    assert totals(order_event(currency="EUR", **properties))["EUR"].gross == round(gross * EURO)


def test_prices_are_counted_exactly() -> None:
    events = [order_event(order_id=f"o{number}", total=0.1, currency="EUR") for number in range(10)]

    assert totals(*events)["EUR"].gross == EURO


def test_the_newest_word_on_an_order_replaces_the_older_ones_however_they_arrive() -> None:
    names = ["Order Completed", "Order Updated", "Completed Order"]
    words = [order_event(name, at=at, total=at, currency="EUR") for at, name in enumerate(names)]

    for arrival in permutations(words):
        assert totals(*arrival)["EUR"] == Totals(orders=1, gross=2 * EURO)


def test_an_order_sent_by_two_sources_is_one_order() -> None:
    web = order_event(total=10, currency="EUR")
    till = msgspec.structs.replace(web, source="till", message_id="other", received_at=web.received_at + 1)

    assert totals(web, till)["EUR"].orders == 1


def test_refunds_add_up_and_each_counts_once() -> None:
    bought = order_event(total=100, currency="EUR", products=[{"quantity": 4}])
    some = order_event("Order Refunded", refund_id="r1", total=-10, currency="EUR", products=[{"quantity": 1}])
    again = order_event("Order Refunded", at=1, refund_id="r1", total=10, currency="EUR", products=[{"quantity": 1}])
    more = order_event("Order Refunded", refund_id="r2", total=5, currency="EUR")

    for arrival in permutations([bought, some, again, more]):
        (sums,) = totals(*arrival).values()
        assert (sums.gross, sums.refunded, sums.net) == (100 * EURO, 15 * EURO, 85 * EURO)
        assert (sums.units, sums.refunded_units) == (4, 1)


def test_a_refund_without_a_sum_is_of_the_whole_order() -> None:
    assert totals(order_event(total=100, currency="EUR"), order_event("Order Refunded"))["EUR"].net == 0


def test_a_refund_whose_order_is_unknown_counts_in_its_own_currency() -> None:
    assert totals(order_event("Order Refunded", total=5, currency="GBP")) == {"GBP": Totals(refunded=5 * EURO)}


def test_a_cancelled_order_counts_as_nothing_but_cancelled() -> None:
    for arrival in permutations([order_event(total=9, currency="EUR"), order_event("Order Cancelled", at=1)]):
        assert totals(*arrival) == {"EUR": Totals(cancelled=1)}


@pytest.mark.parametrize(
    "properties", [b"{}", b'{"order_id":""}', b'{"order_id":" "}', b'{"order_id":true}', b"[]", b"{"]
)
def test_an_event_without_an_order_id_is_no_order(properties: bytes) -> None:
    unnamed = event("user_id:u1", name="Order Completed", properties=properties)

    assert read_order(unnamed) is None
    assert fold(NOTHING, [unnamed]).dropped == {"orders": 1}


def test_an_order_id_may_be_a_number() -> None:
    assert totals(order_event(order_id=17, total=1), order_event(order_id="17", total=1))[""].orders == 1


@pytest.mark.parametrize("hostile", ["NaN", "sNaN", "Infinity", "1e999999", 10**13, -(10**13), "1e-9999999"])
def test_what_is_no_sum_of_money_counts_as_none(hostile: object) -> None:
    products = [{"price": 1, "quantity": hostile}, {"price": hostile}]

    for properties in ({"total": hostile}, {"products": products}, {"products": products[:1]}):
        (sums,) = totals(order_event(currency="EUR", **properties)).values()
        assert sums.gross == 0
        assert abs(sums.units) <= 2


def test_an_order_id_beyond_what_python_writes_is_no_order() -> None:
    digits = b"9" * 5_000

    assert read_order(event("user_id:u1", name="Order Completed", properties=b'{"order_id":' + digits + b"}")) is None


def test_orders_that_leave_the_ledger_stay_in_the_sums() -> None:
    events = [order_event(at=number, order_id=number + 1, total=1, currency="EUR") for number in range(ORDERS_MAX + 20)]

    facts = fold(NOTHING, events)

    assert len(facts.orders) == ORDERS_MAX
    assert facts.settled["EUR"].orders == 20
    assert totals_by_currency(facts.orders.values(), facts.settled)["EUR"].gross == (ORDERS_MAX + 20) * EURO


def test_sums_stay_within_what_the_store_can_hold() -> None:
    huge = Totals(gross=SUM_MAX - 1, refunded=SUM_MAX)

    assert huge.plus(huge).gross == SUM_MAX
    assert msgspec.msgpack.encode(huge.plus(huge))


def test_of_more_refunds_of_one_order_the_newest_are_kept() -> None:
    count = REFUNDS_PER_ORDER_MAX + 10
    refunds = [order_event("Order Refunded", at=at, refund_id=f"r{at}", total=1, currency="EUR") for at in range(count)]

    facts = fold(NOTHING, refunds)

    (order,) = facts.orders.values()
    assert {refund.refund_id for refund in order.refunds} == {f"r{at}" for at in range(10, count)}
    assert order_totals(order)["EUR"].refunded == REFUNDS_PER_ORDER_MAX * EURO
    assert facts.dropped == {"refunds": 10}


def by(source: str, name: str = "Order Refunded", **properties: Any) -> Event:
    return msgspec.structs.replace(order_event(name, currency="EUR", **properties), source=source)


def test_an_order_that_browser_and_server_report_counts_once() -> None:
    browser = by("web", "Order Completed", total=100, at=1)
    server = by("server", "Order Completed", total=100)

    assert totals(browser, server) == {"EUR": Totals(orders=1, gross=100 * EURO)}


@pytest.mark.parametrize(
    ("refunds", "refunded"),
    [
        ([by("web", refund_id="r1", total=10), by("server", refund_id="r1", total=10)], 10),
        ([by("web", total=10), by("server", total=10)], 10),
        ([by("web", total=10), by("web", total=5), by("server", total=12)], 15),
        ([by("web", total=10), by("server", refund_id="r1", total=10)], 10),
        ([by("web", total=10), by("server", refund_id="r1", total=4)], 10),
        ([by("web", total=5), by("web", refund_id="r1", total=4), by("server", refund_id="r1", total=4)], 9),
        ([by("web", refund_id="r1"), by("server", refund_id="r1", total=7, at=-1)], 7),
        ([by("web", total=7), by("web")], 100),
        ([by("web", refund_id="r1", total=80), by("web", refund_id="r2", total=80)], 100),
    ],
    ids=[
        "with its id, from both",
        "without, from both",
        "without, the larger sum",
        "with an id from one of them",
        "more than has an id",
        "one source, with and without",
        "a stated sum before none",
        "of the whole, after a part",
        "no more than was paid",
    ],
)
def test_a_refund_counts_once_whoever_reports_it(refunds: list[Event], refunded: int) -> None:
    placed = order_event(total=100, currency="EUR")

    for arrival in permutations([placed, *refunds]):
        assert totals(*arrival)["EUR"].refunded == refunded * EURO


def test_currencies_stay_apart() -> None:
    placed = order_event(total=100, currency="EUR", products=[{"quantity": 2}])
    abroad = order_event("Order Refunded", refund_id="r1", total=300, currency="USD", products=[{"quantity": 1}])
    at_home = order_event("Order Refunded", refund_id="r2", total=20)

    assert totals(placed, abroad, at_home) == {
        "EUR": Totals(orders=1, units=2, gross=100 * EURO, refunded=20 * EURO),
        "USD": Totals(refunded=300 * EURO, refunded_units=1),
    }


def test_a_word_without_a_sum_does_not_take_an_orders_sum_away() -> None:
    placed = order_event(total=100, currency="EUR", products=[{"quantity": 3}])
    shipped = order_event("Order Updated", at=9)

    for arrival in permutations([placed, shipped]):
        assert totals(*arrival) == {"EUR": Totals(orders=1, units=3, gross=100 * EURO)}


def test_a_refund_of_an_order_without_a_sum_has_no_limit() -> None:
    assert totals(order_event(currency="EUR"), order_event("Order Refunded", total=5))["EUR"].net == -5 * EURO


def test_orders_of_further_currencies_are_counted_as_dropped_once_they_leave_the_ledger() -> None:
    currencies = [f"{chr(65 + number // 26)}{chr(65 + number % 26)}X" for number in range(CURRENCIES_MAX + 3)]
    events = [
        order_event(at=number, order_id=number + 1, total=1, currency=currency)
        for number, currency in enumerate([*currencies, *["EUR"] * ORDERS_MAX])
    ]

    facts = fold(NOTHING, events)

    assert list(facts.settled) == currencies[:CURRENCIES_MAX]
    assert facts.dropped == {"currencies": 3}


def test_no_more_units_come_back_than_were_sold() -> None:
    placed = order_event(total=100, currency="EUR", products=[{"quantity": 3}])
    back = [order_event("Order Refunded", refund_id=name, total=1, products=[{"quantity": 2}]) for name in ("r1", "r2")]

    assert totals(placed, *back)["EUR"].refunded_units == 3
    assert totals(order_event(total=100, currency="EUR"), *back)["EUR"].refunded_units == 4
