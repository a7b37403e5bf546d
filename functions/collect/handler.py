"""Collect: one HTTP request of the tracking API in, durable events out."""

import os
from functools import cache
from typing import Any

from onefold.adapters.collecting import build_collector
from onefold.edge.config import CollectConfig
from onefold.edge.observability import Observability
from onefold.edge.tracking_answers import refuse
from onefold.edge.tracking_api import count_outcomes, respond
from onefold.edge.tracking_request import parse_tracking_request
from onefold.use_cases.collect import Collector

observe = Observability("collect")


@cache  # built at the first request, once per sandbox
def collector() -> Collector:
    config = CollectConfig.from_env(os.environ)
    return build_collector(
        stream_name=config.stream_name,
        spool_bucket_name=config.spool_bucket_name,
        definitions_table_name=config.definitions_table_name,
        deployment_secret_arn=config.deployment_secret_arn,
    )


@observe.request(refuse)
def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    reply = respond(parse_tracking_request(event), collector)
    count_outcomes(observe, reply)
    return reply.answer
