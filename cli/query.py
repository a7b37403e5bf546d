"""Asks Athena through a deployment's workgroup."""

import math
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.deployment import Deployment
from cli.problems import CommandError, UsageError

PAGE_ROWS: Final = 1_000
POLL_BASE_S, POLL_MAX_S = 0.05, 1.0
QUERY_TIMEOUT_S: Final = 600
FINAL_STATES: Final = frozenset(["SUCCEEDED", "FAILED", "CANCELLED"])

_OPTION: Final = re.compile(r"--([a-z][a-z-]*(=.*)?)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """A table as Athena gives it, every value as text or None, every row as long as `columns`.

    Attributes:
        types: Athena's type of each column.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    scanned_bytes: int
    seconds: float
    types: tuple[str, ...] = ()


def is_sql_comment(argument: str) -> bool:
    """Whether an argument that looks like an option is SQL that begins with a comment."""
    is_option = _OPTION.fullmatch(argument) is not None
    return argument.startswith("--") and not is_option


def query_text(sql: str, file: Path | None = None) -> str:
    """The SQL of a command: its argument, standard input for `-`, or a file.

    Raises:
        UsageError: Nothing is asked, it is asked twice, or the file is no text.
    """
    if sql and file is not None:
        raise UsageError("Give the SQL or --file, not both")
    try:
        text = file.read_text(encoding="utf-8") if file is not None else sys.stdin.read() if sql == "-" else sql
    except UnicodeDecodeError as error:
        raise UsageError(f"{file or 'standard input'}: not a text in UTF-8") from error
    if not text.strip():
        raise UsageError("The query is empty; write SQL such as SELECT count(*) FROM events")
    return text


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
    types: tuple[str, ...] = ()
    rows: list[tuple[str | None, ...]] = []
    for page in athena.get_paginator("get_query_results").paginate(
        QueryExecutionId=query_id, PaginationConfig={"PageSize": PAGE_ROWS}
    ):
        result = page["ResultSet"]
        values = [tuple(cell.get("VarCharValue") for cell in row["Data"]) for row in result["Rows"]]
        if not columns:
            columns = tuple(column["Name"] for column in result["ResultSetMetadata"]["ColumnInfo"])
            types = tuple(column["Type"] for column in result["ResultSetMetadata"]["ColumnInfo"])
            # The first row of a SELECT's first page repeats the names.
            values = values[1:] if values and values[0] == columns else values
        rows += (_filled(row, len(columns)) for row in values)
    statistics = execution.get("Statistics", {})
    return Answer(
        columns,
        tuple(rows),
        statistics.get("DataScannedInBytes", 0),
        statistics.get("TotalExecutionTimeInMillis", 0) / 1000,
        types,
    )


def _filled(row: tuple[str | None, ...], width: int) -> tuple[str | None, ...]:
    """A row as long as the others; DESCRIBE and SHOW answer with one text that has tabs between its cells."""
    if len(row) == 1 < width and row[0] is not None:
        row = tuple(cell.strip() for cell in row[0].split("\t", width - 1))
    return (*row, *[None] * (width - len(row)))[:width]


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


def rows_as_documents(answer: Answer) -> Sequence[dict[str, Any]]:
    """Rows as JSON: whole numbers, floating-point numbers and booleans as such, decimals and the rest as texts."""
    readers = [_READERS.get(kind.lower(), str) for kind in answer.types or [""] * len(answer.columns)]
    return [
        {
            name: None if value is None else read(value)
            for name, read, value in zip(answer.columns, readers, row, strict=True)
        }
        for row in answer.rows
    ]


def _float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text  # JSON has neither NaN nor Infinity


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "int", "bigint"), int),
    **dict.fromkeys(("float", "real", "double"), _float),
    "boolean": lambda text: text == "true",
}
