"""The functions collect and drain as Lambda calls them, over AWS's interfaces in moto."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError

from functions.collect import handler as collect
from functions.drain import handler as drain
from onefold.adapters.compression import unpack
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.domain.event import Event, EventBatch
from onefold.domain.source import Source
from tests.fakes.requests import http_request
from tests.fakes.tables import aws, environment

KEY = "key-of-web"
PERSON = "eva.muster@shop-kunde.de"
IDENTIFY = {"type": "identify", "messageId": "m1", "userId": "person-4711", "traits": {"email": PERSON}}


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with aws(monkeypatch) as tables:
        environment("collect", monkeypatch)
        monkeypatch.setenv("STREAM_NAME", "events")
        monkeypatch.setenv("SPOOL_BUCKET_NAME", "spool")
        monkeypatch.setenv("RECORDS_PER_SECOND_MAX", "500")
        monkeypatch.setenv("BYTES_PER_SECOND_MAX", "1000000")
        boto3.client("kinesis").create_stream(StreamName="events", ShardCount=1)
        location: Any = {"LocationConstraint": "eu-central-1"}
        boto3.client("s3").create_bucket(Bucket="spool", CreateBucketConfiguration=location)
        web = Source("web", KEY, kind="browser", phone_region="DE")
        DynamoDbDefinitions(tables, "definitions").put_current("source/web", msgspec.json.encode(web), after_version=0)
        for built in (collect.collector, drain.event_log, drain.spool, drain.pace):
            built.cache_clear()
        yield


def stored_events() -> list[Event]:
    client = boto3.client("kinesis")
    iterator = client.get_shard_iterator(
        StreamName="events", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )
    records = client.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    return [each for record in records for each in unpack(record["Data"], EventBatch).events]


def spooled_keys() -> list[str]:
    return [each["Key"] for each in boto3.client("s3").list_objects_v2(Bucket="spool").get("Contents", [])]


def send(*messages: dict[str, Any]) -> tuple[int, Any]:
    answer = collect.handle(http_request("/v1/batch", {"batch": list(messages)}, key=KEY), None)
    return answer["statusCode"], json.loads(answer["body"])


def fail(monkeypatch: pytest.MonkeyPatch, client: Any, operation: str) -> None:
    """Let one operation of a client fail with a server error."""

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "InternalFailure", "Message": "down"}}, operation)

    monkeypatch.setattr(client, operation, refuse)


def object_created(key: str) -> dict[str, Any]:
    body = json.dumps(
        {"detail-type": "Object Created", "detail": {"bucket": {"name": "spool"}, "object": {"key": key}}}
    )
    return {"Records": [{"messageId": f"sqs-{key}", "body": body}]}


@pytest.mark.usefixtures("deployed")
def test_an_acknowledged_event_is_on_the_stream_and_no_log_line_holds_a_person(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, document = send(IDENTIFY, {"type": "track", "messageId": "m2"})

    assert (status, document["accepted"], document["quarantined"]) == (200, 1, 1)
    [stored] = stored_events()
    assert [each.value for each in stored.identifiers] == ["person-4711", PERSON]
    output = capsys.readouterr().out
    log, metrics = map(json.loads, output.splitlines())
    assert (log["accepted"], log["refused"], log["source"]) == (1, 1, "web")
    assert (metrics["EventsAccepted"], metrics["EventsRefused"]) == ([1.0], [1.0])
    assert PERSON not in output
    assert "4711" not in output


@pytest.mark.usefixtures("deployed")
def test_f03_what_the_stream_refuses_waits_in_the_spool_until_drain_brings_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kinesis is unavailable: requests are answered 200 from the spool."""
    fail(monkeypatch, collect.collector().log._client, "put_records")  # type: ignore[attr-defined]

    assert send(IDENTIFY)[0] == 200

    assert stored_events() == []
    [key] = spooled_keys()
    assert drain.handle(object_created(key), None) == {"batchItemFailures": []}
    assert [each.message_id for each in stored_events()] == ["m1"]
    assert spooled_keys() == []
    assert drain.handle(object_created(key), None) == {"batchItemFailures": []}


@pytest.mark.usefixtures("deployed")
def test_f03_nothing_is_acknowledged_when_stream_and_spool_are_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 is down too: 503 with Retry-After."""
    fail(monkeypatch, collect.collector().log._client, "put_records")  # type: ignore[attr-defined]
    fail(monkeypatch, collect.collector().spool._connect(), "put_object")  # type: ignore[attr-defined]

    answer = collect.handle(http_request("/v1/batch", {"batch": [IDENTIFY]}, key=KEY), None)

    document = json.loads(answer["body"])
    assert (answer["statusCode"], document["success"], document["code"]) == (503, False, "unavailable")
    assert answer["headers"]["Retry-After"] == "2"


@pytest.mark.usefixtures("deployed")
def test_drain_reports_the_message_whose_events_the_stream_will_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, collect.collector().log._client, "put_records")  # type: ignore[attr-defined]
    send(IDENTIFY)
    [key] = spooled_keys()
    fail(monkeypatch, drain.event_log()._client, "put_records")

    response = drain.handle(object_created(key), None)

    assert response == {"batchItemFailures": [{"itemIdentifier": f"sqs-{key}"}]}
    assert spooled_keys() == [key]


@pytest.mark.usefixtures("deployed")
def test_a_broken_deployment_says_every_missing_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAM_NAME")
    monkeypatch.delenv("SPOOL_BUCKET_NAME")

    status, document = send(IDENTIFY)

    assert (status, document["code"]) == (500, "unavailable")
