"""Guards and observers see every call, whichever way it is answered."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.local import calls, moto_direct
from tests.unit.infra.local.conftest import REGION, Clients


@pytest.fixture(params=["long way", "direct"])
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "direct":
        moto_direct.install()
    yield request.param
    moto_direct.remove()


@pytest.fixture
def registered() -> Iterator[Callable[[calls.Remove], None]]:
    removes: list[calls.Remove] = []
    yield removes.append
    for remove in removes:
        remove()


@pytest.mark.usefixtures("path")
def test_an_observer_sees_answers_and_refusals(dynamodb: Any, registered: Callable[[calls.Remove], None]) -> None:
    seen: list[tuple[str, str, str]] = []

    def watch(service: str, operation: str, params: dict[str, Any], response: dict[str, Any]) -> None:
        seen.append((service, operation, response.get("Error", {}).get("Code", params["TableName"])))

    registered(calls.observe(watch))
    item = {"profile_id": {"S": "p"}}
    dynamodb.put_item(TableName="heads", Item=item)
    with pytest.raises(ClientError):
        dynamodb.put_item(TableName="heads", Item=item, ConditionExpression="attribute_not_exists(profile_id)")
    boto3.resource("dynamodb", region_name=REGION).Table("heads").get_item(Key={"profile_id": "p"})

    assert seen == [
        ("dynamodb", "PutItem", "heads"),
        ("dynamodb", "PutItem", "ConditionalCheckFailedException"),
        ("dynamodb", "GetItem", "heads"),
    ]


@pytest.mark.usefixtures("path")
def test_a_guard_s_refusal_keeps_the_call_from_being_made(
    dynamodb: Any, registered: Callable[[calls.Remove], None]
) -> None:
    answered: list[str] = []

    def refuse(_service: str, operation: str, _params: dict[str, Any]) -> None:
        if operation == "PutItem":
            raise PermissionError(operation)

    registered(calls.guard(refuse))
    registered(calls.observe(lambda _service, operation, _params, _response: answered.append(operation)))

    with pytest.raises(PermissionError):
        dynamodb.put_item(TableName="heads", Item={"profile_id": {"S": "p"}})
    assert "Item" not in dynamodb.get_item(TableName="heads", Key={"profile_id": {"S": "p"}})
    assert answered == ["GetItem"]


def test_paginators_are_seen(clients: Clients, registered: Callable[[calls.Remove], None]) -> None:
    s3 = clients("s3")
    s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    seen: list[str] = []
    registered(calls.observe(lambda _service, operation, _params, _response: seen.append(operation)))

    s3.put_object(Bucket="lake", Key="a", Body=b"a")
    keys = [
        found["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket="lake")
        for found in page["Contents"]
    ]

    assert keys == ["a"]
    assert seen == ["PutObject", "ListObjectsV2"]


def test_a_removed_observer_sees_nothing(clients: Clients) -> None:
    seen: list[str] = []
    remove = calls.observe(lambda _service, operation, _params, _response: seen.append(operation))
    remove()
    remove()

    clients("sqs").list_queues()

    assert seen == []
