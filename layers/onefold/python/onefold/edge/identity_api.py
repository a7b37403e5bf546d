"""The identity API over HTTP: API Gateway's requests in, decisions and JSON documents out."""

import base64
import binascii
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from onefold.domain.clock import parse_instant
from onefold.domain.decision_request import KeyOf, build_decision, identifier_keys, parse_request
from onefold.domain.errors import BodyInvalid, IdentifierInvalid, PayloadTooLarge, Rejected
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.identity_rules import IdentityRules
from onefold.domain.union import DAY_MS
from onefold.use_cases.audit import DecisionLog, find_decision, list_decisions
from onefold.use_cases.decide import DecisionStore
from onefold.use_cases.explain import explain, graph_as_of
from onefold.use_cases.preview import Bounds, SnapshotReader, parse_preview_request, preview
from onefold.use_cases.rule import record_document, rehearse, rule
from onefold.use_cases.serve import parse_page

ROOT: Final = "/v1/identity/"
DECISIONS: Final = "decisions/"
BODY_BYTES_MAX: Final = 256_000
PREVIEW_SIGHTINGS_MAX: Final = 20_000
PREVIEW_S: Final = 21.0  # an HTTP API gives an answer up after 30 s
HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class IdentityStores:
    """What the identity API stands on.

    Attributes:
        rules: Gives those in force.
    """

    graph: DecisionStore
    log: DecisionLog
    lake: SnapshotReader
    hasher: IdentifierHasher
    rules: Callable[[], IdentityRules]


@dataclass(frozen=True, slots=True)
class IdentityRequest:
    """A request below `/v1/identity/`; header names in lower case."""

    method: str
    place: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    caller: str
    at: int
    raw_body: str
    is_base64: bool

    @property
    def is_decision(self) -> bool:
        """Whether something was asked to be decided, and not just tried."""
        return self.method == "POST" and self.place + "/" == DECISIONS and self.parameters.get("dry_run") != "true"

    def body(self) -> bytes:
        """The bytes sent.

        Raises:
            BodyInvalid: They are not what their encoding says.
            PayloadTooLarge: They are more than BODY_BYTES_MAX.
        """
        try:
            body = base64.b64decode(self.raw_body, validate=True) if self.is_base64 else self.raw_body.encode()
        except (binascii.Error, ValueError) as error:
            raise BodyInvalid("body_unreadable", "The body is not valid base64 or UTF-8") from error
        if len(body) > BODY_BYTES_MAX:
            raise PayloadTooLarge("body_too_large", f"Send at most {BODY_BYTES_MAX} bytes of JSON a request")
        return body

    def check_parameters(self, *known: str) -> None:
        """Refuse what would be passed over.

        Raises:
            Rejected: There is another parameter than these.
        """
        if not self.parameters.keys() <= set(known):
            names = ", ".join(f"`{name}`" for name in known) or "none here"
            raise Rejected("parameter_unknown", f"Leave out what is none of the known query parameters: {names}")


def parse_identity_request(event: Mapping[str, Any]) -> IdentityRequest | None:
    """Read API Gateway's event (payload 2.0); None where nothing is at the path."""
    path = str(event["rawPath"]).rstrip("/")
    if not path.startswith(ROOT):
        return None
    context = event["requestContext"]
    claims = context.get("authorizer", {}).get("jwt", {}).get("claims", {})
    return IdentityRequest(
        str(context["http"]["method"]).upper(),
        path.removeprefix(ROOT),
        dict(parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True)),
        {name.lower(): value for name, value in (event.get("headers") or {}).items()},
        str(claims.get("client_id") or claims.get("sub") or "unknown"),
        int(context["timeEpoch"]),
        event.get("body") or "",
        bool(event.get("isBase64Encoded")),
    )


def answer(request: IdentityRequest, stores: IdentityStores, *, request_id: str) -> dict[str, Any] | None:
    """Answer with the document that was asked for; None where nothing is at the path.

    Raises:
        Rejected: The request, the rules, or nobody has the identifier.
        Unavailable: A store did not answer.
    """
    place = request.place
    if place.startswith(DECISIONS):
        place = DECISIONS
    respond = _ROUTES.get((request.method, place))
    if respond is None:
        return None
    return {
        "statusCode": int(HTTPStatus.OK),
        "headers": HEADERS | {"X-Request-Id": request_id},
        "body": msgspec.json.encode(respond(request, stores)).decode(),
    }


def _explain(request: IdentityRequest, stores: IdentityStores) -> dict[str, Any]:
    request.check_parameters("left", "right")
    rules = stores.rules()
    key_of = identifier_keys(rules, stores.hasher)
    left, right = (_named(request, key_of, side) for side in ("left", "right"))
    return explain(stores.graph, left, right, rules, now_ms=request.at)


def _graph(request: IdentityRequest, stores: IdentityStores) -> dict[str, Any]:
    request.check_parameters("identifier", "as_of")
    key = _named(request, identifier_keys(stores.rules(), stores.hasher), "identifier")
    at = parse_instant(request.parameters["as_of"]) if "as_of" in request.parameters else request.at
    if at is None:
        raise Rejected("as_of_invalid", "Write as_of as 2026-01-31T12:00Z, a + as %2B", pointer="?as_of")
    return graph_as_of(stores.graph, key, at)


def _decide(request: IdentityRequest, stores: IdentityStores) -> dict[str, Any]:
    request.check_parameters("dry_run")
    dry_run = request.parameters.get("dry_run", "false")
    if dry_run not in {"true", "false"}:
        raise Rejected("dry_run_invalid", "Write dry_run as true or false", pointer="?dry_run")
    rules = stores.rules()
    decision = build_decision(
        parse_request(request.body()),
        identifier_keys(rules, stores.hasher),
        decision_id=request.headers.get("idempotency-key") or str(uuid.uuid4()),
        at=request.at,
        by=request.caller,
    )
    if dry_run == "true":
        return rehearse(stores.graph, decision, rules)
    return record_document(rule(stores.graph, decision, rules))


def _decision(request: IdentityRequest, stores: IdentityStores) -> dict[str, Any]:
    request.check_parameters()
    return find_decision(stores.log, unquote(request.place.removeprefix(DECISIONS)))


def _decisions(request: IdentityRequest, stores: IdentityStores) -> dict[str, Any]:
    return list_decisions(stores.log, parse_page(request.parameters), now_ms=request.at)


def _preview(request: IdentityRequest, stores: IdentityStores) -> dict[str, Any]:
    request.check_parameters()
    ends_at = time.monotonic() + PREVIEW_S
    bounds = Bounds(PREVIEW_SIGHTINGS_MAX, lambda: time.monotonic() > ends_at)
    rules, days = parse_preview_request(request.body())
    since_ms = request.at - days * DAY_MS
    return preview(stores.lake, stores.hasher, (stores.rules(), rules), since_ms=since_ms, bounds=bounds)


_ROUTES: Final[Mapping[tuple[str, str], Callable[[IdentityRequest, IdentityStores], dict[str, Any]]]] = {
    ("GET", "explain"): _explain,
    ("GET", "graph"): _graph,
    ("POST", "decisions"): _decide,
    ("GET", "decisions"): _decisions,
    ("GET", DECISIONS): _decision,
    ("POST", "preview"): _preview,
}


def _named(request: IdentityRequest, key_of: KeyOf, parameter: str) -> str:
    """The key of the identifier in a parameter."""
    pointer = f"?{parameter}"
    text = request.parameters.get(parameter, "")
    if not text:
        raise Rejected("parameter_missing", f"Write {parameter}=type:value", pointer=pointer)
    try:
        return key_of(text)
    except IdentifierInvalid as error:
        raise IdentifierInvalid(error.reason, error.detail, pointer=pointer) from error
