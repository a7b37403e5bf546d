"""Receive: signed webhooks over HTTP, and from a queue what devices published."""

import os
from functools import cache
from typing import Any

from onefold.adapters.receiving import connect_receiver
from onefold.edge.batches import BatchResponse, queue_messages
from onefold.edge.config import ReceiveConfig
from onefold.edge.observability import Observability
from onefold.edge.webhook_api import (
    accepted,
    count_outcomes,
    inflate_if_packed,
    parse_webhook,
    receive_messages,
    refuse_webhook,
)
from onefold.use_cases.receive import Receiver

observe = Observability("receive")


@cache  # built at the first request, once per sandbox
def receiver() -> Receiver:
    config = ReceiveConfig.from_env(os.environ)
    return connect_receiver(
        stream_name=config.stream_name,
        spool_bucket_name=config.spool_bucket_name,
        definitions_table_name=config.definitions_table_name,
        deployment_secret_arn=config.deployment_secret_arn,
        webhook_secrets_prefix=config.webhook_secrets_prefix,
        inflate=inflate_if_packed,
    )


@observe.request(refuse_webhook)
def answer(event: dict[str, Any], context: object) -> dict[str, Any]:
    outcome = receiver().receive_webhook(parse_webhook(event))
    count_outcomes(observe, [outcome])
    return accepted(outcome)


@observe.invocation
def consume(event: dict[str, Any], context: object) -> BatchResponse:
    return receive_messages(observe, queue_messages(event), receiver().receive_device)


def handle(event: dict[str, Any], context: object) -> Any:  # noqa: ANN401 - as its trigger wants it
    """Answer the API's request, or take the queue's batch."""
    return (consume if "Records" in event else answer)(event, context)
