"""archive: the event stream becomes Parquet in the lake."""

import os
from functools import cache
from typing import Any

import boto3

from onefold.adapters.aws_requests import client_config
from onefold.adapters.event_records import read_records
from onefold.adapters.s3_lake import S3Lake
from onefold.edge.batches import BatchResponse, batch_response, stream_records
from onefold.edge.config import ArchiveConfig
from onefold.edge.observability import Observability, stopwatch
from onefold.use_cases.archive import archive

observe = Observability("archive")


@cache
def lake() -> S3Lake:
    config = ArchiveConfig.from_env(os.environ)
    return S3Lake(boto3.client("s3", config=client_config()), config.lake_bucket_name)


@observe.invocation
def handle(event: dict[str, Any], context: Any) -> BatchResponse:  # noqa: ANN401 - Lambda's
    """Write the batch whole or fail whole: its file's name belongs to the batch, not to a part of it."""
    delivered = stream_records(event)
    if delivered:
        with stopwatch() as duration_ms:
            records, unreadable = read_records(delivered, component="archive")
            name = f"{delivered[0].shard}-{delivered[0].sequence}-{delivered[-1].sequence}"
            counts = archive(records, unreadable, lake(), name=name)
        observe.count("EventsArchived", counts["events"])
        observe.count("EventsQuarantined", counts["refusals"])
        observe.info("batch archived", records=len(delivered), archived=counts["events"], duration_ms=duration_ms())
    return batch_response([], delivered=delivered)
