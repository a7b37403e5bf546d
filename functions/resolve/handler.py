"""resolve: the identity API."""

import os
import time
from functools import cache
from typing import Any, Final

import boto3

from onefold.adapters.athena_snapshot import AthenaSnapshot
from onefold.adapters.aws_requests import client_config
from onefold.adapters.deployment_secret import load_deployment_secret
from onefold.adapters.dynamodb_decisions import DynamoDbDecisions
from onefold.adapters.dynamodb_definitions import CachedDefinitions, DynamoDbDefinitions
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.identity_rules import DEFINITION_KIND, rules_of
from onefold.edge.config import ResolveConfig
from onefold.edge.identity_api import IdentityStores, answer, parse_identity_request
from onefold.edge.observability import Observability
from onefold.edge.problems import NOT_FOUND
from onefold.edge.profile_api import refuse, request_id

LAKE_WAIT_S: Final = 12.0
observe = Observability("resolve")


@cache
def stores() -> IdentityStores:
    config = ResolveConfig.from_env(os.environ)
    dynamodb, athena = boto3.client("dynamodb", config=client_config()), boto3.client("athena", config=client_config())
    log = DynamoDbDecisions(dynamodb, config.decisions_table_name)
    graph = DynamoDbGraph(dynamodb, config.identities_table_name, config.heads_table_name, log)
    lake = AthenaSnapshot(athena, workgroup=config.workgroup_name, database=config.database_name, wait_s=LAKE_WAIT_S)
    definitions = DynamoDbDefinitions(dynamodb, config.definitions_table_name)
    rules = CachedDefinitions(lambda: definitions.load_current(DEFINITION_KIND), rules_of, now=time.monotonic)
    secret = load_deployment_secret(boto3.client("secretsmanager"), config.deployment_secret_arn)
    return IdentityStores(graph, log, lake, IdentifierHasher(secret), rules.get)


@observe.request(refuse)
def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's
    request = parse_identity_request(event)
    response = answer(request, stores(), request_id=request_id(event)) if request is not None else None
    if request is None or response is None:
        return refuse(event, NOT_FOUND)
    observe.count("DecisionsMade", int(request.is_decision))
    return response
