"""Athena's dialect, construct by construct: rows as its and Trino's documentation give them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.local import athena

Row = list[str | None]


def read_constructs() -> Iterator[tuple[str, list[Row], str]]:
    """Yield (SQL, rows, reason of failure) of athena_constructs.sql; one of the last two is empty."""
    text = Path(__file__).with_name("athena_constructs.sql").read_text()
    for block in text.split("\n\n")[1:]:
        lines = block.splitlines()
        sql = "\n".join(line for line in lines if not line.startswith("-- ")).rstrip(";\n")
        cells = [line[3:].strip()[1:-1].split("|") for line in lines if line.startswith("-- | ")]
        rows = [[None if cell.strip() == "NULL" else cell.strip() for cell in row] for row in cells]
        yield sql, rows, next((line[5:] for line in lines if line.startswith("-- ! ")), "")


CONSTRUCTS = list(read_constructs())
GIVEN = [(sql, rows) for sql, rows, reason in CONSTRUCTS if not reason]
REFUSED = [(sql, reason) for sql, _, reason in CONSTRUCTS if reason]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        athena.install()
        with mock_aws():
            boto3.client("s3", "us-east-1").create_bucket(Bucket="results")
            boto3.client("glue", "us-east-1").create_database(DatabaseInput={"Name": "shop"})
            yield boto3.client("athena", "us-east-1")


def run(client: Any, sql: str) -> tuple[dict[str, Any], str]:
    started = client.start_query_execution(
        QueryString=sql,
        QueryExecutionContext={"Database": "shop"},
        ResultConfiguration={"OutputLocation": "s3://results/"},
    )["QueryExecutionId"]
    return client.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"], started


def rows(client: Any, sql: str) -> tuple[Row, list[Row]]:
    status, started = run(client, sql)
    assert status["State"] == "SUCCEEDED", status.get("StateChangeReason")
    found = client.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
    head, *body = [[cell.get("VarCharValue") for cell in row["Data"]] for row in found]
    return head, body


@pytest.mark.parametrize(("sql", "expected"), GIVEN, ids=[sql[:60] for sql, _ in GIVEN])
def test_a_construct_gives_the_rows_that_athena_documents(client: Any, sql: str, expected: list[Row]) -> None:
    _, found = rows(client, sql)

    assert found == expected


@pytest.mark.parametrize(("sql", "reason"), REFUSED, ids=[sql[:60] for sql, _ in REFUSED])
def test_what_athena_refuses_or_we_cannot_say_fails_with_its_reason(client: Any, sql: str, reason: str) -> None:
    status, started = run(client, sql)

    assert status["State"] == "FAILED"
    assert status["StateChangeReason"].startswith(reason)
    assert status["AthenaError"]["ErrorMessage"] == status["StateChangeReason"]
    with pytest.raises(client.exceptions.InvalidRequestException, match="FAILED"):
        client.get_query_results(QueryExecutionId=started)


def test_the_table_of_constructs_is_whole() -> None:
    assert len(GIVEN) > 80
    assert len(REFUSED) > 20
    assert all(rows for _, rows in GIVEN)


def test_columns_without_a_name_are_numbered_and_typed(client: Any) -> None:
    _, started = run(
        client, "SELECT 1, x, x + 1, DECIMAL '1.25' AS d, now(), ARRAY[1] FROM (VALUES BIGINT '1') AS t(x)"
    )
    info = client.get_query_results(QueryExecutionId=started)["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]

    assert [(column["Name"], column["Type"]) for column in info] == [
        ("_col0", "integer"), ("x", "bigint"), ("_col2", "bigint"), ("d", "decimal"),
        ("_col4", "timestamp with time zone"), ("_col5", "array"),
    ]  # fmt: skip
    assert (info[3]["Precision"], info[3]["Scale"]) == (3, 2)


def test_random_values_and_the_clock_are_there(client: Any) -> None:
    _, found = rows(client, "SELECT random() < 1, current_date = CAST(now() AS date), localtimestamp <= now()")

    assert found == [["true", "true", "true"]]
