"""What translations are built of: the two dialects, nodes, and what names can mean."""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.trino import Trino
from sqlglot.generators.duckdb import DuckDBGenerator
from sqlglot.parsers.trino import TrinoParser

from infra.local.athena.column_types import NULL, AthenaError

Node = exp.Expr


def _timestamp_literal(_: Any, value: Node, kind: exp.DataType) -> Node:
    zoned = re.search(r"[A-Za-z]$|[+-]\d\d:?\d\d$", value.name.strip())
    return exp.Cast(this=value, to=exp.DataType(this=exp.DType.TIMESTAMPTZ) if zoned else kind)


class AthenaDialect(Trino):
    """Trino's grammar, but functions stay names: which of them exist, and what they mean here, is ours to say."""

    INDEX_OFFSET = 0

    class Parser(TrinoParser):
        FUNCTIONS = {}  # noqa: RUF012 - as sqlglot declares it
        FUNCTION_PARSERS = {  # noqa: RUF012 - likewise
            name: TrinoParser.FUNCTION_PARSERS[name]
            for name in ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "POSITION", "SUBSTRING")
        }
        TYPE_LITERAL_PARSERS: ClassVar[Any] = TrinoParser.TYPE_LITERAL_PARSERS | {
            exp.DType.DECIMAL: lambda _, value, __: exp.Literal.number(value.name),
            exp.DType.TIMESTAMP: _timestamp_literal,
        }


class EngineDialect(DuckDB):
    """DuckDB as the translations write it."""

    class Generator(DuckDBGenerator):
        TRANSFORMS = DuckDBGenerator.TRANSFORMS | {
            exp.IgnoreNulls: lambda self, node: f"{self.sql(node, 'this')} IGNORE NULLS",
        }


def parse(sql: str) -> Any:
    """Parse one statement.

    Raises:
        AthenaError: It is not Athena's SQL.
    """
    try:
        return sqlglot.parse_one(sql, read=AthenaDialect)
    except sqlglot.errors.ParseError as error:
        fault = error.errors[0] if error.errors else {}
        found = fault.get("highlight") or "<EOF>"
        column = max(1, fault.get("col", 1) - len(found) + 1)
        raise AthenaError(f"SYNTAX_ERROR: line {fault.get('line', 1)}:{column}: mismatched input '{found}'") from error
    except sqlglot.errors.TokenError as error:
        raise AthenaError(f"SYNTAX_ERROR: line 1:1: {error}") from error


def write(node: Node) -> str:
    """Return the node as DuckDB's SQL."""
    return node.sql(dialect=EngineDialect, normalize_functions=False, unsupported_level=sqlglot.ErrorLevel.RAISE)


def call(name: str, *arguments: Node) -> Node:
    return exp.Anonymous(this=name, expressions=list(arguments))


def text(value: str) -> Node:
    return exp.Literal.string(value)


def number(value: int) -> Node:
    return exp.Literal.number(value)


def name(value: str) -> exp.Identifier:
    return exp.to_identifier(value, quoted=True)


def typed(node: Node, duck: str) -> Node:
    """Return the node, marked as translated and of a known DuckDB type."""
    node.meta["duck"] = duck
    return node


def cast(node: Node, duck: str) -> Node:
    return typed(exp.Cast(this=node, to=exp.DataType.build(duck, dialect="duckdb")), duck)


def null(duck: str) -> str:
    return "NULL" if duck == NULL else f"CAST(NULL AS {duck})"


def without_columns(node: Node) -> Node:
    """Return a copy in which each part whose type is known is a NULL of that type, so it can be asked for its own."""
    root = node.copy()

    def strip(part: Node) -> Node:
        if isinstance(part, exp.Window):
            part.set("alias", None)  # the window that it names is not here, and does not matter to the type
        known = part.meta.get("duck")
        inner = part is root and not isinstance(part, exp.Column | exp.Query)
        return exp.Var(this=null(known)) if known and not inner else part

    return root.transform(strip, copy=False)


Columns = list[tuple[str, str]]
"""(name, DuckDB type) of each column, in order."""


@dataclass(frozen=True, slots=True)
class Table:
    """A relation with rows of its own; `source` is the catalog's, to read them by."""

    columns: Columns
    partition_keys: frozenset[str]
    source: Any
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class View:
    sql: str
    database: str


class Catalog(Protocol):
    def find(self, database: str, name: str) -> Table | View | None:
        """Return the relation, None if there is none of that name."""


@dataclass(slots=True)
class Scan:
    """One use of a table: `relation` is its name in the translated text, to be made before that runs.

    `columns` are the ones it names; `predicates` are over partition keys alone, and a row that fails one cannot matter.
    """

    relation: str
    alias: str
    table: Table
    columns: set[str] = field(default_factory=set)
    predicates: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Translation:
    sql: str
    columns: Columns
    scans: list[Scan]


@dataclass(slots=True)
class Relation:
    columns: dict[str, tuple[str, str]]
    scan: str | None = None
    hidden: frozenset[str] = frozenset()


@dataclass(slots=True)
class Scope:
    """What a name can mean at one place; looked up outwards."""

    parent: "Scope | None" = None
    relations: dict[str, Relation] = field(default_factory=dict)
    ctes: dict[str, Columns] = field(default_factory=dict)
    joined_using: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
