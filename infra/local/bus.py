"""EventBridge here: events to rules to targets, schedules, and what S3 announces."""

import heapq
import itertools
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from infra.local.functions import Invoker, Throttled
from infra.local.patterns import matches
from infra.local.resources_creation import TemplateError
from infra.local.schedules import NextTime, parse_schedule
from infra.local.template import Resource

WORKERS = 2
ATTEMPTS_MAX = 3  # an asynchronous invocation is tried three times, a minute and two minutes apart
RETRY_S = 60

Send = Callable[[str, str, str | None], None]  # queue ARN, body, message group


@dataclass(frozen=True, slots=True)
class Rule:
    arn: str
    name: str
    bus: str
    pattern: Mapping[str, Any] | None
    targets: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one target."""

    target: Mapping[str, Any]
    payload: str  # JSON
    attempts: int = 0
    principal: str | None = "events.amazonaws.com"  # None: it goes by a role


@dataclass(slots=True)
class _Schedule:
    next_time: NextTime
    due_at: datetime | None
    fire: Callable[[datetime], None]


@dataclass(slots=True)
class Bus:
    """Rules and schedules of a deployment, and the deliveries that are under way.

    `clock_offset_s` moves the schedules' clock; see `advance`.
    """

    resources: Iterable[Resource]
    invoker: Invoker
    send: Send
    region: str
    account: str
    time_scale: float
    clock_offset_s: float = 0
    failed: list[Delivery] = field(default_factory=list)
    _rules: list[Rule] = field(default_factory=list)
    _schedules: list[_Schedule] = field(default_factory=list)
    _queue: list[tuple[float, int, Delivery]] = field(default_factory=list)
    _numbers: Iterable[int] = field(default_factory=itertools.count)
    _busy: dict[int, Delivery] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closing: bool = False
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        for resource in self.resources:
            properties = resource.properties
            if resource.type == "AWS::Events::Rule" and properties.get("State", "ENABLED").startswith("ENABLED"):
                self._add_rule(resource)
            elif resource.type == "AWS::Scheduler::Schedule" and properties.get("State", "ENABLED") == "ENABLED":
                target = _checked(properties["Target"], resource.logical_id)
                delivery = Delivery(target, target.get("Input", "{}"), principal=None)
                self._add_schedule(resource, partial(self._send, delivery))

    def _add_rule(self, resource: Resource) -> None:
        properties = resource.properties
        targets = tuple(_checked(target, resource.logical_id) for target in properties.get("Targets", []))
        pattern = properties.get("EventPattern")
        rule = Rule(
            arn=resource.attributes["Arn"],
            name=resource.ref.rpartition("|")[2],
            bus=properties.get("EventBusName", "default").rpartition("/")[2],
            pattern=json.loads(pattern) if isinstance(pattern, str) else pattern,
            targets=targets,
        )
        if rule.pattern is not None:
            self._rules.append(rule)
        if "ScheduleExpression" in properties:
            self._add_schedule(resource, partial(self._send_scheduled, rule))

    def _add_schedule(self, resource: Resource, fire: Callable[[datetime], None]) -> None:
        try:
            next_time = parse_schedule(resource.properties["ScheduleExpression"])
        except ValueError as error:
            raise TemplateError(f"{resource.stack}.{resource.logical_id}: {error}") from error
        self._schedules.append(_Schedule(next_time, next_time(self.now()), fire))

    def start(self) -> None:
        for number in range(WORKERS):
            thread = threading.Thread(target=self._work, args=(number,), name=f"bus-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=2)

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.clock_offset_s, UTC)

    def advance(self, seconds: float) -> None:
        """Move the schedules' clock on, and fire what became due, each time as often as it was due."""
        self.clock_offset_s += seconds
        self.fire_schedules()

    def fire_schedules(self) -> None:
        now = self.now()
        for schedule in self._schedules:
            while schedule.due_at is not None and schedule.due_at <= now:
                due_at, schedule.due_at = schedule.due_at, schedule.next_time(schedule.due_at)
                schedule.fire(due_at)

    def event(
        self,
        source: str,
        detail_type: str,
        detail: Any,
        *,
        resources: list[str] | None = None,
        at: datetime | None = None,
    ) -> dict[str, Any]:
        """An event in the envelope in which rules and targets see it."""
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self.account,
            "time": (at or self.now()).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.region,
            "resources": resources or [],
            "detail": detail,
        }

    def publish(self, event: Mapping[str, Any], bus: str = "default") -> None:
        """Hand the event to every rule of the bus that it matches; delivery happens on other threads."""
        for rule in self._rules:
            if rule.bus == bus and rule.pattern is not None and matches(rule.pattern, event):
                self._send_to_targets(rule, event)

    def notify(self, arn: str, payload: Any) -> None:
        """Hand a notification of S3 to a function, asynchronously, or to a queue."""
        self._offer(Delivery({"Arn": arn}, _json(payload), principal="s3.amazonaws.com"))

    @property
    def pending(self) -> int:
        with self._changed:
            return len(self._queue) + len(self._busy)

    def undelivered(self) -> list[Delivery]:
        with self._changed:
            return [*self._busy.values(), *(delivery for _, _, delivery in self._queue)]

    def restore(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._offer(delivery)

    def _send(self, delivery: Delivery, _due_at: datetime) -> None:
        self._offer(delivery)

    def _send_scheduled(self, rule: Rule, due_at: datetime) -> None:
        event = self.event("aws.events", "Scheduled Event", {}, resources=[rule.arn], at=due_at)
        self._send_to_targets(rule, event)

    def _send_to_targets(self, rule: Rule, event: Mapping[str, Any]) -> None:
        for target in rule.targets:
            self._offer(Delivery(target, target_input(target, event, rule)))

    def _offer(self, delivery: Delivery, delay_s: float = 0) -> None:
        with self._changed:
            heapq.heappush(self._queue, (time.monotonic() + delay_s, next(iter(self._numbers)), delivery))
            self._changed.notify()

    def _work(self, number: int) -> None:
        while (delivery := self._next(number)) is not None:
            try:
                self._deliver(delivery)
            finally:
                with self._changed:
                    self._busy.pop(number, None)

    def _next(self, number: int) -> Delivery | None:
        """Wait for the next delivery that is due; None when the bus closes."""
        with self._changed:
            while not self._closing:
                wait_s = self._queue[0][0] - time.monotonic() if self._queue else None
                if wait_s is not None and wait_s <= 0:
                    delivery = self._busy[number] = heapq.heappop(self._queue)[2]
                    return delivery
                self._changed.wait(wait_s)
        return None

    def _deliver(self, delivery: Delivery) -> None:
        arn = delivery.target["Arn"]
        try:
            if ":lambda:" in arn:
                event = json.loads(delivery.payload)
                self.invoker.invoke(self.invoker.name_of(arn), event, principal=delivery.principal)
            elif ":sqs:" in arn:
                self.send(arn, delivery.payload, delivery.target.get("SqsParameters", {}).get("MessageGroupId"))
            else:
                event = json.loads(delivery.payload)
                self.publish(event, arn.rpartition("/")[2])
        except Throttled:
            self._offer(delivery, RETRY_S * self.time_scale)
        except Exception:  # noqa: BLE001 -- whatever a target does, it is tried again and then kept
            attempts = delivery.attempts + 1
            again = replace(delivery, attempts=attempts)
            if attempts < ATTEMPTS_MAX:
                self._offer(again, RETRY_S * attempts * self.time_scale)
            else:
                self._give_up(again)

    def _give_up(self, delivery: Delivery) -> None:
        self.failed.append(delivery)
        queue = delivery.target.get("DeadLetterConfig", {}).get("Arn")
        if queue:
            self.send(queue, delivery.payload, None)


def _checked(target: Mapping[str, Any], logical_id: str) -> Mapping[str, Any]:
    arn = target["Arn"]
    if not any(kind in arn for kind in (":lambda:", ":sqs:", ":event-bus/")):
        raise TemplateError(
            f"{logical_id}: the local runtime cannot deliver events to {arn}; use a function, a queue or a bus"
        )
    return target


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], rule: Rule) -> str:
    """The JSON text that a target gets for an event: the event, a part of it, a constant, or a transformed text."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return _json(_at_path(event, target["InputPath"]))
    if "InputTransformer" not in target:
        return _json(event)
    transformer = target["InputTransformer"]
    values = {name: _at_path(event, path) for name, path in transformer.get("InputPathsMap", {}).items()}
    values |= {
        "aws.events.event": event,
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
    }
    return _fill(transformer["InputTemplate"], values)


def _fill(template: str, values: Mapping[str, Any]) -> str:
    """Put the values in for `<name>`: as JSON, or within a JSON string as its text."""
    parts: list[str] = []
    quoted = False
    for part in re.findall(r'\\.|"|<[^<>"]+>|[^\\"<]+|<', template, re.DOTALL):
        name = part[1:-1]
        if part == '"':
            quoted = not quoted
        if part[0] != "<" or name not in values:
            parts.append(part)
        elif quoted:
            value = values[name]
            parts.append(json.dumps(value if isinstance(value, str) else _json(value), ensure_ascii=False)[1:-1])
        else:
            parts.append(_json(values[name]))
    return "".join(parts)


def _at_path(event: Any, path: str) -> Any:
    """The value at a JSON path such as `$.detail.items[0]`, None if there is none."""
    value = event
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            return None
    return value
