import base64
import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.local.assembly import TemplateError
from infra.local.runtime import LocalRuntime
from infra.local.topic_rules import topic_pattern
from tests.unit.infra.local.small_stacks import Resources, arn, ref, resource, runtime_of

SQL = (
    "SELECT topic(2) AS source, topic() AS topic, clientid() AS client, encode(*, 'base64') AS payload, "
    "newuuid() AS id, timestamp() AS at FROM 'onefold/+/events'"
)


def rule(*, actions: list[Any] | None = None, allowed: str = "Queue", **payload: Any) -> Resources:
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": [arn(allowed), arn("Dead")]}
    policy = {"PolicyName": "put", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    into = {name: {"Sqs": {"QueueUrl": ref(name), "RoleArn": arn("RuleRole")}} for name in ("Queue", "Dead")}
    return {
        "Queue": resource("SQS::Queue", QueueName="queue"),
        "Dead": resource("SQS::Queue", QueueName="dead"),
        "RuleRole": resource("IAM::Role", AssumeRolePolicyDocument={"Statement": []}, Policies=[policy]),
        "Rule": resource(
            "IoT::TopicRule",
            RuleName="devices",
            TopicRulePayload={
                "Sql": SQL,
                "Actions": [into["Queue"]] if actions is None else actions,
                "ErrorAction": into["Dead"],
                **payload,
            },
        ),
    }


def queued(runtime: LocalRuntime, name: str = "queue") -> list[Any]:
    sqs = runtime.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in found]


def test_what_is_published_on_a_topic_comes_into_the_queue_as_the_rule_selects_it(tmp_path: Path) -> None:
    with runtime_of(tmp_path, rule(), {}) as runtime:
        runtime.publish("onefold/things/events", b"\xff\x00", client_id="t-7")
        runtime.publish("onefold/things/events/more", b"{}")
        runtime.publish("onefold/events", b"{}")
        (message,) = queued(runtime)

    assert len(message.pop("id")) == 36
    assert message.pop("at") > 1_700_000_000_000
    assert base64.b64decode(message.pop("payload")) == b"\xff\x00"
    assert message == {"source": "things", "topic": "onefold/things/events", "client": "t-7"}


def test_other_programs_publish_over_http_and_have_no_client(tmp_path: Path) -> None:
    with runtime_of(tmp_path, rule(), {}) as runtime:
        session = boto3.Session("local", "local", region_name="eu-central-1")
        outside = session.client("iot-data", endpoint_url=runtime.endpoint_url)
        outside.publish(topic="onefold/things/events", qos=1, payload=b'{"a": "\xc3\xa4 %"}')
        runtime.client("iot-data").publish(topic="onefold/things/events", payload=b"inside")
        outside.close()
        messages = queued(runtime)

    assert {each["client"] for each in messages} == {"N/A"}
    assert {base64.b64decode(each["payload"]) for each in messages} == {b'{"a": "\xc3\xa4 %"}', b"inside"}


def test_a_queue_that_the_rules_role_may_not_fill_makes_it_the_error_action(tmp_path: Path) -> None:
    with runtime_of(tmp_path, rule(allowed="Dead"), {}) as runtime:
        runtime.publish("onefold/things/events", b"{}", client_id="t-7")
        failed, refused = queued(runtime, "dead"), runtime.denied
        assert queued(runtime) == []

    (document,) = failed
    assert (document["topic"], document["clientId"]) == ("onefold/things/events", "t-7")
    assert base64.b64decode(document["base64OriginalPayload"]) == b"{}"
    assert [failure["failedAction"] for failure in document["failures"]] == ["SqsAction"]
    assert [action for _, action, _ in refused] == ["sqs:SendMessage"]


@pytest.mark.parametrize(
    "payload",
    [
        {"Sql": "SELECT * FROM 'a'"},
        {"Sql": "SELECT topic() AS t FROM 'a' WHERE x = 1"},
        {"Sql": "SELECT topic() FROM 'a'"},
        {"Sql": "SELECT principal() AS p FROM 'a'"},
        {"actions": [{"Lambda": {"FunctionArn": "arn:x"}}]},
        {"actions": [{"Sqs": {"QueueUrl": "x", "RoleArn": "y", "UseBase64": True}}]},
    ],
)
def test_what_is_not_known_stops_the_runtime_with_its_place(tmp_path: Path, payload: dict[str, Any]) -> None:
    with pytest.raises(TemplateError, match="Rule"), runtime_of(tmp_path, rule(**payload), {}):
        pass


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a//c", True),
        ("a/+/c", "a/b/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("+", "a/b", False),
        ("a.b", "axb", False),
    ],
)
def test_wildcards_are_those_of_mqtt(topic_filter: str, topic: str, expected: bool) -> None:
    assert (topic_pattern(topic_filter).fullmatch(topic) is not None) == expected
