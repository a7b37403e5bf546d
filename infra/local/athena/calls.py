"""Which of Athena's functions are known, and how each is called in DuckDB."""

import re
from typing import Any

from sqlglot import exp

from infra.local.athena import functions, times
from infra.local.athena.casts import convert, in_zone
from infra.local.athena.column_types import INTEGER_DIGITS, athena_type, decimal_shape, family
from infra.local.athena.nodes import Node, Scope, call, cast, number, text, typed
from infra.local.athena.operators import concatenated, divided
from infra.local.athena.translator import Translator, Typed


def _rounded(tr: Translator, node: Node, arguments: list[Node]) -> Node:
    name = "trunc" if node.name.lower() == "truncate" else "round"
    duck = tr.type(arguments[0])
    if len(arguments) == 1 or not duck.startswith("DECIMAL"):
        return call(name, *arguments)
    precision, scale = decimal_shape(duck)
    return cast(call(name, *arguments), f"DECIMAL({min(38, precision + (name == 'round'))},{scale})")


def _modulo(_: Translator, __: Node, arguments: list[Node]) -> Node:
    return exp.Paren(this=exp.Mod(this=arguments[0], expression=arguments[1]))


def _reverse(tr: Translator, _: Node, arguments: list[Node]) -> Node:
    return call("list_reverse" if family(tr.type(arguments[0])) == "array" else "reverse", *arguments)


def _extreme(tr: Translator, node: Node, arguments: list[Node]) -> Node:
    """NULL if any argument is; DuckDB leaves NULLs out."""
    tr.agree(node, arguments, "All arguments must be of one type: " + ", ".join("{}" for _ in arguments))
    null = exp.or_(*(exp.Is(this=argument.copy(), expression=exp.Null()) for argument in arguments))
    return exp.Case(ifs=[exp.If(this=null, true=exp.Null())], default=call(node.name.lower(), *arguments))


def _alike(tr: Translator, node: Node, arguments: list[Node]) -> Node:
    tr.agree(node, arguments, "All arguments must be of one type: " + ", ".join("{}" for _ in arguments))
    return call(node.name.lower(), *arguments)


def _cardinality(_: Translator, __: Node, arguments: list[Node]) -> Node:
    return cast(call("cardinality", *arguments), "BIGINT")


def _element_at(tr: Translator, _: Node, arguments: list[Node]) -> Node:
    return call("map_extract_value" if family(tr.type(arguments[0])) == "map" else "list_extract", *arguments)


def _sequence(tr: Translator, _: Node, arguments: list[Node]) -> Node:
    duck = tr.type(arguments[0])
    if duck == "DATE" and not arguments[2:]:
        arguments.append(call("to_days", number(1)))
    series = call("generate_series", *arguments)
    return cast(series, "DATE[]") if duck == "DATE" else series


def _array_join(tr: Translator, node: Node, arguments: list[Node]) -> Node:
    texts = convert(tr, arguments[0], "VARCHAR[]", node)
    if arguments[2:]:
        name = tr.fresh("item")
        body = call("coalesce", exp.to_identifier(name), arguments[2])
        texts = call("list_transform", texts, exp.Lambda(this=body, expressions=[exp.to_identifier(name)]))
    return call("array_to_string", texts, arguments[1])


def _json_path(tr: Translator, node: Node, path: Node) -> Node:
    """Write a literal JSON path as DuckDB's; wildcards and filters are refused."""
    steps = path.name if isinstance(path, exp.Literal) and path.is_string else ""
    found = re.fullmatch(r"""\$((?:\.[\w$-]+|\[\d+\]|\["[^"]*"\])*)""", steps)
    if not found:
        raise tr.refuse(node, f"the JSON path {steps or 'that is not a literal'}")
    parts = re.findall(r"""\.([\w$-]+)|\[(\d+)\]|\["([^"]*)"\]""", found[1])
    return text("$" + "".join(f"[{index}]" if index else f'."{name or quoted}"' for name, index, quoted in parts))


def _json(function: str) -> Typed:
    def translated(tr: Translator, node: Node, arguments: list[Node]) -> Node:
        if family(tr.type(arguments[0])) not in {"varchar", "json", "null"}:
            raise tr.fail(node, "TYPE_MISMATCH", f"{node.name} of {athena_type(tr.type(arguments[0]))}")
        return call(function, arguments[0], _json_path(tr, node, arguments[1]))

    return translated


def json_parse(_: Translator, __: Node, arguments: list[Node]) -> Node:
    return cast(call("athena_json_parse", *arguments), "JSON")


def _cast_to(duck: str) -> Typed:
    return lambda tr, node, arguments: convert(tr, arguments[0], duck, node)


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


TYPED: dict[str, Typed] = {
    "approx_percentile": percentile,
    "array_join": _array_join,
    "at_timezone": lambda tr, _, arguments: in_zone(tr, *arguments),
    "avg": avg,
    "cardinality": _cardinality,
    "coalesce": _alike,
    "concat": concatenated,
    "count_if": count_if,
    "date": _cast_to("DATE"),
    "date_add": times.date_add,
    "date_diff": times.date_diff,
    "date_format": times.formatter(functions.MYSQL, "strftime"),
    "date_parse": times.formatter(functions.MYSQL, "strptime"),
    "date_trunc": times.date_trunc,
    "element_at": _element_at,
    "format_datetime": times.formatter(functions.JODA, "strftime"),
    "from_iso8601_timestamp": times.from_iso8601_timestamp,
    "from_unixtime": times.from_unixtime,
    "greatest": _extreme,
    "json_extract": _json("athena_json_extract"),
    "json_extract_scalar": _json("athena_json_scalar"),
    "json_parse": json_parse,
    "least": _extreme,
    "map_agg": map_agg,
    "max_by": extreme_by,
    "min_by": extreme_by,
    "mod": _modulo,
    "nullif": _alike,
    "parse_datetime": times.formatter(functions.JODA, "strptime"),
    "reverse": _reverse,
    "round": _rounded,
    "sequence": _sequence,
    "sum": sum_,
    "to_unixtime": times.to_unixtime,
    "truncate": _rounded,
    "typeof": lambda tr, _, arguments: text(athena_type(tr.type(arguments[0]))),
}


def function(tr: Translator, node: exp.Anonymous, scope: Scope) -> Node:
    name = node.name.lower()
    arguments = [tr.expression(argument, scope) for argument in node.expressions]
    if name in functions.PARTS and len(arguments) == 1:
        return times.part_of(tr, name, arguments[0], node)
    if name in TYPED:
        try:
            return TYPED[name](tr, node, arguments)
        except (IndexError, ValueError) as error:
            raise tr.fail(node, "FUNCTION_NOT_FOUND", f"Unexpected parameters for function {name}") from error
    if name in functions.AGGREGATES:
        return aggregate(functions.AGGREGATES[name], arguments)
    translated = f"athena_{name}" if name in functions.NAMES else functions.RENAMED.get(name, name)
    if translated == name and name not in functions.SAME | functions.RENAMED.keys():
        raise tr.fail(node, "FUNCTION_NOT_FOUND", f"Function '{name}' not registered, or unknown to the local Athena")
    made = call(translated, *arguments)
    made.meta.update({key: node.meta[key] for key in ("start",) if key in node.meta})
    return typed(made, "BIGINT") if name == "grouping" else made
