import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest

from infra.local import functions
from infra.local.assembly import TemplateError
from infra.local.event_records import failed_identifiers
from infra.local.runtime import LocalRuntime
from tests.unit.infra.local.small_stacks import Resources, arn, function, lines, mapping, resource, runtime_of

STREAM = {"Stream": resource("Kinesis::Stream", Name="stream", ShardCount=1)}
SPOOL = {"Spool": resource("S3::Bucket", BucketName="spool")}
PRINT_DATA = """
import base64, json
def handle(event, context):
    print(json.dumps([base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]))
"""
PARTIAL = ["ReportBatchItemFailures"]


def stream_runtime(
    folder: Path, source: str, *extra: Resources, time_scale: float = 0.001, **properties: Any
) -> LocalRuntime:
    """A function `eat` on a stream of one shard; it may do everything."""
    resources = {**STREAM, **SPOOL, **function("eat", "*"), **mapping("eat", arn("Stream"), **properties)}
    for more in extra:
        resources |= more
    return runtime_of(folder, resources, {"eat": source}, time_scale=time_scale)


def put(runtime: LocalRuntime, *records: tuple[str, str]) -> None:
    entries = [{"PartitionKey": key, "Data": data.encode()} for key, data in records]
    runtime.client("kinesis").put_records(StreamName="stream", Records=entries)


def failures(runtime: LocalRuntime) -> list[dict[str, Any]]:
    s3 = runtime.client("s3")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="spool").get("Contents", [])]
    return [json.loads(s3.get_object(Bucket="spool", Key=key)["Body"].read()) for key in keys]


def data_of(failure: dict[str, Any]) -> list[str]:
    records = json.loads(failure["payload"])["Records"]
    return [base64.b64decode(record["kinesis"]["data"]).decode() for record in records]


def test_f20_a_partition_key_keeps_its_order_under_parallelization(tmp_path: Path) -> None:
    """Several invocations of one shard at a time."""
    with stream_runtime(tmp_path, PRINT_DATA, BatchSize=7, ParallelizationFactor=4) as runtime:
        put(runtime, *((f"key{number % 10}", f"{number % 10}:{number:03}") for number in range(200)))
        assert runtime.drain(5)
        eaten = [data for batch in lines(runtime, "eat") for data in batch]

    assert sorted(eaten) == sorted(f"{number % 10}:{number:03}" for number in range(200))
    for key in range(10):
        own = [data for data in eaten if data.startswith(f"{key}:")]
        assert own == sorted(own)


def test_a_kinesis_record_looks_as_in_lambda(tmp_path: Path) -> None:
    source = "import json\ndef handle(event, context):\n    print(json.dumps(event))\n"
    with stream_runtime(tmp_path, source) as runtime:
        put(runtime, ("device", "hello"))
        assert runtime.drain(5)
        ((event,),) = (lines(runtime, "eat"),)

    (record,) = event["Records"]
    sequence = record["kinesis"].pop("sequenceNumber")
    assert len(sequence) == 56
    assert abs(record["kinesis"].pop("approximateArrivalTimestamp") - time.time()) < 60
    assert record == {
        "kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": "device", "data": "aGVsbG8="},
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{sequence}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/" + record["invokeIdentityArn"].rpartition("/")[2],
        "awsRegion": "eu-central-1",
        "eventSourceARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/stream",
    }


def test_f13_a_batch_restarts_at_the_lowest_failed_record(tmp_path: Path) -> None:
    """A failure in the middle: what succeeded after it is delivered again."""
    source = (
        PRINT_DATA
        + """
    if not tried:
        tried.append(True)
        return {"batchItemFailures": [{"itemIdentifier": event["Records"][index]["kinesis"]["sequenceNumber"]}
                                      for index in (4, 2, 3)]}
tried = []
"""
    )
    with stream_runtime(tmp_path, source, FunctionResponseTypes=PARTIAL, MaximumRetryAttempts=0) as runtime:
        put(runtime, *(("key", str(number)) for number in range(6)))
        assert runtime.drain(5)

        assert lines(runtime, "eat") == [["0", "1", "2", "3", "4", "5"], ["2", "3", "4", "5"]]


@pytest.mark.parametrize("manner", ["raise", "report"])
def test_f17_bisect_isolates_one_poison_record(tmp_path: Path, manner: str) -> None:
    """A record that ends every invocation is set aside alone, whole, in S3."""
    report = "return {'batchItemFailures': [{'itemIdentifier': record['kinesis']['sequenceNumber']}]}"
    source = f"""
import base64
def handle(event, context):
    for record in event["Records"]:
        data = base64.b64decode(record["kinesis"]["data"]).decode()
        if data == "poison":
            {"raise ValueError(data)" if manner == "raise" else report}
        if data not in seen:
            seen.add(data)
            print(f'"{{data}}"')
seen = set()
"""
    with stream_runtime(
        tmp_path,
        source,
        BatchSize=100,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=2,
        FunctionResponseTypes=PARTIAL,
        DestinationConfig={"OnFailure": {"Destination": arn("Spool")}},
    ) as runtime:
        put(runtime, *(("key", "poison" if number == 23 else str(number)) for number in range(40)))
        assert runtime.drain(10)
        eaten, (failure,) = lines(runtime, "eat"), failures(runtime)

    assert eaten == [str(number) for number in range(40) if number != 23]
    assert data_of(failure) == ["poison"]
    assert failure["KinesisBatchInfo"]["batchSize"] == 1
    assert failure["requestContext"]["condition"] == "RetryAttemptsExhausted"


def test_the_failure_object_is_named_by_mapping_shard_and_day(tmp_path: Path) -> None:
    source = "def handle(event, context):\n    raise ValueError\n"
    destination = {"OnFailure": {"Destination": arn("Spool")}}
    with stream_runtime(tmp_path, source, MaximumRetryAttempts=0, DestinationConfig=destination) as runtime:
        put(runtime, ("key", "data"))
        assert runtime.drain(5)
        (found,) = runtime.client("s3").list_objects_v2(Bucket="spool")["Contents"]

    prefix, _mapping_id, shard, year, month, day, name = found["Key"].split("/", 1)[1].split("/")
    assert (found["Key"].split("/")[0], prefix, shard) == ("aws", "lambda", "shardId-000000000000")
    assert name.startswith(f"{year}-{month}-{day}T")


def test_f18_records_beyond_their_maximum_age_are_not_delivered(tmp_path: Path) -> None:
    source = "import time\ndef handle(event, context):\n    print('1')\n    time.sleep(0.01)\n    raise ValueError\n"
    destination = {"OnFailure": {"Destination": arn("Spool")}}
    with stream_runtime(
        tmp_path, source, MaximumRecordAgeInSeconds=1, MaximumRetryAttempts=-1, DestinationConfig=destination
    ) as runtime:
        put(runtime, ("key", "old"))
        assert runtime.drain(5)
        (failure,) = failures(runtime)
        tries = len(lines(runtime, "eat"))

    assert failure["requestContext"]["condition"] == "RecordAgeExceeded"
    assert tries > 1


@pytest.mark.parametrize(
    ("response", "failed"),
    [
        (None, []),
        ({}, []),
        ({"batchItemFailures": None}, []),
        ({"batchItemFailures": []}, []),
        ({"something": "else"}, []),
        ({"batchItemFailures": [{"itemIdentifier": "b"}]}, [1]),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, None),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, None),
        ({"batchItemFailures": [{"identifier": "b"}]}, None),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, None),
        ({"batchItemFailures": "b"}, None),
        ("text", None),
    ],
)
def test_a_batch_response_is_read_as_lambda_reads_it(response: Any, failed: list[int] | None) -> None:
    assert failed_identifiers(response, {"a": 0, "b": 1}) == failed


def test_a_window_gathers_records_and_a_full_batch_does_not_wait(tmp_path: Path) -> None:
    with stream_runtime(tmp_path, PRINT_DATA, BatchSize=3, MaximumBatchingWindowInSeconds=300, time_scale=1) as runtime:
        put(runtime, ("key", "0"))
        time.sleep(0.1)
        early = lines(runtime, "eat")
        put(runtime, ("key", "1"), ("key", "2"), ("key", "3"))
        deadline = time.monotonic() + 5
        while not lines(runtime, "eat") and time.monotonic() < deadline:
            time.sleep(0.005)
        full = lines(runtime, "eat")
        assert runtime.drain(5)

        assert early == []
        assert full == [["0", "1", "2"]]
        assert lines(runtime, "eat") == [["0", "1", "2"], ["3"]]


def test_a_table_stream_delivers_images_in_dynamodb_json(tmp_path: Path) -> None:
    table = resource(
        "DynamoDB::Table",
        TableName="heads",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    source = (
        "import json\ndef handle(event, context):\n    [print(json.dumps(record)) for record in event['Records']]\n"
    )
    stream = {"Fn::GetAtt": ["Heads", "StreamArn"]}
    resources = {"Heads": table, **function("eat"), **mapping("eat", stream, StartingPosition="TRIM_HORIZON")}
    with runtime_of(tmp_path, resources, {"eat": source}) as runtime:
        dynamodb = runtime.client("dynamodb")
        dynamodb.put_item(TableName="heads", Item={"id": {"S": "a"}, "body": {"B": b"\x00\xff"}})
        dynamodb.put_item(TableName="heads", Item={"id": {"S": "a"}, "n": {"N": "1"}})
        dynamodb.delete_item(TableName="heads", Key={"id": {"S": "a"}})
        assert runtime.drain(5)
        insert, modify, remove = lines(runtime, "eat")

    assert [record["eventName"] for record in (insert, modify, remove)] == ["INSERT", "MODIFY", "REMOVE"]
    assert insert["dynamodb"]["NewImage"] == {"id": {"S": "a"}, "body": {"B": "AP8="}}
    assert modify["dynamodb"]["OldImage"] == insert["dynamodb"]["NewImage"]
    assert "NewImage" not in remove["dynamodb"]
    assert insert["dynamodb"]["Keys"] == {"id": {"S": "a"}}
    assert insert["dynamodb"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert (insert["eventSource"], insert["awsRegion"], insert["eventVersion"]) == (
        "aws:dynamodb",
        "eu-central-1",
        "1.1",
    )
    assert isinstance(insert["dynamodb"]["ApproximateCreationDateTime"], int)
    assert int(insert["dynamodb"]["SequenceNumber"]) < int(modify["dynamodb"]["SequenceNumber"])


def queue_runtime(folder: Path, source: str, *, receives_max: int = 3, **properties: Any) -> LocalRuntime:
    redrive = {"deadLetterTargetArn": arn("Dead"), "maxReceiveCount": receives_max}
    resources = {
        "Dead": resource("SQS::Queue", QueueName="dead"),
        "Queue": resource("SQS::Queue", QueueName="queue", VisibilityTimeout=60, RedrivePolicy=redrive),
        **function("eat"),
        **mapping("eat", arn("Queue"), **properties),
    }
    return runtime_of(folder, resources, {"eat": source})


def send(runtime: LocalRuntime, *bodies: str) -> None:
    sqs = runtime.client("sqs")
    url = sqs.get_queue_url(QueueName="queue")["QueueUrl"]
    for body in bodies:
        attributes = {"kind": {"StringValue": "test", "DataType": "String"}}
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)


def dead(runtime: LocalRuntime) -> list[str]:
    sqs = runtime.client("sqs")
    url = sqs.get_queue_url(QueueName="dead")["QueueUrl"]
    return [
        message["Body"] for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    ]


def test_a_message_looks_as_in_lambda(tmp_path: Path) -> None:
    source = "import json\ndef handle(event, context):\n    print(json.dumps(event))\n"
    with queue_runtime(tmp_path, source) as runtime:
        send(runtime, "hello")
        assert runtime.drain(5)
        ((event,),) = (lines(runtime, "eat"),)

    (record,) = event["Records"]
    assert set(record) == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert record["body"] == "hello"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["kind"] == {
        "stringValue": "test",
        "dataType": "String",
        "stringListValues": [],
        "binaryListValues": [],
    }


def test_a_partly_failed_batch_redelivers_only_what_failed(tmp_path: Path) -> None:
    source = """
import json
def handle(event, context):
    print(json.dumps(sorted(record["body"] for record in event["Records"])))
    first = [record for record in event["Records"] if record["attributes"]["ApproximateReceiveCount"] == "1"]
    return {"batchItemFailures": [{"itemIdentifier": one["messageId"]} for one in first if one["body"] == "bad"]}
"""
    with queue_runtime(tmp_path, source, FunctionResponseTypes=PARTIAL) as runtime:
        send(runtime, "a", "bad", "c")
        assert runtime.drain(5)
        batches = lines(runtime, "eat")

    assert sorted(body for batch in batches for body in batch) == ["a", "bad", "bad", "c"]
    assert batches[-1] == ["bad"]


def test_a_failing_message_ends_in_the_dead_letter_queue(tmp_path: Path) -> None:
    source = """
def handle(event, context):
    if any(record["body"] == "bad" for record in event["Records"]):
        print("1")
        raise ValueError
"""
    with queue_runtime(tmp_path, source, receives_max=3, BatchSize=1) as runtime:
        send(runtime, "good", "bad")
        assert runtime.drain(5)

        assert len(lines(runtime, "eat")) == 3
        assert dead(runtime) == ["bad"]


def test_a_queue_is_read_by_as_many_invocations_as_its_concurrency_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions, "SANDBOX_WAIT_S", 0)
    source = """
import json, time
def handle(event, context):
    began = time.monotonic()
    time.sleep(0.05)
    print(json.dumps([began, time.monotonic()]))
"""
    with queue_runtime(tmp_path, source, BatchSize=1, ScalingConfig={"MaximumConcurrency": 3}) as runtime:
        send(runtime, *map(str, range(9)))
        assert runtime.drain(5)
        spans = lines(runtime, "eat")

    assert max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans) == 3


def test_a_batch_is_retried_as_often_as_the_mapping_says(tmp_path: Path) -> None:
    source = "def handle(event, context):\n    print('1')\n    raise ValueError\n"
    with stream_runtime(tmp_path, source, MaximumRetryAttempts=2) as runtime:
        put(runtime, ("key", "a"), ("key", "b"))
        assert runtime.drain(5)

        assert len(lines(runtime, "eat")) == 3


def test_latest_starts_behind_what_is_there(tmp_path: Path) -> None:
    with stream_runtime(tmp_path, PRINT_DATA, StartingPosition="LATEST") as runtime:
        put(runtime, ("key", "new"))
        assert runtime.drain(5)

        assert lines(runtime, "eat") == [["new"]]


@pytest.mark.parametrize(
    "settings",
    [{"FilterCriteria": {"Filters": []}}, {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:x:1:q"}}}],
)
def test_a_setting_that_is_not_known_here_stops_the_start(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(TemplateError, match=r"^eat: the local runtime's mappings have no filters"):
        stream_runtime(tmp_path, PRINT_DATA, **settings).start()


def test_a_mapping_whose_role_may_not_read_its_source_stops_the_start(tmp_path: Path) -> None:
    resources = {**STREAM, **function("eat"), **mapping("eat", arn("Stream"))}
    (policy,) = resources["eatRole"]["Properties"]["Policies"]
    policy["PolicyDocument"]["Statement"][0]["Action"] = ["kinesis:DescribeStream", "kinesis:ListShards"]

    with pytest.raises(TemplateError, match=r"^eat cannot read its event source: .*kinesis:GetShardIterator"):
        runtime_of(tmp_path, resources, {"eat": PRINT_DATA}).start()


def test_a_destination_that_the_role_may_not_write_is_told_in_the_log(tmp_path: Path) -> None:
    destination = {"OnFailure": {"Destination": arn("Spool")}}
    settings: dict[str, Any] = {"MaximumRetryAttempts": 0, "DestinationConfig": destination}
    resources = {**STREAM, **SPOOL, **function("eat"), **mapping("eat", arn("Stream"), **settings)}
    source = "def handle(event, context):\n    raise ValueError\n"
    with runtime_of(tmp_path, resources, {"eat": source}) as runtime:
        put(runtime, ("key", "data"))
        assert runtime.drain(5)

        assert failures(runtime) == []
        assert [(name, action) for name, action, _ in runtime.denied] == [("eat", "s3:PutObject")]
        assert any("took nothing" in line for line in runtime.logs["eat"])
