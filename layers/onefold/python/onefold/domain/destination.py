"""Destinations: where transitions are sent, and the secret with which each can tell that they came from us."""

import hmac
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from onefold.domain.definition import Definition
from onefold.domain.errors import DefinitionInvalid

NAME: Final = re.compile(r"[a-z][a-z0-9_\-]{0,63}")
URL_LENGTH_MAX: Final = 2_000
LOOPBACK: Final = frozenset(["127.0.0.1", "::1", "localhost"])
DEFINITION_KIND: Final = "destination"


class Destination(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One declared destination; as JSON it is the body of the definition `destination/<name>`.

    Attributes:
        name: Lower case; appears in logs.
        url: https, or http on the loopback interface.
        audiences: Names of the audiences whose transitions it gets; empty for all, and for merged profiles.
        secret_version: Raise it to replace the secret.
    """

    name: str
    url: str
    kind: Literal["webhook"] = "webhook"
    audiences: tuple[str, ...] = ()
    secret_version: int = 1

    def wants(self, audience: str) -> bool:
        """Whether it gets a transition of this audience; "" stands for what concerns a profile as a whole."""
        return not self.audiences or audience in self.audiences


def parse_destination(body: bytes) -> Destination:
    """Read a destination's definition.

    Raises:
        DefinitionInvalid: It is no JSON, misses a field, has one too many, or one of the wrong shape.
    """
    try:
        destination = msgspec.json.decode(body, type=Destination)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionInvalid("destination_unreadable", f"Not a destination: {error}") from error
    if not NAME.fullmatch(destination.name):
        raise DefinitionInvalid(
            "destination_invalid", "Write name with lower-case letters, digits, - and _, at most 64", pointer="#/name"
        )
    if not _is_allowed(destination.url):
        raise DefinitionInvalid(
            "destination_invalid", "Write an https URL without user and password (http only to this machine)",
            pointer="#/url",
        )  # fmt: skip
    if destination.secret_version < 1:
        raise DefinitionInvalid(
            "destination_invalid", "Count versions of the secret from 1", pointer="#/secret_version"
        )
    return destination


def _is_allowed(url: str) -> bool:
    if len(url) > URL_LENGTH_MAX or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, has_port = parts.hostname, parts.port is None or parts.port > 0
    except ValueError:
        return False
    if not host or not has_port or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)


def destinations_of(definitions: Iterable[Definition]) -> list[Destination]:
    """The destinations among the definitions; one that this version of the code cannot read is left out."""
    destinations = []
    for definition in definitions:
        if definition.kind == DEFINITION_KIND:
            try:
                destinations.append(parse_destination(definition.body))
            except DefinitionInvalid:
                continue
    return destinations


def webhook_secret(deployment_secret: bytes, destination: Destination) -> str:
    """The destination's signing secret, as its receiver is told it: `whsec_` and base64 of 32 bytes.

    Derived, so that nobody has to store it; a higher `secret_version` gives another one.
    """
    label = f"webhook\0{destination.name}\0{destination.secret_version}"
    return "whsec_" + b64encode(hmac.digest(deployment_secret, label.encode(), "sha256")).decode()
