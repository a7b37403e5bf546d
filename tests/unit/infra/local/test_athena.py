"""Athena's statements, views, results and workgroups, as boto3 and awswrangler see them."""

import base64
import datetime as dt
import io
import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import awswrangler as wr
import boto3
import pyarrow.parquet as pq
import pytest
from moto.athena.models import athena_backends
from moto.server import ThreadedMotoServer

from tests.unit.infra.local import athena_shop
from tests.unit.infra.local.athena_shop import DAYS, REGION, Ask, start, texts

session = athena_shop.session
ask = athena_shop.ask


def object_text(session: boto3.Session, location: str) -> str:
    bucket, key = location.removeprefix("s3://").split("/", 1)
    return str(session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode())


# Statements


def test_parameters_take_the_places_of_question_marks_in_order(session: boto3.Session, ask: Ask) -> None:
    sql = "SELECT count(*) FROM raw WHERE dt = ? AND quantity > ? AND name = ?"
    found = ask(sql, ExecutionParameters=["'2026-01-05'", "4", "'Order Completed'"])
    missing = start(session, sql, ExecutionParameters=["'2026-01-05'"])

    assert found[1] == ["3"]
    assert "Incorrect number of parameters: expected 3 but found 1" in missing["Status"]["StateChangeReason"]


def test_a_view_keeps_its_database_and_reads_like_a_table(session: boto3.Session, ask: Ask) -> None:
    ask("CREATE OR REPLACE VIEW orders AS SELECT dt, price AS amount FROM raw WHERE name = 'Order Completed'")
    stored = session.client("glue").get_table(DatabaseName="shop", Name="orders")["Table"]
    decoded = json.loads(
        base64.b64decode(stored["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */"))
    )

    assert stored["TableType"] == "VIRTUAL_VIEW"
    assert decoded["originalSql"].startswith("SELECT dt, price AS amount")
    assert decoded["columns"] == [{"name": "dt", "type": "varchar"}, {"name": "amount", "type": "decimal(18,4)"}]
    assert ask("SELECT sum(o.amount) FROM orders o WHERE o.dt = '2026-01-05'")[1] == ["26.2500"]
    assert ["orders"] in ask("SHOW VIEWS")
    assert start(session, "DROP TABLE orders")["Status"]["State"] == "FAILED"
    ask("DROP VIEW orders")
    assert start(session, "SELECT * FROM orders")["Status"]["StateChangeReason"].startswith("TABLE_NOT_FOUND")


def test_a_view_from_a_template_reads_like_one_that_athena_made(session: boto3.Session, ask: Ask) -> None:
    sql = (
        "SELECT message_id, quantity, dt FROM (SELECT *, row_number() OVER (PARTITION BY message_id ORDER BY at) "
        "AS place FROM raw) WHERE place = 1"
    )
    view = {"originalSql": sql, "catalog": "awsdatacatalog", "schema": "shop", "columns": []}
    session.client("glue").create_table(
        DatabaseName="shop",
        TableInput={
            "Name": "events",
            "TableType": "VIRTUAL_VIEW",
            "Parameters": {"presto_view": "true"},
            "StorageDescriptor": {"Columns": [{"Name": "message_id", "Type": "string"}], "SerdeInfo": {}},
            "ViewOriginalText": f"/* Presto View: {base64.b64encode(json.dumps(view).encode()).decode()} */",
            "ViewExpandedText": "/* Presto View */",
        },
    )

    assert ask("SELECT count(*), max(quantity) FROM events WHERE dt = '2026-01-05'")[1] == ["10", "9"]


def test_create_table_as_makes_a_table_and_a_manifest(session: boto3.Session, ask: Ask) -> None:
    execution = start(
        session,
        "CREATE TABLE shop.daily WITH (format = 'PARQUET', write_compression = 'SNAPPY', "
        "external_location = 's3://lake/daily/') AS "
        "SELECT name, sum(price) AS total, count(*) AS n, dt FROM raw WHERE dt <= '2026-01-03' GROUP BY name, dt",
    )
    manifest = object_text(session, execution["Statistics"]["DataManifestLocation"]).split("\n")
    table = session.client("glue").get_table(DatabaseName="shop", Name="daily")["Table"]

    assert execution["StatementType"] == "DDL"
    assert [path.rsplit("/", 1)[0] for path in manifest] == ["s3://lake/daily"]
    assert [(c["Name"], c["Type"]) for c in table["StorageDescriptor"]["Columns"]] == [
        ("name", "string"), ("total", "decimal(38,4)"), ("n", "bigint"), ("dt", "string"),
    ]  # fmt: skip
    assert ask("SELECT total, n FROM daily WHERE dt = '2026-01-03' AND name = 'Page Viewed'")[1] == ["21.2500", "5"]
    assert ask("DROP TABLE IF EXISTS daily") == []


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("CREATE TABLE x WITH (external_location = 's3://lake/raw/') AS SELECT 1 AS a", "HIVE_PATH_ALREADY_EXISTS"),
        ("CREATE TABLE raw AS SELECT 1 AS a", "TABLE_ALREADY_EXISTS"),
        ("CREATE TABLE x AS SELECT 1", "COLUMN_NAME_NOT_SPECIFIED: line 1:1: Column name not specified at position 1"),
        (
            "CREATE TABLE x AS SELECT 1 AS a, 2 AS a",
            "DUPLICATE_COLUMN_NAME: line 1:1: Column name 'a' specified more than once",
        ),
        ("CREATE TABLE x AS SELECT now() AS a", "NOT_SUPPORTED: Unsupported Hive type: timestamp(3) with time zone"),
        ("CREATE TABLE x WITH (format = 'ORC') AS SELECT 1 AS a", "NOT_SUPPORTED: the local Athena writes Parquet"),
        ("CREATE TABLE x AS SELECT nope FROM raw", "COLUMN_NOT_FOUND: line 1:26: Column 'nope'"),
        ("UNLOAD (SELECT 1 AS a) TO 's3://lake/raw/' WITH (format = 'PARQUET')", "HIVE_PATH_ALREADY_EXISTS"),
        ("SHOW PARTITIONS nope", "TABLE_NOT_FOUND"),
        ("SHOW TABLES IN nope", "SCHEMA_NOT_FOUND"),
        ("DROP TABLE nope", "TABLE_NOT_FOUND"),
        ("ALTER TABLE raw ADD COLUMNS (x int)", "NOT_SUPPORTED: line 1:1: ALTER is not known to the local Athena"),
    ],
)
def test_a_statement_that_athena_would_not_run_fails_with_its_reason(
    session: boto3.Session, sql: str, reason: str
) -> None:
    status = start(session, sql)["Status"]

    assert status["State"] == "FAILED"
    assert status["StateChangeReason"].startswith(reason)


def test_unload_writes_what_the_manifest_lists(session: boto3.Session) -> None:
    execution = start(
        session,
        "UNLOAD (SELECT message_id, quantity FROM raw WHERE dt = '2026-01-05') "
        "TO 's3://results/unloaded/' WITH (format = 'PARQUET')",
    )
    paths = object_text(session, execution["Statistics"]["DataManifestLocation"]).split("\n")
    bucket, key = paths[0].removeprefix("s3://").split("/", 1)
    written = pq.read_table(io.BytesIO(session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()))

    assert len(paths) == 1
    assert paths[0].startswith("s3://results/unloaded/")
    assert written["quantity"].to_pylist() == list(range(10))


def test_the_catalog_can_be_asked(ask: Ask) -> None:
    assert ["raw"] in ask("SHOW TABLES")
    assert ask("SHOW TABLES IN shop 'list*'") == []
    assert ask("SHOW COLUMNS IN raw")[0] == ["message_id          "]
    assert len(ask("SHOW PARTITIONS raw")) == 29
    assert ["shop"] in ask("SHOW DATABASES")
    assert ["message_id          \tstring              \t                    "] in ask("DESCRIBE shop.raw")


# Workgroups, results


def test_results_are_stored_quoted_with_their_metadata(session: boto3.Session) -> None:
    execution = start(session, "-- a note\nSELECT 'a \"b\"' AS x, NULL AS y, 1.50 AS z;")
    location = execution["ResultConfiguration"]["OutputLocation"]

    assert location == f"s3://results/q/{execution['QueryExecutionId']}.csv"
    assert object_text(session, location) == '"x","y","z"\n"a ""b""",,"1.50"\n'
    assert [column["Type"] for column in json.loads(object_text(session, f"{location}.metadata"))] == [
        "varchar",
        "unknown",
        "decimal",
    ]


def test_results_come_in_pages(session: boto3.Session, ask: Ask) -> None:
    sql = "SELECT x FROM UNNEST(sequence(1, 2500)) AS t(x) ORDER BY x"
    execution = start(session, sql)
    page = session.client("athena").get_query_results(QueryExecutionId=execution["QueryExecutionId"])

    assert len(page["ResultSet"]["Rows"]) == 1000
    assert [row[0] for row in ask(sql)] == ["x", *(str(i) for i in range(1, 2501))]


def test_an_enforced_workgroup_decides_where_results_go_and_how_much_is_read(session: boto3.Session) -> None:
    client: Any = session.client("athena")
    shared: Any = {
        "ResultConfiguration": {"OutputLocation": "s3://results/enforced"},
        "EnforceWorkGroupConfiguration": True,
    }
    for name in ("shared", "tight"):
        client.create_work_group(Name=name, Configuration={**shared, "BytesScannedCutoffPerQuery": 10_000_000})
    group = athena_backends["123456789012"][REGION].work_groups["tight"]
    group.configuration["BytesScannedCutoffPerQuery"] = 1000  # less than the API takes, as the lake is small
    fine = start(session, "SELECT 1", WorkGroup="shared")
    stopped = start(session, "SELECT max(message_id) FROM raw", WorkGroup="tight")
    small = start(session, "SELECT count(*) FROM raw WHERE dt = '2026-01-05'", WorkGroup="tight")

    assert fine["ResultConfiguration"]["OutputLocation"].startswith("s3://results/enforced/")
    assert stopped["Status"]["State"] == "CANCELLED"
    assert stopped["Status"]["StateChangeReason"] == "Bytes scanned limit was exceeded"
    assert small["Status"]["State"] == "SUCCEEDED"


def test_a_query_without_a_place_for_results_is_refused(session: boto3.Session) -> None:
    with pytest.raises(session.client("athena").exceptions.InvalidRequestException, match="No output location"):
        start(session, "SELECT 1", ResultConfiguration={})


def test_queries_run_side_by_side(session: boto3.Session) -> None:
    def count(day: dt.date) -> list[list[str | None]]:
        return texts(session, start(session, f"SELECT count(*), min(dt) FROM raw WHERE dt = '{day}'"))  # noqa: S608

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(count, DAYS[1:25]))

    assert found == [[["_col0", "_col1"], ["10", str(day)]] for day in DAYS[1:25]]


# Clients


@pytest.mark.filterwarnings("ignore:The copy keyword is deprecated")  # awswrangler's, of pandas
@pytest.mark.parametrize(
    "mode",
    [{"ctas_approach": False}, {"ctas_approach": True}, {"ctas_approach": False, "unload_approach": True}],
    ids=["plain", "ctas", "unload"],
)
def test_awswrangler_reads_in_each_of_its_ways(session: boto3.Session, mode: Any) -> None:
    frame = wr.athena.read_sql_query(
        "SELECT message_id, at, price, quantity, added_later FROM raw WHERE dt = :day AND quantity < 3 ORDER BY at",
        database="shop",
        params={"day": "2026-01-05"},
        s3_output=f"s3://results/wrangler-{'-'.join(mode)}-{mode['ctas_approach']}/",
        boto3_session=session,
        **mode,
    )

    assert frame["message_id"].tolist() == ["2026-01-05-0", "2026-01-05-1", "2026-01-05-2"]
    assert frame["at"].tolist() == [dt.datetime(2026, 1, 5, hour) for hour in range(3)]  # noqa: DTZ001
    assert frame["price"].tolist() == [Decimal("0.2500"), Decimal("1.2500"), Decimal("2.2500")]
    assert frame["quantity"].tolist() == [0, 1, 2]
    assert frame["added_later"].isna().all()
    assert wr.catalog.tables(database="shop", name_prefix="temp_table", boto3_session=session).empty


def test_another_process_sees_the_same_answers_through_the_server(session: boto3.Session) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        client = boto3.client("athena", region_name=REGION, endpoint_url=f"http://{host}:{port}")
        begun = client.start_query_execution(
            QueryString="SELECT name, count(*) AS n FROM shop.raw WHERE dt = '2026-01-05' GROUP BY name ORDER BY name",
            ResultConfiguration={"OutputLocation": "s3://results/server/"},
        )["QueryExecutionId"]
        found = client.get_query_results(QueryExecutionId=begun)["ResultSet"]["Rows"]
    finally:
        server.stop()

    assert [[cell["VarCharValue"] for cell in row["Data"]] for row in found] == [
        ["name", "n"], ["Order Completed", "5"], ["Page Viewed", "5"],
    ]  # fmt: skip
