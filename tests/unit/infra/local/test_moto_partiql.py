"""Batches of statements as DynamoDB runs them: each with its condition, each with its own answer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from infra.local import moto_direct
from tests.unit.infra.local.conftest import REGION

THREADS = 8
ATTEMPTS = 12
INSERT = """INSERT INTO "heads" VALUE {'profile_id': ?, 'body': ?, 'version': ?}"""
UPDATE = """UPDATE "heads" SET "body" = ? SET "version" = ? WHERE "profile_id" = ? AND "version" = ?"""


@pytest.fixture(params=["long way", "direct"], autouse=True)
def _path(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "direct":
        moto_direct.install()
    yield
    moto_direct.remove()


def insert(profile_id: str, body: bytes = b"\x00\xff", version: int = 1) -> dict[str, Any]:
    return {"Statement": INSERT, "Parameters": [{"S": profile_id}, {"B": body}, {"N": str(version)}]}


def update(profile_id: str, version: int, body: bytes = b"\x01") -> dict[str, Any]:
    parameters = [{"B": body}, {"N": str(version + 1)}, {"S": profile_id}, {"N": str(version)}]
    return {"Statement": UPDATE, "Parameters": parameters}


def run(client: Any, *statements: dict[str, Any]) -> list[str | None]:
    """What became of each statement."""
    responses = client.batch_execute_statement(Statements=list(statements))["Responses"]
    assert all(response.get("TableName", "heads") == "heads" for response in responses)
    return [response.get("Error", {}).get("Code") for response in responses]


def load(client: Any, profile_id: str) -> dict[str, Any] | None:
    item: dict[str, Any] | None = client.get_item(TableName="heads", Key={"profile_id": {"S": profile_id}}).get("Item")
    return item


def test_every_statement_is_judged_by_itself(dynamodb: Any) -> None:
    assert run(dynamodb, insert("a"), insert("b", version=4)) == [None, None]

    outcome = run(
        dynamodb, update("a", 1), insert("a"), update("b", 1), update("nobody", 1), insert("c"), update("b", 4)
    )

    assert outcome == [None, "DuplicateItem", "ConditionalCheckFailed", "ConditionalCheckFailed", None, None]
    assert load(dynamodb, "a") == {"profile_id": {"S": "a"}, "body": {"B": b"\x01"}, "version": {"N": "2"}}
    assert load(dynamodb, "b") == {"profile_id": {"S": "b"}, "body": {"B": b"\x01"}, "version": {"N": "5"}}
    assert load(dynamodb, "c") == {"profile_id": {"S": "c"}, "body": {"B": b"\x00\xff"}, "version": {"N": "1"}}
    assert load(dynamodb, "nobody") is None


def test_an_update_keeps_the_attributes_that_it_does_not_name(dynamodb: Any) -> None:
    nested = {"M": {"list": {"L": [{"B": b"b"}, {"SS": ["x", "y"]}]}}}
    dynamodb.put_item(TableName="heads", Item={"profile_id": {"S": "a"}, "version": {"N": "1"}, "nested": nested})

    assert run(dynamodb, update("a", 1)) == [None]

    item = load(dynamodb, "a")
    assert item is not None
    assert item["nested"] == nested


def test_the_stream_sees_what_was_written_and_nothing_else(dynamodb: Any) -> None:
    run(dynamodb, insert("a"), insert("a"), update("a", 7), update("a", 1))

    shard = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables["heads"].stream_shard
    assert shard is not None
    assert [record.record["eventName"] for record in shard.items] == ["INSERT", "MODIFY"]


def test_optimistic_writers_lose_nothing(dynamodb: Any) -> None:
    run(dynamodb, insert("hot"))

    def work(_: int) -> int:
        successes = 0
        for _ in range(ATTEMPTS):
            item = load(dynamodb, "hot")
            assert item is not None
            successes += run(dynamodb, update("hot", int(item["version"]["N"]))) == [None]
        return successes

    with ThreadPoolExecutor(THREADS) as pool:
        successes = sum(pool.map(work, range(THREADS)))

    item = load(dynamodb, "hot")
    assert item is not None
    assert item["version"] == {"N": str(successes + 1)}
    assert successes >= ATTEMPTS


def test_what_cannot_be_run_is_named_and_the_rest_is_run(dynamodb: Any) -> None:
    elsewhere = {**insert("a"), "Statement": INSERT.replace("heads", "nowhere")}
    without_key = {
        "Statement": 'UPDATE "heads" SET "body" = ? WHERE "version" = ?',
        "Parameters": [{"B": b""}, {"N": "1"}],
    }
    responses = dynamodb.batch_execute_statement(Statements=[elsewhere, without_key, insert("b")])["Responses"]

    codes = [response.get("Error", {}).get("Code") for response in responses]
    assert codes == ["ResourceNotFound", "ValidationError", None]
    assert load(dynamodb, "b") is not None


def test_other_statements_are_moto_s(dynamodb: Any) -> None:
    run(dynamodb, insert("a"))
    select = {"Statement": "SELECT * FROM heads WHERE profile_id = 'a'"}

    (response,) = dynamodb.batch_execute_statement(Statements=[select])["Responses"]

    assert response["Item"]["version"] == {"N": "1"}


def test_more_than_25_statements_are_refused(dynamodb: Any) -> None:
    with pytest.raises(ClientError, match="25"):
        run(dynamodb, *[insert(str(number)) for number in range(26)])
