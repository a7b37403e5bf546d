"""A lake with the tables that the stacks declare, which answers Athena's SQL."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import boto3
import msgspec
import pytest
from moto import mock_aws

from cli.deployment import Deployment
from cli.query import run_query
from infra.local import athena, moto_mended
from infra.local.athena.statements import PARQUET
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.adapters.s3_lake import EVENT_SCHEMA, S3Lake
from onefold.domain.event import Event
from onefold.use_cases.archive import ArchivedEvent

REGION = "eu-central-1"
PARTITIONS = ("dt", "hour")
# As the catalog's construct has them; a test of the stacks compares it with the schema that archive writes.
GLUE_TYPES = {
    "string": "string",
    "timestamp[ms]": "timestamp",
    "map<string, bool>": "map<string,boolean>",
    "list<item: string>": "array<string>",
    "list<item: struct<type: string, value: string, key: string>>": (
        "array<struct<type:string,value:string,key:string>>"
    ),
    "int32": "int",
    "list<item: int32>": "array<int>",
    "struct<type: string, value: string, key: string, priority: int32, role: int32>": (
        "struct<type:string,value:string,key:string,priority:int,role:int>"
    ),
    "list<item: struct<type: string, value: string, key: string, priority: int32, role: int32>>": (
        "array<struct<type:string,value:string,key:string,priority:int,role:int>>"
    ),
}
PROJECTION = {
    "classification": "parquet",
    "projection.enabled": "true",
    "projection.dt.type": "date",
    "projection.dt.format": "yyyy-MM-dd",
    "projection.dt.range": "2026-10-01,2026-12-31",
    "projection.hour.type": "integer",
    "projection.hour.range": "0,23",
    "projection.hour.digits": "2",
    "storage.location.template": "s3://lake/raw/dt=${dt}/hour=${hour}/",
}


@dataclass
class Lake:
    """What a deployment is to the command line, as far as the lake and the definitions go."""

    session: boto3.Session
    files: int = 0

    @property
    def deployment(self) -> Deployment:
        about = SimpleNamespace(glue_database="shop", workgroup="shop", tables={"definitions": "definitions"})
        return cast("Deployment", SimpleNamespace(client=self.session.client, description=about))

    def archive(self, events: Iterable[Event]) -> None:
        """Write events as archive does, all in a file of their own an hour."""
        self.files += 1
        client: Any = self.session.client("s3")
        archived = [ArchivedEvent(event, f"{self.files:03d}{number:06d}") for number, event in enumerate(events)]
        S3Lake(client, "lake").write_events(archived, f"shard-{self.files}")

    def define(self, name: str, body: object) -> None:
        table = DynamoDbDefinitions(self.session.client("dynamodb"), "definitions")
        table.put_current(name, msgspec.json.encode(body), after_version=0)

    def ask(self, sql: str) -> list[tuple[str | None, ...]]:
        return list(run_query(self.deployment, sql).rows)


@contextmanager
def open_lake() -> Iterator[Lake]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (("ACCESS_KEY_ID", "testing"), ("SECRET_ACCESS_KEY", "testing"), ("DEFAULT_REGION", REGION)):
            environment.setenv(f"AWS_{name}", value)
        moto_mended.install()
        athena.install()
        with mock_aws():
            lake = Lake(boto3.Session(region_name=REGION))
            _create(lake.session)
            yield lake


def _create(session: boto3.Session) -> None:
    s3: Any = session.client("s3")
    for bucket in ("lake", "results"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    glue: Any = session.client("glue")
    glue.create_database(DatabaseInput={"Name": "shop"})
    columns = [{"Name": field.name, "Type": GLUE_TYPES[str(field.type)]} for field in EVENT_SCHEMA]
    glue.create_table(
        DatabaseName="shop",
        TableInput={
            "Name": "raw_events",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": PROJECTION,
            "PartitionKeys": [{"Name": name, "Type": "string"} for name in PARTITIONS],
            "StorageDescriptor": {**PARQUET, "Location": "s3://lake/raw/", "Columns": columns},
        },
    )
    athena_client: Any = session.client("athena")
    athena_client.create_work_group(
        Name="shop", Configuration={"ResultConfiguration": {"OutputLocation": "s3://results/q/"}}
    )
    dynamodb: Any = session.client("dynamodb")
    dynamodb.create_table(
        TableName="definitions",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("scope", "name")],
        KeySchema=[{"AttributeName": "scope", "KeyType": "HASH"}, {"AttributeName": "name", "KeyType": "RANGE"}],
    )
