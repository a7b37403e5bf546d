"""Athena's aggregate and window functions in DuckDB's terms."""

from typing import Any

from sqlglot import exp

from infra.local.athena import functions
from infra.local.athena.column_types import INTEGER_DIGITS, decimal_shape
from infra.local.athena.nodes import Node, call, cast, number, text, typed
from infra.local.athena.operators import divided
from infra.local.athena.scope import Scope
from infra.local.athena.translator import Translator

FIXED = {"count": "BIGINT", "row_number": "BIGINT", "approx_count_distinct": "BIGINT"}


def sum_(tr: Translator, _: Node, arguments: list[Node]) -> Node:
    duck = _argument_type(tr, arguments[0])
    total = aggregate("sum", arguments)
    return cast(total, "BIGINT") if duck in INTEGER_DIGITS else cast(total, "FLOAT") if duck == "FLOAT" else total


def avg(tr: Translator, _: Node, arguments: list[Node]) -> Node:
    duck = _argument_type(tr, arguments[0])
    if not duck.startswith("DECIMAL"):
        return cast(aggregate("avg", arguments), "FLOAT") if duck == "FLOAT" else aggregate("avg", arguments)
    precision, scale = decimal_shape(duck)
    total = typed(aggregate("sum", arguments), f"DECIMAL(38,{scale})")
    count = typed(aggregate("count", [argument.copy() for argument in arguments]), "BIGINT")
    counted = call("nullif", count, number(0))
    return divided(tr, total, typed(counted, "BIGINT"), (precision, scale))


def map_agg(_: Translator, __: Node, arguments: list[Node]) -> Node:
    return call("athena_map_agg", aggregate("list", [call("row", *arguments)]))


def histogram(tr: Translator, _: Node, arguments: list[Node]) -> Node:
    return cast(aggregate("histogram", arguments), f"MAP({_argument_type(tr, arguments[0])}, BIGINT)")


def count_if(_: Translator, __: Node, arguments: list[Node]) -> Node:
    return cast(aggregate("count_if", arguments), "BIGINT")


def percentile(tr: Translator, _: Node, arguments: list[Node]) -> Node:
    many = "[]" if tr.type(arguments[1]).endswith("[]") else ""
    return typed(aggregate("quantile_disc", arguments), tr.type(arguments[0]) + many)


def extreme_by(_: Translator, node: Node, arguments: list[Node]) -> Node:
    name = node.name.lower()
    if len(arguments) < 3:  # noqa: PLR2004 - the third is how many
        return aggregate(functions.AGGREGATES[name], arguments)
    return aggregate("arg_max" if name == "max_by" else "arg_min", arguments)


def _argument_type(tr: Translator, argument: Node) -> str:
    inner = argument.expressions[0] if isinstance(argument, exp.Distinct) else argument
    return tr.type(inner.this if isinstance(inner, exp.Order) else inner)


def aggregate(name: str, arguments: list[Node]) -> Node:
    for part in (part for argument in arguments for part in argument.walk()):
        part.meta.pop("aggregate", None)  # OVER of sum(count(*)) is the sum's alone
    node = call(name, *arguments)
    node.meta["aggregate"] = True
    return typed(node, FIXED[name]) if name in FIXED else node


def wrapped(tr: Translator, node: Any, scope: Scope) -> Node:
    """FILTER, OVER and IGNORE NULLS go to every aggregate that the function became."""
    inner = tr.expression(node.this, scope)
    node.set("this", exp.Null())
    tr.children(node, scope)
    found = [part for part in inner.walk() if part.meta.get("aggregate")]
    if not found:
        raise tr.fail(node, "FUNCTION_NOT_AGGREGATE", f"{node.key.upper()} needs an aggregate or window function")
    for part in found:
        if isinstance(node, exp.IgnoreNulls):
            part.expressions[0].replace(exp.IgnoreNulls(this=part.expressions[0].copy()))
            continue
        wrapper: Node = node.copy()
        wrapper.meta.update({key: part.meta[key] for key in ("duck", "aggregate") if key in part.meta})
        if part is inner:
            wrapper.set("this", inner)
            return wrapper
        part.replace(wrapper)
        wrapper.set("this", part)
        part.meta.pop("aggregate")
    return inner


def window(tr: Translator, node: exp.Window, scope: Scope) -> Node:
    if isinstance(node.this, exp.Identifier):  # WINDOW name AS (...)
        name = node.this
        node.set("this", exp.Null())
        tr.children(node, scope).set("this", name)
        return node
    return wrapped(tr, node, scope)


def within_group(tr: Translator, node: exp.WithinGroup, scope: Scope) -> Node:
    if node.this.name.lower() != "listagg":
        raise tr.refuse(node, "WITHIN GROUP of anything but listagg")
    value, *separator = [tr.expression(argument, scope) for argument in node.this.expressions]
    order = tr.children(node.expression, scope)
    order.set("this", separator[0] if separator else text(""))
    return aggregate("string_agg", [value, order])
