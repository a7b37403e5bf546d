"""HTTP requests as API Gateway hands them to a function, written with few words."""

import base64
import gzip
import json
from typing import Any

RECEIVED_AT = 1_794_477_600_000  # 2026-11-12T10:00:00Z


def http_request(
    path: str,
    body: object = None,
    *,
    method: str = "POST",
    key: str | None = None,
    compressed: bool = False,
    query: str = "",
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A request in payload format 2.0; `body` may be bytes, or anything that JSON can say."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    binary = compressed or not _is_text(raw)
    if compressed:
        raw = gzip.compress(raw)
    given = {"host": "collect.example.com", "x-forwarded-proto": "https", **(headers or {})}
    if key is not None:
        given["authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": given,
        "requestContext": {
            "http": {"method": method, "path": path, "sourceIp": "203.0.113.7"},
            "timeEpoch": RECEIVED_AT,
            "requestId": "r-1",
            "stage": "$default",
        },
        "body": base64.b64encode(raw).decode() if binary else raw.decode(),
        "isBase64Encoded": binary,
    }


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
