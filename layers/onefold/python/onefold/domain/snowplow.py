"""Requests of Snowplow's trackers, opened: parameters of the tracker protocol, sorted by app id, as messages."""

from base64 import urlsafe_b64decode
from dataclasses import dataclass
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
)
from onefold.domain.message import Message
from onefold.domain.parcel import EVENTS_MAX, OBJECTS_MAX, Parcel, check_events, checked_body
from onefold.domain.snowplow_message import APP_ID, message_of
from onefold.domain.source import app_key

# Parameters that hold JSON: as text, and in URL-safe base64 with or without its padding.
EVENT_PARAMETERS: Final = ("ue_pr", "ue_px")
CONTEXT_PARAMETERS: Final = ("co", "cx")
FORM: Final = "snowplow"


class _Payload(msgspec.Struct):
    data: list[msgspec.Raw] | None = None


_decode_payload = msgspec.json.Decoder(_Payload).decode
_decode_parameters = msgspec.json.Decoder(dict[str, Any], float_hook=exact_float).decode
_decode_json = msgspec.json.Decoder(float_hook=exact_float).decode


@dataclass(frozen=True, slots=True)
class AppParcel:
    """The events of one app id in a request, and their indexes in it."""

    app_id: str
    indexes: list[int]
    parcel: Parcel


@dataclass(slots=True)
class _Opened:
    text: bytes
    message: Message | EventInvalid
    app_id: str = ""
    repaired: bool = False
    nul: bool = False


def open_snowplow(body: bytes) -> list[AppParcel]:
    """Decode a `payload_data` body, of which one may hold several app ids: an origin's apps share a tracker's queue.

    An event that names no app, or that cannot be read, goes with the one before it, and the first with the next.

    Raises:
        BodyInvalid: The body is empty, or is no object with an array `data`.
        PayloadTooLarge: The body is too large, or has too many events or objects.
    """
    opened = [_open_event(text) for text in _texts(checked_body(body))]
    app_id = next((event.app_id for event in opened if event.app_id), "")
    indexes: dict[str, list[int]] = {app_id: []}
    for index, event in enumerate(opened):
        app_id = event.app_id or app_id
        indexes.setdefault(app_id, []).append(index)
    return [
        AppParcel(name, members, _parcel(name, body, [opened[index] for index in members]))
        for name, members in indexes.items()
    ]


def snowplow_body(parameters: object) -> bytes:
    """The body that a tracker would have posted with the parameters of one event."""
    return msgspec.json.encode({"data": [parameters]})


def _parcel(app_id: str, body: bytes, opened: list[_Opened]) -> Parcel:
    return Parcel(
        body,
        [event.message for event in opened],
        write_key=app_key(app_id),
        repaired=frozenset(index for index, event in enumerate(opened) if event.repaired),
        nul=any(event.nul for event in opened),
        form=FORM,
        _texts=[event.text for event in opened],
    )


def _texts(body: bytes) -> list[bytes]:
    try:
        data = _decode_payload(body).data
    except DECODING_ERRORS:
        texts = split_batch(body, "data")[1]
        if not texts:
            raise BodyInvalid("json_invalid", "The body is not JSON, and no event stands in it") from None
    else:
        if data is None:
            raise batch_missing("data")
        check_events(len(data))
        texts = [bytes(raw) for raw in data]
    check_events(min(len(texts), EVENTS_MAX + 1))
    return texts


def _open_event(text: bytes) -> _Opened:
    opened = _Opened(text, EventInvalid("json_invalid", "The event is not JSON"), nul=has_nul(text))
    try:
        parameters = _decode_parameters(text)
    except DECODING_ERRORS as error:
        try:
            parameters = _decode_parameters(replace_lone_surrogates(text))
        except DECODING_ERRORS:
            opened.message = decoding_refusal(error, "The event")
            return opened
        opened.repaired = True
    app_id = parameters.get(APP_ID)
    opened.app_id = app_id if isinstance(app_id, str) else ""
    try:
        event = _embedded(parameters, EVENT_PARAMETERS, opened)
        contexts = _embedded(parameters, CONTEXT_PARAMETERS, opened)
        opened.message = message_of(parameters, event, contexts)
    except EventInvalid as error:
        opened.message = error
    return opened


def _embedded(parameters: dict[str, Any], names: tuple[str, str], opened: _Opened) -> object:
    """Take the JSON out of the parameters that hold it; None where there is none.

    Raises:
        EventInvalid: It cannot be read.
        PayloadTooLarge: It holds too many objects.
    """
    plain, encoded = (parameters.pop(name, None) for name in names)
    if not plain and not encoded:
        return None
    if not isinstance(plain or encoded, str):
        raise EventInvalid("embedded_unreadable", f"Send {names[0]} as text", pointer=f"#/{names[0]}")
    try:
        text = plain.encode() if plain else _from_base64(encoded)
    except ValueError as error:
        raise EventInvalid("embedded_unreadable", f"{names[1]} is not base64", pointer=f"#/{names[1]}") from error
    if text.count(b"{") + text.count(b"[") > OBJECTS_MAX:
        raise PayloadTooLarge("too_many_objects", f"Send at most {OBJECTS_MAX} objects and arrays a request")
    mended = replace_lone_surrogates(text)
    opened.repaired = opened.repaired or mended != text
    opened.nul = opened.nul or has_nul(mended)
    try:
        return _decode_json(mended)
    except DECODING_ERRORS as error:
        raise decoding_refusal(error, f"{names[0]} or {names[1]}") from error


def _from_base64(text: str) -> bytes:
    text = text.rstrip("=").replace("+", "-").replace("/", "_")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
