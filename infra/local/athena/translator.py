"""Translate Athena's SQL to DuckDB's: names and types are resolved first, and what is not known is refused by name."""

from collections.abc import Callable, Iterable
from typing import Any

import duckdb
from sqlglot import exp

from infra.local.athena import relations
from infra.local.athena.column_types import ZONED, AthenaError, athena_type, family, members
from infra.local.athena.nodes import (
    Catalog,
    Columns,
    Node,
    Relation,
    Scan,
    Scope,
    Translation,
    call,
    name,
    null,
    parse,
    text,
    typed,
    without_columns,
    write,
)

_TYPES_MAX = 20_000
_types: dict[str, list[str]] = {}
"""Types of the columns of queries without tables; the text alone determines them."""


Handler = Callable[["Translator", Any, Scope], Node]
Typed = Callable[["Translator", Any, list[Node]], Node]
EXPRESSIONS: dict[type[Node], Handler] = {}
"""How each kind of expression is translated; expressions.py fills it. A kind without an entry is refused."""
SELECT_PARTS = {"expressions", "from_", "joins", "where", "group", "having", "windows", "order", "limit", "offset"}
SELECT_PARTS |= {"distinct", "with_"}


class Translator:
    """The translation of one statement's query.

    Args:
        catalog: Finds tables and views.
        database: The one of names without one.
        engine: Asked for types; nothing is created in it.
    """

    def __init__(self, catalog: Catalog, database: str, engine: duckdb.DuckDBPyConnection) -> None:
        self.catalog = catalog
        self.database = database
        self.engine = engine
        self.scans: dict[str, Scan] = {}
        self.source = ""
        self.depth = 0
        self.names = 0

    def translate(self, sql: str, parameters: Iterable[str] = ()) -> Translation:
        """Translate one query.

        Raises:
            AthenaError: As Athena would refuse it, or because it says what cannot be translated.
        """
        tree = self.parse(sql, list(parameters))
        tree, columns = self.query(tree, Scope())
        return Translation(write(tree), columns, list(self.scans.values()))

    def parse(self, sql: str, parameters: list[str]) -> Node:
        self.source = sql
        tree: Node = parse(sql)
        places = list(tree.find_all(exp.Placeholder, bfs=False))
        if len(places) != len(parameters):
            counts = f"expected {len(places)} but found {len(parameters)}"
            raise AthenaError(f"INVALID_PARAMETER_USAGE: line 1:1: Incorrect number of parameters: {counts}")
        for place, value in zip(places, parameters, strict=True):
            place.replace(parse(f"SELECT {value}").expressions[0])
        return tree

    def fail(self, node: Node, code: str, message: str) -> AthenaError:
        """Return the error, with the place in the text where Athena would give one."""
        start = next((part.meta["start"] for part in node.walk() if "start" in part.meta), None)
        if start is None:
            return AthenaError(f"{code}: {message}")
        line = self.source.count("\n", 0, start) + 1
        return AthenaError(f"{code}: line {line}:{start - self.source.rfind(chr(10), 0, start)}: {message}")

    def refuse(self, node: Node, what: str) -> AthenaError:
        return self.fail(node, "NOT_SUPPORTED", f"{what} is not translated by the local Athena")

    def fresh(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}_{self.names}"

    # Types: DuckDB itself tells them, of the expression with a typed NULL for each column, so no table is needed.

    def describe(self, query: str) -> list[str]:
        """Return the types of the columns of a query without tables."""
        if query not in _types:
            if len(_types) > _TYPES_MAX:
                _types.clear()
            _types[query] = [row[1] for row in self.engine.execute(f"DESCRIBE {query}").fetchall()]
        return _types[query]

    def type(self, node: Node) -> str:
        """Return DuckDB's type of a translated expression."""
        if "duck" not in node.meta:
            if isinstance(node, exp.Literal) and node.is_string:
                return "VARCHAR"
            try:
                node.meta["duck"] = self.describe(f"SELECT {write(without_columns(node))}")[0]
            except duckdb.Error as error:
                raise self.fail(node, "TYPE_MISMATCH", str(error).partition("\n")[0].partition(": ")[2]) from error
        return str(node.meta["duck"])

    def agree(self, node: Node, operands: Iterable[Node], complaint: str) -> None:
        """Check that operands are of one kind: DuckDB would convert where Athena refuses.

        Raises:
            AthenaError: They are not.
        """
        types = [self.type(operand) for operand in operands]
        if len({family(duck) for duck in types} - {"null"}) > 1:
            raise self.fail(node, "TYPE_MISMATCH", complaint.format(*map(athena_type, types)))

    # Queries

    def query(self, node: Any, outer: Scope) -> tuple[Node, Columns]:
        """Translate a query in place; returns it with its columns."""
        scope = Scope(parent=outer)
        if node.args.get("with_"):
            self.common_tables(node.args["with_"], scope)
        if isinstance(node, exp.Select):
            return node, self.select(node, Scope(parent=scope))
        if isinstance(node, exp.SetOperation):
            return node, self.set_operation(node, scope)
        if isinstance(node, exp.Values):
            return self.values(node, scope)
        if isinstance(node, exp.Subquery):
            inner, columns = self.query(node.this, scope)
            node.set("this", inner)
            self.order(node, Scope(parent=scope, outputs={name.lower(): duck for name, duck in columns}))
            return node, columns
        raise self.refuse(node, node.key.upper())

    def common_tables(self, clause: exp.With, scope: Scope) -> None:
        if clause.recursive:
            raise self.refuse(clause, "WITH RECURSIVE")
        for table in clause.expressions:
            names = [column.name for column in table.args["alias"].args.get("columns") or []]
            inner, columns = self.query(table.this, scope)
            table.set("this", inner)
            scope.ctes[table.alias.lower()] = self.renamed(table, columns, names)

    def renamed(self, node: Node, columns: Columns, names: list[str]) -> Columns:
        if not names:
            return columns
        if len(names) != len(columns):
            what = f"Column alias list has {len(names)} entries but '{node.alias}' has {len(columns)} columns available"
            raise self.fail(node, "MISMATCHED_COLUMN_ALIASES", what)
        return [(name, duck) for name, (_, duck) in zip(names, columns, strict=True)]

    def set_operation(self, node: exp.SetOperation, scope: Scope) -> Columns:
        left, columns = self.query(node.this, scope)
        right, others = self.query(node.expression, scope)
        node.set("this", left)
        node.set("expression", right)
        kind = node.key.upper()
        if len(columns) != len(others):
            what = f"{kind} query has different number of fields: {len(columns)}, {len(others)}"
            raise self.fail(node, "TYPE_MISMATCH", what)
        merged: Columns = []
        for i, ((label, one), (_, two)) in enumerate(zip(columns, others, strict=True), 1):
            if len({family(one), family(two)} - {"null"}) > 1:
                what = f"column {i} in {kind} query has incompatible types: {athena_type(one)}, {athena_type(two)}"
                raise self.fail(node, "TYPE_MISMATCH", what)
            both = one if one == two else self.describe(f"SELECT {null(one)} UNION ALL SELECT {null(two)}")[0]
            merged.append((label, both))
        self.order(node, Scope(parent=scope, outputs={name.lower(): duck for name, duck in merged}))
        return merged

    def values(self, node: exp.Values, scope: Scope) -> tuple[Node, Columns]:
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
        rows = [[self.expression(value, scope) for value in row] for row in rows]
        for column in zip(*rows, strict=True):
            self.agree(node, column, "Values rows have mismatched types: " + " vs ".join("{}" for _ in rows))
        bare = ", ".join(f"({', '.join(write(without_columns(value)) for value in row)})" for row in rows)
        columns = [(f"_col{i}", duck) for i, duck in enumerate(self.describe(f"VALUES {bare}"))]
        names = [name(column) for column, _ in columns]
        table = exp.Values(
            expressions=[exp.Tuple(expressions=row) for row in rows],
            alias=exp.TableAlias(this=name(self.fresh("values")), columns=names),
        )
        chosen = exp.Select(expressions=[exp.Star()]).from_(table)
        for part in ("order", "limit", "offset"):
            chosen.set(part, node.args.get(part))
        self.order(chosen, Scope(parent=scope, outputs=dict(columns)))
        return chosen, columns

    def select(self, node: exp.Select, scope: Scope) -> Columns:
        for part, value in node.args.items():
            if value and part not in SELECT_PARTS:
                raise self.refuse(node, f"{part.strip('_').upper()} of a SELECT")
        source = node.args.get("from_")
        if source:
            source.set("this", relations.relation(self, source.this, scope))
        for join in node.args.get("joins") or []:
            relations.join(self, join, scope)
        where = node.args.get("where")
        if where:
            where.set("this", self.expression(where.this, scope))
            relations.prune(self, where.this, scope.relations.values())
        columns = self.projections(node, scope)
        if node.args.get("distinct") and node.args["distinct"].args.get("on"):
            raise self.refuse(node, "DISTINCT ON")
        for part in ("group", "having", "windows"):
            for clause in _listed(node.args.get(part)):
                if clause.args.get("all") or clause.args.get("totals"):
                    raise self.refuse(node, "GROUP BY ALL")
                self.children(clause, scope)
        scope.outputs = {label.lower(): duck for label, duck in columns}
        self.order(node, scope)
        return columns

    def order(self, node: Node, scope: Scope) -> None:
        """Translate ORDER BY, which may name output columns; LIMIT and OFFSET hold literals."""
        if node.args.get("order"):
            self.children(node.args["order"], scope)
        limit = node.args.get("limit")
        if isinstance(limit, exp.Fetch) and limit.args["limit_options"].args.get("with_ties"):
            raise self.refuse(node, "FETCH FIRST WITH TIES")

    def projections(self, node: exp.Select, scope: Scope) -> Columns:
        chosen: list[Node] = []
        columns: Columns = []
        for item in node.expressions:
            for part in self.star(item, scope) if item.is_star else [item]:
                label = part.alias or (part.name if isinstance(part, exp.Column | exp.Dot) else f"_col{len(columns)}")
                value = self.expression(part.unalias(), scope)
                columns.append((label, self.type(value)))
                chosen.append(exp.alias_(value, label, quoted=True, copy=False))
        node.set("expressions", chosen)
        return columns

    def star(self, item: Node, scope: Scope) -> list[Node]:
        """Return the columns that `*` or `table.*` stands for; columns joined with USING come once, and first."""
        table = item.table.lower() if isinstance(item, exp.Column) else ""
        star = item.this if isinstance(item, exp.Column) else item
        if not isinstance(star, exp.Star) or any(star.args.values()):
            raise self.refuse(item, "this form of *")
        if table and table not in scope.relations:
            raise self.fail(item, "TABLE_NOT_FOUND", f"Unable to resolve reference {item.name}")
        used = {} if table else scope.joined_using
        found: list[Node] = [exp.column(name(key)) for key in used]
        for alias, relation in scope.relations.items():
            if table in ("", alias):
                keys = [key for key in relation.columns if key not in relation.hidden and key not in used]
                found += [exp.column(name(relation.columns[key][0]), name(alias)) for key in keys]
        return found

    # Expressions

    def expression(self, node: Node, scope: Scope) -> Node:
        """Translate one expression, in place where it can; returns the node to use instead."""
        handler = EXPRESSIONS.get(type(node))
        if handler is None:
            raise self.refuse(node, node.key.upper())
        return handler(self, node, scope)

    def children(self, node: Node, scope: Scope) -> Node:
        """Translate the expressions right below `node`; clauses that only hold expressions are walked through."""
        for key, value in list(node.args.items()):
            if isinstance(value, list):
                node.set(key, [self.child(item, scope) for item in value])
            elif isinstance(value, Node):
                node.set(key, self.child(value, scope))
        return node

    def child(self, node: Any, scope: Scope) -> Any:
        return self.expression(node, scope) if isinstance(node, Node) else node

    def resolve(self, node: exp.Column, scope: Scope) -> Node:
        """Find what a dotted name means: a column, a field of a row in one, or in ORDER BY an output column."""
        parts = [part.name for part in node.parts]
        if len(parts) == 1 and parts[0].lower() in scope.outputs:
            return typed(exp.column(name(parts[0])), scope.outputs[parts[0].lower()])
        here: Scope | None = scope
        while here:
            for skip in (0, 1):  # a table's name may itself be qualified by its database
                rest = parts[skip:]
                relation = here.relations.get(rest[0].lower()) if len(rest) > 1 else None
                if relation and rest[1].lower() in relation.columns:
                    return self.fields(self.column(rest[0], rest[1], relation), rest[2:], node)
            owners = [(alias, r) for alias, r in here.relations.items() if parts[0].lower() in r.columns]
            if len(owners) > 1 and parts[0].lower() not in here.joined_using:
                raise self.fail(node, "AMBIGUOUS_NAME", f"Column '{parts[0]}' is ambiguous")
            if owners:
                found = self.column(owners[0][0], parts[0], owners[0][1])
                if parts[0].lower() in here.joined_using:
                    found.set("table", None)
                    found.meta.pop("scan", None)
                return self.fields(found, parts[1:], node)
            here = here.parent
        raise self.missing(node, ".".join(parts))

    def missing(self, node: Node, column: str) -> AthenaError:
        what = f"Column '{column}' cannot be resolved or requester is not authorized to access requested resources"
        return self.fail(node, "COLUMN_NOT_FOUND", what)

    def column(self, alias: str, key: str, relation: Relation) -> Node:
        real, duck = relation.columns[key.lower()]
        self.use(relation, key.lower())
        found = typed(exp.column(name(real), name(alias.lower())), duck)
        found.meta["key"] = key.lower()
        if relation.scan:
            found.meta["scan"] = relation.scan
        return found

    def use(self, relation: Relation, key: str) -> None:
        if relation.scan:
            self.scans[relation.scan].columns.add(key)

    def fields(self, node: Node, names: list[str], at: Node) -> Node:
        """Follow field names into a row."""
        for step in names:
            inner = members(self.type(node)) if self.type(node).startswith("STRUCT") else []
            duck = {key.lower(): kind for key, kind in inner}.get(step.lower())
            if duck is None or self.type(node) == ZONED:
                raise self.missing(at, step)
            node = typed(call("struct_extract", node, text(step)), duck)
        return node


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
