"""evaluate: changed fragments and heads become memberships."""

import os
import time
from functools import cache
from typing import Any

import boto3

from onefold.adapters.aws_requests import client_config
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.adapters.dynamodb_fragments import DynamoDbFragments
from onefold.adapters.dynamodb_graph import DynamoDbGraph, head_of_image
from onefold.domain.event import FragmentKey
from onefold.domain.head import Head
from onefold.edge.batches import BatchResponse, TableChange, batch_response, bytes_of, table_changes
from onefold.edge.config import EvaluateConfig
from onefold.edge.observability import Observability, stopwatch
from onefold.use_cases.evaluate import evaluate
from onefold.use_cases.evaluate_inputs import DEFINITION_KIND, current_audiences, to_evaluate
from onefold.use_cases.settle_redirects import former_ids, settle_redirects

observe = Observability("evaluate")


@cache
def stores() -> tuple[DynamoDbGraph, DynamoDbFragments, DynamoDbDefinitions]:
    config = EvaluateConfig.from_env(os.environ)
    dynamodb = boto3.client("dynamodb", config=client_config())
    graph = DynamoDbGraph(dynamodb, config.identities_table_name, config.heads_table_name)
    fragments = DynamoDbFragments(dynamodb, config.fragments_table_name)
    return graph, fragments, DynamoDbDefinitions(dynamodb, config.definitions_table_name)


def changed_fragment(change: TableChange) -> FragmentKey | None:
    """Of the fragments' stream the fragment; of the heads' stream one that leads to the head."""
    if "fragment_key" in change.keys:
        return FragmentKey.parse(change.keys["fragment_key"]["S"])
    return to_evaluate(*images(change))


def images(change: TableChange) -> tuple[Head | None, Head | None]:
    return head_of_image(bytes_of(change.old, "body")), head_of_image(bytes_of(change.new, "body"))


@observe.invocation
def handle(event: dict[str, Any], context: Any) -> BatchResponse:  # noqa: ANN401 - Lambda's
    graph, fragments, definitions = stores()
    delivered = table_changes(event)
    changed = {key for key in map(changed_fragment, delivered) if key is not None}
    with stopwatch() as duration_ms:
        audiences = current_audiences(definitions.load_current(DEFINITION_KIND))
        counts = evaluate(changed, audiences, graph, fragments, now_ms=time.time_ns() // 1_000_000)
        merged = [former_ids(*images(change)) for change in delivered if "profile_id" in change.keys]
        settled = settle_redirects((profile_id for ids in merged for profile_id in ids), graph)
    observe.info("batch evaluated", records=len(delivered), **counts, settled=settled, duration_ms=duration_ms())
    return batch_response([], delivered=delivered)
