"""What events named together, from the lake by way of Athena."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from onefold.adapters.aws_requests import passing_failures
from onefold.domain.errors import Rejected, Unavailable
from onefold.domain.preview import Named, Sighting
from onefold.use_cases.preview import Snapshot

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient

PAGE_ROWS: Final = 1_000
PAUSE_S, PAUSE_S_MAX = 0.1, 1.0
FINAL_STATES: Final = frozenset(["SUCCEEDED", "FAILED", "CANCELLED"])

# Grouped by text, because a client gets arrays and rows from Athena in a notation that values can break.
SQL: Final = """
SELECT
  json_format(CAST(identifiers AS json)) AS together,
  CAST(date_diff('millisecond', TIMESTAMP '1970-01-01 00:00:00', min_by(at, received_at)) AS varchar) AS at_ms,
  CAST(date_diff('millisecond', TIMESTAMP '1970-01-01 00:00:00', min(received_at)) AS varchar) AS received_at_ms
FROM raw_events
WHERE dt >= '{since}' AND cardinality(identifiers) > 0
GROUP BY json_format(CAST(identifiers AS json))
ORDER BY min(received_at), min_by(lpad(sequence, 128, '0'), received_at), 1
LIMIT {limit}
"""

_sets = msgspec.json.Decoder(list[dict[str, str] | list[str]])


class AthenaSnapshot:
    """The raw events' distinct sets of identifiers, asked for in the deployment's workgroup."""

    def __init__(self, client: "AthenaClient", *, workgroup: str, database: str, wait_s: float) -> None:
        """Take where to ask, and how long a query may take before it is stopped."""
        self._client, self._workgroup, self._database, self._wait_s = client, workgroup, database, wait_s

    def read(self, since_ms: int, sightings_max: int) -> Snapshot:
        """The first sightings of what arrived since a time (epoch ms), to the day, in the order of arrival.

        Raises:
            Rejected: The query took too long, or would read more bytes than the workgroup allows.
            Unavailable: Athena does not answer.
        """
        since = datetime.fromtimestamp(since_ms / 1_000, UTC).strftime("%Y-%m-%d")
        with passing_failures("Athena"):
            query_id = self._client.start_query_execution(
                QueryString=SQL.format(since=since, limit=sightings_max + 1),
                QueryExecutionContext={"Database": self._database},
                WorkGroup=self._workgroup,
            )["QueryExecutionId"]
            self._wait(query_id)
            sightings = list(self._sightings(query_id))
        return Snapshot(tuple(sightings[:sightings_max]), len(sightings) > sightings_max)

    def _wait(self, query_id: str) -> None:
        deadline, pause_s = time.monotonic() + self._wait_s, PAUSE_S
        while True:
            status = self._client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
            if status["State"] in FINAL_STATES:
                break
            if time.monotonic() + pause_s > deadline:
                self._client.stop_query_execution(QueryExecutionId=query_id)
                raise Rejected(
                    "snapshot_too_large",
                    f"The lake did not answer within {self._wait_s:.0f} s: ask for fewer days, or on the command line",
                )
            time.sleep(pause_s)
            pause_s = min(PAUSE_S_MAX, pause_s * 1.5)
        reason = str(status.get("StateChangeReason", ""))
        if status["State"] == "CANCELLED" and "limit" in reason.lower():
            raise Rejected(
                "snapshot_too_large", "The query would read more bytes than the workgroup allows: ask for fewer days"
            )
        if status["State"] != "SUCCEEDED":
            raise Unavailable(f"Athena could not read the lake: {reason}")

    def _sightings(self, query_id: str) -> Iterator[Sighting]:
        is_first = True
        pages = self._client.get_paginator("get_query_results").paginate(
            QueryExecutionId=query_id, PaginationConfig={"PageSize": PAGE_ROWS}
        )
        for page in pages:
            for row in page["ResultSet"]["Rows"][is_first:]:  # the first row of the first page holds the names
                together, at, received_at = (cell.get("VarCharValue", "") for cell in row["Data"])
                yield Sighting(_named(together), int(at), int(received_at))
            is_first = False


def _named(text: str) -> tuple[Named, ...]:
    """Identifiers from JSON; Athena's rows are objects or arrays there, as its version has it."""
    return tuple(
        (each["type"], each["value"]) if isinstance(each, dict) else (each[0], each[1]) for each in _sets.decode(text)
    )
