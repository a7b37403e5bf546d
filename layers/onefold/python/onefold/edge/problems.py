"""Errors as the profile API tells them: one table from types to RFC 9457 documents."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from onefold.domain.errors import (
    BodyInvalid,
    DecisionNotFound,
    DefinitionInvalid,
    EntryNotFound,
    EventInvalid,
    IdentifierInvalid,
    MappingInvalid,
    OnefoldError,
    PayloadTooLarge,
    ProfileNotFound,
    Rejected,
    Unauthorized,
    Unavailable,
)

CONTENT_TYPE: Final = "application/problem+json"
TYPE_BASE: Final = "https://docs.onefold.example/problems/"
RETRY_AFTER_S: Final = 2


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem. `slug` ends its type URI and names its page in the documentation."""

    status: HTTPStatus
    slug: str
    title: str


NOT_FOUND: Final = ProblemType(HTTPStatus.NOT_FOUND, "not-found", "There is nothing at this path")
DEFECT: Final = ProblemType(HTTPStatus.INTERNAL_SERVER_ERROR, "defect", "Something broke on our side")

PROBLEM_TYPES: Final[dict[type[OnefoldError], ProblemType]] = {
    ProfileNotFound: ProblemType(HTTPStatus.NOT_FOUND, "profile-not-found", "No such profile or collection"),
    DecisionNotFound: ProblemType(HTTPStatus.NOT_FOUND, "decision-not-found", "No such decision"),
    EntryNotFound: ProblemType(HTTPStatus.NOT_FOUND, "entry-not-found", "No such entry in the quarantine"),
    IdentifierInvalid: ProblemType(HTTPStatus.BAD_REQUEST, "identifier-invalid", "The identifier is not usable"),
    Unauthorized: ProblemType(HTTPStatus.UNAUTHORIZED, "unauthorized", "The credentials are missing or wrong"),
    PayloadTooLarge: ProblemType(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "payload-too-large", "The request is too large"),
    BodyInvalid: ProblemType(HTTPStatus.BAD_REQUEST, "body-invalid", "The request cannot be read"),
    EventInvalid: ProblemType(HTTPStatus.UNPROCESSABLE_ENTITY, "event-invalid", "The event does not match its schema"),
    DefinitionInvalid: ProblemType(
        HTTPStatus.UNPROCESSABLE_ENTITY, "definition-invalid", "The definition is not usable"
    ),
    MappingInvalid: ProblemType(HTTPStatus.UNPROCESSABLE_ENTITY, "mapping-invalid", "The mapping does not fit"),
    Rejected: ProblemType(HTTPStatus.BAD_REQUEST, "rejected", "The request cannot be accepted"),
    Unavailable: ProblemType(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Try again later"),
}


def problem_type(error: BaseException) -> ProblemType:
    """The most specific entry for an error's type; `DEFECT` for what is none of ours."""
    for kind in type(error).__mro__:
        if kind in PROBLEM_TYPES:
            return PROBLEM_TYPES[kind]
    return DEFECT


def problem_response(error: BaseException | ProblemType, *, request_id: str) -> dict[str, Any]:
    """Answer an API request (API Gateway's payload 2.0) with the document of an error, or of a bare problem type.

    A defect's text stays inside; so does an unavailable dependency's, which means nothing to a caller.
    """
    kind = error if isinstance(error, ProblemType) else problem_type(error)
    document: dict[str, Any] = {
        "type": TYPE_BASE + kind.slug,
        "title": kind.title,
        "status": int(kind.status),
        "instance": f"urn:request:{request_id}",
    }
    if isinstance(error, Rejected):
        document |= {"detail": error.detail, "code": error.reason}
        if error.pointer:
            document["errors"] = [{"pointer": error.pointer, "detail": error.detail}]
    headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
    if kind.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return {"statusCode": int(kind.status), "headers": headers, "body": json.dumps(document)}
