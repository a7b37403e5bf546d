"""Pixels: one event in the query of a GET request, for e-mails and pages without scripts."""

import base64
import binascii
from typing import Any, Final

import msgspec

from onefold.domain.errors import BodyInvalid
from onefold.domain.event import KINDS, Kind
from onefold.domain.json_text import DECODING_ERRORS
from onefold.domain.message import Arrival
from onefold.edge.tracking_request import TrackingRequest
from onefold.use_cases.collect import CollectRequest

PIXEL_PREFIXES: Final = ("/pixel/v1", "/v1/pixel")
PIXEL_PATHS: Final[dict[str, Kind]] = {
    f"{prefix}/{kind}{ending}": kind for prefix in PIXEL_PREFIXES for kind in KINDS for ending in ("", ".gif")
}
OPENED: Final = msgspec.Raw(b'"Email Opened"')
EMPTY: Final = (b"null", b'""')
# Mail programs fetch an image twice in a moment; who opens a mail again later has opened it again.
REPEAT_MS: Final = 60_000
PARTS: Final = frozenset(["properties", "traits", "context"])
DEPTH_MAX: Final = 4

# Values stay as they were written, so that no number is changed on the way.
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def pixel_request(request: TrackingRequest) -> CollectRequest:
    """The event that a pixel's query says, as one posted message.

    It stands in `data` as base64 of JSON, or in plain fields, of which `properties.x`, `traits.x` and `context.x.y`
    fill the objects. A track event without a name is `Email Opened`; without a `messageId`, the same pixel is one
    event a minute.

    Raises:
        BodyInvalid: The query cannot be read.
    """
    fields = request.query()
    kind = PIXEL_PATHS[request.path]
    fields.pop("writeKey", None)  # one of the request's keys
    data = fields.pop("data", "")
    body = _from_base64(data) if data else msgspec.json.encode(_from_fields(fields))
    return CollectRequest(_completed(body, kind, request.arrival), kind, request.write_keys, request.arrival)


def _completed(body: bytes, kind: Kind, arrival: Arrival) -> bytes:
    try:
        message = _decode_fields(body)
    except DECODING_ERRORS:
        return body  # whoever opens it names what is wrong with it
    if kind == "track":
        message.setdefault("event", OPENED)
    if bytes(message.get("messageId", EMPTY[0])) in EMPTY:
        minute = arrival.received_at // REPEAT_MS
        message["pixelAt"] = msgspec.Raw(str(minute).encode())  # goes into the id that is made of a message
    return msgspec.json.encode(message)


def _from_base64(text: str) -> bytes:
    # A plus sign that was not escaped has become a space.
    plain = text.replace(" ", "-").rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4))
    except (binascii.Error, ValueError) as error:
        raise BodyInvalid("body_unreadable", "Send `data` as base64 of JSON", pointer="?data") from error


def _from_fields(fields: dict[str, str]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    for name, value in fields.items():
        first, *rest = name.split(".", DEPTH_MAX)
        place, parts = message, [first, *rest] if first in PARTS else [name]
        for part in parts[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise _both(part)
        if isinstance(place.get(parts[-1]), dict):
            raise _both(parts[-1])
        place[parts[-1]] = value
    return message


def _both(part: str) -> BodyInvalid:
    return BodyInvalid("query_unreadable", "A field of the query is a value and an object at once", pointer=f"?{part}")
