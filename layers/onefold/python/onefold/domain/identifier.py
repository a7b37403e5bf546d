"""Identifiers: their types, normal form, and the keyed hash under which they are stored."""

import hmac
import re
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from onefold.domain.errors import IdentifierInvalid

IDENTIFIER_LENGTH_MAX: Final = 500
KEY_BYTES: Final = 16  # 128 bits of HMAC-SHA-256: no collision to fear, and half the bytes in every index
PHONE_DIGITS_MIN: Final = 7


class IdentifierType(msgspec.Struct, frozen=True):
    """What identity resolution knows of one type.

    Attributes:
        priority: 1 is strongest; decides which identifier founds a profile and which is left out first.
        limit: Most values of this type in one profile.
        is_device: True for what names a device or browser, False for what names a person.
    """

    name: str
    priority: int
    limit: int
    is_device: bool = False


DEFAULT_TYPES: Final = {
    kind.name: kind
    for kind in (
        IdentifierType("user_id", 1, 1),
        IdentifierType("external_id", 2, 5),
        IdentifierType("email", 3, 2),
        IdentifierType("phone", 4, 3),
        IdentifierType("device_id", 5, 10, is_device=True),
        IdentifierType("anonymous_id", 6, 50, is_device=True),
    )
}
DEVICE_TYPES: Final = frozenset(kind.name for kind in DEFAULT_TYPES.values() if kind.is_device)


class Identifier(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One normalised identifier of a person or a device."""

    type: str
    value: str
    key: str

    @property
    def strength(self) -> tuple[int, str, str]:
        """Sort key, strongest first: priority, then type, then value."""
        return (DEFAULT_TYPES[self.type].priority, self.type, self.value)

    @property
    def is_device(self) -> bool:
        return self.type in DEVICE_TYPES


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

    def identifier(self, kind: str, value: str) -> Identifier:
        """Key an already normalised value."""
        digest = hmac.digest(self._secret, f"{kind}\0{value}".encode(), "sha256")[:KEY_BYTES]
        return Identifier(kind, value, f"{kind}:{urlsafe_b64encode(digest).rstrip(b'=').decode()}")


_WRAPPERS = "\"'`"
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_BLOCKED_VALUES = frozenset(
    [
        "", "null", "none", "nil", "nan", "undefined", "unknown", "anonymous", "guest", "test", "n/a", "na", "true",
        "false", "[object object]", "distinct_id", "user_id", "id", "email", "-1", "0", "not_authenticated", "void",
    ]
)  # fmt: skip
_BLOCKED_PATTERNS = (
    re.compile(r"[0\-\s]*"),
    re.compile(r"(.)\1{5,}", re.DOTALL),
    re.compile(r"[0f]{8}-[0f]{4}-[0f]{4}-[0f]{4}-[0f]{12}", re.IGNORECASE),
)
_BLOCKED_MAILBOXES = frozenset(["test", "noreply", "no-reply", "donotreply", "none", "null", "na", "asdf", "email"])
_BLOCKED_DOMAINS = frozenset(["example.com", "example.org", "example.net", "test.com", "localhost", "invalid"])


def normalise(kind: str, raw: object, *, phone: Callable[[str], str | None] | None = None) -> str | None:
    """Give the value under which an identifier is known, or None where it may not identify anybody.

    Args:
        kind: One of the declared identifier types.
        raw: What the source sent. Numbers become text; booleans, NaN, objects and lists identify nobody.
        phone: Turns a phone number into E.164, or None where it cannot; without it digits with a leading + are used.

    Returns:
        The normal form; None for a value that is unusable or blocked. The rules are R2 and R3 of identity resolution.
    """
    text = _as_text(raw)
    if text is None or _is_blocked(text):
        return None
    if kind == "email":
        return _normalise_email(text)
    if kind == "phone":
        return _normalise_phone(text, phone)
    return text


def _as_text(raw: object) -> str | None:
    if isinstance(raw, bool) or raw is None:
        return None
    if isinstance(raw, float):
        return str(int(raw)) if raw.is_integer() else None
    if isinstance(raw, int):
        return str(raw)
    if not isinstance(raw, str):
        return None
    text = unicodedata.normalize("NFKC", raw) if not raw.isascii() else raw
    text = text.strip()
    while len(text) > 1 and text[0] == text[-1] and text[0] in _WRAPPERS:
        text = text[1:-1].strip()
    return text


def _is_blocked(text: str) -> bool:
    if len(text) > IDENTIFIER_LENGTH_MAX or text.lower() in _BLOCKED_VALUES:
        return True
    # What the patterns match begins with a zero, a dash or an F, or with one character twice.
    may_match = text[0] in "0-fF" or text[0] == text[1:2]
    return may_match and any(pattern.fullmatch(text) for pattern in _BLOCKED_PATTERNS)


def _normalise_email(text: str) -> str | None:
    lowered = text.lower()
    if not _EMAIL.fullmatch(lowered):
        return None
    mailbox, _, domain = lowered.rpartition("@")
    return None if mailbox in _BLOCKED_MAILBOXES or domain in _BLOCKED_DOMAINS else lowered


def _normalise_phone(text: str, phone: Callable[[str], str | None] | None) -> str | None:
    number = phone(text) if phone else None
    if number is None:
        digits = re.sub(r"\D", "", text)
        if not text.startswith("+") or len(digits) < PHONE_DIGITS_MIN:
            return None
        number = f"+{digits}"
    digits = number.lstrip("+")
    return None if len(set(digits)) == 1 else number


def strongest(identifiers: Iterable[Identifier], *, device: bool) -> Identifier | None:
    """The strongest identifier of the device class, or of the person class."""
    return min(
        (identifier for identifier in identifiers if identifier.is_device == device),
        key=lambda identifier: identifier.strength,
        default=None,
    )


def parse_identifier(text: str) -> tuple[str, str]:
    """Split `type:value`.

    Raises:
        IdentifierInvalid: There is no type, an unknown type, or no usable value.
    """
    kind, separator, raw = text.partition(":")
    if not separator or kind not in DEFAULT_TYPES:
        known = ", ".join(DEFAULT_TYPES)
        raise IdentifierInvalid("identifier_unknown", f"Write type:value with one of the types {known}")
    value = normalise(kind, raw)
    if value is None:
        article, noun = "an" if kind[0] in "ae" else "a", _NOUNS.get(kind, kind)
        raise IdentifierInvalid(
            "identifier_unusable", f"The value cannot be {article} {noun}: {_why_unusable(kind, raw)}"
        )
    return kind, value


_NOUNS = {"email": "email address", "phone": "phone number"}


def _why_unusable(kind: str, raw: str) -> str:
    """Say why `normalise` gave None, without the value."""
    text = (_as_text(raw) or "").strip(_WRAPPERS)
    if not text:
        return "it is empty"
    if len(text) > IDENTIFIER_LENGTH_MAX:
        return f"it is longer than {IDENTIFIER_LENGTH_MAX} characters"
    is_email = kind == "email" and _EMAIL.fullmatch(text.lower())
    if is_email and text.lower().rpartition("@")[2] in _BLOCKED_DOMAINS:
        return "its domain is blocked; documentation and test domains never identify anybody"
    has_phone_form = text.startswith("+") and len(re.sub(r"\D", "", text)) >= PHONE_DIGITS_MIN
    if is_email or (kind == "phone" and has_phone_form) or _is_blocked(text):
        return "it is blocked; placeholders never identify anybody"
    return "it is malformed"
