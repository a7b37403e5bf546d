"""Heads: the small record of a profile, by which fragments become one customer."""

import hashlib
from typing import Final, Literal

import msgspec

from onefold.domain.identifier import Identifier

MERGES_MAX: Final = 100
IDENTIFIERS_MAX: Final = 1_000
IDENTIFIER_CHARACTERS_MAX: Final = 150_000  # of all values together; a head is one item, which holds 400 KB
FRAGMENTS_MAX: Final = 1_000
# Evidence beyond what holds a profile together; of the latter there is one link fewer than identifiers.
SPARE_LINKS_MAX: Final = 300
RETRACTED_MAX: Final = 300
PARTED_MAX: Final = 200

HeadKind = Literal["person", "shared_device", "account"]
# Explicit evidence may exceed a limit; an event's may not, nor a probability.
Evidence = Literal["event", "alias", "decision", "probabilistic"]
EXPLICIT: Final = frozenset(["alias", "decision"])


class Attached(msgspec.Struct, frozen=True, array_like=True):
    """An identifier in a profile.

    Attributes:
        at: Event time (epoch ms) at which it was first attached.
        rivals: Of user ids of other profiles that it was seen with: a few characters of each key, sorted.
    """

    identifier: Identifier
    at: int
    rivals: tuple[str, ...] = ()


class Link(msgspec.Struct, frozen=True, array_like=True):
    """Evidence that two identifiers are one person.

    Attributes:
        left, right: Identifier keys.
        at: Event time. received_at: when it was learnt. Both epoch ms.
        source, message_id: The event; of a decision `decision` and its id.
        probability: 1 but for probabilistic evidence.
    """

    left: str
    right: str
    at: int
    source: str
    message_id: str
    why: Evidence = "event"
    received_at: int = 0
    probability: float = 1.0

    @property
    def pair(self) -> tuple[str, str]:
        return (self.left, self.right) if self.left < self.right else (self.right, self.left)


class Retracted(msgspec.Struct, frozen=True, array_like=True):
    """A link that counts no more since `at` (epoch ms), and why: a decision's id or `shared_device`."""

    link: Link
    at: int
    why: str


class Parted(msgspec.Struct, frozen=True, array_like=True):
    """Two identifiers that were declared not to be one person; only explicit evidence joins them again."""

    left: str
    right: str
    at: int
    decision: str


class Founding(msgspec.Struct, frozen=True, array_like=True):
    """The birth of a profile that is now part of this one: by which identifier, and the event's times (epoch ms)."""

    key: str
    at: int
    received_at: int


class Membership(msgspec.Struct, frozen=True, array_like=True):
    """In an audience since (epoch ms of the evaluation), under this version of its definition."""

    since: int
    version: int


class Head(msgspec.Struct, frozen=True, array_like=True):
    """A profile's pointers.

    Attributes:
        founded_at: Event time of the founding event; the oldest profile survives a merge.
        identifiers: Identifier key → what it is and since when. They hang together by `links`.
        fragments: Keys of the fragments, each with its base among the identifiers.
        merged_into: The surviving profile, where this one is but a redirect.
        kind: `shared_device` holds the anonymous events of a device that several persons use; it joins with nobody.
        foundings: Profile id → its founding, for this profile and every one that was merged into it.
        retracted: Links that held once, the last RETRACTED_MAX.
        parted: Pairs of which one is here, the last PARTED_MAX.
        split_from: The profile that this one was taken out of, until it is merged again.
        version: 0 where it is not stored yet.
    """

    profile_id: str
    founded_at: int
    identifiers: dict[str, Attached] = {}
    links: tuple[Link, ...] = ()
    fragments: tuple[str, ...] = ()
    memberships: dict[str, Membership] = {}
    merged_into: str = ""
    kind: HeadKind = "person"
    foundings: dict[str, Founding] = {}
    retracted: tuple[Retracted, ...] = ()
    parted: tuple[Parted, ...] = ()
    split_from: str = ""
    version: int = 0

    @property
    def age(self) -> tuple[int, str]:
        """Sort key, oldest first."""
        return (self.founded_at, self.profile_id)

    @property
    def merges(self) -> int:
        """How many profiles went into this one."""
        return max(0, len(self.foundings) - 1)

    @property
    def is_shared_device(self) -> bool:
        return self.kind == "shared_device"


def profile_id_for(founding_key: str, *, shared: bool = False) -> str:
    """The id of the profile that an identifier founds.

    Derived, so that two writers who race to found it agree, and an undone merge gets its old id back. The profile that
    a shared device gets for its anonymous events is another one than the device's first owner may bear.
    """
    label = "shared" if shared else "founded"
    digest = hashlib.sha256(f"{label}\0{founding_key}".encode()).hexdigest()
    return f"p_{digest[:24]}"
