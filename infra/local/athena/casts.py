"""CAST as Athena does it: what DuckDB would round, read or print otherwise is converted step by step."""

import re
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from infra.local.athena.column_types import INTEGER_DIGITS, NULL, ZONED, athena_type, family, members, quote
from infra.local.athena.nodes import Node, call, cast, number, text, typed

if TYPE_CHECKING:
    from infra.local.athena.translator import Translator

INSTANT = "TIMESTAMP WITH TIME ZONE"
TARGETS = {
    exp.DType.BOOLEAN: "BOOLEAN",
    exp.DType.TINYINT: "TINYINT",
    exp.DType.SMALLINT: "SMALLINT",
    exp.DType.INT: "INTEGER",
    exp.DType.BIGINT: "BIGINT",
    exp.DType.FLOAT: "FLOAT",
    exp.DType.DOUBLE: "DOUBLE",
    exp.DType.VARCHAR: "VARCHAR",
    exp.DType.TEXT: "VARCHAR",
    exp.DType.VARBINARY: "BLOB",
    exp.DType.DATE: "DATE",
    exp.DType.TIME: "TIME",
    exp.DType.TIMESTAMP: "TIMESTAMP",
    exp.DType.TIMESTAMPTZ: INSTANT,
    exp.DType.JSON: "JSON",
}
SHAPES = {  # what Athena reads as such a type; DuckDB reads more, and 1.5 as the integer 2
    "BOOLEAN": r"(?i)t|f|true|false|1|0",
    "DATE": r"\s*\d{4}-\d{1,2}-\d{1,2}\s*",
    "TIMESTAMP": r"\s*\d{4}-\d{1,2}-\d{1,2}( \d{1,2}:\d{1,2}(:\d{1,2}(\.\d+)?)?)?\s*",
    INSTANT: r"\s*\d{4}-\d{1,2}-\d{1,2}( \d{1,2}:\d{1,2}(:\d{1,2}(\.\d+)?)?)?( ?(UTC|Z|[+-]00:?00))?\s*",
    **dict.fromkeys(INTEGER_DIGITS, r"[+-]?\d+"),
}


def target_type(tr: "Translator", kind: exp.DataType) -> str:
    """Return DuckDB's name of a type in Athena's SQL; a varchar keeps its length."""
    inner = kind.expressions
    if kind.this == exp.DType.DECIMAL:
        precision, scale = ([int(part.name) for part in inner] + [38, 0][len(inner) :])[:2]
        return f"DECIMAL({precision},{scale})"
    if kind.this == exp.DType.VARCHAR and inner:
        return f"VARCHAR({inner[0].name})"
    if kind.this == exp.DType.ARRAY:
        return target_type(tr, inner[0]) + "[]"
    if kind.this == exp.DType.MAP:
        return f"MAP({target_type(tr, inner[0])}, {target_type(tr, inner[1])})"
    if kind.this == exp.DType.STRUCT:
        fields = [part for part in inner if isinstance(part, exp.ColumnDef)]
        if fields:
            kinds = [target_type(tr, part.args["kind"]) for part in fields]
            return f"STRUCT({', '.join(map(' '.join, zip((quote(part.name) for part in fields), kinds, strict=True)))})"
        return f"TUPLE({', '.join(target_type(tr, part) for part in inner)})"
    if kind.this not in TARGETS:
        raise tr.refuse(kind, f"the type {kind.sql()}")
    return TARGETS[kind.this]


def instant(tr: "Translator", node: Node) -> Node:
    """Return a time in a zone as the instant that it is; any other as it is."""
    return typed(call("struct_extract", node, text("athena_instant")), INSTANT) if tr.type(node) == ZONED else node


def local(tr: "Translator", node: Node, at: Node) -> Node:
    """Return a date or time as its zone's clock shows it."""
    duck = tr.type(node)
    if family(duck) not in {"time", "null"}:
        raise tr.fail(at, "TYPE_MISMATCH", f"a date or timestamp is needed, not {athena_type(duck)}")
    if duck == ZONED:
        return typed(call("athena_local", node), "TIMESTAMP")
    return typed(call("timezone", text("UTC"), node), "TIMESTAMP") if duck == INSTANT else node


def in_zone(tr: "Translator", node: Node, zone: Node) -> Node:
    """Return the same instant, shown in a zone; a time without one is UTC."""
    moment = instant(tr, node)
    if tr.type(moment) != INSTANT:
        moment = typed(call("timezone", text("UTC"), cast(moment, "TIMESTAMP")), INSTANT)
    if isinstance(zone, exp.Literal) and zone.name == "UTC":
        return moment
    return typed(call("athena_zoned", moment, zone), ZONED)


def convert(tr: "Translator", node: Node, target: str, at: Node) -> Node:
    """Return the node as the target type, failing in the run where Athena's CAST does.

    Raises:
        AthenaError: Athena casts no such type to this one.
    """
    source, aim = tr.type(node), family(target)
    if source in {target, NULL}:
        return cast(node, _plain(target))
    if source == "JSON" and target != "JSON":
        return from_json(tr, node, target, at)
    if aim == "varchar":
        return as_text(tr, node, target, at)
    if target == "JSON":
        if any(kind in source for kind in ("DATE", "TIME", "TUPLE")):
            raise tr.refuse(at, f"CAST from {athena_type(source)} to json")
        return typed(call("to_json", node), "JSON")
    if family(source) == "time":
        return _time(tr, node, target, at)
    return nested(tr, node, target, at) if members(source) or members(target) else _scalar(tr, node, target, at)


def _scalar(tr: "Translator", node: Node, target: str, at: Node) -> Node:
    source = tr.type(node)
    if source == "VARCHAR" and target == "BLOB":
        return typed(call("encode", node), target)
    if source == "VARCHAR":
        return cast(call("athena_shaped", node, text(SHAPES[target])) if target in SHAPES else node, target)
    if not {family(source), family(target)} <= {"number", "boolean"}:
        raise _cannot(tr, at, source, target)
    return cast(call("round", node) if source in {"DOUBLE", "FLOAT"} and target in INTEGER_DIGITS else node, target)


def _cannot(tr: "Translator", at: Node, source: str, target: str) -> Exception:
    return tr.fail(at, "TYPE_MISMATCH", f"Cannot cast {athena_type(source)} to {athena_type(target)}")


def _time(tr: "Translator", node: Node, target: str, at: Node) -> Node:
    source = tr.type(node)
    if target == INSTANT:
        return in_zone(tr, node, text("UTC"))
    if target not in {"DATE", "TIMESTAMP", "TIME"} or (source, target) == ("DATE", "TIME"):
        raise _cannot(tr, at, source, target)
    return cast(local(tr, node, at), target)


def as_text(tr: "Translator", node: Node, target: str, at: Node) -> Node:
    source, length = tr.type(node), re.sub(r"\D", "", target)
    if source == "VARCHAR":
        return typed(call("left", node, number(int(length))), "VARCHAR") if length else node
    made = cast(node, "VARCHAR")
    if source in {"DOUBLE", "FLOAT"}:
        made = typed(call("athena_double_text", node), "VARCHAR")
    elif source in {"TIMESTAMP", INSTANT, ZONED}:
        made = call("strftime", local(tr, node, at), text("%Y-%m-%d %H:%M:%S.%g" + " UTC" * (source == INSTANT)))
        if source == ZONED:
            zone = call("struct_extract", node.copy(), text("athena_zone"))
            made = exp.DPipe(this=exp.DPipe(this=made, expression=text(" "), safe=True), expression=zone, safe=True)
    elif members(source) or family(source) in {"blob", "interval", "time"} - ({"time"} if source == "DATE" else set()):
        raise _cannot(tr, at, source, "VARCHAR")
    made = typed(exp.Paren(this=made), "VARCHAR")
    return typed(call("athena_fits", made, number(int(length))), "VARCHAR") if length else made


def _item(tr: "Translator", duck: str) -> tuple[str, Any]:
    name = tr.fresh("item")
    return name, typed(exp.Var(this=name), duck)


def _mapped(whole: Node, body: Node, name: str) -> Node:
    return call("list_transform", whole, exp.Lambda(this=body, expressions=[exp.to_identifier(name)]))


def nested(tr: "Translator", node: Node, target: str, at: Node) -> Node:
    """Convert an array, map or row part by part; rows by position, as Athena does, where DuckDB goes by name."""
    source = tr.type(node)
    old, new = [part for _, part in members(source)], [part for _, part in members(target)]
    if family(source) != family(target) or len(old) != len(new) or target == ZONED:
        raise _cannot(tr, at, source, target)
    if family(target) == "row":
        if source.startswith("TUPLE") and old == new:
            return cast(node, target)
        keys = [text(n) if source.startswith("STRUCT") else number(i) for i, (n, _) in enumerate(members(source), 1)]
        fields = [typed(call("struct_extract", node.copy(), key), duck) for key, duck in zip(keys, old, strict=True)]
        row = call("row", *(convert(tr, field, aim, at) for field, aim in zip(fields, new, strict=True)))
        empty = exp.Is(this=node.copy(), expression=exp.Null())
        return cast(exp.Case(ifs=[exp.If(this=empty, true=exp.Null())], default=row), _plain(target))
    if family(target) == "array":
        name, item = _item(tr, old[0])
        return typed(_mapped(node, convert(tr, item, new[0], at), name), _plain(target))
    name = tr.fresh("entry")
    sides = [typed(call("struct_extract", exp.Var(this=name), number(i)), duck) for i, duck in enumerate(old, 1)]
    row = call("row", *(convert(tr, side, aim, at) for side, aim in zip(sides, new, strict=True)))
    return typed(call("map_from_entries", _mapped(call("athena_map_entries", node), row, name)), _plain(target))


def _plain(duck: str) -> str:
    return re.sub(r"VARCHAR\(\d+\)", "VARCHAR", duck)


def from_json(tr: "Translator", node: Node, target: str, at: Node) -> Node:
    """Convert JSON: objects to rows by field name in any case, arrays to rows by position, a missing field to NULL."""
    aim = family(target)
    if aim == "varchar":
        return as_text(tr, typed(call("athena_json_text", node), "VARCHAR"), target, at)
    if target.startswith("DECIMAL"):
        return cast(call("athena_json_text", node), target)
    if aim in {"number", "boolean"}:
        return cast(node, target)
    if aim == "array":
        name, item = _item(tr, "JSON")
        return typed(_mapped(cast(node, "JSON[]"), from_json_item(tr, item, target[:-2], at), name), _plain(target))
    if aim == "map":
        key, kind = (part for _, part in members(target))
        entries = cast(node, "MAP(VARCHAR, JSON)")
        return nested(tr, entries, f"MAP({key}, {kind})", at) if kind != "JSON" or key != "VARCHAR" else entries
    if aim != "row" or target == ZONED:
        raise _cannot(tr, at, "JSON", target)
    by_name, by_place = [], []
    for i, (field, duck) in enumerate(members(target)):
        named = typed(call("athena_json_field", node.copy(), text(field)), "JSON")
        placed = typed(call("json_extract", node.copy(), text(f"$[{i}]")), "JSON")
        by_name.append(from_json_item(tr, named, duck, at))
        by_place.append(from_json_item(tr, placed, duck, at))
    rows = [cast(call("row", *fields), _plain(target)) for fields in (by_name, by_place)]
    return typed(call("athena_json_row", node, *rows), _plain(target))


def from_json_item(tr: "Translator", node: Node, target: str, at: Node) -> Node:
    return node if target == "JSON" else from_json(tr, node, target, at)
