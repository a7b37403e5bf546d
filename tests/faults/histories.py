"""Random histories of few people, devices and mail addresses, so that everybody meets everybody."""

from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import msgspec

from onefold.domain.event import Event, EventBatch, Kind, partition_key
from onefold.domain.identifier import Identifier
from tests.fakes.events import HASHER, NOON_MS, normalise

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
SHOWN = (0, 1, 1, 1, 2, 2, 2, 3)  # identifiers in an event
_encode = msgspec.json.encode


@dataclass(frozen=True)
class History:
    """What was sent, and the records that collect made of it.

    Attributes:
        sent: Each message once, in no order of time.
        records: Events of one request and partition each; with repeats, a message is in several.
        is_free: No rule can keep apart what an event names together.
    """

    sent: tuple[Event, ...]
    records: tuple[EventBatch, ...]
    is_free: bool


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
    devices = [name for name in names if name.startswith(("device_id", "anonymous_id"))]
    device = random.choice(devices) if devices and random.random() < 0.5 else ""  # a browser names itself in each event
    shown = [random.sample(names, min(len(names), random.choice(SHOWN))) for _ in range(count)]
    if device:
        shown = [[device, *(name for name in each if name not in devices)] for each in shown]
    sent = tuple(_random_event(random, each, number, pace) for number, each in enumerate(shown))
    records = pack_records(random, sent)
    if with_repeats:
        records += random.choices(records, k=random.choice([0, 1, 2]))  # the stream took it, the answer was lost
        records += pack_records(random, random.choices(sent, k=random.choice([0, 2, 4])))  # the client sent it again
    if random.random() < 0.5:
        random.shuffle(records)  # some were spooled
    return History(sent, tuple(records), is_free)


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


def _random_event(random: Random, shown: list[str], number: int, pace: int) -> Event:
    identifiers = sorted((each for each in map(read, shown) if each), key=lambda each: each.strength)
    at = NOON_MS + number * pace + random.randint(0, 6 - 4 * pace)
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
        context=_encode({"campaign": {"name": f"c{random.randint(0, 3)}"}}) if random.random() < 0.2 else b"{}",
        consent={"marketing": random.random() < 0.7} if random.random() < 0.4 else {},
        previous=_former_identity(random) if kind == "alias" and identifiers else (),
        **said,
    )


def _former_identity(random: Random) -> tuple[Identifier, ...]:
    former = read(random.choice(["email:e0@b.co", "anonymous_id:a0", "device_id:d1", *BLOCKED]))
    return (former,) if former else ()


def _say(random: Random) -> tuple[Kind, str, dict[str, Any]]:
    draw = random.random()
    if draw < 0.3:
        return "track", "Product Viewed", {}
    if draw < 0.6:
        properties: dict[str, object] = {"order_id": f"o{random.randint(0, 2)}", "currency": "EUR"}
        name = random.choice(ORDER_NAMES)
        if name == "Order Refunded" and random.random() < 0.7:
            properties["refund_id"] = f"r{random.randint(0, 1)}"
        if name != "Order Refunded" or random.random() < 0.8:
            properties["total"] = random.randint(1, 20)
        return "track", name, {"properties": _encode(properties)}
    if draw < 0.85:
        traits = {"plan": random.choice(["pro", "free", None]), random.choice(["city", "name"]): random.randint(0, 9)}
        return "identify", "", {"traits": _encode(traits)}
    if draw < 0.9:
        return "track", "Live Chat Conversation Ended", {"properties": _encode({"conversation_duration": 7})}
    return ("alias", "", {}) if draw < 0.95 else ("page", "Home", {})
