"""The short way answers like the long way, and leaves to it what it must not answer."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError, ParamValidationError

from infra.local import moto_direct
from tests.unit.infra.local.conftest import REGION, Clients

ITEM = {
    "profile_id": {"S": "p"},
    "body": {"B": b"\x00\xff"},
    "version": {"N": "7"},
    "nested": {"M": {"list": {"L": [{"B": b"b"}, {"BOOL": True}, {"NULL": True}, {"SS": ["x", "y"]}]}}},
}
OLD_VERSION = {"ConditionExpression": "version = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("put_item", {"TableName": "heads", "Item": ITEM}),
    ("put_item", {"TableName": "heads", "Item": ITEM, "ReturnValues": "ALL_OLD"}),
    ("get_item", {"TableName": "heads", "Key": {"profile_id": {"S": "p"}}, "ConsistentRead": True}),
    ("get_item", {"TableName": "heads", "Key": {"profile_id": {"S": "nobody"}}}),
    ("get_item", {"TableName": "heads", "Key": {"profile_id": {"S": "p"}}, "ProjectionExpression": "body, nested"}),
    ("batch_get_item", {"RequestItems": {"heads": {"Keys": [{"profile_id": {"S": name}} for name in ("p", "q")]}}}),
    (
        "batch_write_item",
        {
            "RequestItems": {
                "timeline": [
                    {"PutRequest": {"Item": {"fragment_key": {"S": "f"}, "sequence": {"S": number}, "e": {"B": b"e"}}}}
                    for number in "312"
                ]
            }
        },
    ),
    (
        "query",
        {
            "TableName": "timeline",
            "KeyConditionExpression": "fragment_key = :f",
            "ExpressionAttributeValues": {":f": {"S": "f"}},
            "Limit": 2,
            "ScanIndexForward": False,
        },
    ),
    ("transact_write_items", {"TransactItems": [{"Put": {"TableName": "heads", "Item": {"profile_id": {"S": "t"}}}}]}),
]


@pytest.fixture
def direct() -> Iterator[None]:
    moto_direct.install()
    yield
    moto_direct.remove()


def watched(client: Any) -> list[str]:
    """Names of the events that only the long way has, as they happen."""
    events: list[str] = []

    def remember(event_name: str, **_: Any) -> None:
        events.append(event_name)

    client.meta.events.register("request-created", remember)
    return events


def without_metadata(response: dict[str, Any]) -> dict[str, Any]:
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 200
    return {key: value for key, value in response.items() if key != "ResponseMetadata"}


def test_both_ways_answer_the_same(dynamodb: Any) -> None:
    long_way = [without_metadata(getattr(dynamodb, method)(**parameters)) for method, parameters in CALLS]
    requests = watched(dynamodb)

    moto_direct.install()
    try:
        direct = [without_metadata(getattr(dynamodb, method)(**parameters)) for method, parameters in CALLS]
    finally:
        moto_direct.remove()

    assert direct == long_way
    assert requests == []
    assert direct[2]["Item"] == ITEM


@pytest.mark.usefixtures("direct")
def test_kinesis_records_come_out_as_they_were_put_in(clients: Clients) -> None:
    kinesis = clients("kinesis")
    kinesis.create_stream(StreamName="events", ShardCount=1)
    requests = watched(kinesis)

    put = kinesis.put_records(StreamName="events", Records=[{"PartitionKey": "k", "Data": b"\x00\xffdata"}])

    assert requests == []
    assert put["FailedRecordCount"] == 0
    iterator = kinesis.get_shard_iterator(
        StreamName="events", ShardId=put["Records"][0]["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    (record,) = kinesis.get_records(ShardIterator=iterator)["Records"]
    assert (record["Data"], record["PartitionKey"]) == (b"\x00\xffdata", "k")
    assert record["SequenceNumber"] == put["Records"][0]["SequenceNumber"]


@pytest.mark.usefixtures("direct")
def test_the_resource_interface_keeps_its_python_values(dynamodb: Any) -> None:
    table = boto3.resource("dynamodb", region_name=REGION).Table("heads")
    requests = watched(table.meta.client)

    table.put_item(
        Item={"profile_id": "p", "count": 3, "on": True}, ConditionExpression=Attr("profile_id").not_exists()
    )

    assert table.get_item(Key={"profile_id": "p"})["Item"] == {"profile_id": "p", "count": 3, "on": True}
    assert requests == []


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda d: d.put_item(TableName="heads", Item=ITEM, **OLD_VERSION), "ConditionalCheckFailedException"),
        (lambda d: d.get_item(TableName="none", Key={"profile_id": {"S": "p"}}), "ResourceNotFoundException"),
        (lambda d: d.put_item(TableName="heads", Item={"profile_id": {"S": ""}}), "ValidationException"),
        (lambda d: d.put_item(TableName="heads", Item={"profile_id": {"N": "1"}}), "ValidationException"),
        (
            lambda d: d.transact_write_items(
                TransactItems=[{"Put": {"TableName": "heads", "Item": ITEM, **OLD_VERSION}}]
            ),
            "TransactionCanceledException",
        ),
    ],
)
def test_errors_are_the_long_way_s(dynamodb: Any, call: Callable[[Any], object], code: str) -> None:
    dynamodb.put_item(TableName="heads", Item=ITEM)

    with pytest.raises(ClientError) as caught:
        call(dynamodb)

    assert caught.value.response["Error"]["Code"] == code
    assert isinstance(caught.value, dynamodb.exceptions.from_code(code))


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize(
    "wrong",
    [
        {"Item": {"profile_id": {"S": "p"}, "version": {"N": 7}}},
        {"Item": {"profile_id": {"S": "p"}, "body": {"B": 7}}},
        {"Item": {"profile_id": {"S": "p"}}, "Condition": "version = :v"},
        {},
    ],
)
def test_what_botocore_refuses_is_still_refused(dynamodb: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        dynamodb.put_item(TableName="heads", **wrong)


@pytest.mark.usefixtures("direct")
def test_attributes_called_like_types_are_attributes(dynamodb: Any) -> None:
    item = {"profile_id": {"S": "p"}, "odd": {"M": {"S": {"N": "1"}}}, "M": {"M": {"B": {"B": b"b"}}}}

    dynamodb.put_item(TableName="heads", Item=item)

    assert dynamodb.get_item(TableName="heads", Key={"profile_id": {"S": "p"}})["Item"] == item


@pytest.mark.usefixtures("direct")
def test_an_item_that_was_read_is_the_readers_own(dynamodb: Any) -> None:
    given: dict[str, Any] = {"profile_id": {"S": "p"}, "tags": {"SS": ["a"]}}
    dynamodb.put_item(TableName="heads", Item=given)
    given["tags"]["SS"].append("b")

    read = dynamodb.get_item(TableName="heads", Key={"profile_id": {"S": "p"}})["Item"]
    read["tags"]["SS"].append("c")

    assert dynamodb.get_item(TableName="heads", Key={"profile_id": {"S": "p"}})["Item"]["tags"] == {"SS": ["a"]}


@pytest.mark.usefixtures("direct", "dynamodb")
def test_a_client_of_another_endpoint_is_left_alone() -> None:
    elsewhere = boto3.client("dynamodb", region_name=REGION, endpoint_url="http://127.0.0.1:9/")
    elsewhere.meta.events.register("before-send", lambda **_: pytest.fail("reached"))
    requests = watched(elsewhere)

    with pytest.raises(pytest.fail.Exception, match="reached"):
        elsewhere.get_item(TableName="heads", Key={"profile_id": {"S": "p"}})

    assert requests == ["request-created.dynamodb.GetItem"]
