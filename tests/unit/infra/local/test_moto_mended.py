"""For each defect a test that fails on an unpatched moto, and tests of the patches themselves."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import moto
import pytest
from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import StreamShard
from moto.kinesis.models import Record, kinesis_backends
from moto.sqs.models import Message, sqs_backends

from infra.local import moto_direct, moto_mended
from tests.unit.infra.local.conftest import REGION, Clients

THREADS = 8
ATTEMPTS = 12


@pytest.fixture
def dawdling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moto rests between a check and the write that relies on it, so that a race shows itself in every run."""

    def dawdle(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def slow(*args: Any, **kwargs: Any) -> Any:
            time.sleep(0.001)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, slow)

    class SlowCondition:
        def __init__(self, *args: Any) -> None:
            self.condition = get_filter_expression(*args)

        def expr(self, item: Any) -> bool:
            holds: bool = self.condition.expr(item)
            time.sleep(0.001)
            return holds

    for module in ("moto.dynamodb.models", "moto.dynamodb.models.table", "infra.local.moto_mended_dynamodb"):
        monkeypatch.setattr(f"{module}.get_filter_expression", SlowCondition)
    dawdle(Record, "__init__")
    dawdle(Message, "mark_received")


@pytest.fixture(params=["long way", "direct"])
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "direct":
        moto_direct.install()
    yield request.param
    moto_direct.remove()


def key(profile_id: str = "p") -> dict[str, Any]:
    return {"profile_id": {"S": profile_id}}


def code(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


def in_threads(work: Callable[[int], int]) -> int:
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(work, range(THREADS)))


def heads_table() -> Any:
    return dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables["heads"]


def stream_records() -> list[dict[str, Any]]:
    return [record.record for record in heads_table().stream_shard.items]


def put_if_version(client: Any, version: int) -> bool:
    try:
        client.put_item(
            TableName="heads",
            Item={**key(), "version": {"N": str(version + 1)}},
            ConditionExpression="version = :v",
            ExpressionAttributeValues={":v": {"N": str(version)}},
        )
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def put_if_absent(profile_id: str) -> dict[str, Any]:
    condition = {"ConditionExpression": "attribute_not_exists(profile_id)"}
    return {"Put": {"TableName": "heads", "Item": key(profile_id), **condition}}


@pytest.mark.usefixtures("dawdling")
def test_optimistic_writers_lose_nothing(dynamodb: Any, path: str) -> None:
    dynamodb.put_item(TableName="heads", Item={**key(), "version": {"N": "0"}})

    def work(_: int) -> int:
        successes = 0
        for _ in range(ATTEMPTS):
            item = dynamodb.get_item(TableName="heads", Key=key(), ConsistentRead=True)["Item"]
            successes += put_if_version(dynamodb, int(item["version"]["N"]))
        return successes

    successes = in_threads(work)

    assert dynamodb.get_item(TableName="heads", Key=key())["Item"]["version"]["N"] == str(successes)
    assert successes >= ATTEMPTS


@pytest.mark.usefixtures("dawdling")
def test_of_many_claims_one_wins(dynamodb: Any, path: str) -> None:
    def work(_: int) -> int:
        wins = 0
        for attempt in range(ATTEMPTS):
            try:
                dynamodb.transact_write_items(TransactItems=[put_if_absent(f"claim-{attempt}")])
                wins += 1
            except dynamodb.exceptions.TransactionCanceledException:
                continue
        return wins

    assert in_threads(work) == ATTEMPTS


def test_a_failed_transaction_leaves_the_table_alone(dynamodb: Any) -> None:
    dynamodb.put_item(TableName="heads", Item=key("taken"))
    table, records = heads_table(), len(stream_records())

    items = [put_if_absent("new"), put_if_absent("taken")]
    refused = code(lambda: dynamodb.transact_write_items(TransactItems=items))

    assert refused == "TransactionCanceledException"
    assert heads_table() is table  # not a copy, which would lack what others have written meanwhile
    assert "Item" not in dynamodb.get_item(TableName="heads", Key=key("new"))
    assert len(stream_records()) == records


def test_a_transaction_that_fails_while_it_writes_is_undone(dynamodb: Any) -> None:
    dynamodb.put_item(TableName="heads", Item={**key("a"), "count": {"N": "1"}})
    dynamodb.put_item(TableName="heads", Item={**key("b"), "count": {"S": "text"}})
    records = len(stream_records())

    def increment(profile_id: str) -> dict[str, Any]:
        update = {"UpdateExpression": "ADD #c :one", "ExpressionAttributeNames": {"#c": "count"}}
        values = {"ExpressionAttributeValues": {":one": {"N": "1"}}}
        return {"Update": {"TableName": "heads", "Key": key(profile_id), **update, **values}}

    items = [increment("a"), increment("b")]
    assert code(lambda: dynamodb.transact_write_items(TransactItems=items)) == "ValidationException"
    assert dynamodb.get_item(TableName="heads", Key=key("a"))["Item"]["count"] == {"N": "1"}
    assert len(stream_records()) == records


def test_a_cancelled_transaction_names_each_reason(dynamodb: Any) -> None:
    dynamodb.put_item(TableName="heads", Item={**key("taken"), "version": {"N": "3"}})
    taken = put_if_absent("taken")
    taken["Put"]["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"

    with pytest.raises(ClientError) as caught:
        dynamodb.transact_write_items(TransactItems=[put_if_absent("new"), taken])

    reasons: Any = caught.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"]
    assert reasons[1]["Item"]["version"] == {"N": "3"}
    doubled = [put_if_absent("same"), put_if_absent("same")]
    assert code(lambda: dynamodb.transact_write_items(TransactItems=doubled)) == "ValidationException"


def test_a_failed_update_changes_nothing(dynamodb: Any) -> None:
    dynamodb.put_item(TableName="heads", Item={**key(), "a": {"S": "old"}, "b": {"S": "text"}})
    records = len(stream_records())

    def update() -> object:
        values = {":a": {"S": "new"}, ":one": {"N": "1"}}
        expression = "SET a = :a ADD b :one"
        return dynamodb.update_item(
            TableName="heads", Key=key(), UpdateExpression=expression, ExpressionAttributeValues=values
        )

    assert code(update) == "ValidationException"
    assert dynamodb.get_item(TableName="heads", Key=key())["Item"]["a"] == {"S": "old"}
    assert len(stream_records()) == records


def test_an_update_that_creates_is_one_insert(dynamodb: Any) -> None:
    expression = {"UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {":v": {"S": "x"}}}
    dynamodb.update_item(TableName="heads", Key=key(), **expression)

    assert [record["eventName"] for record in stream_records()] == ["INSERT"]
    assert stream_records()[0]["dynamodb"]["NewImage"] == {**key(), "a": {"S": "x"}}
    assert stream_records()[0]["awsRegion"] == REGION


def test_a_put_that_changes_nothing_is_no_change(dynamodb: Any) -> None:
    for body in (b"1", b"1", b"2"):
        dynamodb.put_item(TableName="heads", Item={**key(), "body": {"B": body}})

    assert [record["eventName"] for record in stream_records()] == ["INSERT", "MODIFY"]


def test_stream_sequence_numbers_grow_from_start_to_start(dynamodb: Any) -> None:
    table = heads_table()

    assert StreamShard(DEFAULT_ACCOUNT_ID, table).starting_sequence_number > table.stream_shard.starting_sequence_number


def test_more_than_25_batch_writes_are_refused(dynamodb: Any) -> None:
    def write(count: int) -> object:
        items = [{"fragment_key": {"S": "f"}, "sequence": {"S": str(number)}} for number in range(count)]
        return dynamodb.batch_write_item(RequestItems={"timeline": [{"PutRequest": {"Item": item}} for item in items]})

    write(25)
    assert code(lambda: write(26)) == "ValidationException"


def test_a_query_looks_at_one_partition(dynamodb: Any) -> None:
    for sequence in ("2", "1", "3"):
        dynamodb.put_item(TableName="timeline", Item={"fragment_key": {"S": "f"}, "sequence": {"S": sequence}})
    table = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables["timeline"]
    poison: Any = None
    table.items[DynamoType({"S": "other"})] = poison  # whoever looks at it fails

    found = dynamodb.query(
        TableName="timeline",
        KeyConditionExpression="fragment_key = :f AND #s > :s",
        ExpressionAttributeNames={"#s": "sequence"},
        ExpressionAttributeValues={":f": {"S": "f"}, ":s": {"S": "1"}},
    )

    assert [item["sequence"]["S"] for item in found["Items"]] == ["2", "3"]


class NotWalked(OrderedDict[int, Record]):
    """A shard's records that may be looked up but not walked."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("the whole shard was walked")

    keys = items = values = __iter__  # type: ignore[assignment]


def test_kinesis_puts_and_reads_do_not_walk_the_shard(clients: Clients) -> None:
    kinesis = clients("kinesis")
    kinesis.create_stream(StreamName="events", ShardCount=1)
    shard = kinesis_backends[DEFAULT_ACCOUNT_ID][REGION].streams["events"].shards["shardId-000000000000"]
    shard.records = NotWalked()
    numbers = [shard.put_record("key", "ZGF0YQ==", "") for _ in range(5)]

    records, last, _ = shard.get_records(numbers[1], 2)

    assert [str(record.sequence_number) for record in records] == numbers[2:4]
    assert str(last) == numbers[3]
    assert str(shard.get_max_sequence_number()) == numbers[4]


def test_kinesis_sequence_numbers_grow_from_start_to_start(clients: Clients) -> None:
    kinesis = clients("kinesis")
    numbers = []
    for _ in range(2):
        kinesis.create_stream(StreamName="events", ShardCount=1)
        for _ in range(2):
            put = kinesis.put_record(StreamName="events", PartitionKey="key", Data=b"data")
            numbers.append(put["SequenceNumber"])
        kinesis.delete_stream(StreamName="events")

    assert numbers == sorted(set(numbers))  # as text: all have the same length
    assert {len(number) for number in numbers} == {56}


def test_kinesis_finds_records_that_were_put_back_from_a_folder(clients: Clients) -> None:
    kinesis = clients("kinesis")
    kinesis.create_stream(StreamName="events", ShardCount=1)
    shard = kinesis_backends[DEFAULT_ACCOUNT_ID][REGION].streams["events"].shards["shardId-000000000000"]
    old = 49 * 10**54
    shard.records[old] = Record("key", "ZGF0YQ==", old, "")

    new = int(shard.put_record("key", "ZGF0YQ==", ""))

    assert [record.sequence_number for record in shard.get_records("0", None)[0]] == [old, new]


@pytest.mark.usefixtures("dawdling")
def test_kinesis_loses_no_record_of_many_writers(clients: Clients, path: str) -> None:
    kinesis = clients("kinesis")
    kinesis.create_stream(StreamName="events", ShardCount=1)
    records = [{"PartitionKey": "key", "Data": b"data"}] * 5

    def work(_: int) -> int:
        return sum(len(kinesis.put_records(StreamName="events", Records=records)["Records"]) for _ in range(3))

    sent = in_threads(work)

    shard = kinesis_backends[DEFAULT_ACCOUNT_ID][REGION].streams["events"].shards["shardId-000000000000"]
    assert len(shard.records) == sent == THREADS * 3 * 5


class NotCounted(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("the whole queue was counted")


def test_sqs_sends_without_counting_the_queue(clients: Clients) -> None:
    sqs = clients("sqs")
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    queue = sqs_backends[DEFAULT_ACCOUNT_ID][REGION].queues["work"]
    queue._messages = NotCounted()

    sqs.send_message(QueueUrl=url, MessageBody="1")
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "2", "MessageBody": "2"}])

    assert len(queue._messages) == 2


def test_sqs_deletes_in_place(clients: Clients) -> None:
    sqs = clients("sqs")
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    for body in ("1", "2"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    queue = sqs_backends[DEFAULT_ACCOUNT_ID][REGION].queues["work"]
    messages = queue._messages

    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    assert queue._messages is messages
    assert [left.body for left in messages] == [{"1", "2"}.difference({message["Body"]}).pop()]
    assert code(lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle="no")) == "ReceiptHandleIsInvalid"


@pytest.mark.usefixtures("dawdling")
def test_sqs_gives_a_message_to_one_receiver(clients: Clients) -> None:
    sqs = clients("sqs")
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    for batch in range(6):
        entries = [{"Id": str(number), "MessageBody": f"{batch}-{number}"} for number in range(10)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    bodies: list[str] = []

    def work(_: int) -> int:
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=3).get("Messages"):
            bodies.extend(message["Body"] for message in messages)
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return 0

    in_threads(work)

    assert sorted(bodies) == sorted(f"{batch}-{number}" for batch in range(6) for number in range(10))


def test_sqs_waits_without_keeping_senders_out(clients: Clients) -> None:
    sqs = clients("sqs")
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    sender = threading.Timer(0.1, lambda: sqs.send_message(QueueUrl=url, MessageBody="late"))
    sender.start()

    started_s = time.monotonic()
    received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)
    sender.join()

    assert [message["Body"] for message in received["Messages"]] == ["late"]
    assert time.monotonic() - started_s < 5


def test_a_bucket_policy_is_read_with_its_conditions(clients: Clients) -> None:
    s3 = clients("s3")
    s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    template = (
        '{"Statement": [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*",'
        ' "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/*"],'
        ' "Condition": {"Bool": {"aws:SecureTransport": "SECURE"}}}]}'
    )

    s3.put_bucket_policy(Bucket="lake", Policy=template.replace("SECURE", "false"))
    s3.put_object(Bucket="lake", Key="raw/a", Body=b"a")
    s3.put_bucket_policy(Bucket="lake", Policy=template.replace("SECURE", "true"))

    assert code(lambda: s3.put_object(Bucket="lake", Key="raw/b", Body=b"b")) in ("403", "AccessDenied")


def test_moto_keeps_no_model_object_alive() -> None:
    before = len(Record.instances_tracked)  # type: ignore[attr-defined]
    Record("key", "ZGF0YQ==", 1, "")

    assert len(Record.instances_tracked) == before  # type: ignore[attr-defined]


def test_another_moto_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moto, "__version__", "5.3.0")

    with pytest.raises(moto_mended.MotoVersionError, match=r"5\.3\.0 .* 5\.2\.5"):
        moto_mended.install()
