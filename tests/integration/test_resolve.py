"""The identity API's handler, with API Gateway's events in and moto behind it."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import boto3
import pytest

from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.domain.head import profile_id_for
from onefold.domain.identity_rules import DEFINITION_NAME
from tests.fakes.events import NOON_MS, event, key_of
from tests.fakes.lambda_events import http_event
from tests.fakes.tables import aws, fresh_handler
from tests.integration.test_serve import stitch

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Ask = Callable[..., tuple[int, dict[str, Any]]]
USER, MAIL = "user_id:u1", "email:a@b.co"


@pytest.fixture(scope="module")
def refused() -> Iterator[Ask]:
    """One deployment for all requests that change nothing; for the last tests, since there cannot be two at a time."""
    with pytest.MonkeyPatch.context() as patch, people(patch):
        yield asking(patch)


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    with people(monkeypatch) as client:
        yield client


@pytest.fixture
def ask(dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> Ask:
    return asking(monkeypatch)


@contextmanager
def people(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    """A deployment with two persons."""
    with aws(monkeypatch) as client:
        stitch(
            monkeypatch,
            (event("anonymous_id:x", at=NOON_MS), event("anonymous_id:x", USER, MAIL, at=NOON_MS + 1)),
            (event("user_id:u2", "email:c@d.co", at=NOON_MS + 2),),
        )
        yield client


def asking(monkeypatch: pytest.MonkeyPatch) -> Ask:
    handle = fresh_handler("resolve", monkeypatch)

    def ask(method: str, path: str, body: Any = None, key: str = "", **query: str) -> tuple[int, dict[str, Any]]:
        request = http_event(f"/v1/identity/{path}", urlencode(query), method)
        request["requestContext"]["timeEpoch"] = NOON_MS + 1_000
        request["requestContext"]["authorizer"]["jwt"]["claims"] |= {"client_id": "c-42", "sub": "s-1"}
        if body is not None:
            request["body"] = body if isinstance(body, str) else json.dumps(body)
        if key:
            request["headers"]["Idempotency-Key"] = key
        answer = handle(request, None)
        return answer["statusCode"], json.loads(answer["body"])

    return ask


def test_a_decision_names_who_took_it_and_by_which_rules(ask: Ask, dynamodb: "DynamoDBClient") -> None:
    status, record = ask("POST", "decisions", {"action": "split", "left": USER, "right": MAIL, "reason": "ours"})

    assert status == 200
    assert (record["by"], record["reason"], record["at"]) == ("c-42", "ours", NOON_MS + 1_000)
    assert (record["left"], record["right"]) == (key_of(USER), key_of(MAIL))
    assert record["before"] == [profile_id_for(key_of("anonymous_id:x"))]
    assert len(record["after"]) == 2
    assert ask("GET", f"decisions/{record['decision_id']}") == (200, record)
    assert ask("GET", "decisions")[1]["decisions"] == [record]
    stored = str(dynamodb.scan(TableName="decisions")["Items"])
    assert "a@b.co" not in stored


def test_a_body_may_come_in_base64(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = fresh_handler("resolve", monkeypatch)
    request = http_event("/v1/identity/decisions", "dry_run=true", "POST")
    body = json.dumps({"action": "detach", "left": MAIL}).encode()

    answer = handle(request | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}, None)

    assert (answer["statusCode"], json.loads(answer["body"])["dry_run"]) == (200, True)


def test_an_identifier_may_be_named_by_its_key_or_though_it_is_blocked_since(
    ask: Ask, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a deployment has just blocked is what it wants to take out."""
    rules = json.dumps({"types": {"email": {"blocked": ["a@b.co"]}}}).encode()
    DynamoDbDefinitions(boto3.client("dynamodb"), "definitions").put_current(DEFINITION_NAME, rules, after_version=0)
    fresh_handler("resolve", monkeypatch)

    status, told = ask("GET", "explain", left=f"key:{key_of(USER)}", right=MAIL)
    _, record = ask("POST", "decisions", {"action": "detach", "left": MAIL})

    assert (status, told["verdict"], told["left"]["value"]) == (200, "together", "u1")
    assert (record["retracted"], record["rules_version"]) == (1, 1)


def test_retracting_a_message_takes_back_what_it_said(ask: Ask) -> None:
    _, told = ask("GET", "explain", left=USER, right=MAIL)
    message = {name: told["path"][0][name] for name in ("source", "message_id")}

    status, record = ask("POST", "decisions", {"action": "retract", "left": USER, "messages": [message]})

    assert (status, record["messages"], record["retracted"]) == (200, [message], 2)
    assert len(record["after"]) == 3
    assert ask("GET", "explain", left=USER, right=MAIL)[1]["verdict"] == "parted"


def test_an_explanation_tells_which_rule_stands_in_the_way(ask: Ask) -> None:
    status, told = ask("GET", "explain", left=USER, right="email:c@d.co")

    assert (status, told["verdict"], told["path"], told["obstacle"]) == (200, "never_linked", [], "user_id")


def test_a_decision_beyond_a_limit_is_carried_out_and_probable_evidence_is_not(ask: Ask) -> None:
    pair = {"left": USER, "right": "user_id:u2"}

    guessed = ask("POST", "decisions", {"action": "link", **pair, "why": "probabilistic", "probability": 0.999})
    unsure = ask("POST", "decisions", {"action": "link", **pair, "why": "probabilistic", "probability": 0.5})
    decided = ask("POST", "decisions", {"action": "link", **pair})

    assert (guessed[0], guessed[1]["code"]) == (400, "link_forbidden")
    assert (unsure[0], unsure[1]["code"]) == (400, "probability_too_low")
    assert (decided[0], len(decided[1]["after"])) == (200, 1)


def test_an_id_is_carried_out_once_and_stands_for_one_decision(ask: Ask) -> None:
    split = {"action": "split", "left": USER, "right": MAIL}

    first = ask("POST", "decisions", split, key="k-1")
    ask("POST", "decisions", {"action": "link", "left": USER, "right": MAIL})
    again = ask("POST", "decisions", split, key="k-1")
    other = ask("POST", "decisions", {"action": "detach", "left": MAIL}, key="k-1")
    bad = ask("POST", "decisions", split, key="a key with spaces")

    assert first == again
    assert ask("GET", "explain", left=USER, right=MAIL)[1]["verdict"] == "together"
    assert (other[0], other[1]["code"]) == (400, "decision_id_taken")
    assert (bad[0], bad[1]["errors"][0]["pointer"]) == (400, "#/decision_id")


def test_decisions_are_counted_and_nobody_is_named_in_the_log(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask("POST", "decisions", {"action": "detach", "left": MAIL}, dry_run="true")
    assert "DecisionsMade" not in capsys.readouterr().out

    ask("POST", "decisions", {"action": "detach", "left": MAIL})

    printed = capsys.readouterr().out
    assert "DecisionsMade" in printed
    assert "a@b.co" not in printed


@pytest.mark.parametrize(
    ("method", "path", "body", "query", "status", "code"),
    [
        ("GET", "explain", None, {"left": USER}, 400, "parameter_missing"),
        ("GET", "explain", None, {"left": USER, "right": "mail"}, 400, "identifier_unknown"),
        ("GET", "explain", None, {"left": USER, "right": "email:nobody@b.co"}, 404, "profile_not_found"),
        ("GET", "explain", None, {"left": USER, "right": MAIL, "x": "1"}, 400, "parameter_unknown"),
        ("GET", "graph", None, {"identifier": USER, "as_of": "yesterday"}, 400, "as_of_invalid"),
        ("GET", "graph", None, {"identifier": USER, "as_of": "2020-01-01"}, 404, "profile_unknown_then"),
        ("GET", "graph", None, {}, 400, "parameter_missing"),
        ("GET", "decisions", None, {"next": "x"}, 400, "cursor_invalid"),
        ("GET", "decisions", None, {"limit": "0"}, 400, "limit_invalid"),
        ("GET", "decisions/none", None, {}, 404, "decision_not_found"),
        ("POST", "decisions", "{", {}, 400, "body_unreadable"),
        ("POST", "decisions", "[]", {}, 400, "body_invalid"),
        ("POST", "decisions", {"action": "merge", "left": USER}, {}, 400, "body_invalid"),
        ("POST", "decisions", {"action": "split", "left": USER, "email": MAIL}, {}, 400, "body_invalid"),
        ("POST", "decisions", {"action": "split", "left": USER}, {}, 400, "decision_invalid"),
        ("POST", "decisions", {"action": "split", "left": USER, "right": USER}, {}, 400, "decision_invalid"),
        ("POST", "decisions", {"action": "detach", "left": USER, "right": MAIL}, {}, 400, "decision_invalid"),
        ("POST", "decisions", {"action": "retract", "left": USER}, {}, 400, "decision_invalid"),
        ("POST", "decisions", {"action": "split", "left": USER, "right": "email:x"}, {}, 400, "identifier_unusable"),
        ("POST", "decisions", {"action": "detach", "left": "user_id:no"}, {}, 404, "profile_not_found"),
        ("POST", "decisions", {"action": "detach", "left": USER}, {"dry_run": "yes"}, 400, "dry_run_invalid"),
        ("POST", "decisions", "x" * 300_000, {}, 413, "body_too_large"),
        ("POST", "preview", {"rules": {}, "days": 0}, {}, 400, "days_invalid"),
        ("POST", "preview", {"rules": {"types": {"email": {"limit": 0}}}}, {}, 422, "identity_invalid"),
        ("POST", "preview", {"rules": {"tipes": {}}}, {}, 400, "body_invalid"),
        ("PUT", "decisions", None, {}, 404, None),
        ("GET", "else", None, {}, 404, None),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_a_problem_document_without_a_persons_data(
    refused: Ask, *, method: str, path: str, body: Any, query: dict[str, str], status: int, code: str | None
) -> None:
    answered, document = refused(method, path, body, **query)

    assert (answered, document["status"], document.get("code")) == (status, status, code)
    assert document["type"].startswith("https://docs.onefold.example/problems/")
    text = json.dumps(document)
    assert "a@b.co" not in text
    assert "nobody" not in text
