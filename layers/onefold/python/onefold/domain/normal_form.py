"""The normal form of identifiers, and the values that never identify anybody."""

import re
import unicodedata
from collections.abc import Callable
from typing import Final, Literal

Form = Literal["text", "lower", "email", "phone"]
# Turns a phone number into E.164, or None where it cannot.
PhoneForm = Callable[[str], str | None]

IDENTIFIER_LENGTH_MAX: Final = 500
PHONE_DIGITS_MIN: Final = 7

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


def normalise(form: Form, raw: object, *, phone: PhoneForm | None = None) -> str | None:
    """Give the value under which an identifier is known, or None where it may not identify anybody.

    Args:
        form: Which normal form its type has.
        raw: What the source sent. Numbers become text; booleans, NaN, objects and lists identify nobody.
        phone: Reads phone numbers; without it digits with a leading + are taken.

    Returns:
        The normal form; None for a value that is unusable or blocked whatever a deployment declares.
    """
    text = as_text(raw)
    if text is None or is_blocked(text):
        return None
    if form == "email":
        return _normalise_email(text)
    if form == "phone":
        return _normalise_phone(text, phone)
    return text.lower() if form == "lower" else text


def as_text(raw: object) -> str | None:
    """A scalar as text: NFKC, without white space and quotes around it; None for what is no name."""
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


def is_blocked(text: str) -> bool:
    """Whether a value is a placeholder, or longer than any identifier."""
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


def _normalise_phone(text: str, phone: PhoneForm | None) -> str | None:
    number = phone(text) if phone else None
    if number is None:
        digits = re.sub(r"\D", "", text)
        if not text.startswith("+") or len(digits) < PHONE_DIGITS_MIN:
            return None
        number = f"+{digits}"
    digits = number.lstrip("+")
    return None if len(set(digits)) == 1 else number


def why_unusable(form: Form, raw: str) -> str:
    """Say why `normalise` gave None, without the value."""
    text = (as_text(raw) or "").strip(_WRAPPERS)
    if not text:
        return "it is empty"
    if len(text) > IDENTIFIER_LENGTH_MAX:
        return f"it is longer than {IDENTIFIER_LENGTH_MAX} characters"
    is_email = form == "email" and _EMAIL.fullmatch(text.lower())
    if is_email and text.lower().rpartition("@")[2] in _BLOCKED_DOMAINS:
        return "its domain is blocked; documentation and test domains never identify anybody"
    has_phone_form = text.startswith("+") and len(re.sub(r"\D", "", text)) >= PHONE_DIGITS_MIN
    if is_email or (form == "phone" and has_phone_form) or is_blocked(text):
        return "it is blocked; placeholders never identify anybody"
    return "it is malformed"
