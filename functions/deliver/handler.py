"""deliver: transitions from the bus go to destinations."""

import os
import time
from functools import cache
from typing import Any

import boto3

from onefold.adapters.aws_requests import client_config
from onefold.adapters.deployment_secret import load_deployment_secret
from onefold.adapters.dynamodb_definitions import CachedDefinitions, DynamoDbDefinitions
from onefold.adapters.webhook import WebhookSender
from onefold.domain.destination import DEFINITION_KIND as KIND
from onefold.domain.destination import Destination, destinations_of
from onefold.domain.errors import OnefoldError
from onefold.edge.batches import BatchResponse, batch_response, queue_messages
from onefold.edge.config import DeliverConfig
from onefold.edge.observability import Observability
from onefold.use_cases.deliver import deliver, parse_message

observe = Observability("deliver")


@cache
def stores() -> tuple[CachedDefinitions[list[Destination]], WebhookSender]:
    config = DeliverConfig.from_env(os.environ)
    definitions = DynamoDbDefinitions(boto3.client("dynamodb", config=client_config()), config.definitions_table_name)
    declared = CachedDefinitions(lambda: definitions.load_current(KIND), destinations_of, now=time.monotonic)
    secret = load_deployment_secret(boto3.client("secretsmanager"), config.deployment_secret_arn)
    return declared, WebhookSender(secret)


@observe.invocation
def handle(event: dict[str, Any], context: Any) -> BatchResponse:  # noqa: ANN401 - Lambda's
    """Deliver message by message; one that failed comes again, and ends in the dead-letter queue."""
    declared, sender = stores()
    destinations = declared.get()
    delivered, failed = queue_messages(event), []
    for message in delivered:
        try:
            counts = deliver(parse_message(message.body), destinations, sender)
        except OnefoldError as error:
            failed.append(message.message_id)
            observe.warning("delivery failed", detail=str(error), attempts=message.receive_count)
            continue
        observe.count("Deliveries", counts["delivered"])
        observe.count("DeliveriesFailed", counts["refused"])
    observe.count("RecordsFailed", len(failed))
    observe.info("batch delivered", records=len(delivered), failed=len(failed))
    return batch_response(failed, delivered=delivered)
