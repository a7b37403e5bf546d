"""The profile API over HTTP: API Gateway's requests in, JSON documents out."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast, get_args
from urllib.parse import parse_qsl, unquote

import msgspec

from onefold.domain.errors import ProfileNotFound
from onefold.domain.head import Head
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.identity_rules import IdentityRules
from onefold.edge.problems import ProblemType, problem_response
from onefold.use_cases.serve import Collected, ProfileStores, find_head, parse_page, serve_collection, serve_profile

PROFILES: Final = "/v1/profiles/"
COLLECTIONS: Final = frozenset(get_args(Collected))
# Documents hold people's data, and change from one event to the next.
HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """A GET of `/v1/profiles/{identifier}` or `/v1/profiles/{identifier}/{collection}`.

    Attributes:
        collection: Empty for the whole profile.
        has_more_segments: Whether a slash is left in the identifier, after which no collection's name follows.
    """

    identifier: str
    collection: str
    parameters: Mapping[str, str]
    has_more_segments: bool


def request_id(event: Mapping[str, Any]) -> str:
    """Who asks for help names this; it is in the logs."""
    return str(event["requestContext"]["requestId"])


def parse_profile_request(event: Mapping[str, Any]) -> ProfileRequest | None:
    """Read API Gateway's event (payload 2.0); None where nothing is at the path.

    API Gateway decodes a path before it chooses the route, so a slash within an identifier looks like one between
    segments: what follows the last slash is a collection only where one has that name.
    """
    path = str(event["rawPath"]).rstrip("/")
    if not path.startswith(PROFILES) or event["requestContext"]["http"]["method"].upper() != "GET":
        return None
    identifier, collection = path.removeprefix(PROFILES), ""
    if identifier.rpartition("/")[2] in COLLECTIONS:
        identifier, _, collection = identifier.rpartition("/")
    parameters = dict(parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True))
    return ProfileRequest(unquote(identifier), collection, parameters, "/" in identifier) if identifier else None


def answer(
    request: ProfileRequest, stores: ProfileStores, hasher: IdentifierHasher, rules: IdentityRules, *, request_id: str
) -> dict[str, Any]:
    """Answer with the document that was asked for.

    Raises:
        Rejected: The request, or nobody has the identifier.
        Unavailable: A store did not answer.
    """
    page = parse_page(request.parameters)
    head = _find_head(request, stores, hasher, rules)
    if request.collection:
        document = serve_collection(stores, head, cast("Collected", request.collection), page)
    else:
        document = serve_profile(stores, head)
    return {
        "statusCode": int(HTTPStatus.OK),
        "headers": HEADERS | {"X-Request-Id": request_id},
        "body": msgspec.json.encode(document).decode(),
    }


def _find_head(request: ProfileRequest, stores: ProfileStores, hasher: IdentifierHasher, rules: IdentityRules) -> Head:
    try:
        return find_head(stores.graph, hasher, request.identifier, rules)
    except ProfileNotFound as error:
        if not request.has_more_segments or request.collection:
            raise
        detail = (
            f"What follows the last slash is none of the collections {', '.join(sorted(COLLECTIONS))};"
            " nor has a profile an identifier with this slash in it"
        )
        raise ProfileNotFound("collection_unknown", detail) from error


def refuse(event: Mapping[str, Any], error: Exception | ProblemType) -> dict[str, Any]:
    """Answer with the problem document of an error."""
    response = problem_response(error, request_id=request_id(event))
    return response | {"headers": response["headers"] | {"X-Request-Id": request_id(event)}}
