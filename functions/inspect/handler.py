"""inspect: what became of a message, and what the quarantine holds; routes of the profile API."""

import os
import time
from functools import cache
from typing import Any

import boto3

from onefold.adapters.athena_history import AthenaHistory
from onefold.adapters.aws_requests import client_config
from onefold.adapters.dynamodb_fragments import DynamoDbFragments
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.adapters.dynamodb_timeline import DynamoDbTimeline
from onefold.adapters.s3_marks import REPLAYS_PREFIX, S3Marks
from onefold.edge.config import InspectConfig
from onefold.edge.inspect_api import answer_inspection
from onefold.edge.observability import Observability
from onefold.edge.problems import NOT_FOUND
from onefold.edge.profile_api import refuse
from onefold.use_cases.trace import TraceStores

observe = Observability("inspect")


@cache
def stores() -> tuple[TraceStores, AthenaHistory]:
    config = InspectConfig.from_env(os.environ)
    dynamodb, s3 = boto3.client("dynamodb", config=client_config()), boto3.client("s3", config=client_config())
    history = AthenaHistory(boto3.client("athena", config=client_config()), config.workgroup_name, config.database_name)
    graph = DynamoDbGraph(dynamodb, config.identities_table_name, config.heads_table_name)
    fragments = DynamoDbFragments(dynamodb, config.fragments_table_name)
    timeline = DynamoDbTimeline(dynamodb, config.timeline_table_name)
    marks = S3Marks(lambda: s3, config.lake_bucket_name, REPLAYS_PREFIX)
    return TraceStores(history, fragments, graph, timeline, marks), history


@observe.request(refuse)
def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's
    response = answer_inspection(event, *stores(), now=round(time.time() * 1_000))
    if response is None:
        return refuse(event, NOT_FOUND)
    observe.count("MessagesTraced", str(event["rawPath"]).startswith("/v1/trace"))
    return response
