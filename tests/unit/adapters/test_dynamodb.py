"""What the DynamoDB adapters make of throttles, partial answers and cancelled transactions."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.stub import ANY, Stubber

from onefold.adapters import aws_requests, dynamodb_fragments
from onefold.adapters.aws_requests import ATTEMPTS_MAX, client_config, side_by_side
from onefold.adapters.compression import pack
from onefold.adapters.dynamodb_batches import read_items, write_items
from onefold.adapters.dynamodb_fragments import INSERT, PASSING_CODES, DynamoDbFragments
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


def test_f28_what_a_read_leaves_unprocessed_is_asked_for_again(client: Any, stub: Stubber, pauses: list[float]) -> None:
    """A batched read answers a part and names the rest as UnprocessedKeys."""
    left = {"t": {"Keys": [item(1), item(2)], "ConsistentRead": True}}
    stub.add_response("batch_get_item", {"Responses": {"t": [item(0)]}, "UnprocessedKeys": left}, keys_request(0, 1, 2))
    stub.add_response("batch_get_item", {"Responses": {"t": [item(2)]}}, keys_request(1, 2))

    assert set(read(client, 3)) == {"0", "2"}
    assert len(pauses) == 1


def test_f28_a_read_that_brings_nothing_is_given_up_after_a_bound(client: Any, stub: Stubber) -> None:
    left = {"t": {"Keys": [item(0)]}}
    for _ in range(ATTEMPTS_MAX):
        stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": left})

    with pytest.raises(Unavailable):
        read(client, 1)


def test_a_read_takes_a_hundred_keys_a_call(client: Any, stub: Stubber) -> None:
    for part in (range(100), range(100, 200), range(200, 201)):
        stub.add_response("batch_get_item", {"Responses": {"t": [item(each) for each in part]}}, keys_request(*part))

    assert len(read(client, 201)) == 201


def test_f28_what_a_write_leaves_unprocessed_is_written_again(client: Any, stub: Stubber) -> None:
    """A batched write takes a part and names the rest as UnprocessedItems."""
    puts = [{"PutRequest": {"Item": item(number)}} for number in range(3)]
    stub.add_response("batch_write_item", {"UnprocessedItems": {"t": puts[1:]}}, {"RequestItems": {"t": puts}})
    stub.add_response("batch_write_item", {"UnprocessedItems": {}}, {"RequestItems": {"t": puts[1:]}})

    write_items(client, "t", [item(number) for number in range(3)])


def test_f28_a_write_that_gets_nowhere_is_given_up_after_a_bound(client: Any, stub: Stubber) -> None:
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

    monkeypatch.setattr(client, "batch_execute_statement", fail)

    outcome = DynamoDbFragments(client, "fragments").write([StoredFragment("a|"), StoredFragment("b|")])

    assert {key: type(reason) for key, reason in outcome.items()} == {"a|": Unavailable, "b|": Unavailable}


def answers(stub: Stubber, *codes: str | None, statements: Any = ANY) -> None:
    """One answer to a batch of statements: what became of each, None for written."""
    written: list[dict[str, Any]] = [
        {"TableName": "fragments"} if code is None else {"Error": {"Code": code, "Message": "as it is"}}
        for code in codes
    ]
    stub.add_response("batch_execute_statement", {"Responses": written}, {"Statements": statements})


def write(client: Any, *keys: str) -> dict[str, type[Unavailable]]:
    outcome = DynamoDbFragments(client, "fragments").write([StoredFragment(key) for key in keys])
    return {key: type(reason) for key, reason in outcome.items()}


def insert(key: str) -> dict[str, Any]:
    parameters = [{"S": key}, {"B": pack(NEW_FRAGMENT)}, {"S": ""}, {"N": "1"}]
    return {"Statement": INSERT.format("fragments"), "Parameters": parameters}


def test_a_fragments_first_write_and_the_next_have_their_conditions(client: Any, stub: Stubber) -> None:
    key, state, cursor = {"S": "a|"}, {"B": pack(NEW_FRAGMENT)}, {"S": "9"}
    first = {
        "Statement": """INSERT INTO "fragments" VALUE {'fragment_key': ?, 'state': ?, 'cursor': ?, 'version': ?}""",
        "Parameters": [key, state, cursor, {"N": "1"}],
    }
    second = {
        "Statement": """UPDATE "fragments" SET "state" = ? SET "cursor" = ? SET "version" = ? """
        """WHERE "fragment_key" = ? AND "version" = ?""",
        "Parameters": [state, cursor, {"N": "2"}, key, {"N": "1"}],
    }
    answers(stub, None, statements=[first])
    answers(stub, None, statements=[second])

    for version in (0, 1):
        assert DynamoDbFragments(client, "fragments").write([StoredFragment("a|", NEW_FRAGMENT, "9", version)]) == {}


@pytest.mark.parametrize("code", ["ConditionalCheckFailed", "DuplicateItem"])
def test_f22_a_fragment_that_another_writer_changed_is_a_conflict_and_the_others_are_written(
    client: Any, stub: Stubber, code: str, pauses: list[float]
) -> None:
    """Two writers of one fragment: who comes second is told so, and is not tried again with what it read."""
    answers(stub, None, code, None)

    assert write(client, "a|", "b|", "c|") == {"b|": VersionConflict}
    assert pauses == []


@pytest.mark.parametrize("code", sorted(PASSING_CODES))
def test_f27_only_the_statements_that_were_throttled_are_sent_again(
    client: Any, stub: Stubber, code: str, pauses: list[float]
) -> None:
    """A throttled table, partition or index: within one answer some fragments are written and others are not."""
    answers(stub, None, code, "ConditionalCheckFailed", code)
    answers(stub, None, None, statements=[insert("b|"), insert("d|")])

    assert write(client, "a|", "b|", "c|", "d|") == {"c|": VersionConflict}
    assert len(pauses) == 1


def test_f27_a_fragment_that_stays_throttled_fails_its_records_alone(client: Any, stub: Stubber) -> None:
    """A throttle without end: the fragment is reported as unavailable after a bound, the others are written."""
    answers(stub, None, "ThrottlingError")
    for _ in range(ATTEMPTS_MAX - 1):
        answers(stub, "ThrottlingError", statements=[insert("b|")])

    assert write(client, "a|", "b|") == {"b|": Unavailable}


def test_f27_a_request_that_is_throttled_whole_fails_all_its_fragments(client: Any, stub: Stubber) -> None:
    """The request itself is refused: nothing of it was written, and everything of it comes again."""
    stub.add_client_error("batch_execute_statement", "ThrottlingException")

    assert write(client, "a|", "b|") == {"a|": Unavailable, "b|": Unavailable}


@pytest.mark.parametrize("code", ["ValidationError", "AccessDenied", "ResourceNotFound", "SomethingNew"])
def test_a_statement_that_fails_for_another_reason_is_a_defect(client: Any, stub: Stubber, code: str) -> None:
    answers(stub, None, code)

    with pytest.raises(ClientError, match=code):
        write(client, "a|", "b|")


def test_a_request_takes_25_statements_and_a_bound_of_bytes(
    client: Any, stub: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_requests, "CONCURRENCY_MAX", 1)
    keys = [f"{number}|" for number in range(30)]
    answers(stub, *[None] * 25, statements=[insert(key) for key in keys[:25]])
    answers(stub, *[None] * 5, statements=[insert(key) for key in keys[25:]])

    assert write(client, *keys) == {}

    monkeypatch.setattr(dynamodb_fragments, "REQUEST_BYTES_MAX", 2 * len(pack(NEW_FRAGMENT)) + 1)
    for first in (0, 2):
        answers(stub, None, None, statements=[insert(key) for key in keys[first : first + 2]])
    answers(stub, None, statements=[insert(keys[4])])

    assert write(client, *keys[:5]) == {}


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


@pytest.mark.parametrize("other", ["None", "TransactionConflict", "ThrottlingError"])
def test_f23_a_failed_condition_is_a_conflict_whatever_else_went_wrong(
    client: Any, stub: Stubber, other: str, pauses: list[float]
) -> None:
    """A transaction that is cancelled for mixed reasons: one failed condition decides, it is not sent again."""
    cancelled(stub, other, "ConditionalCheckFailed")

    with pytest.raises(VersionConflict):
        commit(client)
    assert pauses == []


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_f23_a_collision_is_tried_again(client: Any, stub: Stubber, pauses: list[float], code: str) -> None:
    cancelled(stub, "None", code)
    stub.add_response("transact_write_items", {}, {"TransactItems": ANY})

    commit(client)

    assert len(pauses) == 1


def test_f23_a_collision_without_end_is_unavailable(client: Any, stub: Stubber) -> None:
    for _ in range(ATTEMPTS_MAX):
        cancelled(stub, "None", "TransactionConflict")

    with pytest.raises(Unavailable) as raised:
        commit(client)

    assert type(raised.value) is Unavailable


@pytest.mark.parametrize("code", ["ValidationError", "ItemCollectionSizeLimitExceeded"])
def test_f23_any_other_reason_is_a_defect(client: Any, stub: Stubber, code: str) -> None:
    cancelled(stub, "None", code)

    with pytest.raises(ClientError):
        commit(client)


def test_f23_a_transaction_that_is_still_running_is_unavailable(client: Any, stub: Stubber) -> None:
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
