"""A mapping: how the rows of a table become messages, declared once for every file of the same shape."""

import re
import string
from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from onefold.domain.cell import EPOCHS, CellType, DecimalMark
from onefold.domain.errors import MappingInvalid
from onefold.domain.identity_rules import DEFAULT_TYPES

DEFINITION_KIND: Final = "mapping"
# Stand in a `message_id` for what an import knows of a row that has no name of its own.
CONTENT: Final = "@content"
ROW: Final = "@row"
MADE_COLUMNS: Final = frozenset([CONTENT, ROW])

_COLUMN: Final = re.compile(r"[^{}!:.\[\]]+")
_EXTERNAL: Final = re.compile(r"external_id\.[a-z][a-z0-9_\-]{0,63}")
_PROVIDER: Final = re.compile(r"[a-z][a-z0-9_\-]{0,63}")
_DELIMITER: Final = re.compile(r"[^\r\n\"0-9A-Za-z]")


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one value comes from; exactly one of `column`, `value`, `sum` and `rows` is given.

    Attributes:
        column: The value of a column, of the message's first row.
        value: The same constant for every message.
        sum: Columns that are multiplied in each row, then added up over the message's rows, exactly.
        rows: One object for each of the message's rows, with these fields.
        type: What a column's value becomes; without it as the file has it.
        format: Of a `time`, for strptime, or `epoch` or `epoch_ms`; without it ISO 8601.
        minor_digits: Of `money`: 2 where the file counts cents.
    """

    column: str | None = None
    value: str | int | float | bool | None = None
    sum: tuple[str, ...] | None = None
    rows: "dict[str, str | Value] | None" = None
    type: CellType | None = None
    format: str | None = None
    minor_digits: int = 0


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
    """The event's time: a column, the time zone of values that name none, and a strptime format for odd texts.

    Instead of a column a constant `value`, for a table that says how things stood on one day.
    """

    column: str = ""
    zone: str = "UTC"
    format: str | None = None
    value: str | None = None


class FileForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a text file does not say of itself; what is left out is detected.

    Attributes:
        encoding: utf-8, utf-16 or cp1252 (Western Windows).
        header: Whether the first line names the columns; otherwise they are `column1`, `column2`, ….
    """

    encoding: Literal["utf-8", "utf-16", "cp1252"] | None = None
    delimiter: str | None = None
    header: bool = True


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who says what the rows say, where it is not the deployer: a partner, a data seller, a model.

    Attributes:
        name: Traits are kept as `<name>.<trait>`.
        party: Whose data it is: a partner's (second), a seller's (third); a model's own are first.
        licence: Under which terms it may be used.
    """

    name: str
    party: Literal["first", "second", "third"] = "third"
    licence: str = ""
    version: str = ""


class Alias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Marks each row as an explicit link: this column holds a former user id or anonymous id of the row's `user_id`."""

    previous_id: str


class RowMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole declaration.

    Attributes:
        message_id: A template such as `till/{receipt}`; what it gives must name the message for ever, so that sending
            a file twice changes nothing. `{@content}` stands for what the row says, `{@row}` for the file and its line.
        timestamp: Without it things are as they were when the import began.
        events: The first rule that holds counts; the last one needs no condition. None: rows only say who a person is.
        group_by: Rows with equal values in these columns are one message; without it each row is one.
        identifiers: Identifier type → column; `external_id.<scheme>` for numbers of several systems. A missing value
            names nobody.
        traits: What an identify message says of the person; beside events it is sent when it is new or has changed.
        consents: Purpose → yes or no, of each message.
        context: Names with dots nest.
        source: The declared source that the messages come from.
        decimal: What separates the fraction of numbers in texts.
    """

    message_id: str
    timestamp: Timestamp | None = None
    events: tuple[EventRule, ...] = ()
    description: str = ""
    group_by: tuple[str, ...] = ()
    identifiers: dict[str, str] = {}
    properties: dict[str, Source] = {}
    traits: dict[str, Source] = {}
    consents: dict[str, Source] = {}
    context: dict[str, Source] = {}
    alias: Alias | None = None
    provider: Provider | None = None
    source: str = ""
    file: FileForm = FileForm()
    decimal: DecimalMark = "."


def parse_mapping(document: object) -> RowMapping:
    """Read a mapping from what YAML or JSON gave.

    Raises:
        MappingInvalid: With a JSON pointer to the first fault.
    """
    try:
        mapping = msgspec.convert(document, RowMapping)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at ")
        if "got `bool`" in detail:
            detail += ". YAML reads no, yes, on and off as booleans: put a column of such a name in quotes"
        raise MappingInvalid("mapping_malformed", detail, pointer=_pointer(path)) from error
    _check_events(mapping)
    _check_identifiers(mapping)
    for part, sources in _parts(mapping).items():
        for name, source in sources.items():
            _check_source(source, f"#/{part}/{name}")
    _check_message_id(mapping)
    _check_time(mapping)
    _check_file(mapping)
    return mapping


def _pointer(path: str) -> str:
    steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", path)
    return "#" + "".join(f"/{name or index}" for name, index in steps)


def _malformed(detail: str, pointer: str) -> MappingInvalid:
    return MappingInvalid("mapping_malformed", detail, pointer=pointer)


def _parts(mapping: RowMapping) -> dict[str, dict[str, Source]]:
    return {
        "properties": mapping.properties,
        "traits": mapping.traits,
        "consents": mapping.consents,
        "context": mapping.context,
    }


def _check_events(mapping: RowMapping) -> None:
    if not (mapping.events or mapping.traits or mapping.consents or mapping.alias):
        raise _malformed("Give at least one event, or traits, consents or an alias", "#/events")
    if mapping.properties and not mapping.events:
        raise _malformed("Properties belong to an event: name it, or write traits", "#/properties")
    for index, rule in enumerate(mapping.events):
        is_last = index == len(mapping.events) - 1
        if rule.when is None and not is_last:
            raise _malformed("Only the last event may have no `when`", f"#/events/{index}")
        if rule.when and (rule.when.equals, rule.when.starts_with, rule.when.below) == (None, None, None):
            raise _malformed("Give `equals`, `starts_with` or `below`", f"#/events/{index}/when")


def _check_identifiers(mapping: RowMapping) -> None:
    for kind in mapping.identifiers:
        if kind not in DEFAULT_TYPES and not _EXTERNAL.fullmatch(kind):
            known = ", ".join(DEFAULT_TYPES)
            raise _malformed(f"Use one of {known}, or external_id.<scheme>", f"#/identifiers/{kind}")
    if mapping.alias and "user_id" not in mapping.identifiers:
        raise _malformed("An alias needs the person's user_id among the identifiers", "#/alias")
    if not mapping.events and not mapping.identifiers:
        raise _malformed("Name the columns that say who a person is", "#/identifiers")
    if mapping.provider and not _PROVIDER.fullmatch(mapping.provider.name):
        raise _malformed("Write the name with lower-case letters, digits, - and _", "#/provider/name")


def _check_message_id(mapping: RowMapping) -> None:
    for _, field, form, conversion in string.Formatter().parse(mapping.message_id):
        if field is not None and (form or conversion or not _COLUMN.fullmatch(field)):
            raise _malformed("Write only {column} between the texts", "#/message_id")
        if field is not None and field.startswith("@") and field not in MADE_COLUMNS:
            raise _malformed("Beside columns there are only {@content} and {@row}", "#/message_id")
    if "{" not in mapping.message_id:
        raise _malformed("Name at least one {column}", "#/message_id")


def _check_source(source: Source, pointer: str) -> None:
    if isinstance(source, str):
        return
    given = [source.column, source.value, source.sum, source.rows]
    if sum(part is not None for part in given) != 1:
        raise _malformed("Give exactly one of `column`, `value`, `sum` and `rows`", pointer)
    if source.format is not None:
        _check_format(source.format, f"{pointer}/format")
    if not 0 <= source.minor_digits <= 6:  # noqa: PLR2004 - money is kept in millionths
        raise _malformed("Write from 0 to 6", f"{pointer}/minor_digits")
    for name, inner in (source.rows or {}).items():
        _check_source(inner, f"{pointer}/rows/{name}")


def _check_format(form: str, pointer: str) -> None:
    if form not in EPOCHS and "%" not in form:
        raise _malformed("Write it as strptime has it, such as %d.%m.%Y, or epoch or epoch_ms", pointer)


def _check_time(mapping: RowMapping) -> None:
    timestamp = mapping.timestamp
    if timestamp is None:
        return
    try:
        ZoneInfo(timestamp.zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise _malformed("No such time zone; write one like Europe/London", "#/timestamp/zone") from error
    if bool(timestamp.column) == (timestamp.value is not None):
        raise _malformed("Give either a `column` or a `value`", "#/timestamp")
    if timestamp.format is not None:
        _check_format(timestamp.format, "#/timestamp/format")
    if timestamp.value is not None:
        try:
            datetime.fromisoformat(timestamp.value)
        except ValueError as error:
            raise _malformed("Write a time as 2026-01-31 or 2026-01-31T12:00:00Z", "#/timestamp/value") from error


def _check_file(mapping: RowMapping) -> None:
    delimiter = mapping.file.delimiter
    if delimiter is not None and not _DELIMITER.fullmatch(delimiter):
        raise _malformed("Write one character, as ; or a tab", "#/file/delimiter")


def mapped_columns(mapping: RowMapping) -> set[str]:
    """Every column that the mapping reads; a file must have them all."""
    names = key_columns(mapping)
    if mapping.alias:
        names.add(mapping.alias.previous_id)
    for rule in mapping.events:
        names.update(rule.negate, [rule.when.column] if rule.when else [])
    for sources in _parts(mapping).values():
        for source in sources.values():
            names.update(_source_columns(source))
    return names


def key_columns(mapping: RowMapping) -> set[str]:
    """The columns that name a row, its time and its person."""
    names = {*mapping.group_by, *mapping.identifiers.values()}
    names.update(name for _, name, _, _ in string.Formatter().parse(mapping.message_id) if name)
    if mapping.timestamp and mapping.timestamp.column:
        names.add(mapping.timestamp.column)
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
