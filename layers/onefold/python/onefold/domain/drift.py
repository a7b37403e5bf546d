"""Drift: what sets a live fragment apart from the one that the history makes."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from onefold.domain.facts import Dropped, Facts
from onefold.domain.fragment import FOLD_VERSION, Fragment

# `facts`: they differ, and no order of the events explains it. `outdated`: folded by an older version of the fold.
# `beyond_bounds`: they differ only in what depends on order once a bound was reached. `newer`: a newer version has
# written it.
FragmentDrift = Literal["facts", "outdated", "beyond_bounds", "newer"]


class Difference(msgspec.Struct, frozen=True):
    """How a fragment differs, and in which fields of its facts."""

    kind: FragmentDrift
    fields: tuple[str, ...] = ()


def compare_fragments(live: Fragment, rebuilt: Fragment) -> Difference | None:
    """Compare what two fragments know; None where it is the same."""
    fields = differing_fields(live.facts, rebuilt.facts)
    if live.fold_version > FOLD_VERSION:
        return Difference("newer", fields)
    if live.fold_version < rebuilt.fold_version:
        return Difference("outdated", fields)
    if not fields:
        return None
    exact = [name for name in fields if not _depends_on_order(name, live.facts, rebuilt.facts)]
    return Difference("facts" if exact else "beyond_bounds", fields)


def events_of(facts: Facts) -> int:
    """How many events were folded; exact whatever was dropped."""
    return sum(count.times for count in facts.counts.values())


def differing_fields(left: Facts, right: Facts) -> tuple[str, ...]:
    """Names of the fields that differ, the order of their entries aside."""
    if _bytes(left) == _bytes(right):
        return ()
    names = Facts.__struct_fields__
    return tuple(name for name in names if _bytes(getattr(left, name)) != _bytes(getattr(right, name)))


def _bytes(value: Any) -> bytes:  # noqa: ANN401 - any field's value
    """A value as bytes: to Python 1, 1.0 and True are equal."""
    return msgspec.msgpack.encode(value, order="deterministic")


def _depends_on_order(name: str, live: Facts, rebuilt: Facts) -> bool:
    """Whether a field may differ between two orders of the same events, because one of the facts reached a bound."""
    if name == "dropped":
        return True
    if name == "counts" and events_of(live) != events_of(rebuilt):
        return False
    return any("lightened" in facts.dropped or _BOUNDS[name](facts) for facts in (live, rebuilt))


def _dropped(*kinds: Dropped) -> Callable[[Facts], bool]:
    return lambda facts: any(kind in facts.dropped for kind in kinds)


def _has_settled_sessions(facts: Facts) -> bool:
    return facts.settled_sessions is not None


def _has_settled_orders(facts: Facts) -> bool:
    return bool(facts.settled) or "refunds" in facts.dropped or "currencies" in facts.dropped


_BOUNDS: Final[Mapping[str, Callable[[Facts], bool]]] = {
    "traits": _dropped("traits"),
    "counts": _dropped("event_names"),
    "sessions": _has_settled_sessions,
    "settled_sessions": _has_settled_sessions,
    "orders": _has_settled_orders,
    "settled": _has_settled_orders,
    "campaigns": _dropped("campaigns"),
    "contacts": _dropped(),
    "answers": _dropped(),
    "devices": _dropped("devices"),
    "consents": _dropped("consents"),
    "accounts": _dropped("accounts"),
}
