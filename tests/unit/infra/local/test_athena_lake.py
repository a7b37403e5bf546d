"""What Athena reads: partitions, projections, columns, and what it counts of it."""

import time

import boto3
import pyarrow as pa
import pytest

from infra.local.athena import lake as athena_lake
from tests.unit.infra.local import athena_shop
from tests.unit.infra.local.athena_shop import (
    COLUMNS,
    DAYS,
    REGION,
    Ask,
    day_of_events,
    files_read,
    put,
    start,
    table_input,
)

session = athena_shop.session
ask = athena_shop.ask


@pytest.mark.parametrize(
    ("condition", "files"),
    [
        ("dt = '2026-01-05'", 1),
        ("dt BETWEEN '2026-01-05' AND '2026-01-07' AND name = 'Page Viewed'", 3),
        ("CAST(dt AS date) >= date_add('day', -1, DATE '2026-01-30')", 2),
        ("dt IN ('2026-01-05', '2026-01-06') AND hour = '07'", 2),
        ("dt = '2026-01-05' AND hour = '08'", 0),
        ("date_format(from_iso8601_date(dt), '%d') = '09'", 1),
        ("r.dt = '2026-01-05' OR r.dt = '2026-01-09'", 2),
    ],
)
def test_only_the_partitions_that_can_match_are_read(session: boto3.Session, condition: str, files: int) -> None:
    execution = start(session, f"SELECT count(name) FROM raw r WHERE {condition}")  # noqa: S608

    assert execution["Status"]["State"] == "SUCCEEDED"
    assert files_read(execution) == files


def test_a_condition_on_other_columns_prunes_nothing_and_counts_its_column(session: boto3.Session) -> None:
    one = start(session, "SELECT count(*) FROM raw WHERE name > ''")
    two = start(session, "SELECT count(*) FROM raw WHERE name > '' AND message_id > ''")

    assert (files_read(one), files_read(two)) == (29, 29)  # the projection starts on the second day
    assert 0 < one["Statistics"]["DataScannedInBytes"] < two["Statistics"]["DataScannedInBytes"]


def test_a_star_inside_a_subquery_counts_only_what_is_used_of_it(session: boto3.Session) -> None:
    plain = start(session, "SELECT max(name) FROM raw")["Statistics"]["DataScannedInBytes"]
    nested = start(session, "WITH e AS (SELECT * FROM raw) SELECT max(name) FROM (SELECT * FROM e)")["Statistics"]

    assert 0 < plain == nested["DataScannedInBytes"]


def test_an_outer_join_does_not_lose_rows_to_pruning(ask: Ask) -> None:
    found = ask(
        "SELECT count(*), count(b.dt) FROM raw a LEFT JOIN raw b "
        "ON a.message_id = b.message_id AND b.dt = '2026-01-06' WHERE a.dt IN ('2026-01-05', '2026-01-06')"
    )
    unmatched = ask(
        "SELECT count(*) FROM raw a LEFT JOIN raw b ON a.message_id = b.message_id AND b.dt = '2026-01-06' "
        "WHERE a.dt = '2026-01-05' AND b.dt IS NULL"
    )

    assert found[1] == ["20", "10"]
    assert unmatched[1] == ["10"]


def test_a_condition_inside_not_exists_prunes_nothing_outside(ask: Ask) -> None:
    found = ask(
        "SELECT count(DISTINCT a.dt) FROM raw a WHERE a.dt <= '2026-01-06' "
        "AND NOT EXISTS (SELECT 1 FROM (VALUES 1) AS t(x) WHERE a.dt = '2026-01-05')"
    )

    assert found[1] == ["4"]


def test_rows_print_as_athena_prints_them(ask: Ask) -> None:
    found = ask("SELECT *, \"$path\" FROM shop.raw WHERE dt = '2026-01-05' AND quantity = 3")

    assert found == [
        [*COLUMNS, "dt", "hour", "$path"],
        [
            *("2026-01-05-3", "Order Completed", "2026-01-05 03:00:00.000", "3.2500", "3", "{marketing=true}"),
            *(
                "[{type=email, value=k3}]",
                None,
                "2026-01-05",
                "07",
                "s3://lake/raw/dt=2026-01-05/hour=07/shard-1.parquet",
            ),
        ],
    ]


def test_nested_values_unnest_and_dereference(ask: Ask) -> None:
    found = ask(
        "SELECT i.type, i.value, consent['marketing'], identifiers[1].value FROM raw r "
        "CROSS JOIN UNNEST(r.identifiers) AS i(type, value) WHERE dt = '2026-01-05' AND quantity = 1"
    )

    assert found[1] == ["email", "k1", "true", "k1"]


def test_money_is_exact(ask: Ask) -> None:
    found = ask("SELECT sum(price * quantity), avg(price), sum(price) / sum(quantity) FROM raw WHERE dt = '2026-01-05'")

    assert found[1] == ["296.2500", "4.7500", "1.0556"]


def test_an_integer_column_in_a_text_file_is_bad_data(session: boto3.Session) -> None:
    put(session.client("s3"), "bad/x.parquet", pa.table({"quantity": ["1"]}))
    session.client("glue").create_table(
        DatabaseName="shop", TableInput=table_input("bad", "s3://lake/bad/", {}, {"classification": "parquet"})
    )
    execution = start(session, "SELECT quantity FROM bad")

    assert execution["Status"]["StateChangeReason"] == (
        "HIVE_BAD_DATA: column quantity is varchar in the files and bigint in the table"
    )


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"projection.enabled": "true", "projection.dt.type": "enum"},
            "the local Athena does not know projection.dt.type",
        ),
        ({}, "odd has partitions, but no projection of them"),
    ],
)
def test_partitions_that_cannot_be_found_here_are_refused(
    session: boto3.Session, settings: dict[str, str], reason: str
) -> None:
    made = table_input("odd", "s3://lake/raw/", {"dt": "string"}, {"classification": "parquet", **settings})
    session.client("glue").create_table(DatabaseName="shop", TableInput=made)
    refused = start(session, "SELECT count(*) FROM odd")
    session.client("glue").delete_table(DatabaseName="shop", Name="odd")

    assert refused["Status"]["StateChangeReason"].startswith(f"NOT_SUPPORTED: {reason}")


def test_the_cache_is_bounded_and_a_replaced_object_is_read_anew(session: boto3.Session, ask: Ask) -> None:
    cache = athena_lake.ParquetCache(bytes_max=1)
    lake = athena_lake.Lake("123456789012", REGION)
    for stored in lake.objects("s3://lake/raw/dt=2026-01-03"):
        assert cache.read(stored) is cache.read(stored)
    for stored in lake.objects("s3://lake/raw/dt=2026-01-04"):
        cache.read(stored)

    assert len(cache._objects) == 1
    put(session.client("s3"), "raw/dt=2026-01-30/hour=07/shard-1.parquet", day_of_events(DAYS[-1], 4))
    assert ask("SELECT count(*) FROM raw WHERE dt = '2026-01-30'")[1] == ["4"]
    put(session.client("s3"), "raw/dt=2026-01-30/hour=07/shard-1.parquet", day_of_events(DAYS[-1]))
    assert ask("SELECT count(*) FROM raw WHERE dt = '2026-01-30'")[1] == ["10"]


def test_thirty_small_files_cost_little_once_they_are_known(session: boto3.Session) -> None:
    sql = "SELECT name, sum(price * quantity), max(at) FROM raw GROUP BY name ORDER BY name"
    start(session, sql)
    before = time.thread_time()
    execution = start(session, sql)

    assert files_read(execution) == 29
    assert time.thread_time() - before < 0.3
