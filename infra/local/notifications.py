"""What moto's EventBridge and S3 would announce, handed to the runtime's bus."""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from unittest.mock import patch
from urllib.parse import quote_plus

from moto.events.models import EventsBackend
from moto.s3 import notifications as s3_notifications

from infra.local.bus import Bus
from infra.local.template import Resource

_REASONS: Mapping[str, str] = {  # event name of a notification -> reason of an event
    "ObjectCreated:Put": "PutObject",
    "ObjectCreated:Post": "POST Object",
    "ObjectCreated:Copy": "CopyObject",
    "ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
    "ObjectRemoved:Delete": "DeleteObject",
    "ObjectRemoved:DeleteMarkerCreated": "DeleteObject",
}


@dataclass(frozen=True, slots=True)
class _Notification:
    """A function or queue that a bucket tells of some events."""

    arn: str
    event: str
    prefix: str
    suffix: str

    def wants(self, event: str, key: str) -> bool:
        return fnmatchcase(event, self.event) and key.startswith(self.prefix) and key.endswith(self.suffix)


class Notifications:
    """The notification settings of the buckets of a deployment."""

    def __init__(self, resources: Iterable[Resource], bus: Bus) -> None:
        self._bus = bus
        self._on_bus: set[str] = set()
        self._by_bucket: dict[str, list[_Notification]] = {}
        for resource in resources:
            settings = resource.properties.get("NotificationConfiguration", {})
            if resource.type == "AWS::S3::Bucket" and settings:
                if settings.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled", True) is not False and (
                    "EventBridgeConfiguration" in settings
                ):
                    self._on_bus.add(resource.ref)
                self._by_bucket[resource.ref] = list(_parse(settings))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over moto's announcements."""
        put_events = EventsBackend.put_events

        def put_and_publish(backend: EventsBackend, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
            entries: list[dict[str, Any]] = put_events(backend, events)
            for event, entry in zip(events, entries, strict=True):
                if "EventId" in entry:
                    self._publish(event, entry["EventId"])
            return entries

        def announce(_account: str, event_name: Any, bucket: Any, key: Any) -> None:
            self._announce(event_name.value, bucket, key)

        with (
            patch.object(EventsBackend, "put_events", put_and_publish),
            patch.object(s3_notifications, "send_event", announce),
        ):
            yield

    def _publish(self, entry: Mapping[str, Any], event_id: str) -> None:
        event = self._bus.event(
            entry["Source"],
            entry["DetailType"],
            json.loads(entry["Detail"]),
            resources=entry.get("Resources", []),
            at=_instant(entry.get("Time")),
        )
        self._bus.publish({**event, "id": event_id}, (entry.get("EventBusName") or "default").rpartition("/")[2])

    def _announce(self, event_name: str, bucket: Any, key: Any) -> None:
        name, etag = event_name.removeprefix("s3:"), key.etag.replace('"', "")
        if bucket.name in self._on_bus and name in _REASONS:
            detail = {
                "version": "0",
                "bucket": {"name": bucket.name},
                "object": {"key": key.name, "size": key.size, "etag": etag, "sequencer": uuid.uuid4().hex[:16]},
                "request-id": uuid.uuid4().hex[:16].upper(),
                "requester": bucket.account_id,
                "source-ip-address": "127.0.0.1",
                "reason": _REASONS[name],
            }
            kind = "Object Created"
            if name.startswith("ObjectRemoved"):
                kind, detail = "Object Deleted", {**detail, "deletion-type": "Permanently Deleted"}
            self._bus.publish(self._bus.event("aws.s3", kind, detail, resources=[bucket.arn]))
        for notification in self._by_bucket.get(bucket.name, ()):
            if notification.wants(event_name, key.name):
                self._bus.notify(notification.arn, _s3_event(name, bucket, key, etag))


def _parse(settings: Mapping[str, Any]) -> Iterator[_Notification]:
    for kind, target in (("LambdaConfigurations", "Function"), ("QueueConfigurations", "Queue")):
        for configuration in settings.get(kind, []):
            rules = configuration.get("Filter", {}).get("S3Key", {}).get("Rules", [])
            limits = {rule["Name"].lower(): rule["Value"] for rule in rules}
            yield _Notification(
                configuration[target], configuration["Event"], limits.get("prefix", ""), limits.get("suffix", "")
            )


def _s3_event(name: str, bucket: Any, key: Any, etag: str) -> dict[str, Any]:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region_name,
        "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventName": name,
        "userIdentity": {"principalId": "local"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": uuid.uuid4().hex[:16].upper(), "x-amz-id-2": "local"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "local",
            "bucket": {"name": bucket.name, "ownerIdentity": {"principalId": "local"}, "arn": bucket.arn},
            "object": {
                "key": quote_plus(key.name, safe="/"),
                "size": key.size,
                "eTag": etag,
                "sequencer": uuid.uuid4().hex[:16],
            },
        },
    }
    return {"Records": [record]}


def _instant(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(str(value))
