"""The quarantine's entries: what names one, what stood around its message, and how it is repaired."""

import base64
import hashlib
import re
from typing import Any, Final, Literal

import msgspec

from onefold.domain.errors import Rejected
from onefold.domain.event import Kind
from onefold.domain.json_text import DECODING_ERRORS, replace_lone_surrogates

ENVELOPE_BYTES_MAX: Final = 32 * 1_024
DIGEST_CHARACTERS: Final = 24  # of a SHA-256 in hexadecimal
ENTRY_ID: Final = re.compile(rf"(\d{{4}}-\d{{2}}-\d{{2}})-([0-9a-f]{{{DIGEST_CHARACTERS}}})")


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What a request says of a message beside it.

    Attributes:
        kind: Of the route, where the message need not say its type.
        sent_at: As the batch has it, unchecked.
        context: Of the batch; the message's own fields win over it.
        form: `snowplow` for parameters of Snowplow's tracker protocol; empty for a message.
    """

    kind: Kind | None = None
    sent_at: Any = None
    context: dict[str, Any] = {}
    form: str = ""


_envelopes = msgspec.json.Decoder(Envelope)


def pack_envelope(envelope: Envelope) -> bytes:
    """Write it as JSON; empty where there is nothing to keep, or more than `ENVELOPE_BYTES_MAX`."""
    text = msgspec.json.encode(envelope)
    return b"" if text == b"{}" or len(text) > ENVELOPE_BYTES_MAX else text


def unpack_envelope(text: bytes) -> Envelope:
    return _envelopes.decode(text) if text else Envelope()


class Entry(msgspec.Struct, frozen=True):
    """A refused message, once, however often it came with the same bytes.

    Attributes:
        entry_id: Day of its first arrival within the days that were asked for, and the digest.
        copies: How often it came within these days.
        received_at, last_received_at: Epoch milliseconds of the first and the last copy.
        body: As received; empty in lists, as are envelope and path.
        path: Where a copy of it lies.
    """

    entry_id: str
    message_id: str
    source: str
    reason: str
    detail: str
    component: str
    version: str
    received_at: int
    last_received_at: int
    copies: int = 1
    body: bytes = b""
    envelope: bytes = b""
    path: str = ""

    @property
    def digest(self) -> str:
        return self.entry_id[-DIGEST_CHARACTERS:]


def entry_digest(source: str, message_id: str, body: bytes) -> str:
    """What tells one entry from another; SQL says the same of the quarantine's columns."""
    text = f"{source}\n{message_id}\n{base64.b64encode(body).decode()}"
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]


def parse_entry_id(text: str) -> tuple[str, str]:
    """Split an entry's id into its day and its digest.

    Raises:
        Rejected: It is none.
    """
    found = ENTRY_ID.fullmatch(text)
    if not found:
        raise Rejected("entry_id_invalid", "Write an entry's id as the list of the quarantine shows it")
    return found[1], found[2]


MarkState = Literal["begun", "done", "released"]


class Mark(msgspec.Struct, frozen=True):
    """What was done about an entry.

    Attributes:
        state: `begun` before it is sent again, `done` after; `released` where that came to nothing.
        at: Epoch milliseconds.
        times: How often it was sent again.
        request_id: Of the request that did it; the logs know it.
    """

    state: MarkState
    at: int
    times: int = 0
    request_id: str = ""


def repaired(entry: Entry, patch: object = None, message: object = None) -> dict[str, Any]:
    """The message to send again: the entry's own, patched, or another one in its place; under the entry's message id.

    Args:
        entry: With its body.
        patch: A JSON merge patch (RFC 7396), or None.
        message: Stands in for a body that cannot be read, or None.

    Raises:
        Rejected: The body is no JSON object and nothing stands in for it, or the patch makes something else of it.
    """
    if message is None:
        message = _read_body(entry.body)
    if patch is not None:
        message = merge_patch(message, patch)
    if not isinstance(message, dict):
        raise Rejected("message_not_an_object", "The message is no JSON object: give a whole one in its place")
    kind = unpack_envelope(entry.envelope).kind
    return ({"type": kind} if kind else {}) | message | {"messageId": entry.message_id}


def _read_body(body: bytes) -> object:
    for text in (body, replace_lone_surrogates(body)):
        try:
            found: object = msgspec.json.decode(text)
        except DECODING_ERRORS:
            continue
        return found
    raise Rejected("message_unreadable", "The message is no JSON, so it cannot be patched: give a whole one instead")


def merge_patch(target: object, patch: object) -> object:
    """Apply a JSON merge patch: objects are merged, null removes a field, everything else replaces.

    Source: RFC 7396, section 2.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
