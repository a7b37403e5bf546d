"""Orders: a ledger keyed by order id, in which repeats, corrections and refunds arrive in any order."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from onefold.domain.event import Event
from onefold.domain.json_text import DECODING_ERRORS
from onefold.domain.money import AMOUNT_MAX, to_micros

COMPLETED: Final = frozenset(["Order Completed", "Completed Order", "Order Updated"])
REFUNDED: Final = "Order Refunded"
CANCELLED: Final = "Order Cancelled"
EVENT_NAMES: Final = COMPLETED | {REFUNDED, CANCELLED}
ORDER_ID_LENGTH_MAX: Final = 100
REFUNDS_PER_ORDER_MAX: Final = 50
UNITS_MAX: Final = 10**9  # of one product line; a larger quantity is a mistake and counts as none
SUM_MAX: Final = 2**63 - 1  # what the store's format takes; a sum stays there

Stamp = tuple[int, int, str, str]  # event time, received, source, message id: whose word counts


class Amount(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one event says of an order. `micros` is None where it states no sum (a refund of the whole)."""

    stamp: Stamp
    currency: str
    micros: int | None
    units: int


class Order(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that is known of one order id; the newest word on what was placed counts, each refund counts once."""

    at: int
    placed: Amount | None = None
    refunds: dict[str, Amount] = {}
    cancelled_at: int | None = None


class Totals(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Sums over orders in one currency. Money in millionths of the unit."""

    orders: int = 0
    units: int = 0
    gross: int = 0
    refunded: int = 0
    refunded_units: int = 0
    cancelled: int = 0

    @property
    def net(self) -> int:
        return self.gross - self.refunded

    def plus(self, other: "Totals") -> "Totals":
        sums = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Totals(*(max(-SUM_MAX, min(SUM_MAX, a + b)) for a, b in sums))


class _Product(msgspec.Struct):
    price: Decimal | None = None
    quantity: Decimal | None = None


class _OrderProperties(msgspec.Struct):
    order_id: str | int | None = None
    refund_id: str | int | None = None
    total: Decimal | None = None
    revenue: Decimal | None = None
    value: Decimal | None = None
    currency: str | None = None
    products: list[_Product] | None = None


_decoder = msgspec.json.Decoder(_OrderProperties)


def read_order(event: Event) -> tuple[str, Order] | None:
    """What an order event says, as (order id, order); None where it names no order or cannot be read.

    A sum is `total`, else `revenue`, else `value`, else the products' price times quantity. A refund without any sum
    is of the whole order.
    """
    try:
        properties = _decoder.decode(event.properties)
        order_id = _id(properties.order_id)
        refund_id = _id(properties.refund_id)
    except (*DECODING_ERRORS, ValueError):  # Python writes no integer beyond 4,300 digits
        return None
    if not order_id:
        return None
    if event.name == CANCELLED:
        return order_id, Order(event.at, cancelled_at=event.at)
    amount = _amount(event, properties)
    if event.name == REFUNDED:
        return order_id, Order(event.at, refunds={refund_id or f"{event.source}:{event.message_id}": amount})
    return order_id, Order(event.at, placed=amount)


def _id(value: str | int | None) -> str:
    return str(value or "").strip()[:ORDER_ID_LENGTH_MAX]


def _amount(event: Event, properties: _OrderProperties) -> Amount:
    products = properties.products or []
    stated = next((s for s in (properties.total, properties.revenue, properties.value) if s is not None), None)
    if stated is None and any(product.price is not None for product in products):
        stated = _sum_of(products)
    return Amount(
        (event.at, event.received_at, event.source, event.message_id),
        (properties.currency or "").strip().upper()[:3],
        None if stated is None else to_micros(stated),
        sum(map(_units, products)),
    )


def _sum_of(products: Iterable[_Product]) -> Decimal | None:
    """Price times quantity over the products; None where one of them is no sum of money."""
    total = Decimal(0)
    for product in products:
        price, quantity = product.price or Decimal(0), _quantity(product)
        if not price.is_finite() or abs(price) > AMOUNT_MAX or quantity is None:
            return None
        total += price * quantity
    return total


def _quantity(product: _Product) -> Decimal | None:
    quantity = Decimal(1) if product.quantity is None else product.quantity
    return quantity if quantity.is_finite() and abs(quantity) <= UNITS_MAX else None


def _units(product: _Product) -> int:
    return int(_quantity(product) or 0)


def join_order(left: Order, right: Order) -> Order:
    """Put two reports of one order together; commutes, associates and is idempotent."""
    placed = max((a for a in (left.placed, right.placed) if a), key=_word, default=None)
    refunds = dict(left.refunds)
    for refund_id, amount in right.refunds.items():
        known = refunds.get(refund_id)
        refunds[refund_id] = amount if known is None else max(known, amount, key=_word)
    if len(refunds) > REFUNDS_PER_ORDER_MAX:
        refunds = dict(sorted(refunds.items(), key=lambda item: _word(item[1]))[-REFUNDS_PER_ORDER_MAX:])
    cancelled = [at for at in (left.cancelled_at, right.cancelled_at) if at is not None]
    return Order(min(left.at, right.at), placed, refunds, min(cancelled, default=None))


def _word(amount: Amount) -> tuple[Stamp, str, int, int]:
    return (amount.stamp, amount.currency, -1 if amount.micros is None else amount.micros, amount.units)


def join_orders(left: Mapping[str, Order], right: Mapping[str, Order]) -> dict[str, Order]:
    joined = dict(left)
    for order_id, order in right.items():
        known = joined.get(order_id)
        joined[order_id] = order if known is None else join_order(known, order)
    return joined


def order_totals(order: Order) -> tuple[str, Totals]:
    """One order's share of the sums, as (currency, totals). A cancelled order counts as nothing but cancelled."""
    if order.cancelled_at is not None:
        return (order.placed.currency if order.placed else ""), Totals(cancelled=1)
    placed, refunds = order.placed, order.refunds.values()
    gross = (placed.micros or 0) if placed else 0
    refunded = gross if any(r.micros is None for r in refunds) else sum(abs(r.micros or 0) for r in refunds)
    currency = placed.currency if placed else max((r.currency for r in refunds), default="")
    return currency, Totals(
        orders=1 if placed else 0,
        units=placed.units if placed else 0,
        gross=gross,
        refunded=refunded,
        refunded_units=sum(abs(refund.units) for refund in refunds),
    )


def totals_by_currency(orders: Iterable[Order], settled: Mapping[str, Totals]) -> dict[str, Totals]:
    """Sums over a ledger and over what has already left it."""
    totals = dict(settled)
    for order in orders:
        currency, share = order_totals(order)
        totals[currency] = totals.get(currency, Totals()).plus(share)
    return totals
