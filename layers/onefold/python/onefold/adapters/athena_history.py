"""The history and the quarantine, asked through Athena: bounded in days, rows and time."""

import base64
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from onefold.adapters.aws_requests import passing_failures
from onefold.domain.errors import Rejected, Unavailable
from onefold.domain.quarantine import DIGEST_CHARACTERS, Entry, parse_entry_id
from onefold.use_cases.quarantine import Selection
from onefold.use_cases.trace import Arrival

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient

ROWS_MAX: Final = 1_000
WAIT_S: Final = 22  # API Gateway gives a function's answer up after 30
POLL_S, POLL_S_MAX = 0.05, 0.5

Row: TypeAlias = Mapping[str, str]

# The same as `entry_digest`: body is base64 in the lake, too.
DIGEST_SQL: Final = (
    "substr(lower(to_hex(sha256(to_utf8(concat(source, chr(10), message_id, chr(10), body))))), 1, "
    f"{DIGEST_CHARACTERS})"
)
_MS = "CAST(round(to_unixtime({0}) * 1000) AS bigint)"


@dataclass(frozen=True, slots=True)
class AthenaHistory:
    """`History` and `QuarantineReader` over the tables `raw_events` and `quarantine`.

    Attributes:
        workgroup, database: Where the queries run; the workgroup bounds what one may read.
    """

    client: "AthenaClient"
    workgroup: str
    database: str

    def arrivals(self, message_id: str, source: str, days: int) -> list[Arrival]:
        """The records that brought a message, by source and sequence.

        Raises:
            Rejected: The days hold more than one query may read.
            Unavailable: Athena did not answer in time.
        """
        rows = self._ask(
            f"""SELECT source, sequence, kind, name, fragment_key, {_MS.format("at")} AS at_ms,
            {_MS.format("received_at")} AS received_ms, clock, array_join(violations, ',') AS violations, dt, hour,
            "$path" AS path
            FROM raw_events WHERE {_conditions(message_id, source, days)} LIMIT {ROWS_MAX}"""  # noqa: S608 - quoted
        )
        by_record: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in rows:
            by_record[row["source"], row["sequence"]].append(row)
        return [_arrival(by_record[place]) for place in sorted(by_record, key=lambda place: (place[0], int(place[1])))]

    def refused(self, message_id: str, source: str, days: int) -> list[Entry]:
        """The quarantine's entries of a message; raises as `arrivals` does."""
        since, until = _days(days)
        return self.find(Selection(since, until, source=source, message_id=message_id, limit=ROWS_MAX))

    def find(self, selection: Selection) -> list[Entry]:
        """Entries without their bodies, the latest first; raises as `arrivals` does."""
        conditions = [f"dt BETWEEN {_text(selection.since)} AND {_text(selection.until)}"]
        for column in ("source", "reason", "component", "message_id"):
            value = getattr(selection, column)
            conditions += [f"{column} = {_text(value)}"] if value else []
        rows = self._ask(
            f"""{_copies(conditions)} SELECT {_ENTRY} FROM copies GROUP BY digest {_after(selection)}
            ORDER BY min(received_ms) DESC, digest LIMIT {int(selection.limit)}"""  # noqa: S608 - quoted
        )
        return [_entry(row) for row in rows]

    def load(self, entry_ids: Collection[str]) -> dict[str, Entry]:
        """Entry id → entry with its body, for those that exist; raises as `arrivals` does."""
        places = {parse_entry_id(entry_id): entry_id for entry_id in entry_ids}
        if not places:
            return {}
        days, digests = ({place[part] for place in places} for part in (0, 1))
        rows = self._ask(
            f"""{_copies([_one_of("dt", days)])} SELECT {_ENTRY}, dt AS day, any_value(body) AS body,
            min_by(envelope, received_ms) AS envelope, min_by(path, received_ms) AS path
            FROM copies WHERE {_one_of("digest", digests)} GROUP BY digest, dt"""  # noqa: S608 - quoted
        )
        found = {(row["day"], row["digest"]): _entry(row) for row in rows}
        return {entry_id: found[place] for place, entry_id in places.items() if place in found}

    def _ask(self, sql: str) -> list[Row]:
        with passing_failures("Athena"):
            query_id = self.client.start_query_execution(
                QueryString=sql, QueryExecutionContext={"Database": self.database}, WorkGroup=self.workgroup
            )["QueryExecutionId"]
            self._wait(query_id)
            return list(self._rows(query_id))

    def _wait(self, query_id: str) -> None:
        deadline, pause_s = time.monotonic() + WAIT_S, POLL_S
        while time.monotonic() < deadline:
            status = self.client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
            state = status["State"]
            if state == "SUCCEEDED":
                return
            if state == "CANCELLED":  # by the workgroup: the query would have read more than its limit
                raise Rejected("too_much_to_read", "Look at fewer days: one question may not read that much")
            if state == "FAILED":
                kind = status.get("AthenaError", {}).get("ErrorType", 0)
                raise Unavailable(f"Athena failed (error type {kind}); its console shows the query and the reason")
            time.sleep(pause_s)
            pause_s = min(POLL_S_MAX, pause_s * 1.5)
        self.client.stop_query_execution(QueryExecutionId=query_id)
        raise Unavailable(f"Athena did not answer within {WAIT_S} s; look at fewer days, or ask again")

    def _rows(self, query_id: str) -> Sequence[Row]:
        rows: list[Row] = []
        names: list[str] = []
        for page in self.client.get_paginator("get_query_results").paginate(QueryExecutionId=query_id):
            values = [[cell.get("VarCharValue", "") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]]
            if not names:  # the first row of the first page has the names
                names, values = values[0], values[1:]
            rows += (dict(zip(names, row, strict=True)) for row in values)
        return rows


_ENTRY = """digest, min(dt) AS dt, count(*) AS copies, min(received_ms) AS first_ms, max(received_ms) AS last_ms,
max_by(message_id, received_ms) AS message_id, max_by(source, received_ms) AS source,
max_by(reason, received_ms) AS reason, max_by(detail, received_ms) AS detail,
max_by(component, received_ms) AS component, max_by(version, received_ms) AS version"""


def _copies(conditions: Sequence[str]) -> str:
    return f"""WITH copies AS (SELECT quarantine.*, {DIGEST_SQL} AS digest, {_MS.format("received_at")} AS received_ms,
    "$path" AS path FROM quarantine WHERE {" AND ".join(conditions)})"""  # noqa: S608 - every value is quoted


def _after(selection: Selection) -> str:
    if selection.after is None:
        return ""
    received_ms, digest = selection.after
    at = int(received_ms)
    return f"HAVING min(received_ms) < {at} OR (min(received_ms) = {at} AND digest > {_text(digest)})"


def _conditions(message_id: str, source: str, days: int) -> str:
    since, until = _days(days)
    of_source = f" AND source = {_text(source)}" if source else ""
    return f"dt BETWEEN {_text(since)} AND {_text(until)} AND message_id = {_text(message_id)}{of_source}"


def _days(days: int) -> tuple[str, str]:
    """First and last day; tomorrow is in them, for clocks that are ahead."""
    today = datetime.now(UTC).date()
    return str(today - timedelta(days=days - 1)), str(today + timedelta(days=1))


def _one_of(column: str, values: Collection[str]) -> str:
    return f"{column} IN ({', '.join(_text(value) for value in sorted(values))})"


def _text(value: str) -> str:
    """A literal of Athena's SQL, in which a quote is written twice and nothing else has a meaning."""
    return "'" + value.replace("'", "''") + "'"


def _arrival(rows: Sequence[Row]) -> Arrival:
    row = rows[0]
    return Arrival(
        source=row["source"],
        sequence=row["sequence"],
        kind=row["kind"],
        name=row["name"],
        fragment_key=row["fragment_key"],
        at=int(row["at_ms"]),
        received_at=int(row["received_ms"]),
        clock=row["clock"],
        violations=tuple(filter(None, row["violations"].split(","))),
        dt=row["dt"],
        hour=row["hour"],
        paths=tuple(sorted({each["path"] for each in rows})),
    )


def _entry(row: Row) -> Entry:
    return Entry(
        entry_id=f"{row['dt']}-{row['digest']}",
        message_id=row["message_id"],
        source=row["source"],
        reason=row["reason"],
        detail=row["detail"],
        component=row["component"],
        version=row["version"],
        received_at=int(row["first_ms"]),
        last_received_at=int(row["last_ms"]),
        copies=int(row["copies"]),
        body=base64.b64decode(row.get("body", "")),
        envelope=row.get("envelope", "").encode(),
        path=row.get("path", ""),
    )
