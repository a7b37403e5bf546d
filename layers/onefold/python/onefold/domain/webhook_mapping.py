"""A mapping of JSON documents: how what a webhook or a device sends becomes messages, in paths."""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec

from onefold.domain.definition import Definition
from onefold.domain.errors import MappingInvalid
from onefold.domain.json_path import parse_path, select
from onefold.domain.webhook_message import Json, amount, identify, person, table, text, track

DEFINITION_KIND: Final = "mapping"
FORMAT: Final = "json"
UNNAMED: Final = "Webhook Received"  # an event whose sender gives no name
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HOLE: Final = re.compile(r"\{([^{}]*)\}")
STANDARD_FIELDS: Final = frozenset(["id", "type", "timestamp", "data"])


class Picked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value at a path that is not taken as it stands.

    Attributes:
        minor_digits: Of money in minor units: 2 makes 1250 12.50.
    """

    path: str
    type: Literal["text", "number"] | None = None
    minor_digits: Annotated[int, msgspec.Meta(ge=0, le=6)] = 0


Source = str | int | bool | Picked  # a text that begins with $ is a path, everything else a constant


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test of the document; each that is given must hold."""

    path: str
    equals: str | int | bool | None = None
    starts_with: str | None = None
    exists: bool | None = None


class PayloadRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a document becomes if the condition holds: a track event of that name (a path may give it), or identify."""

    event: str = ""
    kind: Literal["track", "identify"] = "track"
    when: Condition | None = None


class PayloadMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole declaration.

    Attributes:
        format: Sets it apart from a mapping of rows.
        each: The array whose elements are one message each; without it the body is one, or each element of an array.
        message_id: A template such as `loyalty/{$.id}`; without it, or where it stays empty, the sender's own id.
        events: The first rule that holds counts. What none of them takes is kept whole, as `Webhook Received`.
        timestamp: Of the event: ISO 8601, or Unix seconds or milliseconds.
        identifiers: Identifier type → path; a type that is none of ours names people in the sender's system.
        properties: None for the whole document.
    """

    format: Literal["json"]
    events: tuple[PayloadRule, ...]
    description: str = ""
    each: str = ""
    message_id: str = ""
    timestamp: str = ""
    identifiers: dict[str, str] = {}
    properties: dict[str, Source] | None = None
    traits: dict[str, Source] = {}


def parse_payload_mapping(document: object) -> PayloadMapping:
    """Read a mapping from what YAML or JSON gave.

    Raises:
        MappingInvalid: With a JSON pointer to the first fault.
    """
    try:
        mapping = msgspec.convert(document, PayloadMapping)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at ")
        steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", path)
        pointer = "#" + "".join(f"/{name or index}" for name, index in steps)
        raise MappingInvalid("mapping_malformed", detail, pointer=pointer) from error
    if not mapping.events:
        raise MappingInvalid("mapping_malformed", "Give at least one event", pointer="#/events")
    for index, rule in enumerate(mapping.events):
        if rule.kind == "track" and not rule.event:
            raise MappingInvalid("mapping_malformed", "Name the event", pointer=f"#/events/{index}")
    for kind in mapping.identifiers:
        if not _TYPE.fullmatch(kind):
            raise MappingInvalid("mapping_malformed", "Write a type as loyalty_card", pointer=f"#/identifiers/{kind}")
    for pointer, path in _paths(mapping):
        try:
            parse_path(path)
        except MappingInvalid as error:
            raise MappingInvalid("mapping_malformed", error.detail, pointer=pointer) from error
    return mapping


def payload_mappings(definitions: Iterable[Definition]) -> dict[str, PayloadMapping]:
    """The mappings of JSON among the definitions, by their names; those of rows, and unreadable ones, are left out."""
    found = {}
    for definition in definitions:
        if definition.kind == DEFINITION_KIND:
            try:
                document = msgspec.json.decode(definition.body)
                if isinstance(document, dict) and document.get("format") == FORMAT:
                    found[definition.name.partition("/")[2]] = parse_payload_mapping(document)
            except (MappingInvalid, msgspec.MsgspecError):
                continue
    return found


def _paths(mapping: PayloadMapping) -> Iterator[tuple[str, str]]:
    """Every path, with the pointer to it."""
    for name, path in (("each", mapping.each), ("timestamp", mapping.timestamp)):
        if path:
            yield f"#/{name}", path
    yield from (("#/message_id", hole) for hole in _HOLE.findall(mapping.message_id))
    yield from ((f"#/identifiers/{kind}", path) for kind, path in mapping.identifiers.items())
    for index, rule in enumerate(mapping.events):
        if rule.event.startswith("$"):
            yield f"#/events/{index}/event", rule.event
        if rule.when is not None:
            yield f"#/events/{index}/when/path", rule.when.path
    for part, sources in (("properties", mapping.properties or {}), ("traits", mapping.traits)):
        for name, source in sources.items():
            if isinstance(source, Picked):
                yield f"#/{part}/{name}/path", source.path
            elif isinstance(source, str) and source.startswith("$"):
                yield f"#/{part}/{name}", source


def read_mapped(mapping: PayloadMapping, body: Json, *, message_id: str) -> list[Json]:
    """The messages of one document; whatever it holds, there is a message for it.

    Args:
        mapping: Already parsed.
        body: The document.
        message_id: The sender's own; of several elements each gets its place behind it.
    """
    if not mapping.each:
        return [_message(mapping, body, message_id)]
    elements = select(mapping.each, body)
    if not isinstance(elements, list):
        return [track(UNNAMED, body, messageId=message_id)]
    return [
        _message(mapping, each if isinstance(each, dict) else {"value": each}, message_id and f"{message_id}/{place}")
        for place, each in enumerate(elements)
    ]


def _message(mapping: PayloadMapping, document: Json, message_id: str) -> Json:
    known = {kind: select(path, document) for kind, path in mapping.identifiers.items()}
    others = [(kind, value) for kind, value in known.items() if kind not in {"user_id", "anonymous_id"}]
    named = person(others, user_id=known.get("user_id"), anonymous_id=known.get("anonymous_id"))
    fields = {
        "messageId": _filled(mapping.message_id, document) or message_id,
        "timestamp": select(mapping.timestamp, document) if mapping.timestamp else None,
        **named,
    }
    rule = next((rule for rule in mapping.events if rule.when is None or _holds(rule.when, document)), None)
    if rule is None:
        return track(UNNAMED, document, **fields)
    if rule.kind == "identify":
        return identify(_values(mapping.traits, document), **fields)
    name = text(select(rule.event, document)) if rule.event.startswith("$") else rule.event
    properties = document if mapping.properties is None else _values(mapping.properties, document)
    return track(name or UNNAMED, properties, **fields)


def _filled(template: str, document: Json) -> str:
    """The template with what its paths name; empty if one of them names nothing."""
    values = [text(select(path, document)) for path in _HOLE.findall(template)]
    if not template or not all(values):
        return ""
    parts = iter(values)
    return _HOLE.sub(lambda _: next(parts), template)


def _holds(condition: Condition, document: Json) -> bool:
    value = select(condition.path, document)
    if condition.exists is not None and (value is not None) != condition.exists:
        return False
    if condition.equals is not None and (value != condition.equals or type(value) is not type(condition.equals)):
        return False
    return condition.starts_with is None or text(value).startswith(condition.starts_with)


def _values(sources: Mapping[str, Source], document: Json) -> Json:
    values = {name: _value(source, document) for name, source in sources.items()}
    return {name: value for name, value in values.items() if value is not None}


def _value(source: Source, document: Json) -> object:
    if isinstance(source, Picked):
        value = select(source.path, document)
        if source.type == "text":
            return text(value) or None
        if source.type == "number" or source.minor_digits:
            number = amount(value)
            return None if number is None else _scaled(number, source.minor_digits)
        return value
    return select(source, document) if isinstance(source, str) and source.startswith("$") else source


def _scaled(number: Decimal, minor_digits: int) -> Decimal:
    return number.scaleb(-minor_digits)


def read_unmapped(body: Json, *, message_id: str) -> list[Json]:
    """A document of no declared shape, read as Standard Webhooks advises: type, timestamp and data."""
    name, data = text(body.get("type")), table(body.get("data"))
    properties = data if name and data and set(body) <= STANDARD_FIELDS else body
    return [track(name or UNNAMED, properties, messageId=message_id, timestamp=body.get("timestamp"))]
