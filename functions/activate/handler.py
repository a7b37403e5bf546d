"""activate: the heads' stream becomes transitions on the bus."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3

from onefold.adapters.aws_requests import client_config
from onefold.adapters.dynamodb_graph import head_of_image
from onefold.adapters.eventbridge_bus import EventBridgeBus
from onefold.edge.batches import BatchResponse, TableChange, batch_response, bytes_of, table_changes
from onefold.edge.config import ActivateConfig
from onefold.edge.observability import Observability, stopwatch
from onefold.use_cases.activate import HeadChange, activate

observe = Observability("activate")
METRIC_BY_STATUS: Mapping[str, str] = {"entered": "AudienceEntered", "exited": "AudienceExited"}


@cache
def bus() -> EventBridgeBus:
    config = ActivateConfig.from_env(os.environ)
    return EventBridgeBus(boto3.client("events", config=client_config()), config.bus_name)


def head_change(change: TableChange) -> HeadChange:
    old, new = (head_of_image(bytes_of(image, "body")) for image in (change.old, change.new))
    return HeadChange(old, new, change.changed_at_ms)


@observe.invocation
def handle(event: dict[str, Any], context: Any) -> BatchResponse:  # noqa: ANN401 - Lambda's
    """Publish the batch whole or fail whole: repeats carry the same key."""
    delivered = table_changes(event)
    with stopwatch() as duration_ms:
        published = activate(map(head_change, delivered), bus())
    for transition in published:
        if transition.status:
            observe.count(METRIC_BY_STATUS[transition.status])
    observe.info("batch activated", records=len(delivered), published=len(published), duration_ms=duration_ms())
    return batch_response([], delivered=delivered)
