"""The tracking API over HTTP: what Segment's and RudderStack's SDKs ask for, and the answers that they understand."""

import base64
import binascii
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

from onefold.domain.errors import BodyInvalid, PayloadTooLarge, Rejected, Unauthorized, Unavailable
from onefold.domain.event import KINDS, Kind
from onefold.domain.message import Arrival
from onefold.domain.parcel import BODY_BYTES_MAX
from onefold.domain.source import Source
from onefold.edge.observability import Observability
from onefold.use_cases.collect import Collector, CollectRequest, Outcome

# analytics.js posts to the first letter of the kind.
ROUTES: Final[Mapping[str, Kind | None]] = (
    {f"/v1/{kind}": kind for kind in KINDS}
    | {f"/v1/{kind[0]}": kind for kind in KINDS}
    | dict.fromkeys(("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch"))
)
SETTINGS_PREFIX: Final = "/v1/projects/"
SETTINGS_SUFFIX: Final = "/settings"
RETRY_AFTER_S: Final = 2
GZIP_MAGIC: Final = b"\x1f\x8b"
JSON_STARTS: Final = (b"{", b"[")
BEFORE_JSON: Final = b"\xef\xbb\xbf \t\r\n"  # a byte-order mark, and white space
SETTINGS_MAX_AGE_S: Final = 60

# The Fetch standard's `*` covers neither Authorization nor requests with credentials, and without these headers on
# every answer, errors included, a browser's SDK takes a stored event for a network error and sends it again.
CORS_HEADERS: Final = {
    "Vary": "Origin",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, Content-Encoding, AnonymousId, SentAt, X-Retry-Count, X-Write-Key, SP-Anonymous"
    ),
    "Access-Control-Expose-Headers": "Retry-After, X-RateLimit-Reset",
    "Access-Control-Max-Age": "7200",  # Chromium's upper bound; the SDKs' preflight is one for each path
}

_STATUS_OF: Final[tuple[tuple[type[Exception], HTTPStatus], ...]] = (
    (Unauthorized, HTTPStatus.UNAUTHORIZED),
    (PayloadTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (Rejected, HTTPStatus.BAD_REQUEST),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (Exception, HTTPStatus.INTERNAL_SERVER_ERROR),
)


@dataclass(frozen=True, slots=True)
class TrackingRequest:
    """An HTTP request in API Gateway's payload format 2.0, as far as it matters here. Header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]
    arrival: Arrival
    raw_body: str = field(repr=False)
    is_base64: bool

    @property
    def write_keys(self) -> tuple[str, ...]:
        """The keys beside the body: Basic's user, `X-Write-Key`, `?writeKey=`. Any other authorization is not one."""
        keys = [_basic_user(self.headers.get("authorization", "")), self.headers.get("x-write-key", "")]
        return tuple(key for key in (*keys, *self.query.get("writeKey", [])) if key)

    def collect_request(self) -> CollectRequest:
        """Inflate the body.

        Raises:
            BodyInvalid: Its base64 or gzip is damaged, or it is neither gzip, as its header says, nor JSON.
            PayloadTooLarge: It would inflate beyond the limit.
        """
        return CollectRequest(self._body(), ROUTES[self.path], self.write_keys, self.arrival)

    def _body(self) -> bytes:
        try:
            body = base64.b64decode(self.raw_body, validate=True) if self.is_base64 else self.raw_body.encode()
        except (binascii.Error, ValueError) as error:
            raise BodyInvalid("body_unreadable", "The body is not valid base64 or UTF-8") from error
        # The first bytes decide, and not the header: some clients compress without saying so, rudder-sdk-node names
        # another content type beside it, and proxies inflate and leave the header.
        encoding = self.headers.get("content-encoding", "").lower()
        if body.startswith(GZIP_MAGIC) or (body and encoding == "deflate"):
            return inflate(body)
        if body and encoding == "gzip" and not body.lstrip(BEFORE_JSON).startswith(JSON_STARTS):
            raise BodyInvalid("not_gzip", "The body is not gzip: compress it, or leave out the Content-Encoding")
        return body


def parse_tracking_request(event: Mapping[str, Any]) -> TrackingRequest:
    """Read API Gateway's event."""
    context = event["requestContext"]
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    return TrackingRequest(
        method=context["http"]["method"].upper(),
        path=event["rawPath"].rstrip("/"),  # SDKs ask with and without the slash, and follow no redirect
        headers=headers,
        query=parse_qs(event["rawQueryString"]) if event.get("rawQueryString") else {},
        arrival=Arrival(
            received_at=int(context["timeEpoch"]),
            address=context["http"].get("sourceIp", ""),
            user_agent=headers.get("user-agent", ""),
        ),
        raw_body=event.get("body") or "",
        is_base64=bool(event.get("isBase64Encoded")),
    )


def inflate(body: bytes) -> bytes:
    """Undo gzip or zlib, up to `BODY_BYTES_MAX` and no byte further, however much a bomb would give.

    Raises:
        BodyInvalid: The stream is damaged or cut short.
        PayloadTooLarge: There is more.
    """
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # reads both headers
    try:
        inflated = stream.decompress(body, BODY_BYTES_MAX + 1)
    except zlib.error as error:
        raise BodyInvalid("body_unreadable", "The body is not valid gzip") from error
    if len(inflated) > BODY_BYTES_MAX:
        raise PayloadTooLarge("body_too_large", f"Send at most {BODY_BYTES_MAX} bytes of JSON a request")
    if not stream.eof:
        raise BodyInvalid("body_unreadable", "The body's gzip is cut short")
    return inflated


def settings_key(path: str) -> str | None:
    """The write key in `/v1/projects/<key>/settings`; None for any other path."""
    if not path.startswith(SETTINGS_PREFIX) or not path.endswith(SETTINGS_SUFFIX):
        return None
    key = unquote(path[len(SETTINGS_PREFIX) : -len(SETTINGS_SUFFIX)])
    return key if key and "/" not in key else None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in API Gateway's format, and what became of the messages, if there were any."""

    answer: dict[str, Any]
    outcome: Outcome | None = None


def respond(request: TrackingRequest, collector: Callable[[], Collector]) -> Reply:
    """Answer one request. The collector is built only where it is needed, so that a preflight costs nothing.

    Raises:
        Rejected, Unavailable: As `Collector.collect` does; `refuse` makes the answer.
    """
    if request.method == "OPTIONS":
        return Reply(answer(request.headers, HTTPStatus.NO_CONTENT))
    if request.method == "POST" and request.path in ROUTES:
        outcome = collector().collect(request.collect_request())
        return Reply(verdicts(request, outcome), outcome)
    if request.method in {"GET", "HEAD"}:
        if request.path == "/health":
            return Reply(answer(request.headers, HTTPStatus.OK, {"success": True}))
        if request.path == "/sourceConfig":
            return Reply(source_config(request, collector().authenticate(request.write_keys)))
        key = settings_key(request.path)
        if key is not None:
            return Reply(settings(request, collector().authenticate([key])))
    document = error_document("not_found", "There is nothing here; events are posted to /v1/batch")
    return Reply(answer(request.headers, HTTPStatus.NOT_FOUND, document))


def count_outcome(observe: Observability, outcome: Outcome | None) -> None:
    """Count and log what became of a request's messages, by their source."""
    if outcome is None:
        return
    counts = {
        "accepted": outcome.accepted,
        "repeated": len(outcome.repeated),
        "refused": len(outcome.refused),
        "spooled": outcome.spooled,
    }
    observe.of_source(outcome.source)
    for word, number in counts.items():
        observe.count(f"Events{word.capitalize()}", number)
    observe.info("request answered", source=outcome.source, **counts)


def answer(asked: Mapping[str, str], status: HTTPStatus, document: object = None, **headers: str) -> dict[str, Any]:
    """One answer with CORS headers for a request with the headers `asked`; keyword names become header names."""
    origin = asked.get("origin")
    allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"} if origin else {}
    return {
        "statusCode": int(status),
        "headers": {"Access-Control-Allow-Origin": "*"}
        | CORS_HEADERS
        | allowed
        | ({"Content-Type": "application/json"} if document is not None else {})
        | {name.replace("_", "-"): value for name, value in headers.items()},
        "body": "" if document is None else msgspec.json.encode(document).decode(),
    }


def error_document(code: str, message: str) -> dict[str, Any]:
    """Python's SDKs look for `code` and `message`, and take an answer without them for a network error."""
    return {"success": False, "code": code, "message": message}


def refuse(event: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    """Answer a request of which nothing was stored; a defect's text stays inside."""
    asked = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    status = next(status for kind, status in _STATUS_OF if isinstance(error, kind))
    if isinstance(error, Rejected):
        if error.reason == "source_disabled":
            status = HTTPStatus.NOT_FOUND  # makes an SDK stop, as RudderStack's gateway does
        # SDKs look for this code; which of our reasons it was makes no difference to them.
        code = "unauthorized" if status is HTTPStatus.UNAUTHORIZED else error.reason
        return answer(asked, status, error_document(code, error.detail))
    document = error_document("unavailable", "Nothing was stored; send the same request again")
    # analytics.js reads the one or the other, by its version.
    wait = str(RETRY_AFTER_S)
    return answer(asked, status, document, Retry_After=wait, X_RateLimit_Reset=wait)


def verdicts(request: TrackingRequest, outcome: Outcome) -> dict[str, Any]:
    """Answer what became of each message: those named in neither list were accepted. Exactly 200, or Python resends."""
    document: dict[str, Any] = {
        "success": True,
        "accepted": outcome.accepted,
        "repeated": len(outcome.repeated),
        "refused": len(outcome.refused),
    }
    if outcome.repeated:
        document["repeats"] = outcome.repeated
    if outcome.refused:
        document["refusals"] = [
            {"index": index, "messageId": refusal.message_id, "code": refusal.reason, "message": refusal.detail}
            for index, refusal in outcome.refused
        ]
    return answer(request.headers, HTTPStatus.OK, document)


def settings(request: TrackingRequest, source: Source) -> dict[str, Any]:
    """What analytics.js and Segment's mobile SDKs need before they send anything: this host, and no more."""
    segment = {
        "apiKey": source.write_key,
        "unbundledIntegrations": [],
        "addBundledMetadata": True,
        "maybeBundledConfigIds": {},
        "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
        "apiHost": f"{request.headers.get('host', '')}/v1",
        "protocol": request.headers.get("x-forwarded-proto", "https"),
    }
    document = {
        "integrations": {"Segment.io": segment},
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
    return answer(request.headers, HTTPStatus.OK, document, Cache_Control=f"public, max-age={SETTINGS_MAX_AGE_S}")


def source_config(request: TrackingRequest, source: Source) -> dict[str, Any]:
    """What RudderStack's SDKs need before they send anything: a source that is enabled, without destinations."""
    document = {
        "source": {
            "id": source.name,
            "name": source.name,
            "writeKey": source.write_key,
            "workspaceId": "onefold",
            "enabled": True,
            "updatedAt": "1970-01-01T00:00:00.000Z",
            "config": {"statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}},
            "destinations": [],
        }
    }
    return answer(request.headers, HTTPStatus.OK, document, Cache_Control=f"private, max-age={SETTINGS_MAX_AGE_S}")


def _basic_user(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return ""
