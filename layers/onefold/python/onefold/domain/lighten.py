"""What a fragment lets go of when it would outgrow its place in the store: the bulky half, counted as dropped."""

from collections.abc import Mapping
from functools import reduce
from typing import Final, TypeVar

import msgspec

from onefold.domain.facts import OTHER, Count, Facts
from onefold.domain.fragment import Fragment
from onefold.domain.order import Totals, order_totals

Value = TypeVar("Value")
CURRENCIES_KEPT: Final = 20


def lighten(fragment: Fragment) -> Fragment:
    """Let go of the bulky half of everything that strangers can make grow; the lake still has it.

    The older orders go into the sums, rare or long event names into the rest, and the largest traits, answers and
    consents are forgotten. Only hostile or broken sources come here, so nothing is promised but that it ends: after a
    few times next to nothing is left.
    """
    facts = fragment.facts
    orders = facts.orders
    newest_first = sorted(orders, key=lambda order_id: (orders[order_id].at, order_id), reverse=True)
    kept, leaving = newest_first[: len(newest_first) // 2], newest_first[len(newest_first) // 2 :]
    settled = dict(facts.settled)
    for order_id in leaving:
        currency, share = order_totals(orders[order_id])
        settled[currency] = settled.get(currency, Totals()).plus(share)
    counts = _smaller_half(facts.counts)
    rest = [count for name, count in facts.counts.items() if name not in counts]
    if rest:
        counts[OTHER] = reduce(Count.plus, rest)
    lighter = Facts(
        traits=_smaller_half(facts.traits),
        counts=counts,
        orders={order_id: orders[order_id] for order_id in kept},
        settled=dict(sorted(settled.items(), key=lambda item: -item[1].orders)[:CURRENCIES_KEPT]),
        answers=_smaller_half(facts.answers),
        consents=_smaller_half(facts.consents),
        support_contacts=facts.support_contacts,
        support_ms=facts.support_ms,
    )
    dropped = _size(facts) - _size(lighter) - len(leaving)
    return msgspec.structs.replace(
        fragment, facts=msgspec.structs.replace(lighter, dropped=facts.dropped + max(dropped, 1))
    )


def _smaller_half(values: Mapping[str, Value]) -> dict[str, Value]:
    def size(name: str) -> tuple[int, str]:
        return len(name) + len(msgspec.msgpack.encode(values[name])), name

    return {name: values[name] for name in sorted(values, key=size)[: len(values) // 2]}


def _size(facts: Facts) -> int:
    grown: tuple[Mapping[str, object], ...] = (facts.traits, facts.counts, facts.orders, facts.answers, facts.consents)
    return sum(map(len, grown))
