"""The history on this machine: the lake's files, put in order by DuckDB in bounded memory."""

from collections.abc import Collection, Iterator
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import duckdb

from onefold.adapters.lake_rows import COLUMNS, INSTANTS, event_of_row
from onefold.domain.event import Event, parts
from onefold.domain.identity_rules import IdentityRules
from onefold.use_cases.linking import Candidate
from onefold.use_cases.rebuild import Delivered

# ruff: noqa: S608 - what is put into the statements below are the statements' own parts; values are bound.
MEMORY_LIMIT: Final = "2GB"
ROWS_AT_ONCE: Final = 5_000
WEIGHTLESS: Final = ("traits", "properties", "context")  # linking does not look at them

_SELECTED = ", ".join(f'epoch_ms("{name}") AS "{name}"' if name in INSTANTS else f'"{name}"' for name in COLUMNS)
_LIGHT = ", ".join(f"'{{}}' AS {name}" if name in WEIGHTLESS else f'"{name}"' for name in COLUMNS)
_ARRIVAL = "length(sequence), sequence, position"

# A batch that was archived again within other bounds lies in two files; its events were delivered once.
_EVENTS: Final = f"""
CREATE TABLE events AS
SELECT
  *, row_number() OVER (PARTITION BY source, message_id ORDER BY {_ARRIVAL}) > 1 AS is_repeat
FROM (
  SELECT
    fragment_key, sequence, coalesce(position, 0) AS position, {_SELECTED}
  FROM read_parquet(?, union_by_name = true, hive_partitioning = false)
  QUALIFY row_number() OVER (PARTITION BY source, message_id, sequence, position) = 1
)
"""
# What an event says of a person and what it says of an account are parts of it, as `parts` has them.
_PARTS: Final = """
CREATE VIEW event_parts AS
SELECT
  fragment_key AS part_key,
  coalesce(nullif(split_part(fragment_key, '|', 2), ''), split_part(fragment_key, '|', 1)) AS base,
  *
FROM events
WHERE fragment_key IS NOT NULL
UNION ALL
SELECT
  coalesce(fragment_key, '|') || '|' || struct_extract(account, 'key') AS part_key,
  struct_extract(account, 'key') AS base,
  *
FROM events
WHERE account IS NOT NULL
"""
_KEYS: Final = "list_transform(identifiers, lambda each: each.key)"
_PREVIOUS_KEYS: Final = "list_transform(coalesce(previous, []), lambda each: each.key)"
# Where a fragment shows the same identifiers again, nothing is left to link.
_FIRST_SHOWN: Final = f"""
QUALIFY len(coalesce(previous, [])) > 0 OR row_number() OVER (
  PARTITION BY fragment_key, {_KEYS}, struct_extract(account, 'key') ORDER BY received_at, {_ARRIVAL}
) = 1
"""


class DuckDbHistory:
    """All archived events, sorted on disk; implements `rebuild.History`."""

    def __init__(self, lake: Path, work: Path, rules: IdentityRules) -> None:
        """Read the files.

        Args:
            lake: Folder with the raw zone's Parquet files, one at least.
            work: Empty folder with room for about as much.
            rules: Tell what identifiers are where the lake does not.
        """
        self._rules = rules
        self._database = duckdb.connect(str(work / "history.duckdb"))
        self._database.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        self._database.execute(f"SET temp_directory = '{str(work / 'spill').replace(chr(39), chr(39) * 2)}'")
        self._database.execute("SET TimeZone = 'UTC'")
        self._database.execute("SET preserve_insertion_order = false")
        self._database.execute(_EVENTS, [str(lake / "**" / "*.parquet")])
        self._database.execute(_PARTS)
        self._database.execute("CREATE TABLE part_keys AS SELECT DISTINCT part_key FROM event_parts")
        self._database.execute("CREATE TABLE messages AS SELECT DISTINCT source, message_id FROM events")
        (self.events, self.repeats, newest_at) = self._row(
            "SELECT count(*), count(*) FILTER (is_repeat), max(received_at) FROM events"
        )
        self._newest_at = newest_at or 0
        (self.fragment_count,) = self._row("SELECT count(*) FROM part_keys")

    def close(self) -> None:
        self._database.close()

    @property
    def newest_at(self) -> int:
        return int(self._newest_at)

    def fragments(self, bases: Collection[str] | None = None) -> Iterator[tuple[str, Iterator[Delivered]]]:
        wanted, values = ("", []) if bases is None else ("WHERE base IN (SELECT unnest(?))", [sorted(bases)])
        rows = self._rows(f"SELECT * FROM event_parts {wanted} ORDER BY part_key, {_ARRIVAL}", values)
        for key, group in groupby(rows, key=itemgetter("part_key")):
            yield key, (self._delivered(key, row) for row in group)

    def candidates(self, rules: IdentityRules, naming: Collection[str] | None = None) -> Iterator[Candidate]:
        """As `History` has it, without what shows its fragment nothing new; events come without their payloads."""
        is_first = "" if rules.shared_devices == "last" else _FIRST_SHOWN
        named, values = "", []
        if naming is not None:
            named = f"AND list_has_any(list_concat({_KEYS}, {_PREVIOUS_KEYS}, [struct_extract(account, 'key')]), ?)"
            values = [sorted(naming)]
        rows = self._rows(
            f"SELECT {_LIGHT} FROM events WHERE NOT is_repeat {named} {is_first} ORDER BY received_at, {_ARRIVAL}",
            values,
        )
        for row in rows:
            for key, part in parts(event_of_row(row, self._rules)):
                yield Candidate(key, part)

    def unknown_fragments(self, keys: Collection[str]) -> set[str]:
        known = "SELECT part_key FROM part_keys WHERE part_key IN (SELECT unnest(?))"
        return set(keys) - {row["part_key"] for row in self._rows(known, [list(keys)])}

    def unknown_messages(self, messages: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        wanted = "(SELECT unnest(?) AS source, unnest(?) AS message_id)"
        known = f"SELECT source, message_id FROM messages SEMI JOIN {wanted} USING (source, message_id)"
        sources, ids = [source for source, _ in messages], [message_id for _, message_id in messages]
        return set(messages) - {(row["source"], row["message_id"]) for row in self._rows(known, [sources, ids])}

    def _delivered(self, key: str, row: dict[str, Any]) -> Delivered:
        return Delivered(_part(event_of_row(row, self._rules), key), row["sequence"], row["is_repeat"])

    def _rows(self, sql: str, values: list[Any]) -> Iterator[dict[str, Any]]:
        """Rows of a query; each has a cursor of its own, so that several can be read side by side."""
        with closing(self._database.cursor()) as cursor:
            reader = cursor.sql(sql, params=values).to_arrow_reader(ROWS_AT_ONCE)
            for batch in reader:
                yield from batch.to_pylist()

    def _row(self, sql: str) -> tuple[Any, ...]:
        """The one row of an aggregate."""
        return tuple(self._database.execute(sql).fetchall()[0])


def _part(event: Event, key: str) -> Event:
    """The part of an event that belongs to a fragment."""
    return next(part for each, part in parts(event) if str(each) == key)
