"""Athena answered here: DuckDB behind moto's Athena API, over moto's Glue and S3, in Athena's own dialect."""

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import duckdb
from moto.athena.models import AthenaBackend, Execution
from moto.athena.responses import AthenaResponse
from moto.core.exceptions import JsonRESTError

from infra.local.athena.column_types import AthenaError
from infra.local.athena.lake import Lake, Meter, ScanLimitError
from infra.local.athena.statements import Outcome, Statement, close_engine, reason_of

PAGE_ROWS_MAX = 1000


class Finished(Execution):
    """An execution that ran before its id was given out; its state does not move."""

    status = "SUCCEEDED"
    reason = ""
    outcome = Outcome()
    meter = Meter()

    def advance(self) -> None:
        pass


def _start_query_execution(
    self: Any,
    *,
    query: str,
    context: dict[str, Any] | None,
    config: dict[str, Any] | None,
    workgroup: str | None,
    execution_parameters: list[str] | None,
) -> str:
    """Stand for AthenaBackend.start_query_execution: the statement has run when the id is returned."""
    group = self.work_groups.get(workgroup or "primary")
    settings = group.configuration if group else {}
    shared = settings.get("ResultConfiguration") or {}
    own = config or {}
    chosen = {**own, **shared} if settings.get("EnforceWorkGroupConfiguration") else {**shared, **own}
    location = chosen.get("OutputLocation")
    if not location:
        raise JsonRESTError(
            "InvalidRequestException",
            "No output location provided. An output location is required either through the Workgroup result "
            "configuration setting or as an API input.",
        )
    location = chosen["OutputLocation"] = location.rstrip("/") + "/"
    made: Any = Finished  # moto declares the context as a str
    execution: Finished = made(query, context or {}, chosen, group, execution_parameters)
    execution.meter = Meter(settings.get("BytesScannedCutoffPerQuery"))
    lake = Lake(self.account_id, self.region_name)
    database = (context or {}).get("Database") or "default"
    statement = Statement(lake, database, location, execution.meter, execution_parameters or [])
    self._process_ddl(query, context)
    try:
        execution.outcome = statement.run(query)
        execution.config["OutputLocation"] = _store(lake, location, execution)
    except ScanLimitError as error:
        execution.status, execution.reason = "CANCELLED", str(error)
    except AthenaError as error:
        execution.status, execution.reason = "FAILED", str(error)
    except duckdb.Error as error:
        execution.status, execution.reason = "FAILED", reason_of(error)
    except JsonRESTError as error:
        execution.status, execution.reason = "FAILED", f"GENERIC_USER_ERROR: {error.message}"
    execution.end_time = time.time()
    self.executions[execution.id] = execution
    return str(execution.id)


def _store(lake: Lake, location: str, execution: Finished) -> str:
    """Write the results to the output location; returns where."""
    outcome = execution.outcome
    if outcome.files is not None:
        place = f"{location}{'tables/' if outcome.kind == 'DDL' else ''}{execution.id}"
        lake.put(f"{place}-manifest.csv", "\n".join(outcome.files).encode())
        lake.put(f"{place}.metadata", json.dumps(outcome.columns).encode())
        return place
    place = f"{location}{execution.id}.{'csv' if outcome.kind == 'DML' else 'txt'}"
    if outcome.kind == "DML":
        head: list[list[str | None]] = [[column["Name"] for column in outcome.columns]]
        lines = (
            ",".join("" if v is None else '"' + v.replace('"', '""') + '"' for v in row) for row in head + outcome.rows
        )
    else:
        lines = ("\t".join(value or "" for value in row) for row in outcome.rows)
    lake.put(place, "".join(f"{line}\n" for line in lines).encode())
    lake.put(f"{place}.metadata", json.dumps(outcome.columns).encode())
    return place


def _get_query_execution(self: Any, original: Callable[[Any], str] = AthenaResponse.get_query_execution) -> str:
    """Stand for AthenaResponse.get_query_execution: moto's answer, with what the run gave."""
    answer: dict[str, Any] = json.loads(original(self))
    found = answer["QueryExecution"]
    execution = self.athena_backend.executions[found["QueryExecutionId"]]
    found["StatementType"] = execution.outcome.kind
    found["WorkGroup"] = found["WorkGroup"] or "primary"
    found["EngineVersion"] = {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"}
    if execution.reason:
        error = {"ErrorCategory": 2, "ErrorType": 1006, "Retryable": False, "ErrorMessage": execution.reason}
        found["Status"] |= {"StateChangeReason": execution.reason, "AthenaError": error}
    elapsed_ms = int((execution.end_time - execution.start_time) * 1000)
    found["Statistics"] |= {
        "DataScannedInBytes": execution.meter.bytes_read,
        "EngineExecutionTimeInMillis": elapsed_ms,
        "TotalExecutionTimeInMillis": elapsed_ms,
    }
    if execution.outcome.files is not None:
        found["Statistics"]["DataManifestLocation"] = f"{execution.config['OutputLocation']}-manifest.csv"
    return json.dumps(answer)


def _get_query_results(self: Any) -> str:
    """Stand for AthenaResponse.get_query_results: pages of at most a thousand rows, the first led by the names."""
    execution = self.athena_backend.executions.get(self._get_param("QueryExecutionId"))
    if execution is None or execution.status != "SUCCEEDED":
        state = f"did not finish successfully. Final query state: {execution.status}" if execution else "is not known"
        raise JsonRESTError("InvalidRequestException", f"Query {state}")
    outcome = execution.outcome
    head = [[column["Name"] for column in outcome.columns]] if outcome.kind == "DML" and outcome.files is None else []
    start = int(self._get_param("NextToken") or 0)
    stop = start + min(int(self._get_param("MaxResults") or PAGE_ROWS_MAX), PAGE_ROWS_MAX)
    shown = itertools.islice(itertools.chain(head, outcome.rows if outcome.files is None else []), start, stop)
    rows = [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]} for row in shown]
    answer: dict[str, Any] = {
        "ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": outcome.columns}},
        "UpdateCount": int(outcome.rows[0][0] or 0) if outcome.files is not None else 0,
    }
    if outcome.files is None and stop < len(head) + len(outcome.rows):
        answer["NextToken"] = str(stop)
    return json.dumps(answer)


_REPLACED: tuple[tuple[Any, str, Callable[..., Any], Callable[..., Any]], ...] = tuple(
    (owner, replacement.__name__[1:], getattr(owner, replacement.__name__[1:]), replacement)
    for owner, replacement in (
        (AthenaBackend, _start_query_execution),
        (AthenaResponse, _get_query_execution),
        (AthenaResponse, _get_query_results),
    )
)


def install() -> None:
    """Let moto's Athena run its queries; calling it again changes nothing."""
    for owner, name, _, replacement in _REPLACED:
        setattr(owner, name, replacement)


def remove() -> None:
    """Give moto's Athena back, and close the engine."""
    for owner, name, original, _ in _REPLACED:
        setattr(owner, name, original)
    close_engine()
