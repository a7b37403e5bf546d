import json
from pathlib import Path
from typing import Any

import pytest

from infra.local.assembly import TemplateError
from infra.local.runtime import LocalRuntime
from tests.unit.infra.local.small_stacks import Resources, arn, function, lines, ref, resource, runtime_of

PRINT = "import json\ndef handle(event, context):\n    print(json.dumps(event))\n"
BUS = {"Bus": resource("Events::EventBus", Name="activations"), "Queue": resource("SQS::Queue", QueueName="queue")}
ENTRY = {"Source": "onefold", "DetailType": "Audience Entered", "EventBusName": "activations"}


def rule(target: dict[str, Any], **properties: Any) -> Resources:
    settings = {"EventBusName": ref("Bus"), "EventPattern": {"source": ["onefold"]}, **properties}
    return {"Rule": resource("Events::Rule", Targets=[{"Id": "T", **target}], **settings)}


def bus_runtime(folder: Path, target: dict[str, Any], *, source: str = PRINT, **properties: Any) -> LocalRuntime:
    return runtime_of(folder, {**BUS, **function("eat"), **rule(target, **properties)}, {"eat": source})


def publish(runtime: LocalRuntime, **entry: Any) -> None:
    answer = runtime.client("events").put_events(Entries=[{**ENTRY, "Detail": "{}", **entry}])
    assert answer["FailedEntryCount"] == 0


def queued(runtime: LocalRuntime, name: str = "queue") -> list[Any]:
    sqs = runtime.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in found]


def test_an_event_reaches_the_function_of_a_rule_that_it_matches(tmp_path: Path) -> None:
    with bus_runtime(tmp_path, {"Arn": arn("eat")}) as runtime:
        publish(runtime, Detail='{"audience":"all"}', Resources=["arn:x"])
        publish(runtime, Source="other")
        publish(runtime, EventBusName="default")
        assert runtime.drain(5)
        (event,) = lines(runtime, "eat")

    assert len(event.pop("id")) == 36
    assert event.pop("time").endswith("Z")
    assert event == {
        "version": "0",
        "detail-type": "Audience Entered",
        "source": "onefold",
        "account": "123456789012",
        "region": "eu-central-1",
        "resources": ["arn:x"],
        "detail": {"audience": "all"},
    }


def test_what_a_function_cannot_take_is_tried_again_and_then_kept(tmp_path: Path) -> None:
    source = "def handle(event, context):\n    print('1')\n    raise ValueError\n"
    target = {"Arn": arn("eat"), "DeadLetterConfig": {"Arn": arn("Queue")}}
    with bus_runtime(tmp_path, target, source=source) as runtime:
        publish(runtime, Detail='{"n":1}')
        assert runtime.drain(5)

        assert len(lines(runtime, "eat")) == 3
        assert [event["detail"] for event in queued(runtime)] == [{"n": 1}]


def test_a_disabled_rule_sends_nothing(tmp_path: Path) -> None:
    with bus_runtime(tmp_path, {"Arn": arn("eat")}, State="DISABLED") as runtime:
        publish(runtime)
        assert runtime.drain(5)

        assert lines(runtime, "eat") == []


@pytest.mark.parametrize(
    "target",
    [{"Arn": "arn:aws:events:eu-central-1:123456789012:api-destination/x"}, {"Arn": arn("eat"), "InputPath": "$"}],
)
def test_a_target_that_cannot_be_served_here_stops_the_start(tmp_path: Path, target: dict[str, Any]) -> None:
    with pytest.raises(TemplateError, match=r"Rule: the local runtime .*(api-dest|InputPath)"):
        bus_runtime(tmp_path, target).start()


def test_a_schedule_fires_as_its_clock_moves_on(tmp_path: Path) -> None:
    schedule: dict[str, Any] = {
        "ScheduleExpression": "rate(1 hour)",
        "EventPattern": None,
        "EventBusName": "default",
        "Name": "hourly",
    }
    with bus_runtime(tmp_path, {"Arn": arn("eat")}, **schedule) as runtime:
        runtime.advance(59 * 60)
        assert runtime.drain(5)
        before = lines(runtime, "eat")
        runtime.advance(61 * 60)
        assert runtime.drain(5)
        events = lines(runtime, "eat")

    assert before == []
    assert [event["detail-type"] for event in events] == ["Scheduled Event"] * 2
    assert events[0]["resources"] == ["arn:aws:events:eu-central-1:123456789012:rule/hourly"]


def spool(**notifications: Any) -> Resources:
    return {"Spool": resource("S3::Bucket", BucketName="spool", NotificationConfiguration=notifications)}


def test_a_bucket_tells_the_bus_of_its_objects(tmp_path: Path) -> None:
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["spool"]}, "object": {"key": [{"prefix": "spool/"}]}},
    }
    resources = {
        **BUS,
        **spool(EventBridgeConfiguration={"EventBridgeEnabled": True}),
        **rule({"Arn": arn("Queue")}, EventPattern=pattern, EventBusName="default"),
    }
    with runtime_of(tmp_path, resources, {}) as runtime:
        s3 = runtime.client("s3")
        s3.put_object(Bucket="spool", Key="spool/a b.json", Body=b"{}")
        s3.put_object(Bucket="spool", Key="other/a.json", Body=b"{}")
        assert runtime.drain(5)
        (event,) = queued(runtime)

    assert event["detail"]["object"]["key"] == "spool/a b.json"
    assert event["detail"]["object"]["size"] == 2
    assert event["resources"] == ["arn:aws:s3:::spool"]


def test_a_bucket_that_tells_a_function_directly_stops_the_start(tmp_path: Path) -> None:
    notifications = {"LambdaConfigurations": [{"Event": "s3:ObjectCreated:*", "Function": "arn"}]}
    with pytest.raises(TemplateError, match=r"Spool: the local runtime's buckets tell the default bus only"):
        runtime_of(tmp_path, spool(**notifications), {}).start()
