"""Athena's statements, run on DuckDB over moto's Glue and S3."""

import base64
import io
import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from infra.local.athena import expressions  # noqa: F401 - gives the translator its rules
from infra.local.athena.column_types import AthenaError, athena_type, column_info, glue_type, printer
from infra.local.athena.functions import open_engine
from infra.local.athena.lake import Lake, Meter, is_view, relation_sql
from infra.local.athena.nodes import Columns
from infra.local.athena.translator import Translator

NAME = r"""(?:["`]?([\w-]+)["`]?\.)?["`]?([\w$-]+)["`]?"""
PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
REASONS = (  # what DuckDB says in a run, and what Athena does
    (r"[Cc]ould not convert string ['\"]([A-Z_]+: .*)['\"] to", r"\1"),
    (r"[Cc]ould not convert string ['\"](.*?)\u200b?['\"] to (\S+)", r"INVALID_CAST_ARGUMENT: Cannot cast '\1' to \2"),
    (r"^Conversion Error: (.*)", r"INVALID_CAST_ARGUMENT: \1"),
    (r"executing the UDF: \w+: ([A-Z_]+: .*)", r"\1"),
    (r"Division by zero", "DIVISION_BY_ZERO: Division by zero"),
    (r"^Out of Range Error: (.*)", r"NUMERIC_VALUE_OUT_OF_RANGE: \1"),
    (
        r"More than one row returned by a subquery",
        "SUBQUERY_MULTIPLE_ROWS: Scalar sub-query has returned multiple rows",
    ),
    (
        r"column \"?(\w+)\"? must appear in the GROUP BY",
        r"EXPRESSION_NOT_AGGREGATE: line 1:1: '\1' must be an aggregate expression or appear in GROUP BY clause",
    ),
    (r"^Binder Error: (.*)", r"TYPE_MISMATCH: \1"),
)
_engine_lock = Lock()
_engines: list[duckdb.DuckDBPyConnection] = []


@dataclass(slots=True)
class Outcome:
    """What a statement gave: rows of texts, or files that it wrote."""

    columns: list[dict[str, Any]] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)
    kind: str = "DDL"
    files: list[str] | None = None

    @classmethod
    def listing(cls, names: str, rows: list[list[str | None]]) -> "Outcome":
        columns = [column_info(name, "VARCHAR") | {"Type": "string"} for name in names.split()]
        return cls(columns, [["\t".join(part or "" for part in row)] for row in rows])


@dataclass(slots=True)
class Statement:
    """One statement in its database, with its own DuckDB connection."""

    lake: Lake
    database: str
    output: str
    meter: Meter
    parameters: list[str]

    def run(self, sql: str) -> Outcome:
        """Run it.

        Raises:
            AthenaError: Athena would fail it, or the local Athena cannot do it; the text says which.
            ScanLimitError: It read more than its workgroup allows.
        """
        comments = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)
        text = comments.sub(_blank, sql, count=1).rstrip().rstrip(";")
        for pattern, method in STATEMENTS:
            match = re.fullmatch(rf"\s*{pattern}\s*", text, re.IGNORECASE | re.DOTALL)
            if match:
                return method(self, match)
        verb = text.split()[0].upper() if text.split() else "an empty statement"
        raise AthenaError(f"NOT_SUPPORTED: line 1:1: {verb} is not known to the local Athena")

    def name(self, match: re.Match[str], group: int = 1) -> tuple[str, str]:
        return (match[group] or self.database).lower(), match[group + 1].lower()

    def table(self, match: re.Match[str]) -> dict[str, Any]:
        database, name = self.name(match)
        found = self.lake.definition(database, name)
        if found is None:
            raise AthenaError(f"TABLE_NOT_FOUND: line 1:1: Table 'awsdatacatalog.{database}.{name}' does not exist")
        return found

    # Queries

    def rows(self, sql: str) -> tuple[pa.Table, Columns]:
        """Translate and run one query; columns by position, with the types they had in DuckDB."""
        with _cursor() as engine:
            translation = Translator(self.lake, self.database, engine).translate(sql, self.parameters)
            for scan in translation.scans:
                table = scan.table.source(scan, engine, self.meter)
                # Names with their relation's, so that the plan tells which column of which scan it reads.
                table = table.rename_columns([f"{scan.relation}.{name}" for name in table.column_names])
                engine.register(f"{scan.relation}_rows", table)
                described = engine.execute(f"DESCRIBE {scan.relation}_rows").fetchall()
                kinds = {name.partition(".")[2]: duck for name, duck, *_ in described}
                engine.execute(f"CREATE TEMP VIEW {scan.relation} AS {relation_sql(scan, kinds)}")
            plan = engine.execute(f"EXPLAIN (FORMAT JSON) {translation.sql}").fetchall()[0][1]
            self.meter.count(set(re.findall(r'"(scan_\d+)\.([^"]+)"', plan)))
            return engine.sql(translation.sql).to_arrow_table(), translation.columns

    def query(self, match: re.Match[str]) -> Outcome:
        table, columns = self.rows(match.string)
        texts = []
        for (_, duck), values in zip(columns, table.columns, strict=True):
            text = printer(duck)
            texts.append([None if value is None else text(value) for value in values.to_pylist()])
        rows = [list(row) for row in zip(*texts, strict=True)]
        return Outcome([column_info(*column) for column in columns], rows, "DML")

    def body(self, match: re.Match[str], group: int) -> tuple[pa.Table, Columns]:
        """Run the query inside a statement, with the places of its errors counted from the statement's start."""
        table, columns = self.rows(_query_of(match, group))
        names = [name for name, _ in columns]
        for place, name in enumerate(names, 1):
            if re.fullmatch(r"_col\d+", name):
                raise AthenaError(f"COLUMN_NAME_NOT_SPECIFIED: line 1:1: Column name not specified at position {place}")
            if names.count(name) > 1:
                raise AthenaError(f"DUPLICATE_COLUMN_NAME: line 1:1: Column name '{name}' specified more than once")
        return table, columns

    def unload(self, match: re.Match[str]) -> Outcome:
        table, columns = self.body(match, 1)
        properties = _properties(match[3])
        files = self.write(table, columns, match[2], properties)
        return Outcome([column_info("rows", "BIGINT")], [[str(table.num_rows)]], "DML", files)

    def create_table(self, match: re.Match[str]) -> Outcome:
        database, name = self.name(match, 2)
        if self.lake.definition(database, name):
            if match[1]:
                return Outcome()
            raise AthenaError(
                f"TABLE_ALREADY_EXISTS: line 1:1: Destination table 'awsdatacatalog.{database}.{name}' already exists"
            )
        table, columns = self.body(match, 5)
        properties = _properties(match[4])
        location = properties.get("external_location") or f"{self.output}tables/{uuid.uuid4()}"
        kinds = [{"Name": column, "Type": glue_type(duck)} for column, duck in columns]
        files = self.write(table, columns, location, properties)
        definition = {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
            "StorageDescriptor": {**PARQUET, "Location": location, "Columns": kinds},
            "PartitionKeys": [],
        }
        self.lake.glue.create_table(database, name, definition)
        return Outcome([column_info("rows", "BIGINT")], [[str(table.num_rows)]], "DDL", files)

    def write(self, table: pa.Table, columns: Columns, location: str, properties: dict[str, str]) -> list[str]:
        """Write the rows as a Parquet file; returns its location, nothing for no rows."""
        if properties.get("format", "PARQUET").upper() != "PARQUET" or {"bucketed_by", "partitioned_by"} & {
            *properties
        }:
            raise AthenaError("NOT_SUPPORTED: the local Athena writes Parquet without partitions and buckets only")
        if next(self.lake.objects(location), None):
            raise AthenaError(f"HIVE_PATH_ALREADY_EXISTS: Target directory {location} already contains files")
        for _, duck in columns:
            glue_type(duck)  # refuses what a file cannot hold
        compression = properties.get("write_compression") or properties.get("compression") or "GZIP"
        place = f"{location.rstrip('/')}/{uuid.uuid4()}.parquet"
        if not table.num_rows:
            return []
        buffer = io.BytesIO()
        pq.write_table(table.rename_columns([name for name, _ in columns]), buffer, compression=compression.lower())
        self.lake.put(place, buffer.getvalue())
        return [place]

    # Definitions

    def create_view(self, match: re.Match[str]) -> Outcome:
        database, name = self.name(match, 2)
        old = self.lake.definition(database, name)
        if old and not (match[1] and is_view(old)):
            raise AthenaError(
                f"TABLE_ALREADY_EXISTS: line 1:1: View already exists: 'awsdatacatalog.{database}.{name}'"
            )
        with _cursor() as engine:
            columns = Translator(self.lake, self.database, engine).translate(_query_of(match, 4)).columns
        kinds = [{"name": column, "type": athena_type(duck)} for column, duck in columns]
        view = {"originalSql": match[4].strip(), "catalog": "awsdatacatalog", "schema": self.database, "columns": kinds}
        definition = {
            "Name": name,
            "TableType": "VIRTUAL_VIEW",
            "Parameters": {"presto_view": "true", "comment": "Presto View"},
            "ViewOriginalText": f"/* Presto View: {base64.b64encode(json.dumps(view).encode()).decode()} */",
            "ViewExpandedText": "/* Presto View */",
            "PartitionKeys": [],
            "StorageDescriptor": {"Columns": [{"Name": column, "Type": _view_type(duck)} for column, duck in columns]},
        }
        if old:
            self.lake.glue.delete_table(database, name)
        self.lake.glue.create_table(database, name, definition)
        return Outcome()

    def drop(self, match: re.Match[str]) -> Outcome:
        database, name = self.name(match, 3)
        found = self.lake.definition(database, name)
        if found and is_view(found) != (match[1].upper() == "VIEW"):
            raise AthenaError(f"INVALID_TABLE: {database}.{name} is not a {match[1].lower()}")
        if found:
            self.lake.glue.delete_table(database, name)
        elif not match[2]:
            raise AthenaError(f"TABLE_NOT_FOUND: line 1:1: Table 'awsdatacatalog.{database}.{name}' does not exist")
        return Outcome()

    def show_tables(self, match: re.Match[str]) -> Outcome:
        wanted = re.compile((match[3] or "*").replace("*", ".*"))
        tables = self.lake.definitions((match[2] or self.database).lower())
        if match[1].upper() == "VIEWS":
            tables = [table for table in tables if is_view(table)]
        return Outcome.listing("tab_name", [[table["Name"]] for table in tables if wanted.fullmatch(table["Name"])])

    def show_databases(self, _: re.Match[str]) -> Outcome:
        return Outcome.listing("database_name", [[name] for name in sorted(self.lake.glue.databases)])

    def show_columns(self, match: re.Match[str]) -> Outcome:
        table = self.table(match)
        columns = [*table["StorageDescriptor"]["Columns"], *table.get("PartitionKeys", [])]
        return Outcome.listing("field", [[column["Name"].ljust(20)] for column in columns])

    def show_partitions(self, match: re.Match[str]) -> Outcome:
        table = self.table(match)
        keys = [key["Name"] for key in table.get("PartitionKeys", [])]
        if not keys:
            raise AthenaError(f"INVALID_TABLE: Table {table['Name']} is not a partitioned table")
        values = self.lake.partition_values(table)
        return Outcome.listing(
            "partition", [["/".join(map("=".join, zip(keys, value, strict=True)))] for value in values]
        )

    def describe(self, match: re.Match[str]) -> Outcome:
        table = self.table(match)
        keys = table.get("PartitionKeys", [])
        lines = [
            [column["Name"], column["Type"], column.get("Comment", "")]
            for column in table["StorageDescriptor"]["Columns"]
        ]
        lines += [[key["Name"], key["Type"], key.get("Comment", "")] for key in keys]
        if keys:
            lines += [
                ["", "", ""],
                ["# Partition Information", "", ""],
                ["# col_name", "data_type", "comment"],
                ["", "", ""],
            ]
            lines += [[key["Name"], key["Type"], key.get("Comment", "")] for key in keys]
        return Outcome.listing("col_name data_type comment", [[part.ljust(20) for part in line] for line in lines])


STATEMENTS: tuple[tuple[str, Callable[[Statement, re.Match[str]], Outcome]], ...] = (
    (r"(?:SELECT|WITH|VALUES|TABLE|\().*", Statement.query),
    (r"UNLOAD\s*\((.*)\)\s*TO\s*'([^']+)'\s*(?:WITH\s*\((.*)\))?", Statement.unload),
    (
        rf"CREATE\s+TABLE\s+(IF\s+NOT\s+EXISTS\s+)?{NAME}\s*(?:WITH\s*\((.*?)\)\s*)?AS\s+(.*)",
        Statement.create_table,
    ),
    (rf"CREATE\s+(OR\s+REPLACE\s+)?VIEW\s+{NAME}\s+AS\s+(.*)", Statement.create_view),
    (rf"DROP\s+(TABLE|VIEW)\s+(IF\s+EXISTS\s+)?{NAME}", Statement.drop),
    (r"SHOW\s+(TABLES|VIEWS)(?:\s+IN\s+[`\"]?([\w-]+)[`\"]?)?(?:\s+(?:LIKE\s+)?'([^']*)')?", Statement.show_tables),
    (r"SHOW\s+(?:DATABASES|SCHEMAS)", Statement.show_databases),
    (rf"SHOW\s+COLUMNS\s+(?:IN|FROM)\s+{NAME}", Statement.show_columns),
    (rf"SHOW\s+PARTITIONS\s+{NAME}", Statement.show_partitions),
    (rf"(?:DESCRIBE|DESC)\s+(?:FORMATTED\s+|EXTENDED\s+)?{NAME}", Statement.describe),
)


def _cursor() -> duckdb.DuckDBPyConnection:
    with _engine_lock:
        if not _engines:
            _engines.append(open_engine())
        return _engines[0].cursor()


def close_engine() -> None:
    """The next query opens another."""
    with _engine_lock:
        while _engines:
            _engines.pop().close()


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _query_of(match: re.Match[str], group: int) -> str:
    """Return the query inside a statement, with what is before it blanked, so that errors give the right place."""
    return re.sub(r"[^\n]", " ", match.string[: match.start(group)]) + match[group]


def _properties(text: str | None) -> dict[str, str]:
    found = re.findall(r"(\w+)\s*=\s*(ARRAY\s*\[[^\]]*\]|'[^']*'|\w+)", text or "", re.IGNORECASE)
    return {name.lower(): value.strip("'") for name, value in found}


def _view_type(duck: str) -> str:
    try:
        return glue_type(duck)
    except AthenaError:
        return "string"


def reason_of(error: duckdb.Error) -> str:
    line = str(error).partition("\n\n")[0]
    for pattern, reason in REASONS:
        match = re.search(pattern, line, re.DOTALL)
        if match:
            return match.expand(reason)
    return f"GENERIC_INTERNAL_ERROR: {line}"
