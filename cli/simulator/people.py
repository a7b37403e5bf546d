"""Who lives in the simulated town: customers of several kinds, visitors, and families with a tablet."""

import random
import uuid
from dataclasses import dataclass, field
from typing import Final, Literal

from cli.simulator.catalog import COUNTRIES, FIRST_NAMES, LAST_NAMES, MAIL_DOMAINS
from cli.simulator.day import Transport

Label = Literal["shopper", "subscriber", "cardholder", "visitor", "tablet"]

CONSENT_SHARE, PHONE_SHARE, CARD_SHARE = 0.8, 0.3, 0.35
FAMILY_SIZE = 3
PERSONS_PER_FAMILY = 100
SHARES: Final[dict[Label, float]] = {"visitor": 0.24, "subscriber": 0.08, "cardholder": 0.06}  # the others are shoppers


@dataclass(slots=True)
class Device:
    """A browser, an app or a tablet; `transport` is how the shop's site reports it."""

    anonymous_id: str
    transport: Transport


@dataclass(slots=True)
class Party:
    """What must become one profile: a customer, a visitor, or the anonymous part of a shared tablet.

    Attributes:
        consents: What the banner or the form was answered with; may be withdrawn during the day.
    """

    label: Label
    country: str
    consents: bool
    devices: list[Device] = field(default_factory=list)
    user_id: str = ""
    email: str = ""
    phone: str = ""
    card: str = ""
    first_name: str = ""
    last_name: str = ""

    def identifiers(self) -> tuple[str, ...]:
        named = {"user_id": self.user_id, "external_id": self.card, "email": self.email, "phone": self.phone}
        return tuple(f"{kind}:{value}" for kind, value in named.items() if value) + tuple(
            f"anonymous_id:{device.anonymous_id}" for device in self.devices
        )


@dataclass(slots=True)
class Family:
    """Persons who also use one tablet; `tablet` is the party of what nobody was signed in for."""

    members: list[Party]
    tablet: Party


def populate(rng: random.Random, persons: int) -> tuple[list[Party], list[Family]]:
    """Make a town; families are made of its shoppers.

    Returns:
        All parties including the tablets, and the families.
    """
    parties = [_party(rng, label, number) for number, label in enumerate(_labels(persons))]
    shoppers = [party for party in parties if party.label == "shopper"]
    families = []
    for number in range(max(1, persons // PERSONS_PER_FAMILY)):
        members = shoppers[number * FAMILY_SIZE : (number + 1) * FAMILY_SIZE]
        if len(members) == FAMILY_SIZE:
            tablet = Party("tablet", members[0].country, consents=True, devices=[_device(rng, "sdk")])
            families.append(Family(members, tablet))
    return parties + [family.tablet for family in families], families


def _labels(persons: int) -> list[Label]:
    others: list[Label] = [label for label, share in SHARES.items() for _ in range(round(persons * share))]
    shoppers: list[Label] = ["shopper"] * (persons - len(others))
    return shoppers + others


def _party(rng: random.Random, label: Label, number: int) -> Party:
    party = Party(label, rng.choice(COUNTRIES), consents=rng.random() < CONSENT_SHARE)
    if label in ("shopper", "visitor"):
        count = rng.choice((1, 1, 2, 2, 3)) if label == "shopper" else 1
        party.devices = [_device(rng, rng.choice(("sdk", "sdk", "http"))) for _ in range(count)]
    if label in ("shopper", "subscriber"):
        party.first_name, party.last_name = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
        party.email = f"{party.first_name}.{party.last_name}.{number}@{rng.choice(MAIL_DOMAINS)}".lower()
    if label == "shopper":
        party.user_id = f"u-{number:06d}"
        party.phone = f"+4930{5_550_000 + number}" if rng.random() < PHONE_SHARE else ""
    if label == "cardholder" or (label == "shopper" and rng.random() < CARD_SHARE):
        party.card = f"L-{700_000 + number}"
    return party


def _device(rng: random.Random, transport: Transport) -> Device:
    return Device(str(uuid.UUID(int=rng.getrandbits(128), version=4)), transport)
