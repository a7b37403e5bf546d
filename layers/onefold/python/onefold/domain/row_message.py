"""Rows become messages of the tracking API, by a mapping."""

import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, Inexact, InvalidOperation
from hashlib import blake2b
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from onefold.domain.cell import EXACT, CellError, boolean_of, cell_reader, instant_of, is_empty, number_of, text_of
from onefold.domain.errors import MappingInvalid
from onefold.domain.mapping import Condition, RowMapping, Source, Value
from onefold.domain.message_id import MESSAGE_ID_CHARACTERS_MAX

Row = Mapping[str, object]
Message = dict[str, object]
Told = dict[tuple[str, ...], Message]  # person → traits that were sent last

ROWS_PER_MESSAGE_MAX: Final = 10_000
TRAITS_REMEMBERED_MAX: Final = 100_000
# What is appended to a message's id for the messages beside it.
SUFFIX_CHARACTERS_MAX: Final = len("/traits")

_Reader = Callable[[Sequence[Row], Sequence[str]], object]


class RowInvalid(MappingInvalid):
    """A row from which no message can be made; the pointer is empty, for the caller knows its place."""


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
    mapper, told = RowMapper(mapping), Told()
    for _, group in groupby(enumerate(rows, start=1), key=lambda item: mapper.group_key(item[1]) or item[0]):
        members = list(group)
        try:
            yield from mapper.messages([row for _, row in members], told)
        except RowInvalid as error:
            raise MappingInvalid(error.reason, error.detail, pointer=f"row {members[0][0]}") from error


class RowMapper:
    """A mapping made ready, for many rows."""

    def __init__(self, mapping: RowMapping, *, now: str = "") -> None:
        """Take the mapping, and the time (ISO 8601) of what it gives no time."""
        self.mapping = mapping
        self._zone = ZoneInfo(mapping.timestamp.zone if mapping.timestamp else "UTC")
        self._id_parts = [(literal, name) for literal, name, _, _ in string.Formatter().parse(mapping.message_id)]
        self._properties = self._readers(mapping.properties)
        prefix = f"{mapping.provider.name}." if mapping.provider else ""
        self._traits = self._readers({f"{prefix}{name}": source for name, source in mapping.traits.items()})
        self._context = self._readers(mapping.context)
        self._consents = self._readers(mapping.consents)
        self._fixed_time = now
        if mapping.timestamp and mapping.timestamp.value is not None:
            self._fixed_time = instant_of(mapping.timestamp.value, "timestamp", self._zone)
        self._provider = msgspec.to_builtins(mapping.provider) if mapping.provider else None

    def group_key(self, row: Row) -> tuple[object, ...]:
        """What the rows of one message share; empty where each row is one."""
        return tuple(row.get(name) for name in self.mapping.group_by)

    def messages(self, rows: Sequence[Row], told: Told) -> list[Message]:
        """The messages of one group of rows: identify, alias, track, as the mapping has it; none where no event fits.

        Args:
            rows: At least one.
            told: The traits that were sent; changed here.

        Raises:
            RowInvalid: A value is missing or unreadable.
        """
        try:
            return self._messages(rows, told)
        except KeyError as error:
            raise RowInvalid("column_missing", f"There is no column {error}") from error
        except CellError as error:
            raise RowInvalid("value_unreadable", str(error)) from error
        except (ValueError, InvalidOperation, Inexact, OverflowError) as error:
            raise RowInvalid("value_unreadable", "A value is not of the declared type; check the columns") from error

    def _messages(self, rows: Sequence[Row], told: Told) -> list[Message]:
        mapping, first = self.mapping, rows[0]
        rule = next((rule for rule in mapping.events if rule.when is None or self._holds(rule.when, first)), None)
        if rule is None and mapping.events:
            return []
        if len(rows) > ROWS_PER_MESSAGE_MAX:
            raise CellError(f"More than {ROWS_PER_MESSAGE_MAX} rows make one message; check `group_by`")
        named = self._identifiers(first)
        if rule is None and not named:
            raise RowInvalid("identifier_missing", "The row names nobody: every identifier is empty")
        common: Message = {**self._time(first), **_address(named)}
        context = self._message_context(rows, named)
        if context:
            common["context"] = context
        message_id = self._message_id(first)
        properties = _values(self._properties, rows, rule.negate) if rule else {}
        aliases = self._alias(mapping.alias.previous_id, first, message_id, common) if mapping.alias else []
        # Last of what can fail: a row that is refused must not leave its traits among those that were told.
        traits = self._new_traits(rows, named, told, always=rule is None)
        messages: list[Message] = []
        if traits or (rule is None and not aliases):
            name = f"{message_id}/traits" if rule else message_id
            messages.append({"type": "identify", "messageId": name, **common, "traits": traits})
        messages += aliases
        if rule:
            track = {"type": "track", "messageId": message_id, "event": rule.event, **common}
            messages.append({**track, "properties": properties})
        return messages

    def _new_traits(self, rows: Sequence[Row], named: Mapping[str, str], told: Told, *, always: bool) -> Message:
        traits = _values(self._traits, rows, ()) if named else {}
        if always or not traits:
            return traits
        person = tuple(sorted(f"{kind}:{value}" for kind, value in named.items()))
        if told.get(person) == traits:
            return {}
        told.pop(person, None)
        told[person] = traits
        if len(told) > TRAITS_REMEMBERED_MAX:
            told.pop(next(iter(told)))
        return traits

    def _alias(self, column: str, row: Row, message_id: str, common: Message) -> list[Message]:
        previous = text_of(row[column])
        if not previous or "userId" not in common or previous == common["userId"]:
            return []
        return [{"type": "alias", "messageId": f"{message_id}/alias", **common, "previousId": previous}]

    def _holds(self, condition: Condition, row: Row) -> bool:
        value = row[condition.column]
        if condition.equals is not None and text_of(value) != str(condition.equals):
            return False
        if condition.starts_with is not None and not text_of(value).startswith(condition.starts_with):
            return False
        if condition.below is None:
            return True
        return not is_empty(value) and number_of(value, condition.column, self.mapping.decimal) < condition.below

    def _identifiers(self, row: Row) -> dict[str, str]:
        texts = {kind: text_of(row[column]) for kind, column in self.mapping.identifiers.items()}
        return {kind: text for kind, text in texts.items() if text}

    def _message_context(self, rows: Sequence[Row], named: Mapping[str, str]) -> Message:
        context: Message = {}
        external = [
            {"id": value, "type": kind.removeprefix("external_id."), "collection": "users", "encoding": "none"}
            for kind, value in named.items()
            if kind not in _PLACES
        ]
        if external:
            context["externalIds"] = external
        for name, value in _values(self._context, rows, ()).items():
            place = context
            *parents, leaf = name.split(".")
            for parent in parents:
                inner = place.setdefault(parent, {})
                if not isinstance(inner, dict):
                    raise CellError("Two names of the context claim one place")
                place = inner
            place[leaf] = value
        if self._provider is not None:
            context["provider"] = self._provider
        consents = _values(self._consents, rows, ())
        if consents:
            preferences = {purpose: boolean_of(given, purpose) for purpose, given in consents.items()}
            context["consent"] = {"categoryPreferences": preferences}
        return context

    def _message_id(self, row: Row) -> str:
        parts: list[str] = []
        for literal, name in self._id_parts:
            parts.append(literal)
            if name is not None:
                text = text_of(row[name])
                if not text:
                    raise CellError(f"The column {name} is empty, so the message has no id")
                parts.append(text)
        return _shortened("".join(parts))

    def _time(self, row: Row) -> Message:
        timestamp = self.mapping.timestamp
        if timestamp and timestamp.column:
            value = row[timestamp.column]
            return {"timestamp": instant_of(value, timestamp.column, self._zone, timestamp.format)}
        return {"timestamp": self._fixed_time} if self._fixed_time else {}

    def _readers(self, sources: Mapping[str, Source]) -> list[tuple[str, _Reader]]:
        return [(name, self._reader(source)) for name, source in sources.items()]

    def _reader(self, source: Source) -> _Reader:
        value = Value(column=source) if isinstance(source, str) else source
        if value.sum is not None:
            columns = value.sum
            return lambda rows, negate: self._sum_of_products(rows, columns, negate, value)
        if value.rows is not None:
            fields = self._readers(value.rows)
            return lambda rows, negate: [_values(fields, [row], negate) for row in rows]
        if value.column is None:
            return lambda _, __: value.value
        return self._column_reader(value.column, value)

    def _column_reader(self, column: str, value: Value) -> _Reader:
        decimal = self.mapping.decimal
        read = cell_reader(value.type, decimal, value.minor_digits, self._zone, value.format)
        turns = cell_reader(value.type or "number", decimal, value.minor_digits, self._zone, value.format)

        def read_first(rows: Sequence[Row], negate: Sequence[str]) -> object:
            cell = rows[0][column]
            if is_empty(cell):
                return None
            if column in negate:
                number = turns(cell, column)
                return EXACT.minus(number) if isinstance(number, Decimal) else number
            return read(cell, column)

        return read_first

    def _sum_of_products(
        self, rows: Sequence[Row], columns: Sequence[str], negate: Sequence[str], value: Value
    ) -> Decimal:
        read = cell_reader("money", self.mapping.decimal, 0, self._zone, None)
        total = Decimal(0)
        for row in rows:
            product = Decimal(-1 if sum(column in negate for column in columns) % 2 else 1)
            for column in columns:
                factor = read(row[column], column)
                product = EXACT.multiply(product, factor)  # type: ignore[arg-type]
            total = EXACT.add(total, product)
        return total.scaleb(-value.minor_digits, EXACT) if value.minor_digits else total


_PLACES: Final = {"user_id": "userId", "anonymous_id": "anonymousId"}


def _address(named: Mapping[str, str]) -> Message:
    """Two identifiers have a field of their own; the others travel in the context."""
    return {_PLACES[kind]: value for kind, value in named.items() if kind in _PLACES}


def _shortened(message_id: str) -> str:
    """A message id longer than the tracking API takes keeps its beginning, and ends in a digest of the whole."""
    room = MESSAGE_ID_CHARACTERS_MAX - SUFFIX_CHARACTERS_MAX
    if len(message_id) <= room:
        return message_id
    digest = blake2b(message_id.encode(), digest_size=16).hexdigest()
    return f"{message_id[: room - len(digest) - 1]}~{digest}"


def _values(readers: Sequence[tuple[str, _Reader]], rows: Sequence[Row], negate: Sequence[str]) -> Message:
    values = {name: read(rows, negate) for name, read in readers}
    return {name: value for name, value in values.items() if value is not None}


_encoder = msgspec.json.Encoder(decimal_format="number")


def encode_message(message: Mapping[str, object]) -> bytes:
    """A message as JSON; decimals keep their digits."""
    return _encoder.encode(message)
