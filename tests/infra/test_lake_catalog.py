"""What Athena is told about the lake: tables, the view without repeats, and queries that name columns that exist."""

import base64
import json
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot.optimizer.qualify import qualify

from infra.constructs.lake_catalog import QUARANTINE_COLUMNS, RAW_COLUMNS, presto_type
from infra.environments import PROD
from tests.infra.assembly import Assembly

EVENT_COLUMNS = [name for name, _ in RAW_COLUMNS] + ["dt", "hour"]


def test_tables_lie_where_archive_writes(prod: Assembly) -> None:
    raw, quarantine = _table(prod, "raw_events"), _table(prod, "quarantine")

    assert prod.readable(raw["StorageDescriptor"]["Location"]) == "s3://LakeBucket/raw/"
    assert _template(prod, raw) == "s3://LakeBucket/raw/dt=${dt}/hour=${hour}/"
    assert prod.readable(quarantine["StorageDescriptor"]["Location"]) == "s3://LakeBucket/quarantine/"
    assert _template(prod, quarantine) == "s3://LakeBucket/quarantine/dt=${dt}/"


def test_partitions_are_projected_from_the_path(prod: Assembly) -> None:
    parameters = _table(prod, "raw_events")["Parameters"]

    assert parameters["projection.enabled"] == "true"
    assert parameters["projection.dt.type"] == "date"
    assert parameters["projection.dt.format"] == "yyyy-MM-dd"
    assert parameters["projection.dt.range"].endswith(",NOW+1DAY")
    assert (parameters["projection.hour.range"], parameters["projection.hour.digits"]) == ("0,23", "2")
    assert [key["Name"] for key in _table(prod, "raw_events")["PartitionKeys"]] == ["dt", "hour"]
    assert [key["Name"] for key in _table(prod, "quarantine")["PartitionKeys"]] == ["dt"]


def test_the_view_is_stored_as_athena_stores_one(prod: Assembly) -> None:
    view = _table(prod, "events")
    definition = _view_definition(prod)

    assert view["TableType"] == "VIRTUAL_VIEW"
    assert view["Parameters"]["presto_view"] == "true"
    assert (definition["catalog"], definition["schema"]) == ("awsdatacatalog", "onefold_prod")
    assert [column["name"] for column in definition["columns"]] == EVENT_COLUMNS
    assert [column["Name"] for column in view["StorageDescriptor"]["Columns"]] == EVENT_COLUMNS
    query = sqlglot.parse_one(definition["originalSql"], dialect="athena", into=sqlglot.exp.Select)
    assert query.named_selects == EVENT_COLUMNS


def test_the_view_keeps_the_earliest_copy_of_each_message_of_each_source(prod: Assembly) -> None:
    """Sequence numbers are numbers written without leading zeros, so the shorter one is the smaller one."""
    database = duckdb.connect()
    names = ", ".join(f'"{name}" VARCHAR' for name in EVENT_COLUMNS)
    database.execute(f"CREATE TABLE raw_events ({names})")
    for source, message, sequence in [
        ("web", "a", "1000"),
        ("web", "a", "999"),
        ("web", "b", "5"),
        ("shop", "a", "7"),
        ("shop", "a", "8"),
    ]:
        database.execute(
            "INSERT INTO raw_events (source, message_id, sequence) VALUES (?, ?, ?)", [source, message, sequence]
        )

    sql = sqlglot.transpile(_view_definition(prod)["originalSql"], read="athena", write="duckdb")[0]
    rows = database.sql(sql).project("source, message_id, sequence").order("source, message_id").fetchall()

    assert rows == [("shop", "a", "7"), ("web", "a", "999"), ("web", "b", "5")]


def test_the_quarantines_view_has_each_message_of_each_source_once_with_how_often_it_came(prod: Assembly) -> None:
    database = duckdb.connect()
    names = ", ".join(f"{name} VARCHAR" for name in (*(name for name, _ in QUARANTINE_COLUMNS), "dt"))
    database.execute(f"CREATE TABLE quarantine ({names})")
    for source, message, body, received_at in [
        ("web", "a", "x", "2"),
        ("web", "a", "x", "1"),
        ("web", "a", "y", "3"),
        ("shop", "a", "x", "4"),
    ]:
        database.execute(
            "INSERT INTO quarantine (source, message_id, body, received_at) VALUES (?, ?, ?, ?)",
            [source, message, body, received_at],
        )

    definition = _view_definition(prod, "quarantined")
    sql = sqlglot.transpile(definition["originalSql"], read="athena", write="duckdb")[0]
    answer = database.sql(sql)

    assert answer.columns == [column["name"] for column in definition["columns"]]
    rows = answer.project("source, body, received_at, copies").order("source, body").fetchall()
    assert rows == [("shop", "x", "4", 1), ("web", "x", "1", 2), ("web", "y", "3", 1)]


def test_named_queries_name_only_columns_that_exist(prod: Assembly) -> None:
    columns: dict[str, object] = dict.fromkeys(EVENT_COLUMNS, "varchar")
    quarantined = {column["Name"]: "varchar" for column in _table(prod, "quarantine")["StorageDescriptor"]["Columns"]}
    schema: dict[str, object] = {
        "events": columns,
        "raw_events": columns,
        "quarantine": {**quarantined, "dt": "varchar"},
    }
    queries = {query.properties["Name"]: query.properties for query in prod.resources("AWS::Athena::NamedQuery")}

    assert set(queries) == {
        "sales_by_month_and_country",
        "events_per_day",
        "audience_ready_customers",
        "quarantine_by_reason",
    }
    for properties in queries.values():
        assert (properties["Database"], properties["WorkGroup"]) == ("onefold_prod", "onefold_prod")
        qualify(sqlglot.parse_one(properties["QueryString"], dialect="athena"), schema=schema, dialect="athena")


def test_the_workgroup_limits_and_encrypts_whatever_a_client_asks_for(prod: Assembly) -> None:
    (workgroup,) = prod.resources("AWS::Athena::WorkGroup")
    configuration = workgroup.properties["WorkGroupConfiguration"]
    result = configuration["ResultConfiguration"]

    assert configuration["EnforceWorkGroupConfiguration"] is True
    assert configuration["BytesScannedCutoffPerQuery"] == PROD.query_scan_bytes_max
    assert prod.readable(result["OutputLocation"]) == "s3://LakeBucket/athena-results/"
    assert result["EncryptionConfiguration"]["EncryptionOption"] == "SSE_KMS"
    assert prod.readable(result["EncryptionConfiguration"]["KmsKey"]) == "Key"


@pytest.mark.parametrize(
    ("hive", "presto"),
    [
        ("string", "varchar"),
        ("map<string,boolean>", "map(varchar, boolean)"),
        ("array<struct<type:string,value:string>>", "array(row(type varchar, value varchar))"),
        ("map<string,array<map<string,timestamp>>>", "map(varchar, array(map(varchar, timestamp(3))))"),
    ],
)
def test_hive_types_become_prestos(hive: str, presto: str) -> None:
    assert presto_type(hive) == presto


def _table(assembly: Assembly, name: str) -> dict[str, Any]:
    inputs = (table.properties["TableInput"] for table in assembly.resources("AWS::Glue::Table"))
    (found,) = (table for table in inputs if table["Name"] == name)
    return dict(found)


def _template(assembly: Assembly, table: dict[str, Any]) -> str:
    return assembly.readable(table["Parameters"]["storage.location.template"])


def _view_definition(assembly: Assembly, view: str = "events") -> dict[str, Any]:
    text = _table(assembly, view)["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
    return dict(json.loads(base64.b64decode(text)))
