"""Heads: the small record of a profile, by which fragments become one customer."""

import hashlib
from typing import Final

import msgspec

from onefold.domain.identifier import Identifier

MERGES_MAX: Final = 100
IDENTIFIERS_MAX: Final = 1_000
IDENTIFIER_CHARACTERS_MAX: Final = 150_000  # of all values together; a head is one item, which holds 400 KB
FRAGMENTS_MAX: Final = 1_000


class Attached(msgspec.Struct, frozen=True, array_like=True):
    """An identifier in a profile, and the event time (epoch ms) at which it was first attached."""

    identifier: Identifier
    at: int


class Link(msgspec.Struct, frozen=True, array_like=True):
    """Evidence that two identifiers are one person.

    Attributes:
        left, right: Identifier keys.
        why: `event` or `alias`.
    """

    left: str
    right: str
    at: int
    source: str
    message_id: str
    why: str = "event"


class Membership(msgspec.Struct, frozen=True, array_like=True):
    """In an audience since (epoch ms of the evaluation), under this version of its definition."""

    since: int
    version: int


class Head(msgspec.Struct, frozen=True, array_like=True):
    """A profile's pointers.

    Attributes:
        founded_at: Event time of the founding event; the oldest profile survives a merge.
        identifiers: Identifier key → what it is and since when.
        merges: How many profiles went into this one.
        merged_into: The surviving profile, where this one is but a redirect.
        is_shared_device: Holds the anonymous events of a device that several persons use; it joins with nobody.
        version: 0 where it is not stored yet.
    """

    profile_id: str
    founded_at: int
    identifiers: dict[str, Attached] = {}
    links: tuple[Link, ...] = ()
    fragments: tuple[str, ...] = ()
    memberships: dict[str, Membership] = {}
    merges: int = 0
    merged_into: str = ""
    is_shared_device: bool = False
    version: int = 0

    @property
    def age(self) -> tuple[int, str]:
        """Sort key, oldest first."""
        return (self.founded_at, self.profile_id)


def profile_id_for(founding_key: str, *, shared: bool = False) -> str:
    """The id of the profile that an identifier founds.

    Derived, so that two writers who race to found it agree, and an undone merge gets its old id back. The profile that
    a shared device gets for its anonymous events is another one than the device's first owner may bear.
    """
    label = "shared" if shared else "founded"
    digest = hashlib.sha256(f"{label}\0{founding_key}".encode()).hexdigest()
    return f"p_{digest[:24]}"
