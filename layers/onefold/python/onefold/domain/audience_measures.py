"""Audiences, the aggregates: which subqueries are kept up to date event by event, and why the others are refused."""

from typing import Any, Final

from sqlglot import exp

from onefold.domain.audience import EventMeasure, OrderMeasure
from onefold.domain.audience_text import AudienceText
from onefold.domain.event import KINDS

ORDER_SUMS: Final = ("gross", "refunded", "net", "units")
CURRENCY_LENGTH: Final = 3
_FUNCTIONS: Final = {exp.Count: "count", exp.Min: "min", exp.Max: "max", exp.Sum: "sum"}
_NOT_KEPT: Final = "audience_not_incremental"


def read_measure(definition: AudienceText, node: exp.Expr) -> EventMeasure | OrderMeasure:
    """Read one aggregate over `events` or `orders`, as a parenthesised SELECT.

    Raises:
        DefinitionInvalid: It is another subquery, or an aggregate that events alone do not keep.
    """
    select = node.this
    if not isinstance(select, exp.Select) or not select.args.get("from_"):
        raise definition.refusal(_NOT_KEPT, _shape("is (SELECT count(*) FROM orders) or the like"), node)
    for name, value in select.args.items():
        if value and name not in ("expressions", "from_", "where"):
            word = name.strip("_").upper()
            place = value[0] if isinstance(value, list) else value
            detail = _shape(f"has SELECT, FROM and WHERE only, no {word}")
            raise definition.refusal(_NOT_KEPT, detail, place if isinstance(place, exp.Expr) else node)
    source = select.args["from_"].this
    is_plain = isinstance(source, exp.Table) and set(filter(source.args.get, source.args)) == {"this"}
    table = source.name.lower() if is_plain else ""
    if table not in ("events", "orders"):
        raise definition.refusal("audience_unknown_name", "There are two tables to count in: events and orders", source)
    function, column = _function(definition, select)
    filters = _filters(definition, select.args.get("where"), ("name", "kind") if table == "events" else ("currency",))
    if table == "events":
        return _event_measure(definition, select, (function, column), filters)
    return _order_measure(definition, select, (function, column), filters)


def _shape(rule: str) -> str:
    return f"A subquery {rule}: only single counts, sums, first and last times are kept up to date by each event"


def _function(definition: AudienceText, select: exp.Expr) -> tuple[str, str]:
    """The aggregate of a SELECT, as (function, column)."""
    [call, *others] = select.expressions
    function = _FUNCTIONS.get(type(call), "")
    extra = any(value for name, value in call.args.items() if name not in ("this", "big_int"))
    if others or not function or extra:
        remedy = _shape("has one of count(*), min(at), max(at), sum(…)")
        if isinstance(call, exp.Avg):
            remedy = "avg is not kept: divide sum(…) by count(*), each in its own subquery"
        raise definition.refusal(_NOT_KEPT, remedy, others[0] if others else call)
    if function == "count" and isinstance(call.this, exp.Star):
        return "count", "*"
    if function != "count" and isinstance(call.this, exp.Column) and not call.this.table:
        return function, call.this.name.lower()
    raise definition.refusal(_NOT_KEPT, _shape("has one of count(*), min(at), max(at), sum(…)"), call)


def _filters(definition: AudienceText, where: exp.Expr | None, columns: tuple[str, ...]) -> dict[str, exp.Expr]:
    """The conditions of a WHERE, as column → text literal."""
    found: dict[str, exp.Expr] = {}
    conditions: Any = (
        () if where is None else where.this.flatten(unnest=False) if _is_and(where.this) else (where.this,)
    )
    for condition in conditions:
        left, right = condition.this, condition.args.get("expression")
        is_filter = isinstance(condition, exp.EQ) and isinstance(left, exp.Column) and not left.table
        name = left.name.lower() if is_filter else ""
        if name not in columns or name in found or not (isinstance(right, exp.Literal) and right.is_string):
            allowed = " AND ".join(f"{column} = '…'" for column in columns)
            detail = f"WHERE can be {allowed} here: nothing else is counted apart. One subquery for each, then add up"
            raise definition.refusal(_NOT_KEPT, detail, condition)
        found[name] = right
    return found


def _is_and(node: exp.Expr) -> bool:
    return isinstance(node, exp.And)


def _event_measure(
    definition: AudienceText, select: exp.Expr, call: tuple[str, str], filters: dict[str, exp.Expr]
) -> EventMeasure:
    if call not in (("count", "*"), ("min", "at"), ("max", "at")):
        detail = "Of events count(*), min(at) and max(at) are kept"
        raise definition.refusal(_NOT_KEPT, detail, select.expressions[0])
    kind = filters["kind"].name if "kind" in filters else "track"
    if kind not in KINDS:
        raise definition.refusal("audience_unknown_name", f"The kinds are {', '.join(KINDS)}", filters["kind"])
    if kind == "track" and "name" not in filters:
        detail = "Say which events: WHERE name = '…', or WHERE kind = 'page' or another kind than track"
        raise definition.refusal(_NOT_KEPT, detail, select)
    if kind != "track" and "name" in filters:
        detail = f"Only track events are counted by name: leave out the name, and all {kind} events count"
        raise definition.refusal(_NOT_KEPT, detail, filters["name"])
    function: Any = call[0]
    return EventMeasure(function, f"track:{filters['name'].name}" if kind == "track" else f"{kind}:")


def _order_measure(
    definition: AudienceText, select: exp.Expr, call: tuple[str, str], filters: dict[str, exp.Expr]
) -> OrderMeasure:
    function, column = call
    if function in ("min", "max"):
        detail = (
            f"{function}(at) of orders is not kept: the oldest orders live on in sums alone. Take that of the events, "
            "FROM events WHERE name = 'Order Completed'"
        )
        raise definition.refusal(_NOT_KEPT, detail, select.expressions[0])
    if function == "sum" and column not in ORDER_SUMS:
        detail = f"There is no such sum over orders; there are {', '.join(ORDER_SUMS)}"
        raise definition.refusal("audience_unknown_name", detail, select.expressions[0])
    currency = filters["currency"].name if "currency" in filters else None
    if currency is not None and currency != currency.strip().upper()[:CURRENCY_LENGTH]:
        detail = "Currencies are kept as three capital letters, such as 'GBP'"
        raise definition.refusal("audience_unknown_name", detail, filters["currency"])
    measure: Any = "count" if function == "count" else column
    return OrderMeasure(measure, currency)
