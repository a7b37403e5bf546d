"""The tables that Athena reads here: moto's Glue catalog, and Parquet objects in moto's S3."""

import base64
import datetime as dt
import io
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
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
from infra.local.athena.functions import JODA, strftime_pattern
from infra.local.athena.nodes import Scan, Table, View

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
        glue = self.definition(database, name)
        if glue is None:
            return None
        if is_view(glue):
            stored = VIEW.search(glue.get("ViewOriginalText", ""))
            if not stored:
                raise AthenaError(f"INVALID_VIEW: the Glue table {database}.{name} holds no Presto View")
            view = json.loads(base64.b64decode(stored[1]))
            return View(view["originalSql"], view.get("schema") or database)
        keys = [(key["Name"], from_glue(key["Type"])) for key in glue.get("PartitionKeys", [])]
        columns = [(column["Name"], from_glue(column["Type"])) for column in glue["StorageDescriptor"]["Columns"]]
        columns += [*keys, ("$path", "VARCHAR")]
        names = frozenset(key.lower() for key, _ in keys)
        return Table(columns, names, partial(self.read, glue), frozenset({"$path"}))

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
        candidates = list(self._projected(glue, keys))
        distinct = list(dict.fromkeys(values for values, _ in candidates))
        kept = set(prune(distinct, keys, scan, engine))
        for values, stored in candidates:
            if values in kept:
                yield dict(zip(keys, values, strict=True)), stored

    def _projected(self, glue: dict[str, Any], keys: list[str]) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Find partitions by their objects: the ones whose values the projection would have made."""
        if str(glue.get("Parameters", {}).get("projection.enabled")).lower() != "true":
            raise AthenaError(f"NOT_SUPPORTED: {glue['Name']} has partitions, but no projection of them")
        settings = {key.lower(): value for key, value in glue["Parameters"].items()}
        template = settings.get("storage.location.template") or (
            glue["StorageDescriptor"]["Location"].rstrip("/") + "".join(f"/{key}=${{{key}}}" for key in keys)
        )
        bounds = {key: projection(settings, key) for key in keys}
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

    def partition_values(self, glue: dict[str, Any]) -> list[tuple[str, ...]]:
        """Return the values of the partitions that hold objects."""
        keys = [key["Name"].lower() for key in glue.get("PartitionKeys", [])]
        return sorted({values for values, _ in self._projected(glue, keys)})


def is_view(glue: dict[str, Any]) -> bool:
    return glue.get("TableType") == "VIRTUAL_VIEW"


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


UNITS = {"YEAR": 365, "MONTH": 30, "WEEK": 7, "DAY": 1, "HOUR": 1 / 24, "MINUTE": 1 / 1440, "SECOND": 1 / 86400}


def projection(settings: dict[str, str], key: str) -> Callable[[str], bool]:
    """Return what says whether a value is one that the projection of `key` makes.

    Raises:
        AthenaError: Its type or format is not known here.
    """
    kind = settings.get(f"projection.{key}.type", "").lower()
    bounds = [part.strip() for part in settings.get(f"projection.{key}.range", "").split(",")]
    if kind == "integer":
        digits = int(settings.get(f"projection.{key}.digits", 0))
        low, high = int(bounds[0]), int(bounds[1])
        return lambda value: (
            value.lstrip("-").isdigit() and low <= int(value) <= high and value == f"{int(value):0{digits}d}"
        )
    if kind == "date":
        return _dates(settings[f"projection.{key}.format"], bounds)
    raise AthenaError(f"NOT_SUPPORTED: the local Athena does not know projection.{key}.type {kind or 'none'}")


def _dates(java: str, bounds: list[str]) -> Callable[[str], bool]:
    pattern = strftime_pattern(java, JODA)
    if pattern is None:
        raise AthenaError(f"NOT_SUPPORTED: the local Athena does not know the projection format {java}")

    def moment(text: str) -> dt.datetime:
        relative = re.fullmatch(r"NOW(?:\s*([+-]\s*\d+)\s*([A-Z]+?)S?)?", text)
        if not relative:
            return dt.datetime.strptime(text, pattern).replace(tzinfo=dt.UTC)
        days = int(relative[1].replace(" ", "")) * UNITS[relative[2]] if relative[1] else 0
        return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)

    low, high = moment(bounds[0]), moment(bounds[1])
    low = dt.datetime.strptime(low.strftime(pattern), pattern).replace(tzinfo=dt.UTC)

    def made(value: str) -> bool:
        try:
            return low <= moment(value) <= high
        except ValueError:
            return False

    return made
