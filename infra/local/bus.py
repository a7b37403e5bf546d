"""EventBridge here: events to rules to targets, schedules, and what S3 tells the default bus."""

import heapq
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from moto.events.models import EventsBackend
from moto.s3 import notifications as s3_notifications

from infra.local.assembly import TemplateError
from infra.local.functions import Invoker
from infra.local.patterns import matches
from infra.local.schedules import NextTime, parse_schedule
from infra.local.template import Resource

WORKERS = 2
ATTEMPTS_MAX = 3  # an asynchronous invocation is tried three times, a minute and two minutes apart
RETRY_S = 60
PRINCIPAL = "events.amazonaws.com"

Send = Callable[[str, str], None]  # queue ARN, body


@dataclass(frozen=True, slots=True)
class Rule:
    arn: str
    bus: str
    pattern: Mapping[str, Any] | None
    targets: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one target."""

    target: Mapping[str, Any]
    payload: str  # JSON
    attempts: int = 0


@dataclass(slots=True)
class _Schedule:
    rule: Rule
    next_time: NextTime
    due_at: datetime | None


@dataclass(slots=True)
class Bus:
    """Rules and schedules of a deployment, and the deliveries that are under way."""

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
    _buckets: set[str] = field(default_factory=set)  # that tell the default bus of their objects
    _queue: list[tuple[float, int, Delivery]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _in_hand: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closing: bool = False
    threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        for resource in self.resources:
            if resource.type == "AWS::Events::Rule" and resource.properties.get("State", "ENABLED") == "ENABLED":
                self._add_rule(resource)
            settings = resource.properties.get("NotificationConfiguration", {})
            if settings.keys() - {"EventBridgeConfiguration"}:
                place = f"{resource.stack}.{resource.logical_id}"
                raise TemplateError(f"{place}: the local runtime's buckets tell the default bus only, use a rule")
            if settings.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled", bool(settings)):
                self._buckets.add(resource.ref)

    def _add_rule(self, resource: Resource) -> None:
        properties, place = resource.properties, f"{resource.stack}.{resource.logical_id}"
        targets = tuple(properties.get("Targets", []))
        for target in targets:
            odd = sorted(target.keys() - {"Arn", "Id", "DeadLetterConfig", "RetryPolicy", "RoleArn"})
            if odd or not (":lambda:" in target["Arn"] or ":sqs:" in target["Arn"]):
                raise TemplateError(
                    f"{place}: the local runtime delivers whole events to functions and queues, "
                    f"not {', '.join(odd) or target['Arn']}"
                )
        pattern = properties.get("EventPattern")
        bus = properties.get("EventBusName", "default").rpartition("/")[2]
        rule = Rule(resource.attributes["Arn"], bus, pattern, targets)
        if pattern is not None:
            self._rules.append(rule)
        if "ScheduleExpression" in properties:
            try:
                next_time = parse_schedule(properties["ScheduleExpression"])
            except ValueError as error:
                raise TemplateError(f"{place}: {error}") from error
            self._schedules.append(_Schedule(rule, next_time, next_time(self.now())))

    def start(self) -> None:
        for number in range(WORKERS):
            self.threads.append(threading.Thread(target=self._work, name=f"bus-{number}", daemon=True))
            self.threads[-1].start()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over what moto's EventBridge and S3 would announce."""
        put_events = EventsBackend.put_events

        def put_and_publish(backend: EventsBackend, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
            entries: list[dict[str, Any]] = put_events(backend, events)
            for event, entry in zip(events, entries, strict=True):
                if "EventId" in entry:
                    self._publish_entry(event, entry["EventId"])
            return entries

        with (
            patch.object(EventsBackend, "put_events", put_and_publish),
            patch.object(s3_notifications, "send_event", lambda _, *told: self._announce(*told)),
        ):
            yield

    def _publish_entry(self, entry: Mapping[str, Any], event_id: str) -> None:
        detail, at = json.loads(entry["Detail"]), entry.get("Time")
        event = self.event(entry["Source"], entry["DetailType"], detail, entry.get("Resources", []))
        if at is not None:
            event["time"] = _timestamp(datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else at)
        self.publish({**event, "id": event_id}, (entry.get("EventBusName") or "default").rpartition("/")[2])

    def _announce(self, event_name: Any, bucket: Any, key: Any) -> None:
        if bucket.name not in self._buckets:
            return
        stored = {"key": key.name, "size": key.size, "etag": key.etag.strip('"'), "sequencer": uuid.uuid4().hex[:16]}
        detail = {"version": "0", "bucket": {"name": bucket.name}, "object": stored, "requester": self.account}
        kind = "Object Created" if "ObjectCreated" in event_name.value else "Object Deleted"
        self.publish(self.event("aws.s3", kind, detail, [bucket.arn]))

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
                event = self.event("aws.events", "Scheduled Event", {}, [schedule.rule.arn])
                self._send_to_targets(schedule.rule, {**event, "time": _timestamp(schedule.due_at)})
                schedule.due_at = schedule.next_time(schedule.due_at)

    def event(self, source: str, detail_type: str, detail: Any, resources: list[str]) -> dict[str, Any]:
        """An event in the envelope in which rules and targets see it."""
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self.account,
            "time": _timestamp(self.now()),
            "region": self.region,
            "resources": resources,
            "detail": detail,
        }

    def publish(self, event: Mapping[str, Any], bus: str = "default") -> None:
        """Hand the event to every rule of the bus that it matches; delivery happens on other threads."""
        for rule in self._rules:
            if rule.bus == bus and rule.pattern is not None and matches(rule.pattern, event):
                self._send_to_targets(rule, event)

    def _send_to_targets(self, rule: Rule, event: Mapping[str, Any]) -> None:
        for target in rule.targets:
            self._offer(Delivery(target, json.dumps(event, separators=(",", ":"), ensure_ascii=False)))

    def _offer(self, delivery: Delivery, delay_s: float = 0) -> None:
        with self._changed:
            heapq.heappush(self._queue, (time.monotonic() + delay_s, next(self._numbers), delivery))
            self._changed.notify()

    @property
    def pending(self) -> int:
        with self._changed:
            return len(self._queue) + self._in_hand

    def _work(self) -> None:
        while (delivery := self._next()) is not None:
            try:
                self._deliver(delivery)
            finally:
                with self._changed:
                    self._in_hand -= 1

    def _next(self) -> Delivery | None:
        """Wait for the next delivery that is due; None when the bus closes."""
        with self._changed:
            while not self._closing:
                wait_s = self._queue[0][0] - time.monotonic() if self._queue else None
                if wait_s is not None and wait_s <= 0:
                    self._in_hand += 1
                    return heapq.heappop(self._queue)[2]
                self._changed.wait(wait_s)
        return None

    def _deliver(self, delivery: Delivery) -> None:
        arn = delivery.target["Arn"]
        try:
            if ":sqs:" in arn:
                self.send(arn, delivery.payload)
            else:
                self.invoker.invoke(self.invoker.name_of(arn), json.loads(delivery.payload), principal=PRINCIPAL)
        except Exception:  # noqa: BLE001 -- whatever a target does, it is tried again and then kept
            again = replace(delivery, attempts=delivery.attempts + 1)
            if again.attempts < ATTEMPTS_MAX:
                self._offer(again, RETRY_S * again.attempts * self.time_scale)
                return
            self.failed.append(again)
            queue = delivery.target.get("DeadLetterConfig", {}).get("Arn")
            if queue:
                self.send(queue, delivery.payload)


def _timestamp(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
