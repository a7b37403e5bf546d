import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import httpx
import msgspec
import pytest

from infra.local import runtime as runtimes
from infra.local.assembly import TemplateError
from infra.local.http_api import PortInUse
from infra.local.runtime import LocalRuntime
from infra.local.state import StateError
from tests.unit.infra.local.small_stacks import Resources, arn, function, http_api, lines, mapping, resource, runtime_of

ECHO = "def handle(event, context):\n    return event\n"
PRINT_DATA = """
import base64, json
def handle(event, context):
    print(json.dumps([base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]))
"""


def keeping(folder: Path, source: str = PRINT_DATA, *, more: Resources | None = None, **options: Any) -> LocalRuntime:
    """A runtime with something in each kind of store that is kept."""
    (folder / "assembly").mkdir(exist_ok=True)
    table = resource(
        "DynamoDB::Table",
        TableName="timeline",
        AttributeDefinitions=[
            {"AttributeName": "fragment_key", "AttributeType": "S"},
            {"AttributeName": "sequence", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "fragment_key", "KeyType": "HASH"},
            {"AttributeName": "sequence", "KeyType": "RANGE"},
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamViewType": "NEW_IMAGE"},
    )
    resources = {
        "Timeline": table,
        "Lake": resource("S3::Bucket", BucketName="lake"),
        "Secret": resource("SecretsManager::Secret", Name="secret", GenerateSecretString={"PasswordLength": 64}),
        "Queue": resource("SQS::Queue", QueueName="queue"),
        "Stream": resource("Kinesis::Stream", Name="stream", ShardCount=1),
        **function("eat"),
        **mapping("eat", arn("Stream"), StartingPosition="TRIM_HORIZON"),
        **(more or {}),
    }
    return runtime_of(folder / "assembly", resources, {"eat": source}, state=folder / "state", **options)


def put(runtime: LocalRuntime, data: str) -> str:
    answer = runtime.client("kinesis").put_record(StreamName="stream", PartitionKey="key", Data=data.encode())
    return str(answer["SequenceNumber"])


def test_what_was_stored_is_found_again(tmp_path: Path) -> None:
    item = {"fragment_key": {"S": "f"}, "sequence": {"S": "1"}, "events": {"B": b"\x00\xff"}, "n": {"N": "1.5"}}
    with keeping(tmp_path) as runtime:
        runtime.client("dynamodb").put_item(TableName="timeline", Item=item)
        runtime.client("s3").put_object(
            Bucket="lake", Key="raw/a b", Body=b"bytes", ContentType="x/y", Metadata={"m": "1"}
        )
        queue_url = runtime.client("sqs").get_queue_url(QueueName="queue")["QueueUrl"]
        runtime.client("sqs").send_message(QueueUrl=queue_url, MessageBody="body")
        secret = runtime.client("secretsmanager").get_secret_value(SecretId="secret")["SecretString"]
        first = put(runtime, "first")

    with keeping(tmp_path) as runtime:
        key = {"fragment_key": item["fragment_key"], "sequence": item["sequence"]}
        found = runtime.client("s3").get_object(Bucket="lake", Key="raw/a b")
        second = put(runtime, "second")
        assert runtime.drain(5)

        assert runtime.client("dynamodb").get_item(TableName="timeline", Key=key)["Item"] == item
        assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (b"bytes", "x/y", {"m": "1"})
        assert runtime.client("sqs").receive_message(QueueUrl=queue_url)["Messages"][0]["Body"] == "body"
        assert runtime.client("secretsmanager").get_secret_value(SecretId="secret")["SecretString"] == secret
        assert int(second) > int(first)
        assert lines(runtime, "eat") == [["second"]]


def test_what_a_killed_runtime_had_not_delivered_is_delivered_by_the_next(tmp_path: Path) -> None:
    failing = PRINT_DATA + "    raise ValueError\n"
    killed = keeping(tmp_path, failing)
    killed.start()
    put(killed, "first")
    put(killed, "second")
    deadline = time.monotonic() + 5
    while not lines(killed, "eat") and time.monotonic() < deadline:
        time.sleep(0.01)
    killed._save()
    killed._state.save = lambda *_: None  # type: ignore[method-assign, union-attr]
    killed._stop_everything()

    with keeping(tmp_path) as runtime:
        assert runtime.drain(5)

        assert [data for batch in lines(runtime, "eat") for data in batch] == ["first", "second"]


def test_no_thread_is_left(tmp_path: Path) -> None:
    """Also when a queue's messages are retried without end, and a client keeps its connection open."""
    before = set(threading.enumerate())
    more = {
        "Retried": resource("SQS::Queue", QueueName="retried", VisibilityTimeout=1000),
        **function("fail"),
        **mapping("fail", arn("Retried")),
        **http_api("collector", {"$default": "eat"}),
    }
    runtime = keeping(tmp_path, more=more, time_scale=0.0001)
    runtime.start()
    sqs = runtime.client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="retried")["QueueUrl"], MessageBody="body")
    with httpx.Client() as client:
        assert client.get(runtime.api_urls["collector"]).status_code == 500
        assert client.get(runtime.endpoint_url).status_code
        runtime.drain(0.2)
        runtime._stop_everything()

    assert [thread for thread in threading.enumerate() if thread not in before] == []


def test_a_process_that_ran_functions_and_queries_ends_without_complaint(tmp_path: Path) -> None:
    program = f"""
import pathlib
from tests.unit.infra.local.small_stacks import function, resource, runtime_of
source = "import aws_lambda_powertools, msgspec\\nclass Kept(msgspec.Struct): x: int\\ndef handle(event, context): pass"
resources = {{"Lake": resource("S3::Bucket", BucketName="lake"), **function("run")}}
with runtime_of(pathlib.Path({str(tmp_path)!r}), resources, {{"run": source}}) as runtime:
    runtime.invoker.invoke("run", {{}})
    location = {{"OutputLocation": "s3://lake/"}}
    runtime.client("athena").start_query_execution(QueryString="SELECT 1", ResultConfiguration=location)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)

    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_folder_of_other_stacks_is_refused(tmp_path: Path) -> None:
    extra = {"Extra": resource("SQS::Queue", QueueName="extra")}
    with keeping(tmp_path, more=extra) as runtime:
        runtime.client("sqs").send_message(
            QueueUrl=runtime.client("sqs").get_queue_url(QueueName="extra")["QueueUrl"], MessageBody="body"
        )

    with pytest.raises(StateError, match=r"the state of other stacks \('extra' is not in these\): use another folder"):
        keeping(tmp_path).start()


def test_what_users_created_does_not_make_the_state_unreadable(tmp_path: Path) -> None:
    with keeping(tmp_path) as runtime:
        runtime.client("s3").create_bucket(
            Bucket="query-results", CreateBucketConfiguration={"LocationConstraint": runtime.assembly.region}
        )
        runtime.client("s3").put_object(Bucket="query-results", Key="a", Body=b"result")
        runtime.client("s3").put_object(Bucket="lake", Key="a", Body=b"event")
        queue_url = runtime.client("sqs").create_queue(QueueName="own")["QueueUrl"]
        runtime.client("sqs").send_message(QueueUrl=queue_url, MessageBody="body")
        runtime.client("secretsmanager").create_secret(Name="own", SecretString="x")
        runtime.client("dynamodb").delete_table(TableName="timeline")
        for name in ("own", "timeline"):
            runtime.client("dynamodb").create_table(
                TableName=name,
                AttributeDefinitions=[{"AttributeName": "other", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "other", "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
            )
            runtime.client("dynamodb").put_item(TableName=name, Item={"other": {"S": "x"}})

    for _ in range(2):
        with keeping(tmp_path) as runtime:
            for bucket, content in (("query-results", b"result"), ("lake", b"event")):
                assert runtime.client("s3").get_object(Bucket=bucket, Key="a")["Body"].read() == content
            assert runtime.client("dynamodb").list_tables()["TableNames"] == ["timeline"]


def test_changes_are_saved_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "SAVE_EVERY_S", 0.05)
    file = tmp_path / "state" / "state.msgpack"
    with keeping(tmp_path) as runtime:
        for content in ("first", "second"):
            item = {"fragment_key": {"S": "f"}, "sequence": {"S": "1"}, "content": {"S": content}}
            runtime.client("dynamodb").put_item(TableName="timeline", Item=item)
            deadline = time.monotonic() + 5
            while not file.exists() or content.encode() not in file.read_bytes():
                assert time.monotonic() < deadline
                time.sleep(0.01)
        saved_at = file.stat().st_mtime_ns
        time.sleep(0.5)
        assert file.stat().st_mtime_ns == saved_at


def test_a_save_that_fails_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runtimes, "SAVE_EVERY_S", 0.05)
    monkeypatch.setattr(runtimes, "SAVE_SHARE_MAX", 1)
    (tmp_path / "state" / "state.new").mkdir(parents=True)
    with keeping(tmp_path) as runtime:
        runtime.client("s3").put_object(Bucket="lake", Key="a", Body=b"x")
        said, deadline = "", time.monotonic() + 5
        while "was not saved" not in said:
            assert time.monotonic() < deadline
            time.sleep(0.01)
            said += capsys.readouterr().err
        (tmp_path / "state" / "state.new").rmdir()
        while not (tmp_path / "state" / "state.msgpack").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_only_the_user_can_read_the_state(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    with keeping(tmp_path) as runtime:
        runtime.client("s3").put_object(Bucket="lake", Key="a", Body=b"x")

    modes = {path: path.stat().st_mode & 0o777 for path in [tmp_path / "state", *(tmp_path / "state").rglob("*")]}
    assert len(modes) == 5
    assert {path: oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00garbage", "is damaged"),
        (msgspec.msgpack.encode({"format": 2}), "is damaged"),
        (msgspec.msgpack.encode({"format": 99}), "has format 99, this version reads 2"),
    ],
)
def test_a_damaged_state_is_told_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.msgpack").write_bytes(content)

    with pytest.raises(StateError, match=message) as error:
        keeping(tmp_path).start()
    assert "\n" not in str(error.value)


def test_a_folder_serves_one_runtime_at_a_time(tmp_path: Path) -> None:
    with keeping(tmp_path):
        LocalRuntime._active, active = None, LocalRuntime._active
        try:
            with pytest.raises(StateError, match="is in use by another local runtime"):
                keeping(tmp_path).start()
        finally:
            LocalRuntime._active = active


def test_other_processes_reach_the_same_data(tmp_path: Path) -> None:
    resources = {"Lake": resource("S3::Bucket", BucketName="lake")}
    with runtime_of(tmp_path, resources, {}) as runtime:
        runtime.client("s3").put_object(Bucket="lake", Key="a", Body=b"x")
        program = (
            "import boto3, sys;"
            "print(boto3.client('s3', endpoint_url=sys.argv[1]).get_object(Bucket='lake', Key='a')['Body'].read())"
        )
        variables = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-central-1"}
        command = [sys.executable, "-c", program, runtime.endpoint_url]
        found = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, check=True, text=True)

    assert found.stdout.strip() == "b'x'"


def test_drain_waits_for_what_events_lead_to(tmp_path: Path) -> None:
    """HTTP to Kinesis to a bus to a queue to a function, with a slow step on the way."""
    collect = """
import boto3
kinesis = boto3.client("kinesis")
def handle(event, context):
    kinesis.put_record(StreamName="stream", PartitionKey="a", Data=event["body"].encode())
"""
    stitch = """
import boto3, time
events = boto3.client("events")
def handle(event, context):
    time.sleep(0.05)
    entry = {"Source": "shop", "DetailType": "Sale", "Detail": "{}"}
    for record in event["Records"]:
        events.put_events(Entries=[entry])
"""
    resources = {
        "Stream": resource("Kinesis::Stream", Name="stream", ShardCount=2),
        "Queue": resource("SQS::Queue", QueueName="queue", VisibilityTimeout=30),
        "Rule": resource("Events::Rule", EventPattern={"source": ["shop"]}, Targets=[{"Id": "T", "Arn": arn("Queue")}]),
        **function("collect", "kinesis:PutRecord"),
        **function("stitch", "events:PutEvents", "kinesis:*"),
        **function("deliver"),
        **mapping("stitch", arn("Stream"), MaximumBatchingWindowInSeconds=60, StartingPosition="TRIM_HORIZON"),
        **mapping("deliver", arn("Queue")),
        **http_api("collector", {"$default": "collect"}),
    }
    deliver = "def handle(event, context):\n    [print('1') for _ in event['Records']]\n"
    sources = {"collect": collect, "stitch": stitch, "deliver": deliver}
    with runtime_of(tmp_path, resources, sources, time_scale=1) as runtime:
        for number in range(20):
            response = httpx.post(
                runtime.api_urls["collector"], content=str(number), headers={"content-type": "text/plain"}
            )
            assert response.status_code == 200
        waiting = runtime.lag()["stitch"]
        assert runtime.drain(10)

        assert waiting == 20
        assert sum(lines(runtime, "deliver")) == 20
        assert runtime.lag() == {"stitch": 0, "deliver": 0}
        assert runtime.denied == []


def test_work_that_begins_while_drain_looks_is_not_overlooked(tmp_path: Path) -> None:
    with runtime_of(tmp_path, {**function("echo")}, {"echo": ECHO}) as runtime:

        class Busy:
            @property
            def pending(self) -> int:
                runtime.invoker.invoke("echo", {})
                return 0

            def poll(self) -> None:
                """There is never anything new."""

        quiet = runtime._is_quiet()
        runtime._sources.append(Busy())  # type: ignore[arg-type]
        overlooked = runtime._is_quiet()
        runtime._sources.clear()

    assert (quiet, overlooked) == (True, False)


def test_drain_gives_up_in_time(tmp_path: Path) -> None:
    resources = {
        "Stream": resource("Kinesis::Stream", Name="stream", ShardCount=1),
        **function("eat"),
        **mapping("eat", arn("Stream"), StartingPosition="TRIM_HORIZON", MaximumRetryAttempts=1),
    }
    source = "import time\ndef handle(event, context):\n    time.sleep(0.3)\n"
    with runtime_of(tmp_path, resources, {"eat": source}) as runtime:
        put(runtime, "data")

        assert runtime.drain(0.1) is False
        assert runtime.drain(2) is True


def test_ctrl_c_while_it_stops_is_harmless(tmp_path: Path) -> None:
    source = "import time\ndef handle(event, context):\n    time.sleep(0.3)\n    print('1')\n"
    runtime = keeping(tmp_path, source)
    runtime.start()
    put(runtime, "data")
    interrupt = threading.Timer(0.1, os.kill, args=(os.getpid(), signal.SIGINT))
    interrupt.start()
    runtime.stop()
    interrupt.join()
    runtime.stop()

    assert lines(runtime, "eat") == [1]
    with pytest.raises(httpx.ConnectError):
        httpx.get(runtime.endpoint_url)


def test_a_stopped_runtime_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    before = dict(os.environ), threading.Thread.start, boto3.DEFAULT_SESSION
    with runtime_of(tmp_path, {**function("echo")}, {"echo": ECHO}) as runtime:
        runtime.invoker.invoke("echo", {})

    assert (dict(os.environ), threading.Thread.start, boto3.DEFAULT_SESSION) == before
    assert not [name for name in sys.modules if name.startswith("lambda") and len(name) > 32]


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    resources = {**function("echo"), **http_api("collector", {"$default": "echo"})}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        blocked = runtime_of(tmp_path, resources, {"echo": ECHO}, ports={"collector": port})
        with pytest.raises(PortInUse, match=rf"^Port {port} for the HTTP API collector .* choose another port$"):
            blocked.start()
    with runtime_of(tmp_path, resources, {"echo": ECHO}, ports={"collector": port}) as runtime:
        assert runtime.api_urls["collector"] == f"http://127.0.0.1:{port}"
        assert httpx.get(runtime.api_urls["collector"]).status_code == 200


@pytest.mark.parametrize("setting", [{"CorsConfiguration": {}}, {"stage": "other"}])
def test_what_an_api_cannot_have_here_stops_the_start(tmp_path: Path, setting: dict[str, Any]) -> None:
    stage = setting.pop("stage", "$default")
    resources = {**function("echo"), **http_api("shop", {"$default": "echo"}, **setting)}
    resources["shopStage"]["Properties"]["StageName"] = stage

    with pytest.raises(TemplateError, match=r"^shop: the local runtime"):
        runtime_of(tmp_path, resources, {"echo": ECHO}).start()
