"""Athena's functions of dates and times in DuckDB's terms."""

from sqlglot import exp

from infra.local.athena import functions
from infra.local.athena.casts import in_zone, instant, local
from infra.local.athena.column_types import ZONED
from infra.local.athena.nodes import Node, Scope, call, cast, number, text, typed
from infra.local.athena.operators import OF_DATES, moved
from infra.local.athena.translator import Translator, Typed

INTERVALS = {
    "millisecond": ("to_milliseconds", 1),
    "second": ("to_seconds", 1),
    "minute": ("to_minutes", 1),
    "hour": ("to_hours", 1),
    "day": ("to_days", 1),
    "week": ("to_weeks", 1),
    "month": ("to_months", 1),
    "quarter": ("to_months", 3),
    "year": ("to_years", 1),
}


def part_of(tr: Translator, name: str, node: Node, at: Node) -> Node:
    return call(functions.PARTS[name], local(tr, node, at))


def extract(tr: Translator, node: exp.Extract, scope: Scope) -> Node:
    field = node.name.lower()
    if field not in functions.PARTS:
        raise tr.refuse(node, f"EXTRACT({field})")
    return part_of(tr, field, tr.expression(node.expression, scope), node)


def _unit(tr: Translator, node: Node, argument: Node) -> str:
    unit = argument.name.lower() if isinstance(argument, exp.Literal) else ""
    if unit not in INTERVALS:
        raise tr.fail(node, "INVALID_FUNCTION_ARGUMENT", f"'{unit}' is not a valid unit, or not a literal")
    return unit


def date_trunc(tr: Translator, node: Node, arguments: list[Node]) -> Node:
    unit, (_, moment) = _unit(tr, node, arguments[0]), arguments
    duck = tr.type(moment)
    cut = call("date_trunc", text(unit), local(tr, moment, node) if duck == ZONED else moment)
    if duck == ZONED:
        zone = call("struct_extract", moment.copy(), text("athena_zone"))
        return typed(call("athena_zoned", call("timezone", zone, cut), zone.copy()), ZONED)
    local(tr, moment.copy(), node)
    return cast(cut, duck)


def date_diff(tr: Translator, node: Node, arguments: list[Node]) -> Node:
    """Whole units between two times, as Athena counts; DuckDB's date_diff counts boundaries crossed."""
    unit = _unit(tr, node, arguments[0])
    for argument in arguments[1:]:
        local(tr, argument.copy(), node)
    types = {tr.type(argument) for argument in arguments[1:]}
    wide = (
        "DATE" if types == {"DATE"} else "TIMESTAMP" if types <= {"DATE", "TIMESTAMP"} else "TIMESTAMP WITH TIME ZONE"
    )
    return call("date_sub", text(unit), *(cast(instant(tr, argument), wide) for argument in arguments[1:]))


def date_add(tr: Translator, node: Node, arguments: list[Node]) -> Node:
    unit, (_, amount, moment) = _unit(tr, node, arguments[0]), arguments
    function, times = INTERVALS[unit]
    duck = tr.type(moment)
    if duck == "DATE" and unit not in OF_DATES:
        raise tr.fail(node, "INVALID_FUNCTION_ARGUMENT", f"'{unit}' is not a valid DATE field")
    count = cast(
        exp.Paren(this=exp.Mul(this=amount, expression=number(times))), "INTEGER" if unit in OF_DATES else "BIGINT"
    )
    interval = typed(call(function, count), "INTERVAL")
    return (
        cast(moved(tr, exp.Add(this=moment, expression=interval), moment, interval), duck)
        if duck != ZONED
        else moved(tr, exp.Add(this=moment, expression=interval), moment, interval)
    )


def formatter(letters: dict[str, str], function: str) -> Typed:
    def formatted(tr: Translator, node: Node, arguments: list[Node]) -> Node:
        pattern = (
            functions.strftime_pattern(arguments[1].name, letters) if isinstance(arguments[1], exp.Literal) else None
        )
        if pattern is None:
            raise tr.refuse(node, f"the pattern {arguments[1].name!r}")
        return call(function, local(tr, arguments[0], node) if function == "strftime" else arguments[0], text(pattern))

    return formatted


def from_unixtime(tr: Translator, _: Node, arguments: list[Node]) -> Node:
    moment = call("to_timestamp", call("round", cast(arguments[0], "DOUBLE"), number(3)))
    return in_zone(tr, typed(moment, "TIMESTAMP WITH TIME ZONE"), arguments[1] if len(arguments) > 1 else text("UTC"))


def to_unixtime(tr: Translator, node: Node, arguments: list[Node]) -> Node:
    local(tr, arguments[0].copy(), node)
    return call("epoch", instant(tr, arguments[0]))


def from_iso8601_timestamp(_: Translator, __: Node, arguments: list[Node]) -> Node:
    shape = r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]00:?00)?"  # another offset would have to be kept
    return cast(call("athena_shaped", arguments[0], text(shape)), "TIMESTAMP WITH TIME ZONE")
