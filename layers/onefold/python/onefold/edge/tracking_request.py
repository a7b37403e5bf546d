"""A request of the tracking API as API Gateway hands it over: its keys, wherever they stand, and its body, inflated."""

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

from onefold.domain.errors import BodyInvalid, PayloadTooLarge
from onefold.domain.message import Arrival
from onefold.domain.parcel import BODY_BYTES_MAX

GZIP_MAGIC: Final = b"\x1f\x8b"
JSON_STARTS: Final = (b"{", b"[")
BEFORE_JSON: Final = b"\xef\xbb\xbf \t\r\n"  # a byte-order mark, and white space
PLAIN: Final = frozenset(["", "identity", "gzip", "x-gzip", "deflate"])
GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32
GZIP_MEMBERS_MAX: Final = 16  # a program that appends to a compressed log writes several
QUERY_FIELDS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class TrackingRequest:
    """An HTTP request in API Gateway's payload format 2.0, as far as it matters here. Header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw_query: str = field(repr=False)
    arrival: Arrival
    raw_body: str = field(repr=False)
    is_base64: bool

    @property
    def write_keys(self) -> tuple[str, ...]:
        """The keys beside the body: Basic's user, `X-Write-Key`, `?writeKey=`. Any other authorization is not one."""
        named = parse_qs(self.raw_query).get("writeKey", []) if "writeKey=" in self.raw_query else []
        keys = [_basic_user(self.headers.get("authorization", "")), self.headers.get("x-write-key", ""), *named]
        return tuple(key for key in keys if key)

    def query(self) -> dict[str, str]:
        """The query's fields; of one that stands twice, the first counts.

        Raises:
            BodyInvalid: There are more than `QUERY_FIELDS_MAX`.
        """
        try:
            fields = parse_qs(self.raw_query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
        except ValueError as error:
            raise BodyInvalid("query_unreadable", f"Send at most {QUERY_FIELDS_MAX} fields in a query") from error
        return {name: values[0] for name, values in fields.items()}

    def body(self) -> bytes:
        """The body, inflated.

        The first bytes decide, and not the header: some clients compress without saying so, rudder-sdk-node names
        another content type beside it, and proxies inflate and leave the header.

        Raises:
            BodyInvalid: Its base64 or gzip is damaged, or it is neither JSON nor compressed as its header says.
            PayloadTooLarge: It would inflate beyond the limit.
        """
        try:
            body = base64.b64decode(self.raw_body, validate=True) if self.is_base64 else self.raw_body.encode()
        except (binascii.Error, ValueError) as error:
            raise BodyInvalid("body_unreadable", "The body is not valid base64 or UTF-8") from error
        if body.startswith(GZIP_MAGIC):
            return inflate(body)
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if not body or encoding in {"", "identity"} or body.lstrip(BEFORE_JSON).startswith(JSON_STARTS):
            return body
        if encoding == "deflate":
            return inflate(body)
        if encoding in PLAIN:
            raise BodyInvalid("not_gzip", "The body is not gzip: compress it, or leave out the Content-Encoding")
        raise BodyInvalid("encoding_unknown", "Compress with gzip or deflate, or not at all")


def parse_tracking_request(event: Mapping[str, Any]) -> TrackingRequest:
    """Read API Gateway's event."""
    context = event["requestContext"]
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    return TrackingRequest(
        method=context["http"]["method"].upper(),
        path=event["rawPath"].rstrip("/"),  # SDKs ask with and without the slash, and follow no redirect
        headers=headers,
        raw_query=event.get("rawQueryString") or "",
        arrival=Arrival(
            received_at=int(context["timeEpoch"]),
            # Snowplow's trackers ask in this header that nothing be kept of who connects.
            address="" if "sp-anonymous" in headers else context["http"].get("sourceIp", ""),
            user_agent=headers.get("user-agent", ""),
            gpc=headers.get("sec-gpc") == "1",
        ),
        raw_body=event.get("body") or "",
        is_base64=bool(event.get("isBase64Encoded")),
    )


def inflate(body: bytes) -> bytes:
    """Undo gzip or zlib, up to `BODY_BYTES_MAX` and no byte further, however much a bomb would give.

    Raises:
        BodyInvalid: The stream is damaged, cut short, or followed by something else.
        PayloadTooLarge: There is more.
    """
    parts: list[bytes] = []
    left = BODY_BYTES_MAX
    for _ in range(GZIP_MEMBERS_MAX):
        stream = zlib.decompressobj(wbits=GZIP_OR_ZLIB)
        try:
            part = stream.decompress(body, left + 1)
        except zlib.error as error:
            raise BodyInvalid("body_unreadable", "The body is not valid gzip") from error
        left -= len(part)
        if left < 0:
            raise PayloadTooLarge("body_too_large", f"Send at most {BODY_BYTES_MAX} bytes of JSON a request")
        if not stream.eof:
            raise BodyInvalid("body_unreadable", "The body's gzip is cut short")
        parts.append(part)
        body = stream.unused_data
        if not body.strip(b"\0"):  # what tools fill a block up with
            return parts[0] if len(parts) == 1 else b"".join(parts)
    raise BodyInvalid("body_unreadable", f"The body is gzip in more than {GZIP_MEMBERS_MAX} members")


def _basic_user(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return ""
