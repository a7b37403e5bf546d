"""Drain: messages about objects in the spool in, their events on the stream."""

import os
import random
import time
from functools import cache
from typing import Any

import boto3

from onefold.adapters.kinesis_event_log import KinesisEventLog
from onefold.adapters.s3_spool import S3Spool
from onefold.domain.errors import OnefoldError
from onefold.edge.batches import BatchResponse, batch_response, created_object_key, queue_messages
from onefold.edge.config import DrainConfig
from onefold.edge.observability import Observability
from onefold.use_cases.drain import Pace, drain

observe = Observability("drain")


@cache
def event_log() -> KinesisEventLog:
    config = DrainConfig.from_env(os.environ)
    return KinesisEventLog(boto3.client("kinesis"), config.stream_name, sleep=time.sleep, jitter=random.random)


@cache
def spool() -> S3Spool:
    return S3Spool(cache(lambda: boto3.client("s3")), DrainConfig.from_env(os.environ).spool_bucket_name)


@cache  # a sandbox remembers how fast the stream took the last ones
def pace() -> Pace:
    config = DrainConfig.from_env(os.environ)
    return Pace(float(config.records_per_second_max), float(config.bytes_per_second_max))


@observe.invocation
def handle(event: dict[str, Any], context: object) -> BatchResponse:
    messages = queue_messages(event)
    failed, drained = [], 0
    for message in messages:
        try:
            drained += drain(created_object_key(message), spool(), event_log(), pace(), time)
        except OnefoldError as error:
            failed.append(message.message_id)
            observe.warning("spooled events left where they are", reason=type(error).__name__, detail=str(error))
    observe.count("EventsDrained", drained)
    observe.count("RecordsFailed", len(failed))
    observe.info("spool drained", drained=drained, failed=len(failed), records=len(messages))
    return batch_response(failed, delivered=messages)
