"""A mapping: how the rows of a table become messages, declared once for every file of the same shape."""

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from itertools import groupby
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from onefold.domain.errors import MappingInvalid
from onefold.domain.identity_rules import DEFAULT_TYPES

Row = Mapping[str, object]
Message = dict[str, object]

ROWS_PER_MESSAGE_MAX: Final = 10_000
TRAITS_REMEMBERED_MAX: Final = 100_000

# Money is multiplied and added without rounding; a result that would need it is an error, not a drift.
_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation])
_COLUMN: Final = re.compile(r"[^{}!:.\[\]]+")


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one value comes from; exactly one of `column`, `value`, `sum` and `rows` is given.

    Attributes:
        column: The value of a column, of the message's first row.
        value: The same constant for every message.
        sum: Columns that are multiplied in each row, then added up over the message's rows, exactly.
        rows: One object for each of the message's rows, with these fields.
        type: What a column's value becomes; without it as the file has it.
    """

    column: str | None = None
    value: str | int | bool | None = None
    sum: tuple[str, ...] | None = None
    rows: "dict[str, str | Value] | None" = None
    type: Literal["text", "number"] | None = None


Source = str | Value  # a bare text names a column


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test of the message's first row; every test that is given must hold."""

    column: str
    equals: str | int | None = None
    starts_with: str | None = None
    below: int | None = None


class EventRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The track event that a message becomes if the condition holds.

    Attributes:
        negate: Columns whose sign is turned, so that what a refund gives back reads as a positive sum.
    """

    event: str
    when: Condition | None = None
    negate: tuple[str, ...] = ()


class Timestamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The event's time: a column, the time zone of values that name none, and a strptime format for odd texts."""

    column: str
    zone: str = "UTC"
    format: str | None = None


class RowMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole declaration.

    Attributes:
        message_id: A template such as `till/{receipt}`; what it gives must name the message for ever, so that sending
            a file twice changes nothing.
        events: The first rule that holds counts; the last one needs no condition.
        group_by: Neighbouring rows with equal values in these columns are one message; without it each row is one.
        identifiers: Identifier type → column. A missing value names nobody.
        traits: What an identify message says of the person, sent when it is new or has changed.
    """

    message_id: str
    timestamp: Timestamp
    events: tuple[EventRule, ...]
    description: str = ""
    group_by: tuple[str, ...] = ()
    identifiers: dict[str, str] = {}
    properties: dict[str, Source] = {}
    traits: dict[str, Source] = {}


def parse_mapping(document: object) -> RowMapping:
    """Read a mapping from what YAML or JSON gave.

    Raises:
        MappingInvalid: With a JSON pointer to the first fault.
    """
    try:
        mapping = msgspec.convert(document, RowMapping)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at ")
        raise MappingInvalid("mapping_malformed", detail, pointer=_pointer(path)) from error
    _check_events(mapping)
    _check_values(mapping)
    _check_time(mapping)
    return mapping


def _pointer(path: str) -> str:
    steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", path)
    return "#" + "".join(f"/{name or index}" for name, index in steps)


def _check_events(mapping: RowMapping) -> None:
    if not mapping.events:
        raise MappingInvalid("mapping_malformed", "Give at least one event", pointer="#/events")
    for index, rule in enumerate(mapping.events):
        is_last = index == len(mapping.events) - 1
        if rule.when is None and not is_last:
            raise MappingInvalid(
                "mapping_malformed", "Only the last event may have no `when`", pointer=f"#/events/{index}"
            )
        if rule.when and (rule.when.equals, rule.when.starts_with, rule.when.below) == (None, None, None):
            raise MappingInvalid(
                "mapping_malformed", "Give `equals`, `starts_with` or `below`", pointer=f"#/events/{index}/when"
            )


def _check_values(mapping: RowMapping) -> None:
    for kind in mapping.identifiers:
        if kind not in DEFAULT_TYPES:
            known = ", ".join(DEFAULT_TYPES)
            raise MappingInvalid("mapping_malformed", f"Use one of {known}", pointer=f"#/identifiers/{kind}")
    for part, sources in (("properties", mapping.properties), ("traits", mapping.traits)):
        for name, source in sources.items():
            _check_source(source, f"#/{part}/{name}")
    for _, field, form, conversion in string.Formatter().parse(mapping.message_id):
        if field is not None and (form or conversion or not _COLUMN.fullmatch(field)):
            raise MappingInvalid("mapping_malformed", "Write only {column} between the texts", pointer="#/message_id")
    if "{" not in mapping.message_id:
        raise MappingInvalid("mapping_malformed", "Name at least one {column}", pointer="#/message_id")


def _check_source(source: Source, pointer: str) -> None:
    if isinstance(source, str):
        return
    given = [source.column, source.value, source.sum, source.rows]
    if sum(part is not None for part in given) != 1:
        raise MappingInvalid(
            "mapping_malformed", "Give exactly one of `column`, `value`, `sum` and `rows`", pointer=pointer
        )
    for name, inner in (source.rows or {}).items():
        _check_source(inner, f"{pointer}/rows/{name}")


def _check_time(mapping: RowMapping) -> None:
    try:
        ZoneInfo(mapping.timestamp.zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise MappingInvalid(
            "mapping_malformed", "No such time zone; write one like Europe/London", pointer="#/timestamp/zone"
        ) from error


def mapped_columns(mapping: RowMapping) -> set[str]:
    """Every column that the mapping reads; a file must have them all."""
    names = {mapping.timestamp.column, *mapping.group_by, *mapping.identifiers.values()}
    names.update(name for _, name, _, _ in string.Formatter().parse(mapping.message_id) if name)
    for rule in mapping.events:
        names.update(rule.negate, [rule.when.column] if rule.when else [])
    for source in (*mapping.properties.values(), *mapping.traits.values()):
        names.update(_source_columns(source))
    return names


def _source_columns(source: Source) -> Iterator[str]:
    if isinstance(source, str):
        yield source
        return
    yield from source.sum or ()
    if source.column is not None:
        yield source.column
    for inner in (source.rows or {}).values():
        yield from _source_columns(inner)


def map_rows(mapping: RowMapping, rows: Iterable[Row]) -> Iterator[Message]:
    """Turn rows into messages in the form of the tracking API.

    Args:
        mapping: Already parsed.
        rows: Rows of one message next to each other, messages in the order of time.

    Yields:
        An identify message where a person's traits are new or have changed, then the track message. A row that fits no
        event is left out. Numbers are exact: encode them with `encode_message`.

    Raises:
        MappingInvalid: A value is missing or unreadable; the pointer is the number of the row, from 1.
    """
    told: dict[tuple[str, ...], Message] = {}
    zone = ZoneInfo(mapping.timestamp.zone)
    numbered = enumerate(rows, start=1)
    for _, group in groupby(numbered, key=lambda item: _group_key(mapping, item)):
        members = list(group)
        first_number = members[0][0]
        try:
            yield from _messages(mapping, [row for _, row in members], zone, told)
        except KeyError as error:
            raise MappingInvalid(
                "column_missing", f"There is no column {error}", pointer=f"row {first_number}"
            ) from error
        except (ValueError, InvalidOperation, Inexact) as error:
            raise MappingInvalid("value_unreadable", _reason(error), pointer=f"row {first_number}") from error


def _group_key(mapping: RowMapping, item: tuple[int, Row]) -> object:
    number, row = item
    return tuple(row.get(name) for name in mapping.group_by) if mapping.group_by else number


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, _CellError) else "A value is not of the declared type; check the columns"


class _CellError(ValueError):
    """A value that cannot be used; the text names the column, never the value."""


def _messages(
    mapping: RowMapping, rows: Sequence[Row], zone: ZoneInfo, told: dict[tuple[str, ...], Message]
) -> Iterator[Message]:
    first = rows[0]
    rule = next((rule for rule in mapping.events if rule.when is None or _holds(rule.when, first)), None)
    if rule is None:
        return
    if len(rows) > ROWS_PER_MESSAGE_MAX:
        raise _CellError(f"More than {ROWS_PER_MESSAGE_MAX} rows make one message; check `group_by`")
    named = _identifiers(mapping, first)
    common: Message = {"timestamp": _timestamp(mapping.timestamp, first, zone), **_address(named)}
    message_id = _message_id(mapping, first)
    traits = _values(mapping.traits, rows, ()) if named else {}
    person = tuple(sorted(f"{kind}:{value}" for kind, value in named.items()))
    if traits and told.get(person) != traits:
        told.pop(person, None)
        told[person] = traits
        if len(told) > TRAITS_REMEMBERED_MAX:
            told.pop(next(iter(told)))
        yield {"type": "identify", "messageId": f"{message_id}/traits", **common, "traits": traits}
    properties = _values(mapping.properties, rows, rule.negate)
    yield {"type": "track", "messageId": message_id, "event": rule.event, **common, "properties": properties}


def _holds(condition: Condition, row: Row) -> bool:
    value = row[condition.column]
    if condition.equals is not None and _text(value) != str(condition.equals):
        return False
    if condition.starts_with is not None and not _text(value).startswith(condition.starts_with):
        return False
    return condition.below is None or (value is not None and _number(value, condition.column) < condition.below)


def _identifiers(mapping: RowMapping, row: Row) -> dict[str, str]:
    texts = {kind: _text(row[column]) for kind, column in mapping.identifiers.items()}
    return {kind: text for kind, text in texts.items() if text}


def _address(named: Mapping[str, str]) -> Message:
    """Put identifiers where the tracking API has them: two in the message, the others in the context."""
    places = {"user_id": "userId", "anonymous_id": "anonymousId"}
    address: Message = {places[kind]: value for kind, value in named.items() if kind in places}
    external = [
        {"id": value, "type": kind, "collection": "users", "encoding": "none"}
        for kind, value in named.items()
        if kind not in places
    ]
    return {**address, "context": {"externalIds": external}} if external else address


def _message_id(mapping: RowMapping, row: Row) -> str:
    parts: list[str] = []
    for literal, name, _, _ in string.Formatter().parse(mapping.message_id):
        parts.append(literal)
        if name is not None:
            text = _text(row[name])
            if not text:
                raise _CellError(f"The column {name} is empty, so the message has no id")
            parts.append(text)
    return "".join(parts)


def _timestamp(timestamp: Timestamp, row: Row, zone: ZoneInfo) -> str:
    value = row[timestamp.column]
    if isinstance(value, str):
        try:
            form = timestamp.format
            value = datetime.strptime(value, form) if form else datetime.fromisoformat(value)  # noqa: DTZ007 - zone below
        except ValueError as error:
            raise _CellError(f"The column {timestamp.column} is no time; give `format`") from error
    if not isinstance(value, datetime):
        raise _CellError(f"The column {timestamp.column} holds no time")
    located = value if value.tzinfo else value.replace(tzinfo=zone)
    return located.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _values(sources: Mapping[str, Source], rows: Sequence[Row], negate: Sequence[str]) -> Message:
    values = {name: _value(source, rows, negate) for name, source in sources.items()}
    return {name: value for name, value in values.items() if value is not None}


def _value(source: Source, rows: Sequence[Row], negate: Sequence[str]) -> object:
    if isinstance(source, str):
        return _cell(rows[0], source, None, negate)
    if source.sum is not None:
        return _sum_of_products(rows, source.sum, negate)
    if source.rows is not None:
        return [_values(source.rows, [row], negate) for row in rows]
    if source.column is not None:
        return _cell(rows[0], source.column, source.type, negate)
    return source.value


def _sum_of_products(rows: Sequence[Row], columns: Sequence[str], negate: Sequence[str]) -> Decimal:
    total = Decimal(0)
    for row in rows:
        product = Decimal(-1 if sum(column in negate for column in columns) % 2 else 1)
        for column in columns:
            product = _EXACT.multiply(product, _number(row[column], column))
        total = _EXACT.add(total, product)
    return total


def _cell(row: Row, column: str, kind: str | None, negate: Sequence[str]) -> object:
    value = row[column]
    if value is None or value == "" or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN
        return None
    if kind == "text":
        return _text(value)
    if kind == "number" or column in negate:
        number = _number(value, column)
        return _EXACT.minus(number) if column in negate else number
    if isinstance(value, float):
        return Decimal(repr(value))
    return value.isoformat() if isinstance(value, datetime) else value


def _number(value: object, column: str) -> Decimal:
    """The decimal that the file shows: a float counts as its shortest text, 2.55 and not 2.54999."""
    text = repr(value) if isinstance(value, float) else str(value).strip()
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise _CellError(f"The column {column} holds no number") from error
    if not number.is_finite() or isinstance(value, bool):
        raise _CellError(f"The column {column} holds no number")
    return number


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        # A whole number in a column with gaps often arrives as a float; its name has no fraction.
        return "" if value != value else str(int(value)) if value.is_integer() else repr(value)  # noqa: PLR0124 - NaN
    return str(value).strip()


_encoder = msgspec.json.Encoder(decimal_format="number")


def encode_message(message: Mapping[str, object]) -> bytes:
    """A message as JSON; decimals keep their digits."""
    return _encoder.encode(message)
