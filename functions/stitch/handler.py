"""stitch: the event stream becomes fragments, identities and heads."""

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import boto3

from onefold.adapters.aws_requests import client_config
from onefold.adapters.defined_rules import defined_rules
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.adapters.dynamodb_fragments import DynamoDbFragments
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.adapters.dynamodb_timeline import DynamoDbTimeline
from onefold.adapters.event_records import read_records
from onefold.adapters.eventbridge_bus import EventBridgeBus
from onefold.adapters.identity_findings import IdentityFindings
from onefold.adapters.s3_quarantine import S3Quarantine
from onefold.domain.identity_rules import IdentityRules
from onefold.edge.batches import BatchResponse, batch_response, stream_records
from onefold.edge.config import StitchConfig
from onefold.edge.observability import Observability, stopwatch
from onefold.use_cases.stitch import stitch

observe = Observability("stitch")


@cache
def stores() -> tuple[DynamoDbFragments, DynamoDbGraph, DynamoDbTimeline]:
    config = StitchConfig.from_env(os.environ)
    dynamodb = boto3.client("dynamodb", config=client_config())
    return (
        DynamoDbFragments(dynamodb, config.fragments_table_name),
        DynamoDbGraph(dynamodb, config.identities_table_name, config.heads_table_name),
        DynamoDbTimeline(dynamodb, config.timeline_table_name),
    )


@cache
def rules() -> Callable[[], IdentityRules]:
    config = StitchConfig.from_env(os.environ)
    dynamodb = boto3.client("dynamodb", config=client_config())
    return defined_rules(DynamoDbDefinitions(dynamodb, config.definitions_table_name), now=time.monotonic)


@cache
def aside() -> tuple[S3Quarantine, IdentityFindings]:
    """Where goes what few batches have; its clients are made when they are needed."""
    config = StitchConfig.from_env(os.environ)
    quarantine = S3Quarantine(lambda: boto3.client("s3", config=client_config()), config.lake_bucket_name)
    bus = cache(lambda: EventBridgeBus(boto3.client("events", config=client_config()), config.bus_name))
    return quarantine, IdentityFindings(bus, quarantine)


@observe.invocation
def handle(event: dict[str, Any], context: Any) -> BatchResponse:  # noqa: ANN401 - Lambda's
    fragments, graph, timeline = stores()
    quarantine, findings = aside()
    delivered = stream_records(event)
    with stopwatch() as duration_ms:
        records, unreadable = read_records(delivered, component="stitch")
        quarantine.keep(unreadable)
        report = stitch(records, fragments, graph, timeline, rules=rules()(), findings=findings)
    observe.count("EventsStitched", report.counts["folded"] + report.counts["unresolved"])
    observe.count("EventsQuarantined", len(unreadable))
    for metric, count in (("EventsRepeated", "repeats"), ("ProfilesCreated", "created"), ("ProfilesMerged", "merged")):
        observe.count(metric, report.counts[count])
    observe.count("LimitsReached", len(report.findings))
    observe.count("ProfileCapsReached", sum(finding.is_cap for finding in report.findings))
    observe.count("RecordsFailed", len(report.failed))
    observe.info("batch stitched", records=len(delivered), failed=len(report.failed), duration_ms=duration_ms())
    return batch_response(report.failed, delivered=delivered)
