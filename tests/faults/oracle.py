"""What a profile must say, told by plain loops over all of its events, in no way as the fold does it."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from onefold.domain.event import Event


def facts_document(events: Iterable[Event]) -> dict[str, Any]:
    """The part of a profile's document that facts make up, from each event once."""
    by_time = sorted(events, key=lambda each: (each.at, each.received_at, each.source, each.message_id))
    times = [each.at for each in by_time]
    traits: dict[str, Any] = {}
    consents: dict[str, bool] = {}
    for each in by_time:
        consents.update(each.consent)
        if each.kind == "identify":
            traits.update(msgspec.json.decode(each.traits))
    chats = [each for each in by_time if each.name == "Live Chat Conversation Ended"]
    touches = [
        {"at": each.at, **msgspec.json.decode(each.context)["campaign"]} for each in by_time if each.context != b"{}"
    ]
    return {
        "first_seen_at": min(times, default=None),
        "last_seen_at": max(times, default=None),
        "traits": {name: traits[name] for name in sorted(traits) if traits[name] is not None},
        "events": _counts(by_time),
        "orders": _orders(by_time),
        "campaigns": {"first": touches[0] if touches else None, "last": touches[-1] if touches else None},
        "support": {
            "contacts": len(chats),
            "total_ms": sum(msgspec.json.decode(each.properties)["conversation_duration"] * 1_000 for each in chats),
        },
        "consents": {purpose: consents[purpose] for purpose in sorted(consents)},
    }


def memberships(document: dict[str, Any]) -> set[str]:
    """The audiences of AUDIENCES that a profile of this document is in."""
    orders = document["orders"].values()
    found = set()
    if document["events"].get("track:Product Viewed", {"times": 0})["times"] >= 2:
        found.add("viewers")
    if document["traits"].get("plan") == "pro":
        found.add("pros")
    if document["consents"].get("marketing") and sum(Decimal(each["net"]) for each in orders) > 15:
        found.add("big")
    return found


# name → text; `memberships` above says the same in Python.
AUDIENCES = {
    "viewers": "(SELECT count(*) FROM events WHERE name = 'Product Viewed') >= 2",
    "pros": "traits.plan = 'pro'",
    "big": "-- purpose: marketing\n(SELECT sum(net) FROM orders) > 15",
}


def _counts(by_time: list[Event]) -> dict[str, dict[str, int]]:
    named = [(f"{each.kind}:{each.name if each.kind == 'track' else ''}", each.at) for each in by_time]
    return {
        name: {
            "times": sum(each == name for each, _ in named),
            "first_at": min(at for each, at in named if each == name),
            "last_at": max(at for each, at in named if each == name),
        }
        for name in sorted({name for name, _ in named})
    }


def _orders(by_time: list[Event]) -> dict[str, dict[str, Any]]:
    """The last word on an order counts, each refund once; a refund without a sum is of the whole."""
    told = [(each, msgspec.json.decode(each.properties)) for each in by_time if each.name.startswith("Order ")]
    sums: dict[str, dict[str, int]] = {}
    for order_id in {properties["order_id"] for _, properties in told}:
        about = [(each, properties) for each, properties in told if properties["order_id"] == order_id]
        placed = [properties for each, properties in about if each.name in ("Order Completed", "Order Updated")]
        refunds = {
            properties.get("refund_id") or each.message_id: properties.get("total")
            for each, properties in about
            if each.name == "Order Refunded"
        }
        is_cancelled = any(each.name == "Order Cancelled" for each, _ in about)
        currency = "EUR" if placed or not is_cancelled else ""
        sum_ = sums.setdefault(currency, dict.fromkeys(["orders", "gross", "refunded", "cancelled"], 0))
        if is_cancelled:
            sum_["cancelled"] += 1
            continue
        gross = placed[-1]["total"] if placed else 0
        sum_["orders"] += bool(placed)
        sum_["gross"] += gross
        sum_["refunded"] += gross if None in refunds.values() else sum(map(int, refunds.values()))
    return {
        currency: {
            "orders": sums[currency]["orders"],
            "units": 0,
            "gross": f"{sums[currency]['gross']}.00",
            "refunded": f"{sums[currency]['refunded']}.00",
            "refunded_units": 0,
            "net": f"{sums[currency]['gross'] - sums[currency]['refunded']}.00",
            "cancelled": sums[currency]["cancelled"],
        }
        for currency in sorted(sums)
    }
