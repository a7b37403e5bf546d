"""What a fragment lets go of when it would outgrow its place in the store: the bulky half, counted as dropped."""

from collections.abc import Mapping
from functools import reduce
from typing import Final, TypeVar

import msgspec

from onefold.domain.count import ALWAYS_COUNTED, OTHER, Count
from onefold.domain.facts import Facts
from onefold.domain.fragment import Fragment
from onefold.domain.order import Order
from onefold.domain.sales import Totals, totals_by_currency
from onefold.domain.session import NO_SESSIONS, settle_sessions

Value = TypeVar("Value")
CURRENCIES_KEPT: Final = 20


def lighten(fragment: Fragment) -> Fragment:
    """Let go of the bulky half of everything that strangers can make grow; the lake still has it.

    The older orders and sessions go into the sums, rare or long event names into the rest, and the largest of
    everything else are forgotten. Only hostile or broken sources come here, so nothing is promised but that it ends:
    after a few times next to nothing is left.
    """
    facts = fragment.facts
    orders, settled = _without_older_half(facts.orders, facts.settled)
    sessions, settled_sessions = settle_sessions(
        facts.sessions, facts.settled_sessions or NO_SESSIONS, kept_max=len(facts.sessions) // 2
    )
    lighter = Facts(
        traits=_smaller_half(facts.traits),
        counts=_lighter_counts(facts.counts),
        sessions=sessions,
        settled_sessions=settled_sessions if settled_sessions.count else None,
        orders=orders,
        settled=dict(sorted(settled.items(), key=lambda item: -item[1].orders)[:CURRENCIES_KEPT]),
        campaigns=_smaller_half(facts.campaigns),
        contacts=facts.contacts,
        answers=_smaller_half(facts.answers),
        devices=_smaller_half(facts.devices),
        consents=_smaller_half(facts.consents),
        accounts=_smaller_half(facts.accounts),
    )
    lost = max(1, _forgettable(facts) - _forgettable(lighter))
    dropped = {**facts.dropped, "lightened": facts.dropped.get("lightened", 0) + lost}
    return msgspec.structs.replace(fragment, facts=msgspec.structs.replace(lighter, dropped=dropped))


def _without_older_half(
    orders: Mapping[str, Order], settled: Mapping[str, Totals]
) -> tuple[dict[str, Order], dict[str, Totals]]:
    newest_first = sorted(orders, key=lambda order_id: (orders[order_id].at, order_id), reverse=True)
    kept, leaving = newest_first[: len(newest_first) // 2], newest_first[len(newest_first) // 2 :]
    return {order_id: orders[order_id] for order_id in kept}, totals_by_currency(
        map(orders.__getitem__, leaving), settled
    )


def _lighter_counts(counts: Mapping[str, Count]) -> dict[str, Count]:
    lighter = {name: count for name, count in counts.items() if name in ALWAYS_COUNTED}
    others = {name: count for name, count in counts.items() if name not in ALWAYS_COUNTED}
    lighter |= _smaller_half(others)
    rest = [count for name, count in others.items() if name not in lighter]
    if rest:
        lighter[OTHER] = reduce(Count.plus, rest, *([lighter[OTHER]] if OTHER in lighter else []))
    return lighter


def _smaller_half(values: Mapping[str, Value]) -> dict[str, Value]:
    def size(name: str) -> tuple[int, str]:
        return len(name) + len(msgspec.msgpack.encode(values[name])), name

    return {name: values[name] for name in sorted(values, key=size)[: len(values) // 2]}


def _forgettable(facts: Facts) -> int:
    grown: tuple[Mapping[str, object], ...] = (
        facts.traits, facts.counts, facts.settled, facts.campaigns, facts.answers, facts.devices, facts.consents,
        facts.accounts,
    )  # fmt: skip
    return sum(map(len, grown))
