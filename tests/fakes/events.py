"""Events and stream records for tests, written with few words."""

from collections.abc import Iterable
from itertools import count
from typing import Any

import msgspec

from onefold.domain.event import Event, EventBatch, Kind, partition_key
from onefold.domain.identifier import Identifier, IdentifierHasher
from onefold.domain.identity_rules import DEFAULT_RULES, DEFAULT_TYPES
from onefold.domain.normal_form import PhoneForm
from onefold.use_cases.stitch import StreamRecord

SECRET = b"a secret for tests, of 32 bytes or more"


class DefaultHasher(IdentifierHasher):
    def identifier(self, kind: str, value: str) -> Identifier:
        """An already normalised value, under the default rules."""
        return DEFAULT_RULES.identifier(self, kind, value)


HASHER = DefaultHasher(SECRET)
NOON_MS = 1_750_000_000_000

_numbers = count(1)


def normalise(kind: str, raw: object, *, phone: PhoneForm | None = None) -> str | None:
    """A value in the normal form of a type of the default rules."""
    return DEFAULT_TYPES[kind].normalise(raw, phone)


def identifier(text: str) -> Identifier:
    """`user_id:u1` as it is, without normalising."""
    kind, _, value = text.partition(":")
    return HASHER.identifier(kind, value)


def key_of(text: str) -> str:
    return identifier(text).key


def event(*identifiers: str, kind: Kind = "track", name: str = "Product Viewed", **fields: Any) -> Event:
    """An event of these identifiers, strongest first whatever their order here; JSON parts may be given as dicts."""
    number = next(_numbers)
    for part in ("traits", "properties", "context"):
        if part in fields and not isinstance(fields[part], bytes):
            fields[part] = msgspec.json.encode(fields[part])
    fields = {"message_id": f"m{number}", "source": "web", "at": NOON_MS + number, **fields}
    fields.setdefault("received_at", fields["at"])
    previous = tuple(map(identifier, fields.pop("previous", ())))
    strongest_first = tuple(sorted(map(identifier, identifiers), key=lambda each: each.strength))
    named = name if kind == "track" else ""
    return Event(kind=kind, name=named, identifiers=strongest_first, previous=previous, **fields)


def record(sequence: int, *events: Event) -> StreamRecord:
    return StreamRecord(str(sequence), EventBatch(events))


def records_of(events: Iterable[Event], *, start: int = 1) -> list[StreamRecord]:
    """One record for each run of events of one partition, in their order."""
    records: list[list[Event]] = []
    for each in events:
        if records and partition_key(records[-1][-1]) == partition_key(each):
            records[-1].append(each)
        else:
            records.append([each])
    return [record(start + number, *batch) for number, batch in enumerate(records)]
