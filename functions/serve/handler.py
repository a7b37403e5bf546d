"""serve: the profile API."""

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import boto3

from onefold.adapters.aws_requests import client_config
from onefold.adapters.defined_rules import defined_rules
from onefold.adapters.deployment_secret import load_deployment_secret
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.adapters.dynamodb_fragments import DynamoDbFragments
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.adapters.dynamodb_timeline import DynamoDbTimeline
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.identity_rules import IdentityRules
from onefold.edge.config import ServeConfig
from onefold.edge.observability import Observability
from onefold.edge.problems import NOT_FOUND
from onefold.edge.profile_api import answer, parse_profile_request, refuse, request_id
from onefold.use_cases.serve import ProfileStores

observe = Observability("serve")


@cache
def stores() -> tuple[ProfileStores, IdentifierHasher, Callable[[], IdentityRules]]:
    """The graph is read consistently, so that an identifier always leads to a head; facts may be a second old."""
    config = ServeConfig.from_env(os.environ)
    dynamodb = boto3.client("dynamodb", config=client_config())
    graph = DynamoDbGraph(dynamodb, config.identities_table_name, config.heads_table_name)
    fragments = DynamoDbFragments(dynamodb, config.fragments_table_name, is_consistent=False)
    timeline = DynamoDbTimeline(dynamodb, config.timeline_table_name)
    secret = load_deployment_secret(boto3.client("secretsmanager"), config.deployment_secret_arn)
    rules = defined_rules(DynamoDbDefinitions(dynamodb, config.definitions_table_name), now=time.monotonic)
    return ProfileStores(graph, fragments, timeline), IdentifierHasher(secret), rules


@observe.request(refuse)
def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's
    request = parse_profile_request(event)
    if request is None:
        return refuse(event, NOT_FOUND)
    profiles, hasher, rules = stores()
    response = answer(request, profiles, hasher, rules(), request_id=request_id(event))
    observe.count("ProfilesServed")
    return response
