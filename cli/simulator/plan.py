"""The diary of a simulated day: each message with the party that it belongs to."""

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from cli.simulator.day import Call, Transport
from cli.simulator.people import Device, Party

LIBRARY = {"name": "shop-simulator", "version": "1"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One message that was planned.

    Attributes:
        at: Epoch milliseconds; no two entries of a diary share one, so that "the newest" is never a matter of taste.
        owner: The party in whose profile it must end up.
        is_repeated: The service delivers this message twice.
    """

    at: int
    owner: Party
    call: Call
    is_repeated: bool


@dataclass(slots=True)
class Diary:
    """Collects a day's messages."""

    rng: random.Random
    day: date
    entries: list[Entry] = field(default_factory=list)
    _taken: set[int] = field(default_factory=set)

    def clock(self, hour: float) -> int:
        """A moment of the day, in epoch milliseconds."""
        midnight = datetime.combine(self.day, time(), UTC)
        return int((midnight + timedelta(hours=hour)).timestamp() * 1000)

    def write(
        self,
        owner: Party,
        source: str,
        at: int,
        message: Mapping[str, Any],
        *,
        transport: Transport = "http",
        is_repeated: bool = False,
    ) -> None:
        """Note a message; its time moves on by milliseconds until it is the only one of its moment."""
        while at in self._taken:
            at += 1
        self._taken.add(at)
        body = {
            **message,
            "messageId": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)),
            "timestamp": datetime.fromtimestamp(at / 1000, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
        }
        self.entries.append(Entry(at, owner, Call(source, transport, body), is_repeated))

    def calls(self) -> tuple[Call, ...]:
        ordered = sorted(self.entries, key=lambda entry: entry.at)
        return tuple(entry.call for entry in ordered for _ in range(2 if entry.is_repeated else 1))


def web_context(party: Party, campaign: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a site's page adds to every message: the answer to its banner, and the campaign of the landing."""
    context: dict[str, Any] = {
        "consent": {"categoryPreferences": {"marketing": party.consents, "analytics": True}},
        "locale": f"{party.country.lower()}-{party.country}",
        "library": LIBRARY,
    }
    return {**context, "campaign": dict(campaign)} if campaign else context


def person_on(device: Device, person: Party | None) -> dict[str, str]:
    """The identifiers of a message from a device: the device's own, and the account that is signed in."""
    named = {"anonymousId": device.anonymous_id}
    return {**named, "userId": person.user_id} if person else named


def external_ids(**named: str) -> dict[str, Any]:
    """A context that names a person by other means than the account."""
    return {
        "externalIds": [
            {"id": value, "type": kind, "collection": "users", "encoding": "none"}
            for kind, value in named.items()
            if value
        ],
        "library": LIBRARY,
    }
