"""Profiles as their readers see them: heads and facts turned into plain documents."""

from collections.abc import Iterable
from functools import reduce
from typing import Any

import msgspec

from onefold.domain.facts import NOTHING, Count, Facts, join
from onefold.domain.fragment import Fragment
from onefold.domain.head import Head
from onefold.domain.money import from_micros
from onefold.domain.order import totals_by_currency
from onefold.domain.register import Register


class Profile(msgspec.Struct, frozen=True):
    """A head with the joined facts of its fragments."""

    head: Head
    facts: Facts


def join_fragments(head: Head, fragments: Iterable[Fragment]) -> Profile:
    """Make a profile out of its parts; the order of the fragments does not matter."""
    return Profile(head, reduce(join, (fragment.facts for fragment in fragments), NOTHING))


def traits_document(profile: Profile) -> dict[str, Any]:
    """Trait → newest value, without removed ones, sorted by name."""
    traits = profile.facts.traits
    return {name: traits[name].value for name in sorted(traits) if traits[name].value is not None}


def identifiers_document(profile: Profile) -> list[dict[str, Any]]:
    """Identifiers, strongest first, each with the event time (epoch ms) of its first attachment."""
    attached = sorted(profile.head.identifiers.values(), key=lambda each: each.identifier.strength)
    return [
        {"type": each.identifier.type, "value": each.identifier.value, "first_seen_at": each.at} for each in attached
    ]


def audiences_document(profile: Profile) -> list[dict[str, Any]]:
    """Current memberships, sorted by name; `since` in epoch ms."""
    memberships = profile.head.memberships
    return [{"audience": name, "since": memberships[name].since} for name in sorted(memberships)]


def profile_document(profile: Profile) -> dict[str, Any]:
    """The whole of a profile. Times in epoch ms, money as exact decimal text."""
    facts, head = profile.facts, profile.head
    counts = facts.counts
    return {
        "profile_id": head.profile_id,
        "founded_at": head.founded_at,
        "first_seen_at": min((count.first_at for count in counts.values()), default=None),
        "last_seen_at": max((count.last_at for count in counts.values()), default=None),
        "is_shared_device": head.is_shared_device,
        "devices": len({key.partition("|")[0] for key in head.fragments} - {""}),
        "fragments": len(head.fragments),
        "merges": head.merges,
        "identifiers": identifiers_document(profile),
        "traits": traits_document(profile),
        "events": {name: _count(counts[name]) for name in sorted(counts)},
        "orders": orders_document(profile),
        "campaigns": {"first": _value(facts.first_campaign), "last": _value(facts.last_campaign)},
        "support": {
            "contacts": facts.support_contacts,
            "total_ms": facts.support_ms,
            **{name: facts.answers[name].value for name in sorted(facts.answers)},
        },
        "consents": {purpose: facts.consents[purpose].value for purpose in sorted(facts.consents)},
        "audiences": audiences_document(profile),
    }


def orders_document(profile: Profile) -> dict[str, dict[str, Any]]:
    """Currency → order sums; the currency is "" where the events named none."""
    totals = totals_by_currency(profile.facts.orders.values(), profile.facts.settled)
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


def _count(count: Count) -> dict[str, int]:
    return {"times": count.times, "first_at": count.first_at, "last_at": count.last_at}


def _value(register: Register | None) -> Any:  # noqa: ANN401 - JSON
    return None if register is None else {"at": register.at, **register.value}
