"""What a profile must say, told by plain loops over all of its events, in no way as the fold does it."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from onefold.domain.event import Event

GAP_MS = 30 * 60_000
DAY_MS = 24 * 3_600_000
MAIL = {
    "delivered": "Email Delivered",
    "opened": "Email Opened",
    "clicked": "Email Link Clicked",
    "bounced": "Email Bounced",
    "spam": "Email Marked as Spam",
    "unsubscribed": "Unsubscribed",
}
CONTACTS = {
    "chats": ("Live Chat Conversation Ended", "conversation_duration"),
    "tickets": ("Support Ticket Closed", "ticket_duration"),
    "calls": ("Support Call Ended", "call_duration"),
}


def facts_document(events: Iterable[Event]) -> dict[str, Any]:
    """The part of a profile's document that facts make up, from each event once."""
    by_time = sorted(events, key=lambda each: (each.at, each.received_at, each.source, each.message_id))
    times = [each.at for each in by_time]
    tracked = [(each, msgspec.json.decode(each.properties)) for each in by_time if each.kind == "track"]
    counts = _counts(by_time)
    return {
        "first_seen_at": min(times, default=None),
        "last_seen_at": max(times, default=None),
        "traits": _traits(by_time),
        "events": counts,
        "sessions": _sessions(by_time),
        "devices": _devices(by_time),
        "orders": _orders(tracked),
        "campaigns": _campaigns(by_time),
        "email": {word: counts.get(f"track:{name}") for word, name in MAIL.items()},
        "support": _support(tracked),
        "consents": _consents(by_time),
        "accounts": sorted({each.account.value for each in by_time if each.kind == "group" and each.account}),
        "dropped": {},
    }


def told(document: dict[str, Any]) -> dict[str, Any]:
    """What a profile's document says of all that `facts_document` tells."""
    found = {name: document[name] for name in facts_document(())}
    found["devices"] = [{k: v for k, v in each.items() if k != "identifier"} for each in document["devices"]]
    return found


def memberships(document: dict[str, Any]) -> set[str]:
    """The audiences of AUDIENCES that a profile of this document is in."""
    orders = document["orders"].values()
    found = set()
    if document["events"].get("track:Product Viewed", {"times": 0})["times"] >= 2:
        found.add("viewers")
    if document["traits"].get("plan") == "pro":
        found.add("pros")
    consents = {purpose: each["given"] for purpose, each in document["consents"].items()}
    if consents.get("marketing") and sum(Decimal(each["net"]) for each in orders) > 15:
        found.add("big")
    return found


# name → text; `memberships` above says the same in Python.
AUDIENCES = {
    "viewers": "(SELECT count(*) FROM events WHERE name = 'Product Viewed') >= 2",
    "pros": "traits.plan = 'pro'",
    "big": "-- purpose: marketing\n(SELECT sum(net) FROM orders) > 15",
}


def _traits(by_time: list[Event]) -> dict[str, Any]:
    """Each event's traits, one after the other, into one nested dictionary."""
    traits: dict[str, Any] = {}
    for each in by_time:
        if each.kind == "identify":
            _overwrite(traits, msgspec.json.decode(each.traits))
    return _without_nothing(traits)


def _overwrite(known: dict[str, Any], said: dict[str, Any]) -> None:
    for name, value in said.items():
        if not isinstance(value, dict):
            known[name] = value
        elif value:
            if not isinstance(known.get(name), dict):
                known[name] = {}
            _overwrite(known[name], value)


def _without_nothing(known: dict[str, Any]) -> dict[str, Any]:
    kept = {name: _without_nothing(each) if isinstance(each, dict) else each for name, each in sorted(known.items())}
    return {name: each for name, each in kept.items() if each is not None and each != {}}


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


def _device(event: Event) -> str:
    return next((each.key for each in event.identifiers if each.is_device), "")


def _sessions(by_time: list[Event]) -> dict[str, Any]:
    sessions: list[list[int]] = []
    for at in [each.at for each in by_time if _device(each)]:
        if not sessions or at > sessions[-1][-1] + GAP_MS:
            sessions.append([])
        sessions[-1].append(at)
    return {
        "count": len(sessions),
        "first_at": sessions[0][0] if sessions else None,
        "last_at": sessions[-1][-1] if sessions else None,
        "total_ms": sum(each[-1] - each[0] for each in sessions),
        "recent": [{"start_at": each[0], "end_at": each[-1], "events": len(each)} for each in reversed(sessions)],
    }


def _devices(by_time: list[Event]) -> list[dict[str, Any]]:
    devices = []
    for key in {_device(each) for each in by_time} - {""}:
        seen = [each for each in by_time if _device(each) == key]
        words = []
        for each in seen:
            context = msgspec.json.decode(each.context)
            device, system = context.get("device", {}), context.get("os", {})
            version = f"{system.get('name', '')} {system.get('version', '')}".strip()
            words.append((each.at, device.get("type", ""), device.get("model", ""), version))
        _, kind, model, version = max((word for word in words if any(word[1:])), default=(0, "", "", ""))
        devices.append(
            {
                "key": key,
                "first_seen_at": seen[0].at,
                "last_seen_at": seen[-1].at,
                "type": kind or None,
                "model": model or None,
                "os": version or None,
            }
        )
    return sorted(devices, key=lambda each: (-each["last_seen_at"], each["key"]))


def _campaigns(by_time: list[Event]) -> dict[str, Any]:
    """One touch a day and campaign, the earliest; campaigns of one moment in the order of their names."""
    named = [(each.at, msgspec.json.decode(each.context).get("campaign")) for each in by_time]
    touches = sorted(
        ((at, campaign) for at, campaign in named if campaign), key=lambda touch: (touch[0], touch[1]["name"])
    )
    if not touches:
        return {"first": None, "last": None, "touches": []}
    seen, shown = set(), []
    for at, campaign in touches:
        if (at // DAY_MS, campaign["name"]) not in seen:
            seen.add((at // DAY_MS, campaign["name"]))
            shown.append({"at": at, **campaign})
    (first_at, first), (last_at, last) = touches[0], touches[-1]
    return {"first": {"at": first_at, **first}, "last": {"at": last_at, **last}, "touches": shown[::-1]}


def _support(tracked: list[tuple[Event, dict[str, Any]]]) -> dict[str, Any]:
    support: dict[str, Any] = {"nps": None, "csat": None}
    for kind, (name, length) in CONTACTS.items():
        ended = [properties.get(length) for each, properties in tracked if each.name == name]
        lengths_ms = [round(seconds * 1_000) for seconds in ended if seconds is not None]
        mean_ms = sum(lengths_ms) // len(lengths_ms) if lengths_ms else None
        support[kind] = {"count": len(ended), "total_ms": sum(lengths_ms), "mean_ms": mean_ms}
    for each, properties in tracked:
        support |= {name: {"value": properties[name], "at": each.at} for name in ("nps", "csat") if name in properties}
    return support


def _consents(by_time: list[Event]) -> dict[str, Any]:
    consents: dict[str, Any] = {}
    for each in by_time:
        stated = msgspec.json.decode(each.context).get("consent", {})
        proof = {name: value for name, value in stated.items() if name != "categoryPreferences"} or None
        for purpose, given in each.consent.items():
            made = {"at": each.at, "source": each.source, "message_id": each.message_id}
            consents[purpose] = {"given": given, **made, "proof": proof}
    return dict(sorted(consents.items()))


def _orders(tracked: list[tuple[Event, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The last word with a sum counts; a refund without a sum is of the whole."""
    told = [(each, properties) for each, properties in tracked if each.name.startswith("Order ")]
    sums: dict[str, dict[str, int]] = {}
    for order_id in {properties["order_id"] for _, properties in told}:
        about = [(each, properties) for each, properties in told if properties["order_id"] == order_id]
        placed = [properties for each, properties in about if each.name in ("Order Completed", "Order Updated")]
        last = ([each for each in placed if "total" in each] or placed or [{}])[-1]
        refunds = [(each, properties) for each, properties in about if each.name == "Order Refunded"]
        default = last.get("currency", "") if placed else max(_currencies(refunds), default="")
        is_cancelled = any(each.name == "Order Cancelled" for each, _ in about)
        if is_cancelled:
            _add(sums, default if placed else "", cancelled=1)
            continue
        gross = last.get("total", 0)
        if placed:
            _add(sums, default, orders=1, gross=gross)
        given_back, is_of_the_whole = _given_back(refunds, default)
        if placed and is_of_the_whole:
            given_back[default] = gross
        elif "total" in last and default in given_back:
            given_back[default] = min(given_back[default], gross)
        for currency, sum_ in given_back.items():
            _add(sums, currency, refunded=sum_)
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


def _add(sums: dict[str, dict[str, int]], currency: str, **shares: int) -> None:
    known = sums.setdefault(currency, dict.fromkeys(["orders", "gross", "refunded", "cancelled"], 0))
    for name, value in shares.items():
        known[name] += value


def _currencies(refunds: list[tuple[Event, dict[str, Any]]]) -> Iterator[str]:
    """Of refunds of an order that nobody placed: each source's last word on each refund, one with a sum preferred."""
    words: dict[tuple[str, str, str], dict[str, Any]] = {}
    for has_sum in (False, True):
        for each, properties in refunds:
            if ("total" in properties) == has_sum:
                refund_id = properties.get("refund_id", "")
                words[refund_id, each.source, "" if refund_id else each.message_id] = properties
    return (properties.get("currency", "") for properties in words.values())


def _given_back(refunds: list[tuple[Event, dict[str, Any]]], default: str) -> tuple[dict[str, int], bool]:
    """Currency → sum of an order's refunds; and whether one is of the whole."""
    words = {}  # refund id → its last word, as one with a sum is preferred
    sources: dict[str, set[str]] = {}
    for has_sum in (False, True):
        for each, properties in refunds:
            if "refund_id" in properties and ("total" in properties) == has_sum:
                words[properties["refund_id"]] = properties
                sources.setdefault(properties["refund_id"], set()).add(each.source)
    loose = [(each.source, properties) for each, properties in refunds if "refund_id" not in properties]
    everything = [*words.values(), *(properties for _, properties in loose)]

    def total(some: Iterable[dict[str, Any]], currency: str) -> int:
        return sum(each.get("total", 0) for each in some if each.get("currency", default) == currency)

    given_back = {}
    for currency in {properties.get("currency", default) for properties in everything}:
        stories = [total(words.values(), currency)]
        for source in {source for source, _ in loose}:
            own = [word for refund_id, word in words.items() if source in sources[refund_id]]
            own += [properties for teller, properties in loose if teller == source]
            stories.append(total(own, currency))
        given_back[currency] = max(stories)
    return given_back, any("total" not in properties for properties in everything)
