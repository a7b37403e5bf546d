"""The tables that Athena reads here: moto's Glue catalog, and Parquet objects in moto's S3."""

import base64
import io
import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from moto.core.exceptions import JsonRESTError
from moto.glue.models import glue_backends
from moto.s3.models import s3_backends

from infra.local.athena.column_types import INTEGER_DIGITS, AthenaError, athena_type, family, from_glue, quote
from infra.local.athena.projection import projection
from infra.local.athena.scope import Scan, Table, View

CACHE_BYTES_MAX = 512_000_000
NO_ROWS = pa.table({"athena_row": pa.array([], pa.null())})
VIEW = re.compile(r"/\* Presto View: ([A-Za-z0-9+/=\s]+?) \*/")


class ScanLimitError(Exception):
    """The workgroup's limit of bytes for one query is exceeded."""


@dataclass(slots=True)
class Meter:
    """What one query reads."""

    bytes_max: int | None = None
    bytes_read: int = 0
    files: dict[str, list[dict[str, int]]] = field(default_factory=dict)
    """The stored sizes of each file's columns, by the relation that it is read for."""

    @property
    def files_read(self) -> int:
        return sum(map(len, self.files.values()))

    def count(self, columns: Iterable[tuple[str, str]]) -> None:
        """Count the columns, given as (relation, name), that the engine's plan reads.

        Raises:
            ScanLimitError: They are more than the workgroup allows.
        """
        self.bytes_read += sum(file.get(name, 0) for relation, name in columns for file in self.files.get(relation, ()))
        if self.bytes_max is not None and self.bytes_read > self.bytes_max:
            raise ScanLimitError("Bytes scanned limit was exceeded")


@dataclass(frozen=True, slots=True)
class ParquetObject:
    """A parsed file, its column names in lower case, and the stored size of each column."""

    table: pa.Table
    column_bytes: dict[str, int]


@dataclass(slots=True)
class ParquetCache:
    """Parsed files by place and ETag; the ones used longest ago go first."""

    bytes_max: int = CACHE_BYTES_MAX
    _lock: Lock = field(default_factory=Lock)
    _objects: OrderedDict[tuple[str, str, str], ParquetObject] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def read(self, stored: Any) -> ParquetObject:
        key = (stored.bucket_name, stored.name, stored.etag)
        with self._lock:
            if key in self._objects:
                self._objects.move_to_end(key)
                return self._objects[key]
        parsed = _parse(stored)
        with self._lock:
            if key not in self._objects:
                self._objects[key] = parsed
                self._bytes += parsed.table.nbytes
            while self._bytes > self.bytes_max and len(self._objects) > 1:
                self._bytes -= self._objects.popitem(last=False)[1].table.nbytes
        return parsed


CACHE = ParquetCache()


def _parse(stored: Any) -> ParquetObject:
    try:
        file = pq.ParquetFile(io.BytesIO(stored.value))
    except pa.ArrowInvalid as error:
        place = f"s3://{stored.bucket_name}/{stored.name}"
        raise AthenaError(f"HIVE_BAD_DATA: {place} is not valid Parquet File") from error
    sizes: dict[str, int] = {}
    for group in range(file.metadata.num_row_groups):
        for index in range(file.metadata.num_columns):
            chunk = file.metadata.row_group(group).column(index)
            name = chunk.path_in_schema.partition(".")[0].lower()
            sizes[name] = sizes.get(name, 0) + chunk.total_compressed_size
    table = file.read(use_threads=False)
    return ParquetObject(table.rename_columns([name.lower() for name in table.column_names]), sizes)


class Lake:
    """One account's tables in one region, as a `Catalog` of the translator."""

    def __init__(self, account: str, region: str) -> None:
        self.glue: Any = glue_backends[account][region]
        self.s3: Any = s3_backends[account]["aws"]

    # Catalog

    def definition(self, database: str, name: str) -> dict[str, Any] | None:
        """Return a table as Glue's GetTable does, None if there is none."""
        try:
            return dict(self.glue.get_table(database, name).as_dict())
        except JsonRESTError:
            return None

    def definitions(self, database: str) -> list[dict[str, Any]]:
        """Return the tables and views of a database in order of their names.

        Raises:
            AthenaError: There is no such database.
        """
        if database not in self.glue.databases:
            raise AthenaError(f"SCHEMA_NOT_FOUND: line 1:1: Schema '{database}' does not exist")
        return sorted((table.as_dict() for table in self.glue.get_tables(database, None)), key=lambda t: str(t["Name"]))

    def find(self, database: str, name: str) -> Table | View | None:
        if database == "information_schema":
            return self.information(name)
        glue = self.definition(database, name.removesuffix("$partitions"))
        if glue is None:
            return None
        if is_view(glue):
            stored = VIEW.search(glue.get("ViewOriginalText", ""))
            if not stored:
                raise AthenaError(f"INVALID_VIEW: the Glue table {database}.{name} holds no Presto View")
            view = json.loads(base64.b64decode(stored[1]))
            return View(view["originalSql"], view.get("schema") or database)
        keys = [(key["Name"], from_glue(key["Type"])) for key in glue.get("PartitionKeys", [])]
        if name.endswith("$partitions"):
            return Table(keys, frozenset(), partial(self.partition_rows, glue))
        columns = [(column["Name"], from_glue(column["Type"])) for column in glue["StorageDescriptor"]["Columns"]]
        columns += [*keys, ("$path", "VARCHAR")]
        names = frozenset(key.lower() for key, _ in keys)
        return Table(columns, names, partial(self.read, glue), frozenset({"$path"}))

    def information(self, name: str) -> Table | None:
        rows = {"tables": self._table_rows, "columns": self._column_rows, "schemata": self._schema_rows}.get(name)
        if rows is None:
            return None
        head, *body = rows()
        columns = [(label, "BIGINT" if label == "ordinal_position" else "VARCHAR") for label in head]
        kinds = [pa.int64() if duck == "BIGINT" else pa.string() for _, duck in columns]
        arrays = [
            pa.array(part, kind)
            for part, kind in zip(zip(*body, strict=True) if body else [[]] * len(head), kinds, strict=True)
        ]
        made = pa.table(arrays, names=list(head))
        return Table(columns, frozenset(), lambda *_: made)

    def _schema_rows(self) -> Iterator[tuple[Any, ...]]:
        yield "catalog_name", "schema_name"
        yield from (("awsdatacatalog", database) for database in sorted(self.glue.databases))

    def _table_rows(self) -> Iterator[tuple[Any, ...]]:
        yield "table_catalog", "table_schema", "table_name", "table_type"
        for database in sorted(self.glue.databases):
            for glue in self.definitions(database):
                yield "awsdatacatalog", database, glue["Name"], "VIEW" if is_view(glue) else "BASE TABLE"

    def _column_rows(self) -> Iterator[tuple[Any, ...]]:
        yield (
            *("table_catalog", "table_schema", "table_name", "column_name", "ordinal_position"),
            *("column_default", "is_nullable", "data_type", "comment", "extra_info"),
        )
        for database in sorted(self.glue.databases):
            for glue in self.definitions(database):
                keys = glue.get("PartitionKeys", [])
                for place, column in enumerate([*glue["StorageDescriptor"]["Columns"], *keys], 1):
                    kind, extra = athena_type(from_glue(column["Type"])), "partition key" if column in keys else None
                    of = ("awsdatacatalog", database, glue["Name"], column["Name"], place)
                    yield *of, None, "YES", kind, column.get("Comment"), extra

    # Objects

    def objects(self, location: str) -> Iterator[Any]:
        """Yield the stored objects under an S3 location, in order, without empty and hidden ones."""
        bucket, prefix = split_location(location.rstrip("/") + "/")
        if bucket not in self.s3.buckets:
            return
        keys = self.s3.buckets[bucket].keys
        for key in sorted(key for key in list(dict.keys(keys)) if key.startswith(prefix)):
            stored = self.s3.get_object(bucket, key)
            if stored is not None and stored.size and not key.rpartition("/")[2].startswith(("_", ".")):
                yield stored

    def put(self, location: str, body: bytes) -> None:
        bucket, key = split_location(location)
        self.s3.put_object(bucket, key, body)

    # Reading

    def read(self, glue: dict[str, Any], scan: Scan, engine: duckdb.DuckDBPyConnection, meter: Meter) -> pa.Table:
        """Read the columns that a scan names from the files that its predicates leave."""
        format_ = glue["StorageDescriptor"].get("InputFormat") or "", glue.get("Parameters", {}).get("classification")
        if "parquet" not in format_[0].lower() and format_[1] != "parquet":
            raise AthenaError(f"NOT_SUPPORTED: {glue['Name']} is not Parquet, which is all that the local Athena reads")
        wanted = [name.lower() for name, _ in scan.table.columns if name.lower() in scan.columns]
        parts = []
        for values, stored in self.files(glue, scan, engine):
            file = CACHE.read(stored)
            names = [name for name in wanted if name in file.column_bytes and name not in values]
            meter.files.setdefault(scan.relation, []).append(file.column_bytes)
            part = file.table.select(names).append_column("athena_row", pa.nulls(file.table.num_rows))
            for name, value in (values | {"$path": f"s3://{stored.bucket_name}/{stored.name}"}).items():
                if name in wanted:
                    part = part.append_column(name, pa.repeat(pa.scalar(value, pa.string()), part.num_rows))
            parts.append(part)
        try:
            return pa.concat_tables(parts or [NO_ROWS], promote_options="permissive")
        except pa.ArrowTypeError as error:
            raise AthenaError(f"HIVE_BAD_DATA: files of {glue['Name']} disagree about a column: {error}") from error

    def files(
        self, glue: dict[str, Any], scan: Scan, engine: duckdb.DuckDBPyConnection
    ) -> Iterator[tuple[dict[str, str], Any]]:
        """Yield (partition values, stored object) of the partitions that meet the scan's predicates."""
        keys = [key["Name"].lower() for key in glue.get("PartitionKeys", [])]
        location = glue["StorageDescriptor"]["Location"]
        if not keys:
            yield from (({}, stored) for stored in self.objects(location))
            return
        candidates = list(self._projected(glue, keys, scan) if is_projected(glue) else self._listed(glue))
        distinct = list(dict.fromkeys(values for values, _ in candidates))
        kept = set(prune(distinct, keys, scan, engine))
        for values, stored in candidates:
            if values in kept:
                yield dict(zip(keys, values, strict=True)), stored

    def _listed(self, glue: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
        places = {
            "/".join(split_location(partition["StorageDescriptor"]["Location"].rstrip("/") + "/")): tuple(
                partition["Values"]
            )
            for partition in self.partitions(glue)
        }
        roots = {place.rstrip("/").rpartition("/")[0].partition("=")[0].rpartition("/")[0] + "/" for place in places}
        roots = {root for root in roots if not any(root != other and root.startswith(other) for other in roots)}
        for root in sorted(roots):
            for stored in self.objects(f"s3://{root}"):
                parent = f"{stored.bucket_name}/{stored.name}"
                while parent := parent.rstrip("/").rpartition("/")[0]:
                    if f"{parent}/" in places:
                        yield places[f"{parent}/"], stored
                        break

    def _projected(self, glue: dict[str, Any], keys: list[str], scan: Scan) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Find partitions by their objects: the ones whose values the projection would have made."""
        settings = {key.lower(): value for key, value in glue["Parameters"].items()}
        template = settings.get("storage.location.template") or (
            glue["StorageDescriptor"]["Location"].rstrip("/") + "".join(f"/{key}=${{{key}}}" for key in keys)
        )
        bounds = {key: projection(settings, key, scan) for key in keys}
        pattern = re.escape(template.rstrip("/") + "/").replace(r"\$\{", "${").replace(r"\}", "}")
        for key in keys:
            pattern = re.sub(rf"\$\{{{re.escape(key)}\}}", f"(?P<{key}>[^/]+)", pattern, flags=re.IGNORECASE)
        matcher = re.compile(pattern)
        seen: dict[tuple[str, ...], bool] = {}
        for stored in self.objects(template.partition("${")[0].rpartition("/")[0]):
            found = matcher.match(f"s3://{stored.bucket_name}/{stored.name}")
            values = tuple(found[key] for key in keys) if found else ()
            if values not in seen:
                seen[values] = bool(values) and all(bounds[key](value) for key, value in zip(keys, values, strict=True))
            if seen[values]:
                yield values, stored

    def partitions(self, glue: dict[str, Any]) -> list[dict[str, Any]]:
        stored = self.glue.get_table(glue["DatabaseName"], glue["Name"]).partitions
        return [partition.as_dict() for partition in list(stored.values())]

    def partition_values(self, glue: dict[str, Any]) -> list[tuple[str, ...]]:
        """Return the partitions' values: the registered ones, or with projection those that hold objects."""
        keys = [key["Name"].lower() for key in glue.get("PartitionKeys", [])]
        if not is_projected(glue):
            return [tuple(partition["Values"]) for partition in self.partitions(glue)]
        return sorted({values for values, _ in self._projected(glue, keys, Scan("", "", Table([], frozenset(), None)))})

    def partition_rows(self, glue: dict[str, Any], *_: object) -> pa.Table:
        keys = [key["Name"].lower() for key in glue.get("PartitionKeys", [])]
        return pa.table(
            {
                key: pa.array([values[i] for values in self.partition_values(glue)], pa.string())
                for i, key in enumerate(keys)
            }
        )


def is_view(glue: dict[str, Any]) -> bool:
    return glue.get("TableType") == "VIRTUAL_VIEW"


def is_projected(glue: dict[str, Any]) -> bool:
    return str(glue.get("Parameters", {}).get("projection.enabled")).lower() == "true"


def split_location(location: str) -> tuple[str, str]:
    """Return (bucket, key)."""
    bucket, _, key = location.removeprefix("s3://").removeprefix("s3a://").partition("/")
    return bucket, key


def prune(
    distinct: list[tuple[str, ...]], keys: list[str], scan: Scan, engine: duckdb.DuckDBPyConnection
) -> Iterable[tuple[str, ...]]:
    """Return the partitions whose values meet the predicates, which DuckDB evaluates."""
    if not scan.predicates or not distinct:
        return distinct
    types = {name.lower(): duck for name, duck in scan.table.columns}
    rows = {key: pa.array([values[i] for values in distinct], pa.string()) for i, key in enumerate(keys)}
    engine.register("athena_partitions", pa.table({**rows, "athena_row": pa.array(range(len(distinct)))}))
    chosen = ", ".join(f"CAST({quote(key)} AS {types[key]}) AS {quote(key)}" for key in keys)
    inner = f"(SELECT {chosen}, athena_row FROM athena_partitions) AS {quote(scan.alias.lower())}"  # noqa: S608 - ours
    where = " AND ".join(f"({part})" for part in scan.predicates)
    kept = engine.execute(f"SELECT athena_row FROM {inner} WHERE {where}").fetchall()  # noqa: S608
    engine.unregister("athena_partitions")
    return [distinct[row] for (row,) in kept]


def relation_sql(scan: Scan, kinds: dict[str, str]) -> str:
    """Return the SELECT that gives a scan's columns their declared types; NULL where no file has one.

    Raises:
        AthenaError: The files hold another type than the table declares.
    """
    chosen = ["NULL AS athena_row"]
    for name, duck in scan.table.columns:
        key = name.lower()
        if key in scan.columns and key not in kinds:
            chosen.append(f"CAST(NULL AS {duck}) AS {quote(name)}")
        elif key in scan.columns:
            if key not in scan.table.partition_keys and _storage(kinds[key]) not in {_storage(duck), "null"}:
                found, declared = athena_type(kinds[key]), athena_type(duck)
                raise AthenaError(f"HIVE_BAD_DATA: column {name} is {found} in the files and {declared} in the table")
            chosen.append(f"CAST({quote(f'{scan.relation}.{key}')} AS {duck}) AS {quote(name)}")
    return f"SELECT {', '.join(chosen)} FROM {scan.relation}_rows"  # noqa: S608 - every name is ours or quoted


def _storage(duck: str) -> str:
    if duck in INTEGER_DIGITS:
        return "integer"
    if duck.startswith("DECIMAL") or duck in {"DATE", "FLOAT", "DOUBLE"}:
        return {"FLOAT": "double"}.get(duck, duck.partition("(")[0].lower())
    return "timestamp" if duck.startswith("TIMESTAMP") else family(duck)
