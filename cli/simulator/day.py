"""What a simulation yields: calls to make, and what must be found afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

Transport = Literal["sdk", "http"]


@dataclass(frozen=True, slots=True)
class Call:
    """One message to a source.

    Attributes:
        transport: `sdk`: through the server library, in batches. `http`: one plain request, as browsers and tills do.
        body: In the form of the tracking API, with `type`, `messageId` and an ISO 8601 `timestamp`.
    """

    source: str
    transport: Transport
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """One profile that must exist at the end.

    Attributes:
        label: `shopper`, `subscriber`, `cardholder`, `visitor` or `tablet`.
        identifiers: All of them, as `type:value`; the first is the best to ask by.
        events: Distinct messages that belong to this profile.
        gross, refunded: In EUR, exact.
        nps: The newest answer, if any.
    """

    label: str
    identifiers: tuple[str, ...]
    events: int
    orders: int
    units: int
    gross: Decimal
    refunded: Decimal
    refunds: int
    email_opens: int
    nps: int | None
    audiences: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sales:
    """Orders of one country."""

    orders: int = 0
    units: int = 0
    gross: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the plan says of the day as a whole.

    Attributes:
        events: Distinct messages; `repeats` of them are sent twice, by services that deliver at least once.
        devices: Browsers, apps and tablets that were used.
        profiles: One for each customer, each anonymous visitor, and each shared device's anonymous part.
    """

    profiles: tuple[Expected, ...]
    devices: int
    shared_devices: int
    events: int
    repeats: int
    events_by_source: Mapping[str, int]
    events_by_name: Mapping[str, int]
    sales_by_country: Mapping[str, Sales]

    def members(self, audience: str) -> list[Expected]:
        return [profile for profile in self.profiles if audience in profile.audiences]


@dataclass(frozen=True, slots=True)
class Day:
    """Calls in the order of time, and the truth. The same seed, size and date give the same day."""

    calls: tuple[Call, ...]
    truth: Truth
