"""Profiles as their readers see them: heads and facts turned into plain documents."""

from collections.abc import Iterable
from typing import Any

import msgspec

from onefold.domain import traits
from onefold.domain.consent import consents_document
from onefold.domain.count import counts_document, mail_document
from onefold.domain.device import devices_document
from onefold.domain.facts import Facts, join_all
from onefold.domain.fragment import Fragment
from onefold.domain.head import Head
from onefold.domain.sales import sales_document, totals_by_currency
from onefold.domain.session import NO_SESSIONS, sessions_document
from onefold.domain.support import support_document
from onefold.domain.touch import campaigns_document


class Profile(msgspec.Struct, frozen=True):
    """A head with the joined facts of its fragments."""

    head: Head
    facts: Facts


def join_fragments(head: Head, fragments: Iterable[Fragment]) -> Profile:
    """Make a profile out of its parts; the order of the fragments does not matter."""
    return Profile(head, join_all(fragment.facts for fragment in fragments))


def traits_document(profile: Profile) -> dict[str, Any]:
    """Trait → newest value, objects nested, without removed ones, sorted by name."""
    return traits.traits_document(profile.facts.traits)


def provenance_document(profile: Profile) -> dict[str, dict[str, Any]]:
    r"""Path of a trait, such as `address.city`, → `source`, `at`, `received_at`, `message_id` of its value.

    A `.` that belongs to a name stands as `\.`, a `\` as `\\`.
    """
    return traits.provenance_document(profile.facts.traits)


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


def orders_document(profile: Profile) -> dict[str, dict[str, Any]]:
    """Currency → order sums; the currency is "" where the events named none."""
    return sales_document(totals_by_currency(profile.facts.orders.values(), profile.facts.settled))


def profile_document(profile: Profile) -> dict[str, Any]:
    """The whole of a profile. Times in epoch ms, money as exact decimal text."""
    facts, head = profile.facts, profile.head
    counts = facts.counts.values()
    names = {key: f"{each.identifier.type}:{each.identifier.value}" for key, each in head.identifiers.items()}
    return {
        "profile_id": head.profile_id,
        "founded_at": head.founded_at,
        "first_seen_at": min((count.first_at for count in counts), default=None),
        "last_seen_at": max((count.last_at for count in counts), default=None),
        "kind": head.kind,
        "is_shared_device": head.is_shared_device,
        "fragments": len(head.fragments),
        "merges": head.merges,
        "identifiers": identifiers_document(profile),
        "traits": traits_document(profile),
        "events": counts_document(facts.counts),
        "sessions": sessions_document(facts.sessions, facts.settled_sessions or NO_SESSIONS),
        "devices": devices_document(facts.devices, names),
        "orders": orders_document(profile),
        "campaigns": campaigns_document(facts.campaigns),
        "email": mail_document(facts.counts),
        "support": support_document(facts.contacts, facts.answers),
        "consents": consents_document(facts.consents),
        "accounts": sorted(facts.accounts.values()),
        "audiences": audiences_document(profile),
        "dropped": dict(sorted(facts.dropped.items())),
    }
