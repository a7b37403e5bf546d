"""The three environments are the same but for the values in infra/environments.py."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.environments import (
    ENVIRONMENT_BY_NAME,
    MEBIBYTE,
    Environment,
    UnknownEnvironmentError,
    environment_named,
)
from infra.stacks.ingest_stack import DRAIN_CONCURRENCY_MAX, DRAIN_TIMEOUT_S
from tests.infra.assembly import Assembly, construct_of

# Where templates may differ: resource's type and the path to the value, indexes left out.
MAY_DIFFER = {
    "AWS::ApiGatewayV2::Stage Properties.DefaultRouteSettings.ThrottlingBurstLimit",
    "AWS::ApiGatewayV2::Stage Properties.DefaultRouteSettings.ThrottlingRateLimit",
    "AWS::Athena::WorkGroup Properties.RecursiveDeleteOption",
    "AWS::Athena::WorkGroup Properties.WorkGroupConfiguration.BytesScannedCutoffPerQuery",
    "AWS::CloudWatch::Alarm Properties.AlarmDescription",
    "AWS::CloudWatch::Alarm Properties.Threshold",
    "AWS::Cognito::UserPool DeletionPolicy",
    "AWS::Cognito::UserPool UpdateReplacePolicy",
    "AWS::DynamoDB::Table DeletionPolicy",
    "AWS::DynamoDB::Table Properties.DeletionProtectionEnabled",
    "AWS::DynamoDB::Table UpdateReplacePolicy",
    "AWS::KMS::Key DeletionPolicy",
    "AWS::KMS::Key UpdateReplacePolicy",
    "AWS::Kinesis::Stream DeletionPolicy",
    "AWS::Kinesis::Stream UpdateReplacePolicy",
    "AWS::Lambda::EventSourceMapping Properties.ParallelizationFactor",
    "AWS::Lambda::Function Properties.Environment.Variables.BYTES_PER_SECOND_MAX",
    "AWS::Lambda::Function Properties.Environment.Variables.LOG_LEVEL",
    "AWS::Lambda::Function Properties.Environment.Variables.RECORDS_PER_SECOND_MAX",
    "AWS::Logs::LogGroup Properties.RetentionInDays",
    "AWS::S3::Bucket DeletionPolicy",
    "AWS::S3::Bucket UpdateReplacePolicy",
    "AWS::SecretsManager::Secret DeletionPolicy",
    "AWS::SecretsManager::Secret UpdateReplacePolicy",
}


def test_environments_differ_only_where_they_are_meant_to(assemblies: dict[str, Assembly]) -> None:
    prod = _values(assemblies["prod"], "prod")
    differing: set[str] = set()
    for name in ("dev", "staging"):
        other = _values(assemblies[name], name)
        assert set(other) == set(prod)
        differing |= {path for path, value in other.items() if prod[path] != value}

    assert {path.split("|", 1)[1] for path in differing} == MAY_DIFFER


def test_there_are_seven_stacks_of_the_expected_names(assemblies: dict[str, Assembly]) -> None:
    rooms = {"Storage", "Ingest", "Profiles", "Activation", "Analytics", "Access", "Operations"}

    for name, assembly in assemblies.items():
        stacks = {path.name for path in assembly.folder.glob("*.template.json")}
        assert stacks == {f"Onefold-{name.capitalize()}-{room}.template.json" for room in rooms}


def test_stacks_that_hold_data_are_protected_in_production(assemblies: dict[str, Assembly]) -> None:
    for name, protected in (("dev", False), ("staging", False), ("prod", True)):
        artifacts = json.loads((assemblies[name].folder / "manifest.json").read_text())["artifacts"]
        for room in ("Storage", "Ingest"):
            properties = artifacts[f"Onefold-{name.capitalize()}-{room}"]["properties"]
            assert properties.get("terminationProtection", False) is protected


def test_physical_names_are_given_only_where_they_are_an_interface(prod: Assembly) -> None:
    named = {
        (resource.kind, resource.properties[key])
        for resource in prod.resources()
        for key in (
            "TableName",
            "BucketName",
            "FunctionName",
            "QueueName",
            "TopicName",
            "RoleName",
            "AlarmName",
            "Name",
        )
        if isinstance(resource.properties.get(key), str)
    }

    assert {(kind, name) for kind, name in named if kind != "AWS::Athena::NamedQuery"} == {
        ("AWS::ApiGatewayV2::Api", "onefold-prod-api"),
        ("AWS::ApiGatewayV2::Api", "onefold-prod-collector"),
        ("AWS::ApiGatewayV2::Authorizer", "Tokens"),
        ("AWS::Athena::WorkGroup", "onefold_prod"),
        ("AWS::Cognito::UserPoolResourceServer", "onefold"),
        ("AWS::Events::EventBus", "onefold-prod"),
        ("AWS::Glue::Job", "onefold-prod-rebuild-profiles"),
        ("AWS::Glue::SecurityConfiguration", "onefold-prod-rebuild-profiles"),  # Glue gives it no name by itself
        ("AWS::SSM::Parameter", "/onefold/prod/deployment"),
    }


def test_the_deployment_is_described_for_the_command_line(prod: Assembly) -> None:
    (parameter,) = prod.resources("AWS::SSM::Parameter")
    description = json.loads(prod.readable(parameter.properties["Value"]))

    assert description == {
        "environment": "prod",
        "region": "{AWS::Region}",
        "collector_url": "CollectorApi.ApiEndpoint",
        "api_url": "ProfileApi.ApiEndpoint",
        "token_url": "https://ClientsPoolDomain.auth.{AWS::Region}.amazoncognito.com/oauth2/token",
        "user_pool_id": "ClientsPool",
        "user_pool_client_id": "ClientsPoolClient",
        "stream_name": "EventsStream",
        "lake_bucket": "LakeBucket",
        "spool_bucket": "SpoolBucket",
        "bus_name": "Bus",
        "deployment_secret_arn": "DeploymentSecret",
        "glue_database": "onefold_prod",
        "workgroup": "onefold_prod",
        "tables": {
            name: f"{name.capitalize()}Table"
            for name in ("fragments", "identities", "heads", "timeline", "suppressions", "decisions", "definitions")
        },
        "functions": {verb: f"{construct_of(verb)}Function" for verb in prod.functions()},
        "deliveries_dlq_url": "DeliveriesDeadLetters",
        "key_arn": "Key",
        "webhook_secrets_prefix": "/onefold/prod/webhooks/",
    }


@pytest.mark.parametrize("name", ["", "production", "Dev"])
def test_an_unknown_environment_is_refused_with_the_names_that_exist(name: str) -> None:
    with pytest.raises(UnknownEnvironmentError, match=r"dev\|staging\|prod"):
        environment_named(name)


def test_the_app_answers_an_unknown_environment_with_one_line(repository: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "app.py", "-c", "environment=moon"],
        cwd=repository,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert answer.returncode == 2
    assert answer.stderr == 'error: unknown environment "moon": use -c environment=dev|staging|prod\n'


def test_only_production_is_not_disposable() -> None:
    assert {name for name, environment in ENVIRONMENT_BY_NAME.items() if not environment.data_is_disposable} == {"prod"}


def _values(assembly: Assembly, environment: str) -> dict[str, str]:
    """Map each value's place to the value, with the environment's own name taken out of both."""
    values = {}
    for resource in assembly.resources():
        for path, indexes, value in _leaves(resource.body):
            place = f"{resource.stack}.{_neutral(resource.name, environment)}{indexes}|{resource.kind} {path}"
            values[place] = _neutral(str(value), environment)
    return values


def _leaves(body: Any, path: str = "", indexes: str = "") -> Iterator[tuple[str, str, Any]]:
    if isinstance(body, dict):
        for key, value in body.items():
            if key not in {"Fn::ImportValue", "ViewOriginalText", "S3Key"}:
                yield from _leaves(value, f"{path}.{key}".removeprefix("."), indexes)
    elif isinstance(body, list):
        for index, value in enumerate(body):
            yield from _leaves(value, path, f"{indexes}[{index}]")
    else:
        yield path, indexes, body


def _neutral(text: str, environment: str) -> str:
    """Take out the environment's name, but not of the middle of a word: devices are in every environment."""
    return re.sub(rf"(?<![a-z]){environment}(?![a-z])|{environment.capitalize()}(?![a-z])", "@", text)


@pytest.mark.parametrize("environment", ENVIRONMENT_BY_NAME.values(), ids=lambda environment: environment.name)
def test_the_largest_spooled_object_is_drained_within_one_invocation(environment: Environment) -> None:
    """A request's events are 4 MB of JSON, and as much again for a context that they share; a quarter is to spare."""
    largest_s = 10 * MEBIBYTE / (environment.drain_bytes_per_second / DRAIN_CONCURRENCY_MAX)

    assert largest_s < DRAIN_TIMEOUT_S * 0.75
    assert environment.drain_records_per_second >= DRAIN_CONCURRENCY_MAX
