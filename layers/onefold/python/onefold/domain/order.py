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


class Amount(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one event says of an order. `micros` is None where it states no sum (a refund of the whole)."""

    at: int
    received_at: int
    source: str
    message_id: str
    currency: str
    micros: int | None
    units: int

    def word(self) -> tuple[bool, int, int, str, str, str, int, int]:
        """Sort key, whose word counts comes last: one that states a sum, then the newest."""
        micros = self.micros
        stamp = (self.at, self.received_at, self.source, self.message_id)
        return (micros is not None, *stamp, self.currency, micros or 0, self.units)


class Refund(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One report of a refund; `refund_id` is empty where it names none."""

    refund_id: str
    amount: Amount

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two reports one: a source's newer word on a refund with an id replaces its older one."""
        return self.refund_id, self.amount.source, "" if self.refund_id else self.amount.message_id


class Order(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that is known of one order id.

    Attributes:
        placed: The newest word that states a sum; where none does, the newest one.
        refunds: Reports, sorted by their key.
    """

    placed: Amount | None = None
    refunds: tuple[Refund, ...] = ()
    cancelled_at: int | None = None

    @property
    def at(self) -> int:
        """The earliest time known of it."""
        if self.placed is not None and not self.refunds and self.cancelled_at is None:
            return self.placed.at
        times = [refund.amount.at for refund in self.refunds]
        times += [self.placed.at] if self.placed else []
        times += [] if self.cancelled_at is None else [self.cancelled_at]
        return min(times, default=0)


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
        return order_id, Order(cancelled_at=event.at)
    amount = _amount(event, properties)
    if event.name == REFUNDED:
        return order_id, Order(refunds=(Refund(refund_id, amount),))
    return order_id, Order(amount)


def _id(value: str | int | None) -> str:
    return str(value or "").strip()[:ORDER_ID_LENGTH_MAX]


def _amount(event: Event, properties: _OrderProperties) -> Amount:
    products = properties.products or []
    stated = next((s for s in (properties.total, properties.revenue, properties.value) if s is not None), None)
    if stated is None and any(product.price is not None for product in products):
        stated = _sum_of(products)
    return Amount(
        event.at,
        event.received_at,
        event.source,
        event.message_id,
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
    placed = left.placed or right.placed
    if left.placed and right.placed:
        placed = max(left.placed, right.placed, key=Amount.word)
    refunds = left.refunds or right.refunds
    if left.refunds and right.refunds:
        refunds = _join_refunds((*left.refunds, *right.refunds))
    cancelled_at = left.cancelled_at
    if cancelled_at is None or (right.cancelled_at is not None and right.cancelled_at < cancelled_at):
        cancelled_at = right.cancelled_at
    return Order(placed, refunds, cancelled_at)


def _join_refunds(refunds: Iterable[Refund]) -> tuple[Refund, ...]:
    joined: dict[tuple[str, str, str], Refund] = {}
    for refund in refunds:
        known = joined.get(refund.key)
        joined[refund.key] = refund if known is None else max(known, refund, key=lambda each: each.amount.word())
    return tuple(joined[key] for key in sorted(joined))


def shed_refunds(order: Order) -> Order:
    """Keep the newest REFUNDS_PER_ORDER_MAX reports."""
    if len(order.refunds) <= REFUNDS_PER_ORDER_MAX:
        return order
    newest = sorted(order.refunds, key=lambda refund: (refund.amount.at, refund.key))[-REFUNDS_PER_ORDER_MAX:]
    return Order(order.placed, tuple(sorted(newest, key=lambda refund: refund.key)), order.cancelled_at)


def merge_orders(into: dict[str, Order], more: Mapping[str, Order]) -> None:
    if into.keys().isdisjoint(more):
        into.update(more)
        return
    for order_id, order in more.items():
        known = into.get(order_id)
        into[order_id] = order if known is None else join_order(known, order)
