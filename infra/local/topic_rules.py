"""AWS IoT Core's rules here: what is published on a topic goes to the queues of the rules that match it."""

import base64
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import patch

from botocore.exceptions import ClientError
from moto.iotdata.models import IoTDataPlaneBackend

from infra.local.assembly import TemplateError
from infra.local.template import Resource

NOT_MQTT = "N/A"  # the client's id of what was published over HTTP
_STATEMENT = re.compile(r"\s*SELECT\s+(?P<columns>.+?)\s+FROM\s+'(?P<filter>[^']+)'\s*", re.IGNORECASE | re.DOTALL)
_COLUMN = re.compile(r"(?P<expression>[a-z]+\([^()]*\))\s+AS\s+(?P<name>\w+)", re.IGNORECASE)
_BETWEEN_COLUMNS = re.compile(r"(?<=\w)\s*,\s*(?=[a-z]+\()", re.IGNORECASE)
_SEGMENT = re.compile(r"topic\((\d+)\)", re.IGNORECASE)

MaySend = Callable[[str, str], None]  # (role ARN, queue URL); raises ClientError
Send = Callable[[str, str], None]  # (queue ARN, body)


class Published(NamedTuple):
    """One message, as a rule sees it."""

    topic: str
    payload: bytes
    client_id: str
    message_id: str
    at_ms: int


_EXPRESSIONS: Mapping[str, Callable[[Published], Any]] = {
    "clientid()": lambda message: message.client_id,
    "encode(*,'base64')": lambda message: base64.b64encode(message.payload).decode(),
    "newuuid()": lambda message: message.message_id,
    "timestamp()": lambda message: message.at_ms,
    "topic()": lambda message: message.topic,
}


@dataclass(frozen=True, slots=True)
class TopicRule:
    name: str
    topics: re.Pattern[str]
    columns: Mapping[str, Callable[[Published], Any]]
    actions: tuple[Mapping[str, Any], ...]
    error_action: Mapping[str, Any] | None


@dataclass(slots=True)
class TopicRules:
    """The rules of a deployment. Messages are handed over within the call that publishes them."""

    resources: Iterable[Resource]
    may_send: MaySend
    send: Send
    region: str
    account: str
    failed: list[dict[str, Any]] = field(default_factory=list)
    _rules: list[TopicRule] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rules = [parse_rule(resource) for resource in self.resources if resource.type == "AWS::IoT::TopicRule"]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over what is published through moto's data plane, which is HTTP: it knows no client."""
        publish = IoTDataPlaneBackend.publish

        def publish_and_apply(backend: IoTDataPlaneBackend, topic: str, payload: bytes) -> None:
            publish(backend, topic, payload)
            self.publish(topic, payload if isinstance(payload, bytes) else str(payload).encode())

        with patch.object(IoTDataPlaneBackend, "publish", publish_and_apply):
            yield

    def publish(self, topic: str, payload: bytes, *, client_id: str = NOT_MQTT) -> None:
        """Apply every rule that the topic matches."""
        message = Published(topic, payload, client_id, str(uuid.uuid4()), round(time.time() * 1_000))
        for rule in self._rules:
            if rule.topics.fullmatch(topic):
                self._apply(rule, message)

    def _apply(self, rule: TopicRule, message: Published) -> None:
        body = json.dumps({name: read(message) for name, read in rule.columns.items()})
        failures = [failure for action in rule.actions if (failure := self._act(action, body))]
        if not failures:
            return
        document = {
            "ruleName": rule.name,
            "topic": message.topic,
            "cloudwatchTraceId": message.message_id,
            "clientId": message.client_id,
            "base64OriginalPayload": base64.b64encode(message.payload).decode(),
            "failures": failures,
        }
        self.failed.append(document)
        if rule.error_action is not None:
            self._act(rule.error_action, json.dumps(document))

    def _act(self, action: Mapping[str, Any], body: str) -> dict[str, Any] | None:
        """Put the body into the action's queue; a failure as the error action is told it."""
        url = action["QueueUrl"]
        try:
            self.may_send(action["RoleArn"], url)
            self.send(f"arn:aws:sqs:{self.region}:{self.account}:{url.rpartition('/')[2]}", body)
        except ClientError as error:
            return {"failedAction": "SqsAction", "failedResource": url, "errorMessage": str(error)}
        return None


def parse_rule(resource: Resource) -> TopicRule:
    """Read a rule.

    Raises:
        TemplateError: Its SQL or one of its actions is not known here.
    """
    place, payload = f"{resource.stack}.{resource.logical_id}", resource.properties["TopicRulePayload"]
    statement = _STATEMENT.fullmatch(payload["Sql"])
    if statement is None:
        raise TemplateError(f"{place}: the local runtime knows no WHERE and no SET in a topic rule")
    error_action = payload.get("ErrorAction")
    return TopicRule(
        name=resource.ref,
        topics=topic_pattern(statement["filter"]),
        columns=dict(_column(text, place) for text in _BETWEEN_COLUMNS.split(statement["columns"])),
        actions=tuple(_queue_action(action, place) for action in payload["Actions"]),
        error_action=None if error_action is None else _queue_action(error_action, place),
    )


def topic_pattern(topic_filter: str) -> re.Pattern[str]:
    """MQTT's wildcards: `+` stands for one level, `#` for all that follow, and the level above them."""
    parts = [{"+": "[^/]*", "#": ".*"}.get(level, re.escape(level)) for level in topic_filter.split("/")]
    pattern = "/".join(parts)
    return re.compile(re.sub(r"/\.\*$", "(/.*)?", pattern) if topic_filter.endswith("/#") else pattern)


def _column(text: str, place: str) -> tuple[str, Callable[[Published], Any]]:
    column = _COLUMN.fullmatch(text.strip())
    expression = re.sub(r"\s", "", column["expression"]).lower() if column else ""
    segment = _SEGMENT.fullmatch(expression)
    if column and segment:
        return column["name"], lambda message: _level(message.topic, int(segment[1]))
    if column is None or expression not in _EXPRESSIONS:
        known = ", ".join([*_EXPRESSIONS, "topic(n)"])
        raise TemplateError(f"{place}: the local runtime knows {known} in a topic rule, each AS a name, not {text}")
    return column["name"], _EXPRESSIONS[expression]


def _level(topic: str, number: int) -> str | None:
    levels = topic.split("/")
    return levels[number - 1] if 0 < number <= len(levels) else None


def _queue_action(action: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    sqs: Mapping[str, Any] | None = action.get("Sqs")
    if sqs is None or str(sqs.get("UseBase64", False)).lower() == "true":
        raise TemplateError(f"{place}: the local runtime puts messages into queues as they are, nothing else")
    return sqs
