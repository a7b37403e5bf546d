"""Message ids: whether a sender's can be ours, and the id that a message without one gets again when it comes again."""

from hashlib import blake2b
from typing import Final, TypeGuard

import msgspec

from onefold.domain.json_text import DECODING_ERRORS

MESSAGE_ID_CHARACTERS_MAX: Final = 100
# What a resent message may change without being another one.
TRANSPORT_FIELDS: Final = frozenset(["sentAt", "writeKey", "_metadata", "receivedAt"])


def is_usable_message_id(given: object) -> TypeGuard[str]:
    """Whether a sender's message id can be ours."""
    return isinstance(given, str) and 0 < len(given) <= MESSAGE_ID_CHARACTERS_MAX


def made_message_id(source: str, text: bytes) -> str:
    """A message id from what a message says: its canonical JSON without what belongs to its transport."""
    try:
        fields = msgspec.json.decode(text)
        if isinstance(fields, dict):
            fields = {name: value for name, value in fields.items() if name not in TRANSPORT_FIELDS}
        canonical = msgspec.json.encode(fields, order="sorted")
    except DECODING_ERRORS:
        canonical = text
    return f"made-{blake2b(source.encode() + bytes(1) + canonical, digest_size=16).hexdigest()}"
