"""What the DynamoDB adapters make of throttles, partial answers and cancelled transactions."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.stub import ANY, Stubber

from onefold.adapters.aws_requests import ATTEMPTS_MAX, client_config, side_by_side
from onefold.adapters.compression import pack
from onefold.adapters.dynamodb_batches import read_items, write_items
from onefold.adapters.dynamodb_fragments import DynamoDbFragments
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.domain.errors import Unavailable, VersionConflict
from onefold.domain.fragment import NEW_FRAGMENT, StoredFragment
from onefold.domain.head import Head
from onefold.domain.identity import GraphChanges


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


@pytest.fixture
def client() -> Any:
    return boto3.client(
        "dynamodb", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x", config=client_config()
    )


@pytest.fixture
def stub(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def item(number: int) -> dict[str, Any]:
    return {"key": {"S": str(number)}}


def read(client: Any, count: int) -> dict[str, Any]:
    return read_items(client, "t", "key", [str(number) for number in range(count)], is_consistent=True)


def keys_request(*numbers: int) -> dict[str, Any]:
    return {"RequestItems": {"t": {"Keys": [item(number) for number in numbers], "ConsistentRead": True}}}


def test_what_a_read_leaves_unprocessed_is_asked_for_again(client: Any, stub: Stubber, pauses: list[float]) -> None:
    left = {"t": {"Keys": [item(1), item(2)], "ConsistentRead": True}}
    stub.add_response("batch_get_item", {"Responses": {"t": [item(0)]}, "UnprocessedKeys": left}, keys_request(0, 1, 2))
    stub.add_response("batch_get_item", {"Responses": {"t": [item(2)]}}, keys_request(1, 2))

    assert set(read(client, 3)) == {"0", "2"}
    assert len(pauses) == 1


def test_a_read_that_brings_nothing_is_given_up_after_a_bound(client: Any, stub: Stubber) -> None:
    left = {"t": {"Keys": [item(0)]}}
    for _ in range(ATTEMPTS_MAX):
        stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": left})

    with pytest.raises(Unavailable):
        read(client, 1)


def test_a_read_takes_a_hundred_keys_a_call(client: Any, stub: Stubber) -> None:
    for part in (range(100), range(100, 200), range(200, 201)):
        stub.add_response("batch_get_item", {"Responses": {"t": [item(each) for each in part]}}, keys_request(*part))

    assert len(read(client, 201)) == 201


def test_what_a_write_leaves_unprocessed_is_written_again(client: Any, stub: Stubber) -> None:
    puts = [{"PutRequest": {"Item": item(number)}} for number in range(3)]
    stub.add_response("batch_write_item", {"UnprocessedItems": {"t": puts[1:]}}, {"RequestItems": {"t": puts}})
    stub.add_response("batch_write_item", {"UnprocessedItems": {}}, {"RequestItems": {"t": puts[1:]}})

    write_items(client, "t", [item(number) for number in range(3)])


def test_a_write_that_gets_nowhere_is_given_up_after_a_bound(client: Any, stub: Stubber) -> None:
    puts = [{"PutRequest": {"Item": item(0)}}]
    for _ in range(ATTEMPTS_MAX):
        stub.add_response("batch_write_item", {"UnprocessedItems": {"t": puts}})

    with pytest.raises(Unavailable):
        write_items(client, "t", [item(0)])


@pytest.mark.parametrize(
    ("code", "status", "raised"),
    [
        ("ProvisionedThroughputExceededException", 400, Unavailable),
        ("ThrottlingException", 400, Unavailable),
        ("RequestLimitExceeded", 400, Unavailable),
        ("InternalServerError", 500, Unavailable),
        ("SomethingNew", 503, Unavailable),
        ("AccessDeniedException", 400, ClientError),
        ("ValidationException", 400, ClientError),
        ("ResourceNotFoundException", 400, ClientError),
    ],
)
def test_only_what_may_pass_is_unavailable(
    client: Any, stub: Stubber, code: str, status: int, raised: type[Exception]
) -> None:
    stub.add_client_error("batch_get_item", code, http_status_code=status)

    with pytest.raises(raised):
        read(client, 1)


@pytest.mark.parametrize("lost", [EndpointConnectionError(endpoint_url="x"), ReadTimeoutError(endpoint_url="x")])
def test_a_lost_connection_is_unavailable(client: Any, monkeypatch: pytest.MonkeyPatch, lost: Exception) -> None:
    def fail(**_: Any) -> None:
        raise lost

    monkeypatch.setattr(client, "put_item", fail)

    outcome = DynamoDbFragments(client, "fragments").write([StoredFragment("a|")])

    assert type(outcome["a|"]) is Unavailable


@pytest.mark.parametrize(
    ("code", "reason"),
    [("ConditionalCheckFailedException", VersionConflict), ("ThrottlingException", Unavailable)],
)
def test_a_fragment_that_is_not_written_says_why(
    client: Any, stub: Stubber, code: str, reason: type[Unavailable]
) -> None:
    stub.add_client_error("put_item", code)

    outcome = DynamoDbFragments(client, "fragments").write([StoredFragment("a|")])

    assert type(outcome["a|"]) is reason


def test_a_fragments_first_write_and_the_next_have_their_conditions(client: Any, stub: Stubber) -> None:
    state = {"B": pack(NEW_FRAGMENT)}
    first = {
        "TableName": "fragments",
        "Item": {"fragment_key": {"S": "a|"}, "state": state, "cursor": {"S": "9"}, "version": {"N": "1"}},
        "ConditionExpression": "attribute_not_exists(#key)",
        "ExpressionAttributeNames": {"#key": "fragment_key"},
    }
    second = {
        "TableName": "fragments",
        "Item": {"fragment_key": {"S": "a|"}, "state": state, "cursor": {"S": "9"}, "version": {"N": "2"}},
        "ConditionExpression": "#version = :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":version": {"N": "1"}},
    }
    for expected in (first, second):
        stub.add_response("put_item", {}, expected)

    for version in (0, 1):
        assert DynamoDbFragments(client, "fragments").write([StoredFragment("a|", NEW_FRAGMENT, "9", version)]) == {}


def cancelled(stub: Stubber, *codes: str) -> None:
    stub.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        modeled_fields={"CancellationReasons": [{"Code": code} for code in codes]},
        response_meta={},
        http_status_code=400,
    )


def commit(client: Any) -> None:
    DynamoDbGraph(client, "identities", "heads").commit(GraphChanges((Head("p_1", 1), Head("p_2", 1)), {}))


def test_a_failed_condition_is_a_conflict_whatever_else_went_wrong(client: Any, stub: Stubber) -> None:
    cancelled(stub, "TransactionConflict", "ConditionalCheckFailed")

    with pytest.raises(VersionConflict):
        commit(client)


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_collision_is_tried_again(client: Any, stub: Stubber, pauses: list[float], code: str) -> None:
    cancelled(stub, "None", code)
    stub.add_response("transact_write_items", {}, {"TransactItems": ANY})

    commit(client)

    assert len(pauses) == 1


def test_a_collision_without_end_is_unavailable(client: Any, stub: Stubber) -> None:
    for _ in range(ATTEMPTS_MAX):
        cancelled(stub, "None", "TransactionConflict")

    with pytest.raises(Unavailable) as raised:
        commit(client)

    assert type(raised.value) is Unavailable


@pytest.mark.parametrize("code", ["ValidationError", "ItemCollectionSizeLimitExceeded"])
def test_any_other_reason_is_a_defect(client: Any, stub: Stubber, code: str) -> None:
    cancelled(stub, "None", code)

    with pytest.raises(ClientError):
        commit(client)


def test_a_transaction_that_is_still_running_is_unavailable(client: Any, stub: Stubber) -> None:
    stub.add_client_error("transact_write_items", "TransactionInProgressException")

    with pytest.raises(Unavailable):
        commit(client)


def test_calls_side_by_side_keep_their_order_and_raise_the_first_failure() -> None:
    assert side_by_side(lambda number: number * 2, range(50)) == list(range(0, 100, 2))

    done: list[int] = []

    def fail_at(bad: int) -> Callable[[int], None]:
        def call(number: int) -> None:
            done.append(number)
            if number == bad:
                raise KeyError(number)

        return call

    with pytest.raises(KeyError):
        side_by_side(fail_at(3), range(40))
    assert sorted(done) == list(range(40)), "the others are not abandoned half-way"
