"""The deployment's resources in moto, made by hand for tests that need no synthesized stacks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from moto import mock_aws

from infra.local import moto_mended
from tests.fakes.events import SECRET

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REGION: Final = "eu-central-1"
TABLES = {
    "fragments": ("fragment_key",),
    "identities": ("identifier_key",),
    "heads": ("profile_id",),
    "timeline": ("fragment_key", "sequence"),
    "suppressions": ("identifier_key",),
    "definitions": ("scope", "name"),
    "decisions": ("scope", "place"),
}
LAKE = "onefold-lake"
BUS = "onefold-bus"
WORKGROUP = "onefold_dev"
DATABASE = "onefold_dev"
SECRET_NAME = "onefold-secret"
CACHED = ("stores", "lake", "bus")


@contextmanager
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    """An empty deployment in moto, mended so that threads find DynamoDB's guarantees; gives a client of the tables."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
    }.items():
        monkeypatch.setenv(name, value)
    moto_mended.install()
    with mock_aws():
        client = boto3.client("dynamodb")
        for table, keys in TABLES.items():
            client.create_table(
                TableName=table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                KeySchema=[
                    {"AttributeName": key, "KeyType": "RANGE" if place else "HASH"} for place, key in enumerate(keys)
                ],
            )
        boto3.client("s3").create_bucket(Bucket=LAKE, CreateBucketConfiguration={"LocationConstraint": REGION})
        boto3.client("events").create_event_bus(Name=BUS)
        boto3.client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString=SECRET.decode())
        yield client


def fresh_handler(verb: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any], Any], Any]:
    """A function's handler as a new sandbox would have it; to be called inside `aws`."""
    environment(verb, monkeypatch)
    module = import_module(f"functions.{verb}.handler")
    for name in CACHED:
        if hasattr(module, name):
            getattr(module, name).cache_clear()
    handle: Callable[[dict[str, Any], Any], Any] = module.handle
    return handle


def environment(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the process the variables of one function."""
    arn = boto3.client("secretsmanager").describe_secret(SecretId=SECRET_NAME)["ARN"]
    variables = {f"{table.upper()}_TABLE_NAME": table for table in TABLES} | {
        "ENVIRONMENT": "dev",
        "LOG_LEVEL": "INFO",
        "POWERTOOLS_SERVICE_NAME": verb,
        "POWERTOOLS_METRICS_NAMESPACE": "Onefold",
        "LAKE_BUCKET_NAME": LAKE,
        "BUS_NAME": BUS,
        "WORKGROUP_NAME": WORKGROUP,
        "DATABASE_NAME": DATABASE,
        "DEPLOYMENT_SECRET_ARN": arn,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
