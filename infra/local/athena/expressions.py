"""How each kind of expression in Athena's SQL is said in DuckDB's."""

import re
from typing import Any

from sqlglot import exp

from infra.local.athena.calls import function, json_parse, window, within_group, wrapped
from infra.local.athena.casts import convert, in_zone, target_type
from infra.local.athena.column_types import athena_type, family, members
from infra.local.athena.nodes import Columns, Node, Relation, Scope, call, number, text, typed
from infra.local.athena.operators import arithmetic, compared, concatenated, is_null, like, within
from infra.local.athena.relations import enter
from infra.local.athena.times import INTERVALS, extract
from infra.local.athena.translator import EXPRESSIONS, Handler, Translator


def _children(tr: Translator, node: Any, scope: Scope) -> Node:
    return tr.children(node, scope)


def _itself(_: Translator, node: Node, __: Scope) -> Node:
    return node


def _subquery(tr: Translator, node: exp.Subquery, scope: Scope) -> Node:
    inner, columns = tr.query(node, scope)
    return typed(inner, columns[0][1]) if len(columns) == 1 else inner


def _exists(tr: Translator, node: exp.Exists, scope: Scope) -> Node:
    node.set("this", tr.query(node.this, scope)[0])
    return typed(node, "BOOLEAN")


def _dot(tr: Translator, node: exp.Dot, scope: Scope) -> Node:
    return tr.fields(tr.expression(node.this, scope), [node.expression.name], node)


def _bracket(tr: Translator, node: exp.Bracket, scope: Scope) -> Node:
    whole, index = tr.expression(node.this, scope), tr.expression(node.expressions[0], scope)
    kind = family(tr.type(whole))
    if kind == "row" and isinstance(index, exp.Literal) and not index.is_string:
        inner = members(tr.type(whole))
        key = text(inner[int(index.name) - 1][0]) if tr.type(whole).startswith("STRUCT") else index
        return typed(call("struct_extract", whole, key), inner[int(index.name) - 1][1])
    if kind not in {"array", "map"}:
        raise tr.fail(node, "TYPE_MISMATCH", f"Cannot use subscript on {athena_type(tr.type(whole))}")
    return call("athena_subscript" if kind == "array" else "athena_map_subscript", whole, index)


def _cast(tr: Translator, node: exp.Cast, scope: Scope) -> Node:
    value = tr.expression(node.this, scope)
    made = convert(tr, value, target_type(tr, node.to), node)
    if not isinstance(node, exp.TryCast):
        return made
    if isinstance(made, exp.Cast):
        return typed(exp.TryCast(this=made.this, to=made.to), tr.type(made))
    return typed(call("try", made), tr.type(made))


def _case(tr: Translator, node: exp.Case, scope: Scope) -> Node:
    tr.children(node, scope)
    results = [branch.args["true"] for branch in node.args["ifs"]] + [r for r in [node.args.get("default")] if r]
    tr.agree(
        node,
        results,
        "All CASE results must be the same type or coercible to a common type: " + ", ".join("{}" for _ in results),
    )
    if node.this:
        for branch in node.args["ifs"]:
            tr.agree(
                node, [node.this, branch.this], "CASE operand type does not match WHEN clause operand type: {} vs {}"
            )
    return node


def _if(tr: Translator, node: exp.If, scope: Scope) -> Node:
    tr.children(node, scope)
    results = [result for result in (node.args["true"], node.args.get("false")) if result]
    if not isinstance(node.parent, exp.Case):
        tr.agree(node, results, "Result types for IF must be the same: {}, {}")
    return node


def _array(tr: Translator, node: exp.Array, scope: Scope) -> Node:
    items = [tr.expression(item, scope) for item in node.expressions]
    tr.agree(node, items, "All ARRAY elements must be the same type: " + ", ".join("{}" for _ in items))
    return call("list_value", *items)


def _trim(tr: Translator, node: exp.Trim, scope: Scope) -> Node:
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or "").upper(), "trim")
    tr.children(node, scope)
    return call(name, node.this, node.expression) if node.expression else call(f"athena_{name}", node.this)


def _interval(tr: Translator, node: exp.Interval, _: Scope) -> Node:
    if (
        not isinstance(node.unit, exp.Var)
        or node.unit.name.lower() not in INTERVALS
        or not re.fullmatch(r"-?\d+", node.name)
    ):
        raise tr.refuse(node, "INTERVAL of this form")
    return typed(node, "INTERVAL")


def _named(name: str, *parts: str) -> Handler:
    def translated(tr: Translator, node: Any, scope: Scope) -> Node:
        tr.children(node, scope)
        return call(name, *(node.args[part] for part in parts if node.args.get(part)))

    return translated


def _now(duck: str) -> Handler:
    def translated(tr: Translator, node: Any, _: Scope) -> Node:
        return convert(tr, typed(call("now"), "TIMESTAMP WITH TIME ZONE"), duck, node)

    return translated


def _unnest(tr: Translator, node: exp.Unnest, scope: Scope) -> Node:
    """A column for each array, two for a map, one for each field of an array of rows; short ones end in NULLs."""
    lists: list[tuple[Node, str, str]] = []
    for argument in node.expressions:
        value = tr.expression(argument, scope)
        lists += _unnested(tr, value, node)
    ordinal = node.args.get("offset")
    alias = node.args.get("alias")
    names = [column.name for column in (alias.columns if alias else [])]
    if isinstance(ordinal, exp.Identifier):
        names.append(ordinal.name)
    if ordinal:
        longest = call("greatest", *(call("coalesce", call("len", part.copy()), number(0)) for part, _, _ in lists))
        lists.append((call("range", number(1), exp.Add(this=longest, expression=number(1))), "BIGINT", "ordinality"))
    table = alias.name if alias and alias.name else tr.fresh("unnest")
    columns: Columns = tr.renamed(node, [(name, duck) for _, duck, name in lists], names)
    enter(tr, scope, node, Relation({name.lower(): (name, duck) for name, duck in columns}), table)
    made = exp.Select(
        expressions=[
            exp.alias_(call("unnest", part), name, quoted=True)
            for (part, _, _), (name, _) in zip(lists, columns, strict=True)
        ]
    )
    return exp.Subquery(this=made, alias=exp.TableAlias(this=exp.to_identifier(table.lower(), quoted=True)))


def _unnested(tr: Translator, value: Node, at: Node) -> list[tuple[Node, str, str]]:
    duck = tr.type(value)
    if family(duck) == "map":
        key, kind = (part for _, part in members(duck))
        return [(call("map_keys", value), key, "key"), (call("map_values", value.copy()), kind, "value")]
    if family(duck) != "array":
        raise tr.fail(at, "TYPE_MISMATCH", f"Cannot unnest type: {athena_type(duck)}")
    element = duck[:-2]
    if family(element) != "row":
        return [(value, element, tr.fresh("element"))]
    found = []
    for i, (name, kind) in enumerate(members(element), 1):
        item, step = tr.fresh("row"), text(name) if element.startswith("STRUCT") else number(i)
        field = call("struct_extract", exp.Var(this=item), step)
        each = exp.Lambda(this=field, expressions=[exp.to_identifier(item)])
        found.append((call("list_transform", value.copy(), each), kind, name))
    return found


PLAIN: tuple[type[Node], ...] = (
    exp.And,
    exp.Or,
    exp.Not,
    exp.Paren,
    exp.Neg,
    exp.Tuple,
    exp.Distinct,
    exp.Order,
    exp.Ordered,
    exp.Where,
)
PLAIN += (exp.GroupingSets, exp.Cube, exp.Rollup, exp.WindowSpec, exp.Any, exp.All, exp.Alias)
ATOMS = (exp.Literal, exp.Boolean, exp.Null, exp.Star, exp.Var, exp.Identifier)
COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.NullSafeEQ, exp.NullSafeNEQ)
EXPRESSIONS.update(
    dict.fromkeys(PLAIN, _children)
    | dict.fromkeys(ATOMS, _itself)
    | dict.fromkeys(COMPARISONS, compared)
    | dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod), arithmetic)
    | dict.fromkeys((exp.Filter, exp.IgnoreNulls), wrapped)
    | dict.fromkeys((exp.Like, exp.Escape), like)
    | dict.fromkeys((exp.Cast, exp.TryCast), _cast)
    | {
        exp.Anonymous: function,
        exp.Array: _array,
        exp.AtTimeZone: lambda tr, node, scope: in_zone(tr, tr.expression(node.this, scope), node.args["zone"]),
        exp.Bracket: _bracket,
        exp.Case: _case,
        exp.Column: lambda tr, node, scope: tr.resolve(node, scope),
        exp.CurrentDate: _now("DATE"),
        exp.CurrentTimestamp: _now("TIMESTAMP WITH TIME ZONE"),
        exp.DPipe: lambda tr, node, scope: concatenated(tr, node, list(tr.children(node, scope).iter_expressions())),
        exp.Dot: _dot,
        exp.Exists: _exists,
        exp.Extract: extract,
        exp.HexString: lambda _, node, __: call("unhex", text(node.name.replace(" ", ""))),
        exp.If: _if,
        exp.In: within,
        exp.Interval: _interval,
        exp.Is: is_null,
        exp.Localtimestamp: _now("TIMESTAMP"),
        exp.ParseJSON: lambda tr, node, _: json_parse(tr, node, [node.this]),
        exp.Select: _subquery,
        exp.StrPosition: _named("strpos", "this", "substr"),
        exp.Subquery: _subquery,
        exp.Substring: _named("athena_substr", "this", "start", "length"),
        exp.Trim: _trim,
        exp.Unnest: _unnest,
        exp.Window: window,
        exp.WithinGroup: within_group,
    }
)
