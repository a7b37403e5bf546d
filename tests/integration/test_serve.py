"""The profile API's handler, with API Gateway's events in and moto behind it."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec
import pytest

from onefold.adapters.dynamodb_fragments import DynamoDbFragments
from onefold.domain.event import Event, EventBatch
from onefold.domain.head import profile_id_for
from tests.fakes.events import NOON_MS, event, identifier, key_of
from tests.fakes.lambda_events import http_event, kinesis_event
from tests.fakes.tables import aws, fresh_handler

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Get = Callable[..., tuple[int, dict[str, Any], dict[str, str]]]


@pytest.fixture(scope="module")
def monkeypatch() -> Iterator[pytest.MonkeyPatch]:
    """One deployment serves all these tests: they only read, each its own people."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    with aws(monkeypatch) as client:
        yield client


@pytest.fixture(scope="module")
def get(dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> Get:
    """Ask the API: path and query in, status, document and headers out."""
    handle = fresh_handler("serve", monkeypatch)

    def ask(path: str, **query: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        answer = handle(http_event(path, urlencode(query)), None)
        return answer["statusCode"], json.loads(answer["body"]), answer["headers"]

    return ask


def stitch(monkeypatch: pytest.MonkeyPatch, *batches: tuple[Event, ...]) -> None:
    handle = fresh_handler("stitch", monkeypatch)
    assert handle(kinesis_event(*map(EventBatch, batches)), None) == {"batchItemFailures": []}


@pytest.fixture(scope="module")
def shopper(dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> str:
    """A person who browsed on one device, signed up there, bought there, and came back by e-mail; gives the id."""
    stitch(
        monkeypatch,
        (
            event("anonymous_id:a/1", kind="page", at=NOON_MS),
            event(
                "anonymous_id:a/1",
                "user_id:u1",
                "email:ada+shop@b.co",
                kind="identify",
                at=NOON_MS + 1,
                traits={"plan": "pro", "city": "Köln", "age": 36},
            ),
            event(
                "anonymous_id:a/1",
                "user_id:u1",
                name="Order Completed",
                at=NOON_MS + 2,
                properties={"order_id": "o1", "total": 12.10, "currency": "EUR"},
            ),
        ),
        (event("email:ada+shop@b.co", name="Email Opened", at=NOON_MS + 3),),
    )
    return profile_id_for(key_of("anonymous_id:a/1"))


def test_a_profile_is_found_whole_by_any_of_its_identifiers(get: Get, shopper: str) -> None:
    names = ["user_id:u1", "anonymous_id:a/1", "email:ADA+shop@b.co", f"profile_id:{shopper}"]

    answers = [get(f"/v1/profiles/{quote(name, safe='')}") for name in names]

    assert {status for status, _, _ in answers} == {200}
    documents = [document for _, document, _ in answers]
    assert all(document == documents[0] for document in documents)
    whole = documents[0]
    assert whole["profile_id"] == shopper
    assert whole["traits"] == {"age": 36, "city": "Köln", "plan": "pro"}
    assert whole["orders"]["EUR"]["net"] == "12.10"
    assert {name: each["times"] for name, each in whole["events"].items()} == {
        "identify:": 1,
        "page:": 1,
        "track:Email Opened": 1,
        "track:Order Completed": 1,
    }
    assert (whole["first_seen_at"], whole["last_seen_at"]) == (NOON_MS, NOON_MS + 3)


def test_a_profiles_document_is_not_cached_and_names_the_request(get: Get, shopper: str) -> None:
    _, _, headers = get("/v1/profiles/user_id:u1")

    assert headers == {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Request-Id": "JKJaXmPLvHcESHA=",
    }


def test_an_identifier_that_the_gateway_has_decoded_already_is_found_too(get: Get, shopper: str) -> None:
    assert get("/v1/profiles/anonymous_id:a/1")[0] == 200
    assert get("/v1/profiles/anonymous_id:a/1/traits")[1]["profile_id"] == shopper


def test_a_merged_profiles_id_leads_to_the_survivor(
    get: Get, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    stitch(
        monkeypatch,
        (event("anonymous_id:old", at=NOON_MS),),
        (event("user_id:u2", at=NOON_MS + 1),),
        (event("anonymous_id:old", "user_id:u2", at=NOON_MS + 2),),
    )

    merged, survivor = profile_id_for(key_of("user_id:u2")), profile_id_for(key_of("anonymous_id:old"))
    assert get(f"/v1/profiles/profile_id:{merged}")[1]["profile_id"] == survivor
    assert get(f"/v1/profiles/profile_id:{merged}/events")[1]["cursor"] == {"limit": 20, "has_more": False}


def test_traits_come_in_pages_sorted_by_name(get: Get, shopper: str) -> None:
    _, first, _ = get("/v1/profiles/user_id:u1/traits", limit="2")
    _, second, _ = get("/v1/profiles/user_id:u1/traits", limit="2", next=first["cursor"]["next"])

    assert first["traits"] == {"age": 36, "city": "Köln"}
    assert first["cursor"]["has_more"] is True
    assert second["traits"] == {"plan": "pro"}
    assert second["cursor"] == {"limit": 2, "has_more": False}


def test_events_come_newest_first_in_pages_without_repeats(get: Get, shopper: str) -> None:
    shown: list[tuple[str, str | None]] = []
    cursor: dict[str, Any] = {"has_more": True}
    while cursor["has_more"]:
        page = {"next": cursor["next"]} if "next" in cursor else {}
        _, document, _ = get("/v1/profiles/user_id:u1/events", limit="1", **page)
        shown += [(each["type"], each["event"]) for each in document["events"]]
        cursor = document["cursor"]

    assert shown == [("track", "Email Opened"), ("track", "Order Completed"), ("identify", None), ("page", None)]


def test_an_event_is_shown_as_it_was_sent(get: Get, shopper: str) -> None:
    _, document, _ = get("/v1/profiles/user_id:u1/events", limit="2")

    assert document["events"][1]["properties"] == {"order_id": "o1", "total": 12.10, "currency": "EUR"}


def test_identifiers_come_strongest_first(get: Get, shopper: str) -> None:
    _, document, _ = get("/v1/profiles/user_id:u1/identifiers")

    assert [(each["type"], each["value"]) for each in document["identifiers"]] == [
        ("user_id", "u1"),
        ("email", "ada+shop@b.co"),
        ("anonymous_id", "a/1"),
    ]
    assert get("/v1/profiles/user_id:u1/audiences")[1] == {"profile_id": shopper, "audiences": []}


@pytest.mark.parametrize(
    ("path", "query", "status", "slug"),
    [
        ("/v1/profiles/user_id:nobody", {}, 404, "profile-not-found"),
        ("/v1/profiles/profile_id:p_nobody", {}, 404, "profile-not-found"),
        ("/v1/profiles/profile_id:", {}, 404, "profile-not-found"),
        ("/v1/profiles/shoe_size:44", {}, 400, "identifier-invalid"),
        ("/v1/profiles/email:no-mail", {}, 400, "identifier-invalid"),
        ("/v1/profiles/user_id:u1/secrets", {}, 404, "profile-not-found"),
        ("/v1/profiles/user_id:u1", {"cursor": "x"}, 400, "rejected"),
        ("/v1/profiles/traits", {}, 404, "not-found"),
        ("/v1/profiles/", {}, 404, "not-found"),
        ("/v1/else", {}, 404, "not-found"),
        ("/v1/profiles/user_id:u1/traits", {"limit": "0"}, 400, "rejected"),
        ("/v1/profiles/user_id:u1/traits", {"limit": "201"}, 400, "rejected"),
        ("/v1/profiles/user_id:u1/traits", {"limit": "9" * 5_000}, 400, "rejected"),
        ("/v1/profiles/user_id:u1/traits", {"limit": "ten"}, 400, "rejected"),
        ("/v1/profiles/user_id:u1/traits", {"next": "%"}, 400, "rejected"),
        ("/v1/profiles/user_id:u1/events", {"next": "WyJhIl0="}, 400, "rejected"),
    ],
)
def test_what_cannot_be_answered_is_a_problem_document(
    get: Get, shopper: str, *, path: str, query: dict[str, str], status: int, slug: str
) -> None:
    answered, document, headers = get(path, **query)

    assert (answered, document["status"], document["type"].rpartition("/")[2]) == (status, status, slug)
    assert document["instance"] == "urn:request:JKJaXmPLvHcESHA="
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Request-Id"] == "JKJaXmPLvHcESHA="


def test_a_last_segment_that_is_no_collection_is_told_the_collections(get: Get, shopper: str) -> None:
    status, document, _ = get("/v1/profiles/user_id:u1/nope")

    assert (status, document["code"]) == (404, "collection_unknown")
    assert "audiences, events, identifiers, members, provenance, traits" in document["detail"]
    assert get("/v1/profiles/user_id:nobody")[1]["code"] == "profile_not_found"
    assert get("/v1/profiles/user_id:nobody/traits")[1]["code"] == "profile_not_found"
    assert get("/v1/profiles/user_id:no%2Fbody")[1]["code"] == "profile_not_found"


@pytest.mark.parametrize("path", ["", "/traits", "/events", "/identifiers", "/audiences"])
def test_an_unknown_query_parameter_is_told_the_known_ones(get: Get, shopper: str, path: str) -> None:
    status, document, _ = get(f"/v1/profiles/user_id:u1{path}", limit="1", cursor="x")

    assert (status, document["code"]) == (400, "parameter_unknown")
    assert "`limit`" in document["detail"]
    assert "`next`" in document["detail"]


def test_a_defect_is_answered_without_its_text(get: Get, shopper: str, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(self: DynamoDbFragments, keys: object) -> None:
        raise RuntimeError("ada+shop@b.co")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DynamoDbFragments, "load", broken)

        status, document, _ = get("/v1/profiles/user_id:u1")

    assert status == 500
    assert "detail" not in document
    printed = capsys.readouterr().out
    assert "Defects" in printed
    assert "ada+shop" not in printed


def test_an_account_shows_its_traits_and_its_members(
    get: Get, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [
        msgspec.structs.replace(
            event(name, kind="group", traits={"seats": seats}, at=NOON_MS + seats), account=identifier("group_id:acme")
        )
        for name, seats in (("user_id:eva", 5), ("user_id:fay", 7))
    ]
    stitch(monkeypatch, tuple(calls))

    assert get("/v1/profiles/group_id:acme/traits")[1]["traits"] == {"seats": 7}
    members = get("/v1/profiles/group_id:acme/members")[1]["members"]
    assert members == sorted(profile_id_for(key_of(name)) for name in ("user_id:eva", "user_id:fay"))
    assert get("/v1/profiles/group_id:acme/members", limit="1")[1]["members"] == members[:1]
    assert get("/v1/profiles/user_id:eva/members")[1]["members"] == []


def test_each_trait_tells_where_it_comes_from(get: Get, shopper: str) -> None:
    status, document, _ = get("/v1/profiles/user_id:u1/provenance")

    assert status == 200
    assert document["provenance"]["plan"]["at"] == NOON_MS + 1
    assert set(document["provenance"]["plan"]) == {"source", "at", "received_at", "message_id"}
