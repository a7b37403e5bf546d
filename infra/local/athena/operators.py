"""Athena's operators in DuckDB's terms: what they accept, and how decimals, dates and intervals come out."""

from typing import Any

from sqlglot import exp

from infra.local.athena.casts import instant
from infra.local.athena.column_types import INTEGER_DIGITS, ZONED, athena_type, decimal_shape, family
from infra.local.athena.nodes import Node, Scope, call, cast, text, typed
from infra.local.athena.translator import Translator

OF_DATES = frozenset({"day", "week", "month", "quarter", "year"})


def compared(tr: Translator, node: Any, scope: Scope) -> Node:
    """Comparisons: both sides of one kind; zones do not matter to an order in time."""
    tr.children(node, scope)
    sides = [part for part in node.iter_expressions() if not isinstance(part, exp.Any | exp.All)]
    for side in sides:
        if tr.type(side) == ZONED:
            side.replace(instant(tr, side.copy()))
    tr.agree(
        node, list(node.iter_expressions()) if len(sides) > 1 else [], f"Cannot apply operator: {{}} {_sign(node)} {{}}"
    )
    return typed(node, "BOOLEAN")


def _sign(node: Node) -> str:
    signs: dict[type[Node], str] = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
    return signs.get(type(node), node.key.upper())


def within(tr: Translator, node: exp.In, scope: Scope) -> Node:
    if node.args.get("unnest") or node.args.get("field"):
        raise tr.refuse(node, "IN of this form")
    node.set("this", tr.expression(node.this, scope))
    if node.args.get("query"):
        subquery = tr.expression(node.args["query"], scope)
        node.set("query", subquery)
        if "duck" in subquery.meta:
            tr.agree(
                node, [node.this, subquery], "value and result of subquery must be of the same type for IN: {} vs {}"
            )
        return typed(node, "BOOLEAN")
    node.set("expressions", [tr.expression(item, scope) for item in node.expressions])
    places = " vs ".join("{}" for _ in node.expressions)
    tr.agree(node, [node.this, *node.expressions], f"IN value and list items must be the same type: {{}} in {places}")
    return typed(node, "BOOLEAN")


def like(tr: Translator, node: Any, scope: Scope) -> Node:
    tr.children(node, scope)
    for part in (node.this, node.expression):
        if not isinstance(part, exp.Like) and family(tr.type(part)) not in {"varchar", "null"}:
            raise tr.fail(node, "TYPE_MISMATCH", "Left side of LIKE expression must evaluate to a varchar")
    return typed(node, "BOOLEAN")


def is_null(tr: Translator, node: exp.Is, scope: Scope) -> Node:
    if not isinstance(node.expression, exp.Null):
        raise tr.refuse(node, "IS of anything but NULL")
    return typed(tr.children(node, scope), "BOOLEAN")


def concatenated(tr: Translator, node: Node, operands: list[Node]) -> Node:
    kinds = {family(tr.type(operand)) for operand in operands} - {"null"}
    if "array" in kinds:  # an array takes elements, too
        operands = [part if family(tr.type(part)) == "array" else call("list_value", part) for part in operands]
        kinds = {"array"}
    if not kinds <= {"varchar"} and kinds != {"array"} and not kinds <= {"blob"}:
        names = ", ".join(athena_type(tr.type(operand)) for operand in operands)
        raise tr.fail(node, "TYPE_MISMATCH", f"Unexpected parameters ({names}) for function concat")
    joined = operands[0]
    for operand in operands[1:]:
        joined = exp.DPipe(this=joined, expression=operand, safe=True)
    return exp.Paren(this=joined)


def arithmetic(tr: Translator, node: exp.Binary, scope: Scope) -> Node:
    left, right = tr.expression(node.this, scope), tr.expression(node.expression, scope)
    node.set("this", left)
    node.set("expression", right)
    kinds = family(tr.type(left)), family(tr.type(right))
    if set(kinds) <= {"number", "null"}:
        return divided(tr, left, right) if isinstance(node, exp.Div) else node
    if "time" in kinds and isinstance(node, exp.Add | exp.Sub):
        return moved(tr, node, left, right)
    if set(kinds) <= {"interval", "number", "null"} and not isinstance(node, exp.Div | exp.Mod):
        return node
    raise _mismatch(tr, node, left, right)


def _mismatch(tr: Translator, node: Node, left: Node, right: Node) -> Exception:
    signs: dict[type[Node], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
    names = athena_type(tr.type(left)), athena_type(tr.type(right))
    return tr.fail(node, "TYPE_MISMATCH", f"Cannot apply operator: {names[0]} {signs[type(node)]} {names[1]}")


def divided(tr: Translator, left: Node, right: Node, result: tuple[int, int] | None = None) -> Node:
    """Integers divide to an integer; decimals to a decimal of the greater scale, half up; else doubles."""
    types = tr.type(left), tr.type(right)
    if all(duck in INTEGER_DIGITS for duck in types) or "null" in map(family, types):
        return exp.Paren(this=exp.IntDiv(this=left, expression=right))
    if {"DOUBLE", "FLOAT"} & set(types):
        return exp.Paren(this=exp.Div(this=cast(left, "DOUBLE"), expression=right, typed=False, safe=False))
    (p1, s1), (_, s2) = map(decimal_shape, types)
    scale = max(s1, s2)
    shift = (result[1] if result else scale) + s2 - s1
    precision, scale = result or (min(38, p1 + s2 + max(0, s2 - s1)), scale)
    over, under = call("athena_unscaled", left), call("athena_unscaled", right)
    over, under = (over, _times_ten(under, -shift)) if shift < 0 else (_times_ten(over, shift), under)
    digits = exp.DPipe(
        this=cast(call("athena_quotient", over, under), "VARCHAR"), expression=text(f"e-{scale}"), safe=True
    )
    return cast(cast(digits, f"DECIMAL(38,{scale})"), f"DECIMAL({precision},{scale})")


def _times_ten(node: Node, power: int) -> Node:
    return exp.Mul(this=node, expression=cast(text(f"1{'0' * power}"), "HUGEINT")) if power else node


def moved(tr: Translator, node: exp.Binary, left: Node, right: Node) -> Node:
    """Times and intervals: a date stays a date, a difference is an interval."""
    types = tr.type(left), tr.type(right)
    if family(types[1]) == "time" and family(types[0]) == "time" and isinstance(node, exp.Sub):
        wide = "TIMESTAMP" if set(types) <= {"DATE", "TIMESTAMP"} else "TIMESTAMP WITH TIME ZONE"
        return exp.Paren(this=exp.Sub(this=cast(instant(tr, left), wide), expression=cast(instant(tr, right), wide)))
    if "interval" not in map(family, types) or (family(types[1]) == "time" and isinstance(node, exp.Sub)):
        raise _mismatch(tr, node, left, right)
    time = left if family(types[0]) == "time" else right
    if tr.type(time) == "DATE":
        interval = right if time is left else left
        if isinstance(interval, exp.Interval) and str(interval.unit).lower() not in OF_DATES:
            raise tr.fail(node, "TYPE_MISMATCH", "Cannot add hour, minutes or seconds to a date")
        return cast(exp.Paren(this=node), "DATE")
    if tr.type(time) == ZONED:
        time.replace(instant(tr, time.copy()))
        return call("athena_zoned", exp.Paren(this=node), call("struct_extract", time, text("athena_zone")))
    return node
