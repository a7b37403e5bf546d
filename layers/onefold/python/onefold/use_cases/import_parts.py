"""Rows that make one message may lie anywhere in a file: they are dealt into parts first, each of which fits memory.

A span of the file is read, and each of its rows goes to the part that its key says. Then part after part is loaded, and
its rows brought together. What is kept on the way is named by file, part and span, so a span dealt twice is the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Final

import msgspec

from onefold.domain.cell import text_of
from onefold.domain.errors import MappingInvalid
from onefold.domain.import_file import Import, Place
from onefold.domain.table_text import Fault, Row
from onefold.use_cases.import_ports import ImportStore

PART_BYTES: Final = 8 * 1_024 * 1_024  # of the file's text, about
SPAN_BYTES: Final = 32 * 1_024 * 1_024
PART_BYTES_MAX: Final = 128 * 1_024 * 1_024  # more rows than this under one key are no message
PARTS_MAX: Final = 2_000

_DECIMAL, _INSTANT, _DATE = 1, 2, 3

Key = tuple[object, ...]


@dataclass(slots=True)
class Dealt:
    """One span.

    Attributes:
        place: Behind it.
        refused: Rows that belong to no part.
    """

    place: Place
    rows: int = 0
    refused: list[tuple[Row, Fault]] = field(default_factory=list)


def part_count(plain_size: int) -> int:
    return min(PARTS_MAX, max(1, -(-plain_size // PART_BYTES)))


def deal(rows: Iterator[tuple[Row, Place]], known: Import, key_of: Callable[[Row], Key], store: ImportStore) -> Dealt:
    """Deal one span of a file's rows into parts, and keep them.

    Raises:
        Unavailable: They cannot be kept.
    """
    dealt = Dealt(known.place)
    parts: dict[int, bytearray] = {}
    size = 0
    for row, place in rows:
        dealt.place = place
        dealt.rows += 1
        fault = row.fault
        key = () if fault else key_of(row)
        if fault is None and not any(text_of(value) for value in key):
            fault = Fault("group_key_missing", "The columns that bring rows together are empty")
        if fault is not None:
            dealt.refused.append((row, fault))
        else:
            parts.setdefault(_part_of(key, known.parts), bytearray()).extend(_pack(row))
        size += len(row.raw)
        if size >= SPAN_BYTES or len(dealt.refused) >= REFUSED_IN_SPAN_MAX:
            break
    store.put_parts(known.work_name, known.spans, {part: bytes(packed) for part, packed in parts.items()})
    return dealt


REFUSED_IN_SPAN_MAX: Final = 1_000


def groups(known: Import, key_of: Callable[[Row], Key], store: ImportStore) -> Iterator[tuple[list[Row], Place]]:
    """The rows of each message, from the import's place on, with the place behind them.

    Raises:
        MappingInvalid: Too many rows have one key.
        Unavailable: They cannot be loaded.
    """
    skipped = known.place.line
    for part in range(known.place.at, known.parts):
        together: dict[Key, list[Row]] = {}
        packed = store.load_part(known.work_name, part, known.spans)
        if sum(map(len, packed)) > PART_BYTES_MAX:
            raise MappingInvalid("group_too_large", "Too many rows have the same values in `group_by`")
        for row in _unpack(packed):
            together.setdefault(tuple(text_of(value) for value in key_of(row)), []).append(row)
        last = len(together)
        for number, rows in enumerate(together.values(), start=1):
            if number > skipped:
                yield rows, Place(part + 1) if number == last else Place(part, number)
        skipped = 0


def _part_of(key: Key, parts: int) -> int:
    name = "\0".join(text_of(value) for value in key).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big") % parts


def _pack(row: Row) -> bytes:
    values = {name: _portable(value) for name, value in row.values.items()}
    body = _encode((row.at, row.line, row.raw, values))
    return len(body).to_bytes(4, "big") + body


def _portable(value: object) -> object:
    """What MessagePack would turn into a text keeps its type."""
    if isinstance(value, Decimal):
        return msgspec.msgpack.Ext(_DECIMAL, str(value).encode())
    if isinstance(value, datetime):
        return msgspec.msgpack.Ext(_INSTANT, value.isoformat().encode())
    return msgspec.msgpack.Ext(_DATE, value.isoformat().encode()) if isinstance(value, date) else value


def _typed(code: int, data: memoryview) -> object:
    text = bytes(data).decode()
    if code == _DECIMAL:
        return Decimal(text)
    return datetime.fromisoformat(text) if code == _INSTANT else date.fromisoformat(text)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int, bytes, dict[str, object]], ext_hook=_typed).decode


def _unpack(spans: list[bytes]) -> Iterator[Row]:
    for packed in spans:
        begun = 0
        while begun < len(packed):
            end = begun + 4 + int.from_bytes(packed[begun : begun + 4], "big")
            at, line, raw, values = _decode(packed[begun + 4 : end])
            yield Row(at, line, raw, values)
            begun = end
