"""A small shop's lake, for the tests of Athena: thirty days of events under a projected table."""

import datetime as dt
import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto import mock_aws
from moto.athena.models import athena_backends

from infra.local import athena, moto_mended
from infra.local.athena.statements import PARQUET

REGION = "eu-central-1"
DAYS = [dt.date(2026, 1, 1) + dt.timedelta(days=i) for i in range(30)]
Ask = Callable[..., list[list[str | None]]]

COLUMNS = {
    "message_id": "string",
    "name": "string",
    "at": "timestamp",
    "price": "decimal(18,4)",
    "quantity": "bigint",
    "consent": "map<string,boolean>",
    "identifiers": "array<struct<type:string,value:string>>",
    "added_later": "bigint",
}
PROJECTED = {
    "classification": "parquet",
    "projection.enabled": "true",
    "projection.dt.type": "date",
    "projection.dt.format": "yyyy-MM-dd",
    "projection.dt.range": "2026-01-02,NOW",
    "projection.hour.type": "integer",
    "projection.hour.range": "0,23",
    "projection.hour.digits": "2",
    "storage.location.template": "s3://lake/raw/dt=${dt}/hour=${hour}/",
}


def day_of_events(day: dt.date, count: int = 10) -> pa.Table:
    """`count` events; the i-th costs i.25, every second one is an order."""
    start = dt.datetime(day.year, day.month, day.day)  # noqa: DTZ001 - Athena's timestamp has no zone
    return pa.table(
        {
            "message_id": [f"{day}-{i}" for i in range(count)],
            "name": ["Order Completed" if i % 2 else "Page Viewed" for i in range(count)],
            "at": pa.array([start + dt.timedelta(hours=i) for i in range(count)], pa.timestamp("ms")),
            "price": pa.array([Decimal(f"{i}.25") for i in range(count)], pa.decimal128(18, 4)),
            "Quantity": pa.array(range(count), pa.int64()),
            "consent": pa.array([[("marketing", True)]] * count, pa.map_(pa.string(), pa.bool_())),
            "identifiers": [[{"type": "email", "value": f"k{i}"}] for i in range(count)],
        }
    )


def put(s3: Any, key: str, table: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    s3.put_object(Bucket="lake", Key=key, Body=buffer.getvalue())


def table_input(name: str, location: str, keys: dict[str, str], parameters: dict[str, str]) -> Any:
    columns = [{"Name": column, "Type": kind} for column, kind in COLUMNS.items()]
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
        "PartitionKeys": [{"Name": key, "Type": kind} for key, kind in keys.items()],
        "StorageDescriptor": {**PARQUET, "Location": location, "Columns": columns},
    }


@pytest.fixture(scope="module")
def session() -> Iterator[boto3.Session]:
    """A lake of thirty days at one hour each, under the projected table `raw`."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (("ACCESS_KEY_ID", "testing"), ("SECRET_ACCESS_KEY", "testing"), ("DEFAULT_REGION", REGION)):
            environment.setenv(f"AWS_{name}", value)
        moto_mended.install()
        athena.install()
        athena.install()
        with mock_aws():
            made = boto3.Session(region_name=REGION)
            s3: Any = made.client("s3")
            glue: Any = made.client("glue")
            for bucket in ("lake", "results"):
                s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            glue.create_database(DatabaseInput={"Name": "shop"})
            keys = {"dt": "string", "hour": "string"}
            glue.create_table(DatabaseName="shop", TableInput=table_input("raw", "s3://lake/raw/", keys, PROJECTED))
            for day in DAYS:
                place = f"raw/dt={day}/hour=07/"
                put(s3, f"{place}shard-1.parquet", day_of_events(day))
            s3.put_object(Bucket="lake", Key="raw/dt=2026-01-05/hour=07/_SUCCESS", Body=b"not parquet")
            s3.put_object(Bucket="lake", Key="raw/dt=2026-01-05/hour=7/x.parquet", Body=b"not parquet either")
            yield made


def start(session: boto3.Session, sql: str, **options: Any) -> Any:
    client: Any = session.client("athena")
    options.setdefault("ResultConfiguration", {"OutputLocation": "s3://results/q/"})
    begun = client.start_query_execution(QueryString=sql, QueryExecutionContext={"Database": "shop"}, **options)
    return client.get_query_execution(QueryExecutionId=begun["QueryExecutionId"])["QueryExecution"]


def texts(session: boto3.Session, execution: dict[str, Any]) -> list[list[str | None]]:
    assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
    pages = session.client("athena").get_paginator("get_query_results")
    found = pages.paginate(QueryExecutionId=execution["QueryExecutionId"]).build_full_result()
    return [[cell.get("VarCharValue") for cell in row["Data"]] for row in found["ResultSet"]["Rows"]]


def files_read(execution: dict[str, Any]) -> int:
    ran: Any = athena_backends["123456789012"][REGION].executions[execution["QueryExecutionId"]]
    return int(ran.meter.files_read)


@pytest.fixture(scope="module")
def ask(session: boto3.Session) -> Ask:
    """SQL -> rows of texts, the first of them the names of the columns."""
    return lambda sql, **options: texts(session, start(session, sql, **options))
