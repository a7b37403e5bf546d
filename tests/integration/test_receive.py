"""The function receive as Lambda calls it, over AWS's interfaces in moto."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError

from functions.receive import handler as receive
from onefold.adapters.compression import unpack
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.adapters.ssm_webhook_secrets import write_secrets
from onefold.domain.event import Event, EventBatch
from onefold.domain.source import Source
from onefold.domain.tracking_plan import TrackingPlan
from onefold.domain.webhook_secret import WebhookSecrets
from tests.fakes.lambda_events import sqs_event
from tests.fakes.requests import RECEIVED_AT, http_request
from tests.fakes.tables import aws, environment
from tests.fakes.webhooks import SECRET, encoded, stripe_charge, stripe_event, stripe_headers

PREFIX = "/onefold/dev/webhooks/"
NOW_S = RECEIVED_AT // 1_000
CHARGE = encoded(stripe_event("charge.succeeded", stripe_charge()))
PERSON = "posteo-demo"


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with aws(monkeypatch) as tables:
        environment("receive", monkeypatch)
        monkeypatch.setenv("STREAM_NAME", "events")
        monkeypatch.setenv("SPOOL_BUCKET_NAME", "spool")
        monkeypatch.setenv("WEBHOOK_SECRETS_PREFIX", PREFIX)
        boto3.client("kinesis").create_stream(StreamName="events", ShardCount=1)
        location: Any = {"LocationConstraint": "eu-central-1"}
        boto3.client("s3").create_bucket(Bucket="spool", CreateBucketConfiguration=location)
        definitions = DynamoDbDefinitions(tables, "definitions")
        for source in (
            Source("stripe", "key-of-stripe", webhook="stripe"),
            Source("things", "key-of-things", devices=True),
        ):
            definitions.put_current(f"source/{source.name}", msgspec.json.encode(source), after_version=0)
        write_secrets(boto3.client("ssm"), f"{PREFIX}stripe", WebhookSecrets(SECRET), key_arn="alias/aws/ssm")
        receive.receiver.cache_clear()
        yield


def stored_events() -> list[Event]:
    client = boto3.client("kinesis")
    iterator = client.get_shard_iterator(
        StreamName="events", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )
    records = client.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    return [each for record in records for each in unpack(record["Data"], EventBatch).events]


def post(body: bytes, headers: dict[str, str], source: str = "stripe") -> tuple[int, Any]:
    answer = receive.handle(http_request(f"/v1/webhooks/{source}", body, headers=headers), None)
    return answer["statusCode"], json.loads(answer["body"])


def device_message(payload: bytes, source: str = "things", number: int = 1) -> str:
    return json.dumps(
        {
            "source": source,
            "client_id": "t-7",
            "payload": base64.b64encode(payload).decode(),
            "message_id": f"rule-{number}",
            "received_at": RECEIVED_AT,
        }
    )


@pytest.mark.usefixtures("deployed")
def test_a_signed_webhook_is_on_the_stream_before_the_answer_and_in_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    status, document = post(CHARGE, stripe_headers(CHARGE, at=NOW_S))

    assert (status, document) == (200, {"success": True, "accepted": 1, "repeated": 0, "refused": 0, "suppressed": 0})
    [event] = stored_events()
    assert (event.name, event.source) == ("Order Completed", "stripe")
    output = capsys.readouterr().out
    assert PERSON not in output
    assert SECRET not in output
    log, metrics = map(json.loads, output.splitlines())
    assert (log["accepted"], log["source"], metrics["EventsAccepted"]) == (1, "stripe", [1.0])


@pytest.mark.usefixtures("deployed")
def test_what_is_not_genuine_gets_a_problem_document(capsys: pytest.CaptureFixture[str]) -> None:
    unsigned = receive.handle(http_request("/v1/webhooks/stripe", CHARGE), None)
    status, document = post(CHARGE, stripe_headers(CHARGE, at=NOW_S - 400))
    unknown, _ = post(CHARGE, stripe_headers(CHARGE, at=NOW_S), "nobody")
    broken = http_request("/v1/webhooks/stripe", CHARGE, headers=stripe_headers(CHARGE, at=NOW_S))

    assert unsigned["headers"]["Content-Type"] == "application/problem+json"
    assert (unsigned["statusCode"], status, document["code"], unknown) == (401, 401, "signature_stale", 401)
    assert receive.handle(broken | {"isBase64Encoded": True}, None)["statusCode"] == 400
    assert stored_events() == []
    assert PERSON not in capsys.readouterr().out


@pytest.mark.usefixtures("deployed")
def test_a_body_that_is_no_text_is_signed_as_its_bytes() -> None:
    body = CHARGE.replace(b"Eva Muster", "Eva Müller".encode("latin-1"))

    status, document = post(body, stripe_headers(body, at=NOW_S))

    assert (status, document["refused"]) == (200, 1)  # genuine, and no JSON: in the quarantine


@pytest.mark.usefixtures("deployed")
def test_f03_with_stream_and_spool_down_the_provider_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is acknowledged that is not durable."""

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "InternalFailure", "Message": "down"}}, "Put")

    collector = receive.receiver().collector
    monkeypatch.setattr(collector.log._client, "put_records", refuse)  # type: ignore[attr-defined]
    assert post(CHARGE, stripe_headers(CHARGE, at=NOW_S))[0] == 200
    assert len(boto3.client("s3").list_objects_v2(Bucket="spool")["Contents"]) == 1
    monkeypatch.setattr(collector.spool._connect(), "put_object", refuse)  # type: ignore[attr-defined]

    answer = receive.handle(http_request("/v1/webhooks/stripe", CHARGE, headers=stripe_headers(CHARGE, at=NOW_S)), None)

    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "2")


@pytest.mark.usefixtures("deployed")
def test_a_batch_of_devices_messages_reports_the_one_that_is_none() -> None:
    bodies = [device_message(b'{"a": 1}'), "{}", device_message(b"{}", "web", 3), device_message(b'{"a": 2}', number=4)]

    response = receive.handle(sqs_event(bodies), None)

    assert response == {"batchItemFailures": [{"itemIdentifier": f"00000000-0000-0000-0000-{1:012d}"}]}
    events = stored_events()
    assert [(each.message_id, each.source) for each in events] == [("rule-1", "things"), ("rule-4", "things")]
    assert {each.identifiers[0].value for each in events} == {"t-7"}


@pytest.mark.usefixtures("deployed")
def test_a_tracking_plan_holds_for_webhooks_too() -> None:
    definitions = DynamoDbDefinitions(boto3.client("dynamodb"), "definitions")
    plan = TrackingPlan("payments", ("stripe",), unplanned="quarantine")
    definitions.put_current("plan/payments", msgspec.json.encode(plan), after_version=0)

    status, document = post(CHARGE, stripe_headers(CHARGE, at=NOW_S))

    assert (status, document["accepted"], document["refused"]) == (200, 0, 1)
