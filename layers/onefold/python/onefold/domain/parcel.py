"""What one request carries: its messages, decoded together where that goes, else each by itself."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from onefold.domain.errors import BodyInvalid, EventInvalid, PayloadTooLarge
from onefold.domain.json_numbers import exact_float
from onefold.domain.json_text import (
    DECODING_ERRORS,
    batch_missing,
    decoding_refusal,
    has_nul,
    replace_lone_surrogates,
    split_batch,
    without_byte_order_mark,
)
from onefold.domain.message import Message

BODY_BYTES_MAX: Final = 4 * 1_024 * 1_024
EVENTS_MAX: Final = 2_500
# A body of 4 MB can hold a million empty objects, each of which costs sixty times its two bytes in memory.
OBJECTS_MAX: Final = 200_000


class _Envelope(msgspec.Struct, rename="camel"):
    batch: list[Message] | None = None
    sent_at: Any = None
    write_key: Any = None
    context: Any = None


_decode_envelope = msgspec.json.Decoder(_Envelope, float_hook=exact_float).decode
_decode_message = msgspec.json.Decoder(Message, float_hook=exact_float).decode


@dataclass(slots=True)
class Parcel:
    """A request's body, opened.

    Attributes:
        messages: In their order; in place of one that cannot be read stands the reason.
        repaired: Indexes of messages in which lone surrogates were replaced.
        nul: Whether the body may hold NUL characters.
        write_key, sent_at, context: As the envelope has them, unchecked.
        form: What the texts are where they are no messages, as the quarantine's `Envelope` has it.
    """

    body: bytes
    messages: list[Message | EventInvalid]
    write_key: object = None
    sent_at: object = None
    context: object = None
    repaired: frozenset[int] = frozenset()
    nul: bool = False
    single: bool = False
    form: str = ""
    _texts: list[bytes] = field(default_factory=list)

    def text(self, index: int) -> bytes:
        """One message as it was received."""
        if self.single:
            return self.body
        if not self._texts:
            self._texts = split_batch(self.body)[1]
        if len(self._texts) == len(self.messages):
            return self._texts[index]
        # Only a body with two arrays `batch` is read and cut differently.
        return msgspec.json.encode(self.messages[index])


def open_parcel(body: bytes, *, single: bool) -> Parcel:
    """Decode a body: JSON, whatever its content type said.

    Args:
        body: Inflated.
        single: Whether the body is one message, and not an envelope with a batch of them.

    Raises:
        BodyInvalid: The body is empty, or no message can be read.
        PayloadTooLarge: The body is beyond `BODY_BYTES_MAX`, `EVENTS_MAX` or `OBJECTS_MAX`.
    """
    body = checked_body(body)
    parcel = _open_single(body) if single else _open_batch(body)
    check_events(len(parcel.messages))
    parcel.nul = has_nul(body)
    return parcel


def checked_body(body: bytes) -> bytes:
    """A body worth decoding, without its byte-order mark.

    Raises:
        BodyInvalid: It is empty.
        PayloadTooLarge: It is beyond `BODY_BYTES_MAX` or `OBJECTS_MAX`.
    """
    if len(body) > BODY_BYTES_MAX:
        raise PayloadTooLarge("body_too_large", f"Send at most {BODY_BYTES_MAX} bytes of JSON a request")
    if len(body) > OBJECTS_MAX and body.count(b"{") + body.count(b"[") > OBJECTS_MAX:
        raise PayloadTooLarge("too_many_objects", f"Send at most {OBJECTS_MAX} objects and arrays a request")
    body = without_byte_order_mark(body)
    if not body or body.isspace():
        raise BodyInvalid("body_empty", "The body is empty: send JSON")
    return body


def check_events(count: int) -> None:
    """Refuse a request of more than `EVENTS_MAX` events, with PayloadTooLarge."""
    if count > EVENTS_MAX:
        raise PayloadTooLarge("too_many_events", f"Send at most {EVENTS_MAX} events a request")


def _open_single(body: bytes) -> Parcel:
    message, repaired = _read_message(body, "The body")
    if isinstance(message, EventInvalid):
        raise BodyInvalid(message.reason, message.detail)
    return Parcel(
        body, [message], write_key=message.write_key, repaired=frozenset({0} if repaired else ()), single=True
    )


def _open_batch(body: bytes) -> Parcel:
    try:
        envelope = _decode_envelope(body)
    except DECODING_ERRORS:
        return _open_piecewise(body)
    if envelope.batch is None:
        raise batch_missing()
    return Parcel(body, list(envelope.batch), envelope.write_key, envelope.sent_at, envelope.context)


def _open_piecewise(body: bytes) -> Parcel:
    """One message of the batch, or more, cannot be decoded: find which, and read the others."""
    rest, texts = split_batch(body)
    if not texts:
        raise BodyInvalid("json_invalid", "The body is not JSON, and no event stands in it")
    try:
        envelope = _decode_envelope(replace_lone_surrogates(rest))
    except DECODING_ERRORS as error:
        refusal = decoding_refusal(error, "The body around the batch")
        raise BodyInvalid(refusal.reason, refusal.detail) from error
    read = [_read_message(text, "The event") for text in texts[: EVENTS_MAX + 1]]
    return Parcel(
        body,
        [message for message, _ in read],
        envelope.write_key,
        envelope.sent_at,
        envelope.context,
        repaired=frozenset(index for index, (_, repaired) in enumerate(read) if repaired),
        _texts=texts,
    )


def _read_message(text: bytes, subject: str) -> tuple[Message | EventInvalid, bool]:
    """Decode one message, if need be with its lone surrogates replaced, which is said."""
    try:
        return _decode_message(text), False
    except DECODING_ERRORS as error:
        mended = replace_lone_surrogates(text)
        if mended == text:
            return decoding_refusal(error, subject), False
    try:
        return _decode_message(mended), True
    except DECODING_ERRORS as error:
        return decoding_refusal(error, subject), False
