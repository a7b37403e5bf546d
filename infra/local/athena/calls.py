"""Which of Athena's functions are known, and how each is called in DuckDB."""

import re

from sqlglot import exp

from infra.local.athena import aggregates, functions, times
from infra.local.athena.casts import convert, in_zone
from infra.local.athena.column_types import ZONED, athena_type, decimal_shape, family
from infra.local.athena.lambdas import WITH_LAMBDA
from infra.local.athena.nodes import Node, call, cast, number, text, typed
from infra.local.athena.operators import concatenated
from infra.local.athena.scope import Scope
from infra.local.athena.translator import Translator, Typed


def _rounded(tr: Translator, node: Node, arguments: list[Node]) -> Node:
    name = "trunc" if node.name.lower() == "truncate" else "round"
    duck = tr.type(arguments[0])
    if len(arguments) == 1 or not duck.startswith("DECIMAL"):
        return call(name, *arguments)
    precision, scale = decimal_shape(duck)
    return cast(call(name, *arguments), f"DECIMAL({min(38, precision + (name == 'round'))},{scale})")


def _sign_of(tr: Translator, _: Node, arguments: list[Node]) -> Node:
    return cast(call("sign", arguments[0]), tr.type(arguments[0]))


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


def _formatted(tr: Translator, node: Node, arguments: list[Node]) -> Node:
    """format() of a literal pattern, with %s, %d, %5d, %05d, %,d, %.2f, %,.2f and %%."""
    if not isinstance(arguments[0], exp.Literal):
        raise tr.refuse(node, "format() of a pattern that is not a literal")
    values = iter(arguments[1:])
    pieces: list[Node] = [text("")]
    for literal, spec in re.findall(r"([^%]+)|(%[^a-zA-Z%]*[a-zA-Z%])", arguments[0].name):
        pieces.append(
            text(literal or "%") if spec in {"", "%%"} else _formatted_value(tr, node, spec, next(values, None))
        )
    return concatenated(tr, node, pieces)


def _formatted_value(tr: Translator, node: Node, spec: str, value: Node | None) -> Node:
    form = re.fullmatch(r"%(,?)(0?\d*)(?:\.(\d+))?([sdf])", spec)
    duck = tr.type(value) if value is not None else ""
    if not form or value is None or (form[4] == "s" and (spec != "%s" or duck in {"DOUBLE", "FLOAT"})):
        raise tr.refuse(node, f"{spec} of {athena_type(duck) if duck else 'no argument'} in format()")
    if form[4] == "s":
        return convert(tr, value, "VARCHAR", node)
    if form[4] == "d":
        return call("format", text(f"{{:{form[2]}{form[1]}d}}"), cast(value, "BIGINT"))
    if form[2]:
        raise tr.refuse(node, f"{spec} in format()")
    fixed = cast(cast(value, "VARCHAR"), f"DECIMAL(38,{form[3] or 6})")
    return call("athena_grouped", fixed) if form[1] else cast(fixed, "VARCHAR")


def _cast_to(duck: str) -> Typed:
    return lambda tr, node, arguments: convert(tr, arguments[0], duck, node)


TYPED: dict[str, Typed] = {
    "approx_percentile": aggregates.percentile,
    "array_join": _array_join,
    "at_timezone": lambda tr, _, arguments: in_zone(tr, *arguments),
    "avg": aggregates.avg,
    "cardinality": _cardinality,
    "coalesce": _alike,
    "concat": concatenated,
    "count_if": aggregates.count_if,
    "date": _cast_to("DATE"),
    "date_add": times.date_add,
    "date_diff": times.date_diff,
    "date_format": times.formatter(functions.MYSQL, "strftime"),
    "date_parse": times.formatter(functions.MYSQL, "strptime"),
    "date_trunc": times.date_trunc,
    "element_at": _element_at,
    "format": _formatted,
    "format_datetime": times.formatter(functions.JODA, "strftime"),
    "from_iso8601_timestamp": times.from_iso8601_timestamp,
    "from_unixtime": times.from_unixtime,
    "greatest": _extreme,
    "histogram": aggregates.histogram,
    "json_extract": _json("athena_json_extract"),
    "json_extract_scalar": _json("athena_json_scalar"),
    "json_parse": json_parse,
    "json_size": _json("athena_json_size"),
    "least": _extreme,
    "map_agg": aggregates.map_agg,
    "max_by": aggregates.extreme_by,
    "min_by": aggregates.extreme_by,
    "mod": _modulo,
    "nullif": _alike,
    "parse_datetime": times.formatter(functions.JODA, "strptime"),
    "reverse": _reverse,
    "round": _rounded,
    "sequence": _sequence,
    "sign": _sign_of,
    "sum": aggregates.sum_,
    "to_iso8601": times.to_iso8601,
    "to_unixtime": times.to_unixtime,
    "truncate": _rounded,
    "typeof": lambda tr, _, arguments: text(athena_type(tr.type(arguments[0]))),
    "with_timezone": lambda _, __, arguments: typed(
        call("athena_zoned", call("timezone", arguments[1], arguments[0]), arguments[1].copy()), ZONED
    ),
}


def function(tr: Translator, node: exp.Anonymous, scope: Scope) -> Node:
    name = node.name.lower()
    if name in WITH_LAMBDA:
        return WITH_LAMBDA[name](tr, node, scope)
    arguments = [tr.expression(argument, scope) for argument in node.expressions]
    if name in functions.PARTS and len(arguments) == 1:
        return times.part_of(tr, name, arguments[0], node)
    if name in TYPED:
        try:
            return TYPED[name](tr, node, arguments)
        except (IndexError, ValueError) as error:
            raise tr.fail(node, "FUNCTION_NOT_FOUND", f"Unexpected parameters for function {name}") from error
    if name in functions.AGGREGATES:
        return aggregates.aggregate(functions.AGGREGATES[name], arguments)
    translated = f"athena_{name}" if name in functions.NAMES else functions.RENAMED.get(name, name)
    if translated == name and name not in functions.SAME | functions.RENAMED.keys():
        raise tr.fail(node, "FUNCTION_NOT_FOUND", f"Function '{name}' not registered, or unknown to the local Athena")
    made = call(translated, *arguments)
    made.meta.update({key: node.meta[key] for key in ("start",) if key in node.meta})
    return typed(made, "BIGINT") if name == "grouping" else made
