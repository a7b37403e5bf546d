"""Collect: one HTTP request of the tracking API in, durable events out."""

import os
import random
import time
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from onefold.adapters.defined_rules import defined_rules
from onefold.adapters.defined_sources import DefinedSources
from onefold.adapters.deployment_secret import load_deployment_secret
from onefold.adapters.dynamodb_definitions import CachedDefinitions, DynamoDbDefinitions
from onefold.adapters.kinesis_event_log import KinesisEventLog
from onefold.adapters.phone_numbers import read_e164
from onefold.adapters.s3_spool import S3Spool
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.source import sources_by_write_key
from onefold.edge.config import CollectConfig
from onefold.edge.observability import Observability
from onefold.edge.tracking_api import count_outcome, parse_tracking_request, refuse, respond
from onefold.use_cases.collect import Collector

observe = Observability("collect")
# A client that waits 10 s sends again, so a dependency that hangs is given up soon; the spool takes over.
QUICK = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})


@cache  # built at the first request, once per sandbox
def collector() -> Collector:
    config = CollectConfig.from_env(os.environ)
    definitions = DynamoDbDefinitions(boto3.client("dynamodb", config=QUICK), config.definitions_table_name)
    sources = CachedDefinitions(lambda: definitions.load_current("source"), sources_by_write_key, now=time.monotonic)
    secret = load_deployment_secret(boto3.client("secretsmanager", config=QUICK), config.deployment_secret_arn)
    stream = boto3.client("kinesis", config=QUICK)
    connect_s3 = cache(lambda: boto3.client("s3", config=QUICK))
    return Collector(
        sources=DefinedSources(sources),
        log=KinesisEventLog(stream, config.stream_name, sleep=time.sleep, jitter=random.random),
        spool=S3Spool(connect_s3, config.spool_bucket_name),
        hasher=IdentifierHasher(secret),
        phone=read_e164,
        rules=defined_rules(definitions, now=time.monotonic),
    )


@observe.request(refuse)
def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    reply = respond(parse_tracking_request(event), collector)
    count_outcome(observe, reply.outcome)
    return reply.answer
