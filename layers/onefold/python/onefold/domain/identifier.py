"""Identifiers: typed, normalised, and the keyed hash under which they are stored."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from typing import Final

import msgspec

KEY_BYTES: Final = 16  # 128 bits of HMAC-SHA-256: no collision to fear, and half the bytes in every index

# What an identifier names. A reference is known and can be searched for, but never brings profiles together.
PERSON: Final = 0
DEVICE: Final = 1
REFERENCE: Final = 2
ACCOUNT: Final = 3


class Identifier(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One normalised identifier.

    Attributes:
        key: `type:` and a keyed hash of the value.
        priority: Of its type when it was read; 1 is strongest.
        role: PERSON, DEVICE, REFERENCE or ACCOUNT, likewise.
    """

    type: str
    value: str
    key: str
    priority: int = 0
    role: int = PERSON

    @property
    def strength(self) -> tuple[int, str, str]:
        """Sort key, strongest first: priority, then type, then value."""
        return (self.priority, self.type, self.value)

    @property
    def is_device(self) -> bool:
        return self.role == DEVICE

    @property
    def is_person(self) -> bool:
        return self.role == PERSON


class IdentifierHasher:
    """Turns a normalised identifier into its key: `type:` and a keyed hash, so that keys tell nothing of a person."""

    def __init__(self, secret: bytes) -> None:
        """Take the deployment's secret.

        Raises:
            ValueError: The secret is shorter than 32 bytes.
        """
        if len(secret) < 32:  # noqa: PLR2004 - the strength that SHA-256 offers
            raise ValueError("The deployment secret must have at least 32 bytes")
        self._secret = secret

    def key(self, kind: str, value: str) -> str:
        """The key of an already normalised value."""
        digest = hmac.digest(self._secret, f"{kind}\0{value}".encode(), "sha256")[:KEY_BYTES]
        return f"{kind}:{urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def strongest(identifiers: Iterable[Identifier], role: int) -> Identifier | None:
    """The strongest identifier of a role."""
    return min(
        (identifier for identifier in identifiers if identifier.role == role),
        key=lambda identifier: identifier.strength,
        default=None,
    )
