import json

import pytest

from onefold.domain.errors import (
    IdentifierInvalid,
    OnefoldError,
    ProfileNotFound,
    StreamUnavailable,
    Unauthorized,
    VersionConflict,
)
from onefold.edge.problems import DEFECT, NOT_FOUND, PROBLEM_TYPES, problem_response, problem_type


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ProfileNotFound("profile_not_found", "no"), 404),
        (IdentifierInvalid("identifier_unknown", "no"), 400),
        (Unauthorized("token_missing", "no"), 401),
        (StreamUnavailable("no"), 503),
        (VersionConflict("no"), 503),
        (KeyError("no"), 500),
    ],
)
def test_a_type_decides_the_status(error: Exception, status: int) -> None:
    answer = problem_response(error, request_id="r-1")
    document = json.loads(answer["body"])

    assert answer["statusCode"] == document["status"] == status
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert document["instance"] == "urn:request:r-1"
    assert ("Retry-After" in answer["headers"]) == (status == 503)


def test_a_refusal_tells_its_detail_and_place() -> None:
    error = IdentifierInvalid("identifier_unknown", "Write type:value", pointer="#/identifier")
    document = json.loads(problem_response(error, request_id="r")["body"])

    assert (document["code"], document["detail"]) == ("identifier_unknown", "Write type:value")
    assert document["errors"] == [{"pointer": "#/identifier", "detail": "Write type:value"}]


def test_a_defect_and_a_dependency_tell_nothing_of_themselves() -> None:
    for error in (KeyError("alice@shop.example"), StreamUnavailable("table fragments throttled")):
        body = problem_response(error, request_id="r")["body"]
        assert str(error.args[0]) not in body
        assert "detail" not in json.loads(body)


def test_an_unknown_path_has_a_problem_of_its_own() -> None:
    assert json.loads(problem_response(NOT_FOUND, request_id="r")["body"])["title"] == NOT_FOUND.title


def test_every_error_of_ours_has_a_problem_and_titles_are_distinct() -> None:
    kinds = list(_all_subclasses(OnefoldError))

    assert kinds
    assert all(problem_type(kind.__new__(kind)) is not DEFECT for kind in kinds)
    assert len({kind.slug for kind in PROBLEM_TYPES.values()}) == len(PROBLEM_TYPES)


def _all_subclasses(kind: type[OnefoldError]) -> set[type[OnefoldError]]:
    return {*kind.__subclasses__(), *(each for child in kind.__subclasses__() for each in _all_subclasses(child))}
