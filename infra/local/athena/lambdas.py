"""Athena's functions that take lambdas, in DuckDB's terms."""

from collections.abc import Mapping
from typing import Any

from sqlglot import exp

from infra.local.athena.column_types import athena_type, family, members
from infra.local.athena.nodes import Node, call, cast, number, text, typed
from infra.local.athena.scope import Scope
from infra.local.athena.translator import Handler, Translator


def _lambda(tr: Translator, node: Node, parameters: Mapping[str, tuple[Node, str]], scope: Scope) -> Node:
    """Translate a lambda's body, with each of its parameters replaced by an expression of a known type."""
    if not isinstance(node, exp.Lambda) or len(node.expressions) != len(parameters):
        raise tr.refuse(node, f"anything but a lambda of {len(parameters)} parameters here")
    renamed = dict(zip((argument.name for argument in node.expressions), parameters.values(), strict=True))
    bodies = [part for part in node.this.walk() if isinstance(part, exp.Identifier) and part.name in renamed]
    for part in bodies:
        if isinstance(part.parent, exp.Dot) and part.arg_key == "expression":
            continue
        if isinstance(part.parent, exp.Lambda) and part.arg_key == "expressions":
            continue
        value, duck = renamed[part.name]
        part.replace(exp.Paren(this=typed(value.copy(), duck)))
    return tr.expression(node.this, scope)


def each(function: str, whole: Node, body: Node, name: str) -> Node:
    return call(function, whole, exp.Lambda(this=body, expressions=[exp.to_identifier(name)]))


def _over_array(function: str, wrap: str = "") -> Handler:
    def translated(tr: Translator, node: Any, scope: Scope) -> Node:
        array, name = tr.expression(node.expressions[0], scope), tr.fresh("item")
        if family(tr.type(array)) != "array":
            raise tr.fail(node, "TYPE_MISMATCH", f"{node.name} of {athena_type(tr.type(array))}")
        item = exp.Var(this=name), tr.type(array)[:-2]
        applied = each(function, array, _lambda(tr, node.expressions[1], {"x": item}, scope), name)
        return call(wrap, applied) if wrap else applied

    return translated


def _none_match(tr: Translator, node: Any, scope: Scope) -> Node:
    return exp.Paren(this=exp.Not(this=_over_array("list_transform", "athena_any_true")(tr, node, scope)))


def _reduce(tr: Translator, node: Any, scope: Scope) -> Node:
    array, start = (tr.expression(argument, scope) for argument in node.expressions[:2])
    names = tr.fresh("state"), tr.fresh("item")
    state, item = tr.type(start), tr.type(array)[:-2]
    first = _lambda(
        tr,
        node.expressions[2].copy(),
        {"s": (exp.Var(this=names[0]), state), "x": (exp.Var(this=names[1]), item)},
        scope,
    )
    if tr.type(first) != state:  # the state's type is that of what the step makes, as 0 for a sum of decimals
        state = tr.type(first)
        first = _lambda(
            tr, node.expressions[2], {"s": (exp.Var(this=names[0]), state), "x": (exp.Var(this=names[1]), item)}, scope
        )
    step = exp.Lambda(this=cast(first, state), expressions=[exp.to_identifier(name) for name in names])
    folded = call("list_reduce", array, step, cast(start, state))
    return _lambda(tr, node.expressions[3], {"s": (folded, state)}, scope)


def _zip_with(tr: Translator, node: Any, scope: Scope) -> Node:
    arrays = [tr.expression(argument, scope) for argument in node.expressions[:2]]
    name = tr.fresh("pair")
    parameters = {
        str(i): (call("struct_extract", exp.Var(this=name), number(i)), tr.type(array)[:-2])
        for i, array in enumerate(arrays, 1)
    }
    return each("list_transform", call("list_zip", *arrays), _lambda(tr, node.expressions[2], parameters, scope), name)


def _over_map(kept: str) -> Handler:
    def translated(tr: Translator, node: Any, scope: Scope) -> Node:
        whole, name = tr.expression(node.expressions[0], scope), tr.fresh("entry")
        if family(tr.type(whole)) != "map":
            raise tr.fail(node, "TYPE_MISMATCH", f"{node.name} of {athena_type(tr.type(whole))}")
        sides = {part: call("struct_extract", exp.Var(this=name), text(part)) for part in ("key", "value")}
        parameters = {part: (sides[part], duck) for part, duck in members(tr.type(whole))}
        body = _lambda(tr, node.expressions[1], parameters, scope)
        function = "list_filter" if kept == "both" else "list_transform"
        if kept != "both":
            body = call("row", *(body if part == kept else sides[part] for part in sides))
        return call("map_from_entries", each(function, call("map_entries", whole), body, name))

    return translated


WITH_LAMBDA: dict[str, Handler] = {
    "all_match": _over_array("list_transform", "athena_all_true"),
    "any_match": _over_array("list_transform", "athena_any_true"),
    "filter": _over_array("list_filter"),
    "map_filter": _over_map("both"),
    "none_match": _none_match,
    "reduce": _reduce,
    "transform": _over_array("list_transform"),
    "transform_keys": _over_map("key"),
    "transform_values": _over_map("value"),
    "zip_with": _zip_with,
}
