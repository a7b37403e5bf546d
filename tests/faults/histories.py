"""Random histories of few people, devices and mail addresses, so that everybody meets everybody."""

from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import msgspec

from onefold.domain.decision import Action, Decision
from onefold.domain.event import Event, EventBatch, Kind, partition_key
from onefold.domain.identifier import Identifier
from onefold.domain.identity_rules import DEFAULT_RULES, DeclaredRules, IdentityRules, SharedDevices, build_rules
from tests.fakes.events import HASHER, NOON_MS, identifier, normalise
from tests.faults.oracle import CONTACTS, DAY_MS, GAP_MS, MAIL

# Never more values of a type than a profile may have: every event joins all that it names.
FREE = (
    "user_id:u0",
    *(f"email:e{number}@b.co" for number in range(2)),
    *(f"external_id:x{number}" for number in range(2)),
    *(f"device_id:d{number}" for number in range(3)),
    *(f"anonymous_id:a{number}" for number in range(3)),
)
# More persons than a profile may have, on few devices: limits and shared devices all the time.
CROWDED = (
    *(f"user_id:u{number}" for number in range(3)),
    *(f"email:e{number}@b.co" for number in range(3)),
    *(f"device_id:d{number}" for number in range(2)),
    "anonymous_id:a0",
)
TABLET = ("user_id:u0", "user_id:u1", "device_id:d0")  # of two persons, and theirs
# What sources send where they know nobody: it identifies nobody, so it links nobody.
BLOCKED = ("user_id:guest", "email:noreply@b.co", "device_id:00000000-0000-0000-0000-000000000000")
ORDER_NAMES = ("Order Completed", "Order Completed", "Order Updated", "Order Refunded", "Order Cancelled")
SOURCES = ("app", "web")
PAUSES_MS = (0, 0, 0, GAP_MS - 3, GAP_MS, GAP_MS + 1, 2 * GAP_MS, DAY_MS)  # before an event; those after it do not wait
DECIDED: tuple[Action, ...] = ("split", "split", "detach", "retract", "link", "allow")
SHOWN = (0, 1, 1, 1, 2, 2, 2, 3)  # identifiers in an event
_encode = msgspec.json.encode


@dataclass(frozen=True)
class History:
    """What was sent, and the records that collect made of it.

    Attributes:
        sent: Each message once, in no order of time.
        records: Events of one request and partition each; with repeats, a message is in several.
        is_free: No rule and nobody keeps apart what an event names together.
        rules: The identity rules in force.
        decisions: What somebody rules about identities at some time between.
    """

    sent: tuple[Event, ...]
    records: tuple[EventBatch, ...]
    is_free: bool
    rules: IdentityRules = DEFAULT_RULES
    decisions: tuple[Decision, ...] = ()


def random_history(random: Random, *, with_repeats: bool) -> History:
    is_free = random.random() < 0.5
    names = random.sample(FREE if is_free else CROWDED, random.choice([2, 3, 4, 5, 7]))
    if not is_free and random.random() < 0.5:
        names = [*TABLET, *names[: random.randint(0, 3)]]
    if random.random() < 0.3:
        names.append(random.choice(BLOCKED))
    names = list(dict.fromkeys(names))
    count = random.choice([3, 6, 10, 16, 16])
    pace = random.choice([0, 1])  # whether time goes on, so that the newest word is often the last to arrive
    pauses = random.choice([(0,), (0,), PAUSES_MS])
    devices = [name for name in names if name.startswith(("device_id", "anonymous_id"))]
    device = random.choice(devices) if devices and random.random() < 0.5 else ""  # a browser names itself in each event
    shown = [random.sample(names, min(len(names), random.choice(SHOWN))) for _ in range(count)]
    if device:
        shown = [[device, *(name for name in each if name not in devices)] for each in shown]
    sent = tuple(_random_event(random, each, number, pace, pauses) for number, each in enumerate(shown))
    records = pack_records(random, sent)
    if with_repeats:
        records += random.choices(records, k=random.choice([0, 1, 2]))  # the stream took it, the answer was lost
        records += pack_records(random, random.choices(sent, k=random.choice([0, 2, 4])))  # the client sent it again
    if random.random() < 0.5:
        random.shuffle(records)  # some were spooled
    decisions = _random_decisions(random, names) if random.random() < 0.4 else ()
    return History(sent, tuple(records), is_free and not decisions, _random_rules(random), decisions)


def _random_rules(random: Random) -> IdentityRules:
    """Of shared devices and shared mailboxes every way to treat them; none of it touches free histories."""
    policies: list[SharedDevices] = ["separate", "separate", "first", "last"]
    return build_rules(DeclaredRules(shared_devices=random.choice(policies), generic_users=random.choice([1, 10])))


def _random_decisions(random: Random, names: list[str]) -> tuple[Decision, ...]:
    """Splits, detachments and links of identifiers that may be somebody's by then."""
    known = [each.key for each in map(read, names) if each]
    if len(known) < 2:
        return ()
    found = []
    for number in range(random.choice([1, 1, 2, 3])):
        left, right = random.sample(known, 2)
        action = random.choice(DECIDED)
        messages = tuple((random.choice(SOURCES), f"m{random.randint(0, 7)}") for _ in range(2))
        found.append(Decision(f"d{number}", action, NOON_MS + number, "tests", left, right, messages=messages))
    return tuple(found)


@cache
def read(name: str) -> Identifier | None:
    """An identifier as collect reads it."""
    kind, _, raw = name.partition(":")
    value = normalise(kind, raw)
    return HASHER.identifier(kind, value) if value else None


def pack_records(random: Random, events: tuple[Event, ...] | list[Event]) -> list[EventBatch]:
    """Requests of one to six events, each taken apart by partition key."""
    records = []
    rest = list(events)
    while rest:
        size = random.choice([1, 1, 2, 3, 6])
        request, rest = rest[:size], rest[size:]
        by_partition: dict[str, list[Event]] = {}
        for event in request:
            by_partition.setdefault(partition_key(event), []).append(event)
        records += [EventBatch(tuple(batch)) for batch in by_partition.values()]
    return records


def _random_event(random: Random, shown: list[str], number: int, pace: int, pauses: tuple[int, ...]) -> Event:
    identifiers = sorted((each for each in map(read, shown) if each), key=lambda each: each.strength)
    at = NOON_MS + number * pace + random.randint(0, 6 - 4 * pace) + random.choice(pauses)
    kind, name, said = _say(random)
    # A message id is its source's own: two sources may use the same.
    return Event(
        f"m{number // 2}",
        kind,
        name,
        SOURCES[number % 2],
        tuple(identifiers),
        at,
        at + random.randint(0, 2),
        context=_some_context(random),
        consent={"marketing": random.random() < 0.7} if random.random() < 0.4 else {},
        previous=_former_identity(random) if kind == "alias" and identifiers else (),
        account=identifier(f"group_id:g{random.randint(0, 1)}") if kind == "group" else None,
        **said,
    )


def _former_identity(random: Random) -> tuple[Identifier, ...]:
    former = read(random.choice(["email:e0@b.co", "anonymous_id:a0", "device_id:d1", *BLOCKED]))
    return (former,) if former else ()


def _say(random: Random) -> tuple[Kind, str, dict[str, Any]]:
    draw = random.random()
    if draw < 0.32:
        return "track", "Product Viewed", {}
    if draw < 0.55:
        return "track", *_say_of_an_order(random)
    if draw < 0.8:
        return "identify", "", {"traits": _encode(_some_traits(random))}
    if draw < 0.9:
        name, length = random.choice(list(CONTACTS.values()))
        properties = {length: random.randint(0, 90)} if random.random() < 0.8 else {}
        answers = {random.choice(["nps", "csat"]): random.randint(0, 10)} if random.random() < 0.5 else {}
        return "track", name, {"properties": _encode(properties | answers)}
    if draw < 0.94:
        return "track", random.choice(list(MAIL.values())), {}
    if draw < 0.97:
        return "alias", "", {}
    return ("group", "", {"traits": _encode(_some_traits(random))}) if draw < 0.985 else ("page", "Home", {})


def _say_of_an_order(random: Random) -> tuple[str, dict[str, Any]]:
    name = random.choice(ORDER_NAMES)
    properties: dict[str, object] = {"order_id": f"o{random.randint(0, 2)}"}
    if random.random() < 0.9:
        properties["currency"] = random.choice(["EUR", "EUR", "USD"])
    if name == "Order Refunded" and random.random() < 0.6:
        properties["refund_id"] = f"r{random.randint(0, 1)}"
    if random.random() < 0.85:
        properties["total"] = random.randint(1, 20)
    return name, {"properties": _encode(properties)}


def _some_traits(random: Random) -> dict[str, Any]:
    """Objects that grow, a text where another event has an object, and a name with a dot."""
    place = random.choice(
        [{"city": random.randint(0, 9)}, {"zip": None}, {"geo": {"lat": random.randint(0, 9)}}, "x", None]
    )
    return {
        "plan": random.choice(["pro", "free", None]),
        random.choice(["city", "utm.source"]): random.randint(0, 9),
        **({"address": place} if random.random() < 0.6 else {}),
    }


def _some_context(random: Random) -> bytes:
    context: dict[str, Any] = {}
    if random.random() < 0.2:
        context["campaign"] = {"name": f"c{random.randint(0, 3)}"}
    if random.random() < 0.2:
        context["device"] = {"type": "ios", "model": f"model {random.randint(0, 2)}"}
    if random.random() < 0.2:
        context["os"] = {"name": "iOS", "version": str(random.randint(17, 18))}
    if random.random() < 0.2:
        context["consent"] = {"categoryPreferences": {}, "policy": f"v{random.randint(1, 2)}"}
    return _encode(context)
