"""Sales: the sums over orders in each currency: gross, refunded, and net, which is what is left of it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from onefold.domain.money import from_micros
from onefold.domain.order import Amount, Order

SUM_MAX: Final = 2**63 - 1  # what the store's format takes; a sum stays there
CURRENCIES_MAX: Final = 50  # of orders that have left the ledger

Sum = tuple[int, int]  # micros, units


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
        return _totals([a + b for a, b in zip(_sums(self), _sums(other), strict=True)])


def _sums(totals: Totals) -> tuple[int, ...]:
    return totals.orders, totals.units, totals.gross, totals.refunded, totals.refunded_units, totals.cancelled


def _totals(sums: Iterable[int]) -> Totals:
    return Totals(*(max(-SUM_MAX, min(SUM_MAX, each)) for each in sums))


def order_totals(order: Order) -> dict[str, Totals]:
    """One order's share of the sums, by currency.

    A cancelled order counts as nothing but cancelled. A refund counts in its own currency, or in its order's where it
    names none. Of an order whose sum is known no more is given back than that, so that two reports of one refund that
    nothing shows to be the same do no harm; in another currency, or of an order never seen, there is no such limit.
    """
    placed = order.placed
    if order.cancelled_at is not None:
        return {placed.currency if placed else "": Totals(cancelled=1)}
    if placed is None:
        default = max((refund.amount.currency for refund in order.refunds), default="")
        given_back, _ = _given_back(order, default)
        return {currency: Totals(0, 0, 0, *sums) for currency, sums in given_back.items()}
    gross = placed.micros or 0
    if not order.refunds:
        return {placed.currency: Totals(1, placed.units, gross)}
    given_back, is_of_the_whole = _given_back(order, placed.currency)
    micros, units = given_back.pop(placed.currency, (0, 0))
    if is_of_the_whole:
        micros, units = gross, placed.units
    elif placed.micros is not None:
        micros = min(micros, max(gross, 0))
        units = min(units, placed.units) if placed.units > 0 else units
    shares = {currency: Totals(0, 0, 0, *sums) for currency, sums in given_back.items()}
    return {placed.currency: Totals(1, placed.units, gross, micros, units), **shares}


def _given_back(order: Order, default: str) -> tuple[dict[str, Sum], bool]:
    """The order's refunds by currency, and whether one of them is of the whole.

    A refund with an id counts once, by the newest word that states a sum. Those without one may be the same as those of
    another source: what counts is the largest of each source's own sum, with and without ids, and of all with an id.
    """
    named: dict[str, Amount] = {}
    reporters: dict[str, set[str]] = {}
    unnamed: dict[str, dict[str, Sum]] = {}
    is_of_the_whole = False
    for refund in order.refunds:
        amount = refund.amount
        if refund.refund_id:
            known = named.get(refund.refund_id)
            named[refund.refund_id] = amount if known is None else max(known, amount, key=Amount.word)
            reporters.setdefault(refund.refund_id, set()).add(amount.source)
            continue
        is_of_the_whole |= amount.micros is None
        by_source = unnamed.setdefault(amount.currency or default, {})
        micros, units = by_source.get(amount.source, (0, 0))
        by_source[amount.source] = micros + abs(amount.micros or 0), units + abs(amount.units)
    is_of_the_whole |= any(amount.micros is None for amount in named.values())
    given_back = {}
    for currency in unnamed.keys() | {amount.currency or default for amount in named.values()}:
        by_id = {refund_id: each for refund_id, each in named.items() if (each.currency or default) == currency}
        by_source = unnamed.get(currency, {})
        given_back[currency] = (
            _counted_once(
                [(abs(each.micros or 0), reporters[refund_id]) for refund_id, each in by_id.items()],
                {source: micros for source, (micros, _) in by_source.items()},
            ),
            _counted_once(
                [(abs(each.units), reporters[refund_id]) for refund_id, each in by_id.items()],
                {source: units for source, (_, units) in by_source.items()},
            ),
        )
    return given_back, is_of_the_whole


def _counted_once(named: list[tuple[int, set[str]]], unnamed: Mapping[str, int]) -> int:
    """What was given back in all: amounts with who reported them, and each source's sum of those without an id."""
    stories = [
        total + sum(amount for amount, sources in named if source in sources) for source, total in unnamed.items()
    ]
    return max(sum(amount for amount, _ in named), *stories, 0)


def totals_by_currency(orders: Iterable[Order], settled: Mapping[str, Totals]) -> dict[str, Totals]:
    """Sums over a ledger and over what has already left it."""
    sums = {currency: list(_sums(totals)) for currency, totals in settled.items()}
    for order in orders:
        placed = order.placed
        if placed is not None and not order.refunds and order.cancelled_at is None:  # nearly always
            known = sums.setdefault(placed.currency, [0] * 6)
            known[0] += 1
            known[1] += placed.units
            known[2] += placed.micros or 0
            continue
        for currency, share in order_totals(order).items():
            known = sums.setdefault(currency, [0] * 6)
            for place, value in enumerate(_sums(share)):
                known[place] += value
    return {currency: _totals(each) for currency, each in sums.items()}


def merge_totals(into: dict[str, Totals], more: Mapping[str, Totals]) -> None:
    for currency, totals in more.items():
        known = into.get(currency)
        into[currency] = totals if known is None else known.plus(totals)


def sales_document(totals: Mapping[str, Totals]) -> dict[str, dict[str, Any]]:
    """Currency → sums; the currency is "" where the events named none. Money as exact decimal text."""
    return {
        currency: {
            "orders": sums.orders,
            "units": sums.units,
            "gross": from_micros(sums.gross),
            "refunded": from_micros(sums.refunded),
            "refunded_units": sums.refunded_units,
            "net": from_micros(sums.net),
            "cancelled": sums.cancelled,
        }
        for currency, sums in sorted(totals.items())
    }
