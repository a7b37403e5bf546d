"""Asks Athena through a deployment's workgroup."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cli.deployment import Deployment
from cli.problems import CommandError

PAGE_ROWS: Final = 1_000
POLL_BASE_S, POLL_MAX_S = 0.05, 1.0
QUERY_TIMEOUT_S: Final = 600
FINAL_STATES: Final = frozenset(["SUCCEEDED", "FAILED", "CANCELLED"])


@dataclass(frozen=True, slots=True)
class Answer:
    """A table as Athena gives it, every value as text or None."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    scanned_bytes: int
    seconds: float


def run_query(deployment: Deployment, sql: str) -> Answer:
    """Ask Athena through the deployment's workgroup.

    Raises:
        CommandError: The query failed; with Athena's reason.
    """
    athena, about = deployment.client("athena"), deployment.description
    query_id = athena.start_query_execution(
        QueryString=sql, QueryExecutionContext={"Database": about.glue_database}, WorkGroup=about.workgroup
    )["QueryExecutionId"]
    execution = _wait(athena, query_id)
    if execution["Status"]["State"] != "SUCCEEDED":
        raise CommandError(f"Athena: {execution['Status'].get('StateChangeReason', 'the query failed')}")
    columns: tuple[str, ...] = ()
    rows: list[tuple[str | None, ...]] = []
    for page in athena.get_paginator("get_query_results").paginate(
        QueryExecutionId=query_id, PaginationConfig={"PageSize": PAGE_ROWS}
    ):
        result = page["ResultSet"]
        values = [tuple(cell.get("VarCharValue") for cell in row["Data"]) for row in result["Rows"]]
        if not columns:
            columns = tuple(column["Name"] for column in result["ResultSetMetadata"]["ColumnInfo"])
            # The first row of a SELECT's first page repeats the names.
            values = values[1:] if values and values[0] == columns else values
        rows += values
    statistics = execution.get("Statistics", {})
    return Answer(
        columns,
        tuple(rows),
        statistics.get("DataScannedInBytes", 0),
        statistics.get("TotalExecutionTimeInMillis", 0) / 1000,
    )


def _wait(athena: Any, query_id: str) -> dict[str, Any]:  # noqa: ANN401 - a boto3 client
    deadline, pause_s = time.monotonic() + QUERY_TIMEOUT_S, POLL_BASE_S
    while time.monotonic() < deadline:
        execution: dict[str, Any] = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        if execution["Status"]["State"] in FINAL_STATES:
            return execution
        time.sleep(pause_s)
        pause_s = min(POLL_MAX_S, pause_s * 1.5)
    athena.stop_query_execution(QueryExecutionId=query_id)
    raise CommandError(f"Athena did not answer within {QUERY_TIMEOUT_S} s; the query was stopped")


def rows_as_documents(answer: Answer) -> Sequence[dict[str, str | None]]:
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
