"""The two dialects as sqlglot classes, and the few nodes that translations are built of."""

import re
from typing import Any, ClassVar

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
