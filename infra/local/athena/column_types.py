"""One column type under its three names, DuckDB's, Athena's and Glue's, and its values as Athena prints them."""

import datetime as dt
import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

ZONED = "STRUCT(athena_instant TIMESTAMP WITH TIME ZONE, athena_zone VARCHAR)"
"""A timestamp shown in a zone other than UTC; DuckDB's own type forgets the zone."""
NULL = '"NULL"'
INTEGER_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "HUGEINT": 38, "UBIGINT": 20}
NAMES = {  # DuckDB: Athena's SQL, Glue, precision in a result's metadata
    "TINYINT": ("tinyint", "tinyint", 3),
    "SMALLINT": ("smallint", "smallint", 5),
    "INTEGER": ("integer", "int", 10),
    "BIGINT": ("bigint", "bigint", 19),
    "FLOAT": ("real", "float", 17),
    "DOUBLE": ("double", "double", 17),
    "BOOLEAN": ("boolean", "boolean", 0),
    "VARCHAR": ("varchar", "string", 2147483647),
    "DATE": ("date", "date", 0),
    "TIMESTAMP": ("timestamp(3)", "timestamp", 3),
    "BLOB": ("varbinary", "binary", 1073741824),
    "TIMESTAMP WITH TIME ZONE": ("timestamp(3) with time zone", None, 3),
    ZONED: ("timestamp(3) with time zone", None, 3),
    "JSON": ("json", None, 2147483647),
    "INTERVAL": ("interval day to second", None, 0),
    "TIME": ("time(3)", None, 3),
    NULL: ("unknown", None, 0),
}
FROM_GLUE = {hive: duck for duck, (_, hive, _) in NAMES.items() if hive} | {"integer": "INTEGER"}


class AthenaError(Exception):
    """A query that Athena would refuse or fail; the text is Athena's reason, code first."""


def split_top(text: str, separator: str = ",") -> Iterator[str]:
    """Yield the parts of `text` between separators that stand outside every bracket and quote."""
    depth, quoted, start = 0, False, 0
    for position, character in enumerate(text):
        quoted ^= character == '"'
        if not quoted:
            depth += (character in "(<") - (character in ")>")
            if character == separator and depth == 0:
                yield text[start:position].strip()
                start = position + 1
    yield text[start:].strip()


@cache
def members(duck: str) -> list[tuple[str, str]]:
    """Return (name, type) of an array's element, a map's key and value, or a row's fields; [] for a scalar."""
    if duck.endswith("[]"):
        return [("element", duck[:-2])]
    head, _, inner = duck.removesuffix(")").partition("(")
    if head == "MAP":
        return list(zip(("key", "value"), split_top(inner), strict=True))
    if head == "TUPLE":
        return [(f"field{i}", part) for i, part in enumerate(split_top(inner))]
    if head == "STRUCT":
        fields = [re.match(r'("(?:[^"]|"")*"|\S+)\s+(.*)', part, re.DOTALL) for part in split_top(inner)]
        return [(field[1].strip('"').replace('""', '"'), field[2]) for field in fields if field]
    return []


def family(duck: str) -> str:
    """Return the kind of type that operators care about: number, varchar, time, array, and so on."""
    if duck in INTEGER_DIGITS or duck in {"DOUBLE", "FLOAT"} or duck.startswith("DECIMAL"):
        return "number"
    if duck in {"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", ZONED}:
        return "time"
    if duck.endswith("[]"):
        return "array"
    head = duck.partition("(")[0]
    return {"STRUCT": "row", "TUPLE": "row", "MAP": "map", NULL: "null"}.get(head, head.lower())


def decimal_shape(duck: str) -> tuple[int, int]:
    """Return (precision, scale) of a decimal, or of the decimal that an integer becomes beside one."""
    if duck in INTEGER_DIGITS:
        return INTEGER_DIGITS[duck], 0
    precision, scale = duck[8:-1].split(",")
    return int(precision), int(scale)


def athena_type(duck: str) -> str:
    """Return the type as Athena writes it in SQL and in messages."""
    if duck in NAMES:
        return NAMES[duck][0]
    if duck.startswith("DECIMAL"):
        return duck.lower()
    inner = [(name, athena_type(kind)) for name, kind in members(duck)]
    if family(duck) == "row":
        named = duck.startswith("STRUCT")
        return f"row({', '.join(f'{name} {kind}' if named else kind for name, kind in inner)})"
    return f"{family(duck)}({', '.join(kind for _, kind in inner)})"


def glue_type(duck: str) -> str:
    """Return the type as a Glue table holds it.

    Raises:
        AthenaError: Glue has no such type, so a table cannot be made of it.
    """
    if duck.startswith("DECIMAL"):
        return duck.lower()
    inner = [(name, glue_type(kind)) for name, kind in members(duck) if duck != ZONED]
    if family(duck) == "row" and inner and duck.startswith("STRUCT"):
        return f"struct<{','.join(f'{name}:{kind}' for name, kind in inner)}>"
    if inner and family(duck) != "row":
        return f"{family(duck)}<{','.join(kind for _, kind in inner)}>"
    name = NAMES[duck][1] if duck in NAMES else None
    if name is None:
        raise AthenaError(f"NOT_SUPPORTED: Unsupported Hive type: {athena_type(duck)}")
    return name


def from_glue(hive: str) -> str:
    """Return DuckDB's type for a Glue column type."""
    hive = hive.strip().lower()
    head, _, inner = hive.removesuffix(">").partition("<")
    if head == "array":
        return from_glue(inner) + "[]"
    if head == "map":
        return f"MAP({', '.join(from_glue(part) for part in split_top(inner))})"
    if head == "struct":
        fields = [part.partition(":") for part in split_top(inner)]
        return f"STRUCT({', '.join(f'{quote(name)} {from_glue(kind)}' for name, _, kind in fields)})"
    if head.startswith(("varchar", "char")):
        return "VARCHAR"
    if head.startswith("decimal"):
        return head.upper() if "(" in head else "DECIMAL(10,0)"
    if head not in FROM_GLUE:
        raise AthenaError(f"HIVE_INVALID_METADATA: column type {hive} is not known to the local Athena")
    return FROM_GLUE[head]


def quote(name: str) -> str:
    """Return `name` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def column_info(name: str, duck: str) -> dict[str, Any]:
    """Return one entry of ResultSetMetadata.ColumnInfo."""
    decimal = duck.startswith("DECIMAL")
    precision, scale = decimal_shape(duck) if decimal else (NAMES[duck][2] if duck in NAMES else 0, 0)
    kind = family(duck) if members(duck) and duck != ZONED else athena_type(duck)
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": name,
        "Label": name,
        "Type": "float" if duck == "FLOAT" else "decimal" if decimal else kind.replace("(3)", ""),
        "Precision": precision,
        "Scale": scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": duck in {"VARCHAR", "JSON"},
    }


def double_text(value: float) -> str:
    """Write a double as Java does: 1.0, 0.001, 1.0E7, NaN."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:  # noqa: PLR2004 - the bounds of Java's Double.toString
        text = format(Decimal(repr(value)), "f")
        return text if "." in text else text + ".0"
    return scientific_text(value)


def scientific_text(value: float) -> str:
    """Write a double as Trino's CAST(x AS varchar) does: 1.5 is 1.5E0, 100 is 1.0E2."""
    if not math.isfinite(value):
        return double_text(value)
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    power = len(digits) - 1 + int(exponent) if value else 0
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{power}"


def timestamp_text(value: dt.datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03}"


def interval_text(value: Any) -> str:
    milliseconds = value.days * 86_400_000 + value.nanoseconds // 1_000_000
    if value.months:
        sign = "-" if value.months < 0 else ""
        return f"{sign}{abs(value.months) // 12}-{abs(value.months) % 12}"
    sign, milliseconds = ("-" if milliseconds < 0 else ""), abs(milliseconds)
    days, rest = divmod(milliseconds, 86_400_000)
    return f"{sign}{days} {rest // 3_600_000:02}:{rest // 60_000 % 60:02}:{rest // 1000 % 60:02}.{rest % 1000:03}"


def zoned_text(value: dict[str, Any]) -> str:
    return (
        f"{timestamp_text(value['athena_instant'].astimezone(ZoneInfo(value['athena_zone'])))} {value['athena_zone']}"
    )


SCALAR_TEXT: dict[str, Callable[[Any], str]] = {
    "BOOLEAN": lambda value: str(value).lower(),
    "DOUBLE": double_text,
    "FLOAT": lambda value: double_text(float(str(np.float32(value)))),
    "TIMESTAMP": timestamp_text,
    "TIMESTAMP WITH TIME ZONE": lambda value: timestamp_text(value.astimezone(dt.UTC)) + " UTC",
    "TIME": lambda value: f"{value:%H:%M:%S}.{value.microsecond // 1000:03}",
    "INTERVAL": interval_text,
    "BLOB": lambda value: value.hex(" "),
    ZONED: zoned_text,
}


@cache
def printer(duck: str) -> Callable[[Any], str]:
    """Return what writes an Arrow value of this type (not null) as Athena's result files and rows do."""
    if duck in SCALAR_TEXT or not members(duck):
        return SCALAR_TEXT.get(duck, lambda value: format(value, "f") if isinstance(value, Decimal) else str(value))
    inner = [printer(kind) for _, kind in members(duck)]

    def text(value: Any, index: int = 0) -> str:
        return "null" if value is None else inner[index](value)

    if family(duck) == "array":
        return lambda value: f"[{', '.join(text(element) for element in value)}]"
    if family(duck) == "map":
        return lambda value: f"{{{', '.join(f'{text(k)}={text(v, 1)}' for k, v in value)}}}"
    names = [name for name, _ in members(duck)]

    def row_text(value: dict[str, Any]) -> str:
        fields = enumerate(zip(names, value.values(), strict=True))
        return "{" + ", ".join(f"{name}={text(field, index)}" for index, (name, field) in fields) + "}"

    return row_text
