"""The stream consumers' handlers, with Lambda's events in and moto behind them."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import pyarrow.parquet as pq
import pytest

from onefold.adapters.dynamodb_fragments import DynamoDbFragments
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.adapters.dynamodb_timeline import DynamoDbTimeline
from onefold.domain.audience_sql import compile_audience
from onefold.domain.errors import Unavailable
from onefold.domain.event import Event, EventBatch, Refusal, fragment_key
from onefold.domain.head import Head, Membership, profile_id_for
from tests.fakes.events import NOON_MS, event, identifier, key_of
from tests.fakes.lambda_events import (
    SHARD,
    bus_message,
    fragments_event,
    head_image,
    heads_event,
    kinesis_event,
    sequence,
    sqs_event,
)  # fmt: skip
from tests.fakes.tables import BUS, LAKE, aws, fresh_handler
from tests.fakes.webhook_receiver import webhook_receiver

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Handle = Callable[[dict[str, Any], Any], Any]


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    with aws(monkeypatch) as client:
        yield client


@pytest.fixture
def handler(dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Handle]:
    """Give a function's handler as a fresh sandbox would have it."""
    return partial(fresh_handler, monkeypatch=monkeypatch)


def batch(*events: Event) -> EventBatch:
    return EventBatch(events)


def lake_keys() -> list[str]:
    listed = boto3.client("s3").list_objects_v2(Bucket=LAKE)
    return [each["Key"] for each in listed.get("Contents", [])]


def rows(key: str) -> list[dict[str, Any]]:
    body = boto3.client("s3").get_object(Bucket=LAKE, Key=key)["Body"].read()
    read: list[dict[str, Any]] = pq.read_table(io.BytesIO(body)).to_pylist()
    return read


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """The counts of the metric lines printed so far."""
    found: dict[str, float] = {}
    for line in capsys.readouterr().out.splitlines():
        document = json.loads(line)
        for block in document.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in block["Metrics"]:
                value = document[metric["Name"]]
                found[metric["Name"]] = value[0] if isinstance(value, list) else value
    return found


def test_stitch_makes_a_fragment_a_head_and_a_timeline_of_a_batch(
    handler: Callable[[str], Handle], dynamodb: "DynamoDBClient", capsys: pytest.CaptureFixture[str]
) -> None:
    viewed, bought = event("anonymous_id:a1"), event("anonymous_id:a1", name="Order Completed")
    joined = event("anonymous_id:a1", "user_id:u1", kind="identify", traits={"plan": "pro"})
    delivered = kinesis_event(batch(viewed, bought), batch(joined))

    first, again = (handler("stitch")(delivered, None) for _ in range(2))

    assert first == again == {"batchItemFailures": []}
    keys = [str(fragment_key(viewed)), str(fragment_key(joined))]
    stored = DynamoDbFragments(dynamodb, "fragments").load(keys)
    assert {key: each.cursor for key, each in stored.items()} == dict(
        zip(keys, [sequence(1), sequence(2)], strict=True)
    )
    assert stored[keys[0]].fragment.facts.counts["track:Product Viewed"].times == 1
    graph = DynamoDbGraph(dynamodb, "identities", "heads")
    owners = graph.owners([key_of("anonymous_id:a1"), key_of("user_id:u1")])
    assert set(owners.values()) == {profile_id_for(key_of("anonymous_id:a1"))}
    head = graph.heads(set(owners.values())).popitem()[1]
    assert set(head.fragments) == set(keys)
    timeline = DynamoDbTimeline(dynamodb, "timeline").read(keys, 10)
    assert [each.message_id for each in timeline] == [each.message_id for each in (joined, bought, viewed)]
    assert metrics(capsys)["EventsStitched"] == 3


def test_a_timeline_item_expires_a_fortnight_after_its_newest_event(
    handler: Callable[[str], Handle], dynamodb: "DynamoDBClient"
) -> None:
    handler("stitch")(kinesis_event(batch(event("user_id:u1", received_at=NOON_MS))), None)

    item = dynamodb.scan(TableName="timeline")["Items"][0]
    assert item["expires_at"] == {"N": str(NOON_MS // 1_000 + 14 * 24 * 3_600)}
    assert item["sequence"] == {"S": sequence(1).zfill(64)}


def test_f16_a_record_that_nobody_can_read_goes_to_quarantine_and_its_neighbours_are_stitched(
    handler: Callable[[str], Handle], dynamodb: "DynamoDBClient", capsys: pytest.CaptureFixture[str]
) -> None:
    """Poison in the middle of a batch uses up no retry."""
    good = event("user_id:u1")

    answer = handler("stitch")(kinesis_event(b"\x07poison", batch(good)), None)

    assert answer == {"batchItemFailures": []}
    assert DynamoDbFragments(dynamodb, "fragments").load([str(fragment_key(good))])
    assert lake_keys() == [f"quarantine/records/stitch/dt=2025-06-15/{SHARD}-{sequence(1)}.json"]
    kept = json.loads(boto3.client("s3").get_object(Bucket=LAKE, Key=lake_keys()[0])["Body"].read())
    assert base64.b64decode(kept["body"]) == b"\x07poison"
    assert kept["reason"] == "record_version_unknown"
    assert metrics(capsys)["EventsQuarantined"] == 1


def test_f13_records_of_a_fragment_that_another_writer_changed_are_delivered_again(
    handler: Callable[[str], Handle],
    dynamodb: "DynamoDBClient",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One fragment of a batch fails: its records are named in the answer, the others are not."""
    contested, other = event("user_id:u1"), event("user_id:u2")
    handle = handler("stitch")
    original = DynamoDbTimeline.append

    def overtaken(self: DynamoDbTimeline, batches: Any) -> None:
        """A zombie's write lands between this batch's read and write."""
        original(self, batches)
        item = {"fragment_key": {"S": str(fragment_key(contested))}, "version": {"N": "9"}}
        dynamodb.put_item(TableName="fragments", Item=item)

    monkeypatch.setattr(DynamoDbTimeline, "append", overtaken)

    answer = handle(kinesis_event(batch(contested), batch(other)), None)

    assert answer == {"batchItemFailures": [{"itemIdentifier": sequence(1)}]}
    printed = metrics(capsys)
    assert (printed["EventsStitched"], printed["RecordsFailed"]) == (1, 1)


def test_f15_a_batch_of_which_everything_failed_raises_so_that_it_is_halved(
    handler: Callable[[str], Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All records of a batch fail."""

    def throttled(self: DynamoDbTimeline, batches: Any) -> None:
        raise Unavailable("throttled")

    monkeypatch.setattr(DynamoDbTimeline, "append", throttled)

    with pytest.raises(Unavailable):
        handler("stitch")(kinesis_event(batch(event("user_id:u1")), batch(event("user_id:u2"))), None)


def test_archive_writes_what_arrived_by_the_hour_and_a_retry_overwrites_it(
    handler: Callable[[str], Handle], capsys: pytest.CaptureFixture[str]
) -> None:
    late = NOON_MS + 3_600_000
    bought = event(
        "user_id:u1",
        "email:a@b.co",
        "anonymous_id:a1",
        name="Order Completed",
        properties={"total": 12.5},
        consent={"marketing": True},
        violations=("no_currency",),
        sent_at=NOON_MS + 5,
        received_at=NOON_MS,
    )
    nobody = event(kind="page", received_at=late)
    refusal = Refusal("m0", "web", "event_missing", "Give event a name", b'{"type":"track"}', NOON_MS)
    delivered = kinesis_event(batch(bought), EventBatch((nobody,), (refusal,)), b"\x07poison")

    for _ in range(2):
        assert handler("archive")(delivered, None) == {"batchItemFailures": []}

    name = f"{SHARD}-{sequence(1)}-{sequence(3)}.parquet"
    raw = [f"raw/dt=2025-06-15/hour={hour}/{name}" for hour in ("15", "16")]
    assert lake_keys() == [f"quarantine/dt=2025-06-15/{name}", *raw]
    (row,) = rows(raw[0])
    assert row["message_id"] == bought.message_id
    assert (row["kind"], row["name"], row["source"]) == ("track", "Order Completed", "web")
    assert (row["user_id"], row["anonymous_id"], row["email"]) == ("u1", "a1", "a@b.co")
    assert row["fragment_key"] == f"{key_of('anonymous_id:a1')}|{key_of('user_id:u1')}"
    assert row["identifiers"][0] == {"type": "user_id", "value": "u1", "key": key_of("user_id:u1")}
    assert round(row["at"].timestamp() * 1_000) - bought.at == row["at"].astimezone().utcoffset().seconds * -1_000
    assert row["original_at"] is None
    assert json.loads(row["properties"]) == {"total": 12.5}
    assert dict(row["consent"]) == {"marketing": True}
    assert row["violations"] == ["no_currency"]
    assert row["sequence"] == sequence(1)
    (unresolved,) = rows(raw[1])
    assert (unresolved["name"], unresolved["user_id"], unresolved["fragment_key"]) == (None, None, None)
    refused, unreadable = rows(f"quarantine/dt=2025-06-15/{name}")
    assert (refused["reason"], base64.b64decode(refused["body"])) == ("event_missing", b'{"type":"track"}')
    assert (unreadable["component"], base64.b64decode(unreadable["body"])) == ("archive", b"\x07poison")
    assert metrics(capsys) == {"EventsArchived": 2, "EventsQuarantined": 2}


def test_f11_an_invocation_that_outlives_its_retry_takes_nothing_from_the_lake(
    handler: Callable[[str], Handle],
) -> None:
    """A zombie finishes after the retry, which had more records."""
    first, second = event("user_id:u1"), event("user_id:u2")
    handler("archive")(kinesis_event(batch(first), batch(second)), None)

    handler("archive")(kinesis_event(batch(first)), None)

    kept = {row["message_id"] for key in lake_keys() for row in rows(key)}
    assert kept == {first.message_id, second.message_id}


def define(dynamodb: "DynamoDBClient", name: str, body: bytes, version: int = 1) -> None:
    item: Any = {"scope": {"S": "current"}, "name": {"S": name}, "body": {"B": body}, "version": {"N": str(version)}}
    dynamodb.put_item(TableName="definitions", Item=item)


def define_audience(dynamodb: "DynamoDBClient", name: str, predicate: str) -> None:
    define(dynamodb, f"audience/{name}", msgspec.json.encode(compile_audience(name, predicate)), version=3)


def test_evaluate_enters_a_profile_whose_fragment_changed(
    handler: Callable[[str], Handle], dynamodb: "DynamoDBClient"
) -> None:
    define_audience(dynamodb, "pros", "traits.plan = 'pro'")
    joined = event("user_id:u1", kind="identify", traits={"plan": "pro"})
    handler("stitch")(kinesis_event(batch(joined)), None)

    for _ in range(2):
        answer = handler("evaluate")(fragments_event(str(fragment_key(joined)), "anonymous_id:gone|"), None)
        assert answer == {"batchItemFailures": []}

    (head,) = DynamoDbGraph(dynamodb, "identities", "heads").heads([profile_id_for(key_of("user_id:u1"))]).values()
    assert head.memberships["pros"].version == 3
    assert head.version == 2


def test_evaluate_finds_a_head_whose_fragments_changed_by_its_own_stream(
    handler: Callable[[str], Handle], dynamodb: "DynamoDBClient"
) -> None:
    define_audience(dynamodb, "pros", "traits.plan = 'pro'")
    handler("stitch")(kinesis_event(batch(event("user_id:u1", kind="identify", traits={"plan": "pro"}))), None)
    graph = DynamoDbGraph(dynamodb, "identities", "heads")
    (head,) = graph.heads([profile_id_for(key_of("user_id:u1"))]).values()

    handler("evaluate")(heads_event((None, head)), None)

    assert set(graph.heads([head.profile_id])[head.profile_id].memberships) == {"pros"}


def test_activate_publishes_each_transition_that_the_heads_stream_shows(
    handler: Callable[[str], Handle], capsys: pytest.CaptureFixture[str]
) -> None:
    sqs, events = boto3.client("sqs"), boto3.client("events")
    queue = sqs.create_queue(QueueName="spy")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName=BUS, EventPattern=json.dumps({"source": ["onefold"]}))
    events.put_targets(Rule="all", EventBusName=BUS, Targets=[{"Id": "1", "Arn": arn}])
    before = Head("p_1", 1, version=1)
    after = msgspec.structs.replace(before, version=2, memberships={"pros": Membership(NOON_MS, 1)})

    assert handler("activate")(heads_event((before, after), (after, after)), None) == {"batchItemFailures": []}

    (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    envelope = json.loads(message["Body"])
    assert (envelope["source"], envelope["detail-type"]) == ("onefold", "Audience Entered")
    assert envelope["detail"] == {
        "kind": "Audience Entered",
        "key": "p_1:2:pros",
        "profile_id": "p_1",
        "at": NOON_MS,
        "version": 2,
        "reason": "evaluated",
        "audience": "pros",
        "status": "entered",
    }
    assert metrics(capsys) == {"AudienceEntered": 1}


DETAIL = {
    "kind": "Audience Entered",
    "key": "p_1:2:pros",
    "profile_id": "p_1",
    "at": NOON_MS,
    "version": 2,
    "reason": "evaluated",
    "audience": "pros",
    "status": "entered",
}


def test_deliver_reports_only_the_messages_that_a_destination_did_not_take(
    handler: Callable[[str], Handle], dynamodb: "DynamoDBClient", capsys: pytest.CaptureFixture[str]
) -> None:
    with webhook_receiver(204, 503, 400) as receiver:
        define(dynamodb, "destination/crm", msgspec.json.encode({"name": "crm", "url": receiver.url}))
        define(dynamodb, "destination/old", b'{"name": "old"}')
        messages = [bus_message("Audience Entered", DETAIL | {"key": f"p_1:{number}:pros"}) for number in range(4)]

        answer = handler("deliver")(sqs_event([*messages, "not a message"]), None)

    assert [each["itemIdentifier"][-1] for each in answer["batchItemFailures"]] == ["1", "4"]
    assert [each.headers["webhook-id"] for each in receiver.received] == [f"p_1:{number}:pros" for number in range(4)]
    assert metrics(capsys) == {"Deliveries": 2, "DeliveriesFailed": 1, "RecordsFailed": 2}


def test_the_heads_stream_and_the_table_speak_of_one_head(dynamodb: "DynamoDBClient") -> None:
    """The images that the tests make are those that the table would send."""
    graph = DynamoDbGraph(dynamodb, "identities", "heads")
    mail = identifier("email:a@b.co")
    graph.write(Head("p_1", 1, merged_into="p_2"))
    stored = dynamodb.get_item(TableName="heads", Key={"profile_id": {"S": "p_1"}})["Item"]

    image = head_image(Head("p_1", 1, merged_into="p_2", version=1))

    assert image is not None
    assert base64.b64decode(image["body"]["B"]) == stored["body"]["B"]
    assert image | {"body": stored["body"]} == stored
    assert mail.key not in str(stored)
