"""Answers of the tracking API as SDKs understand them: exactly 200, `code` and `message`, CORS on every one."""

import base64
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from onefold.domain.errors import PayloadTooLarge, Rejected, Unauthorized, Unavailable
from onefold.use_cases.collect import Outcome

RETRY_AFTER_S: Final = 2
# One transparent pixel, and the shortest image that every mail program shows.
GIF: Final = base64.b64encode(
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
).decode()

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


def pixel(asked: Mapping[str, str]) -> dict[str, Any]:
    """The image of one pixel, which nobody may keep: the next time that it is shown is another event."""
    headers = {"Content_Type": "image/gif", "Cache_Control": "no-store, max-age=0"}
    return answer(asked, HTTPStatus.OK, **headers) | {"body": GIF, "isBase64Encoded": True}


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


def verdicts(outcome: Outcome) -> dict[str, Any]:
    """What became of each message: four counts that add up; those that `events` does not name were accepted."""
    document: dict[str, Any] = {
        "success": True,
        "accepted": outcome.accepted,
        "repeated": len(outcome.repeated),
        "quarantined": len(outcome.refused),
        "suppressed": len(outcome.suppressed),
    }
    named = sorted(_verdicts(outcome), key=lambda verdict: verdict["index"])
    return document | ({"events": named} if named else {})


def _verdicts(outcome: Outcome) -> Iterator[dict[str, Any]]:
    for index in outcome.repeated:
        yield {"index": index, "status": "repeated"}
    for index, refusal in outcome.refused:
        yield {
            "index": index,
            "status": "quarantined",
            "messageId": refusal.message_id,
            "code": refusal.reason,
            "message": refusal.detail,
        }
    for index, error in outcome.suppressed:
        yield {"index": index, "status": "suppressed", "code": error.reason, "message": error.detail}
