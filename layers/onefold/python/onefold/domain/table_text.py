"""Tables as text: CSV records and JSON lines, each with its place, and what is wrong with those that cannot be read."""

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from onefold.domain.errors import MappingInvalid
from onefold.domain.text_file import BYTE_ORDER_MARK, LINE_BYTES_MAX, Encoding, Line

DELIMITERS: Final = ",;\t|"
# A quotation mark that nobody closes would swallow the rest of the file.
RECORD_LINES_MAX: Final = 200
HEADER_SAMPLE_ROWS: Final = 100
NESTING_MAX: Final = 8

csv.field_size_limit(LINE_BYTES_MAX)  # of the process; its own limit is an eighth of that
_decode_object = msgspec.json.Decoder(dict[str, object]).decode


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row cannot be used: a slug, and a sentence without its values; `version` is that of the rule."""

    reason: str
    detail: str
    version: str = "1"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Attributes:
        at: Where reading can begin again to meet this row first.
        line: Number of its first line from 1; of a Parquet file the number of the row.
        raw: As it lies in the file; of a Parquet file as JSON.
        values: Column → value; empty where there is a fault.
    """

    at: int
    line: int
    raw: bytes
    values: dict[str, object]
    fault: Fault | None = None


def decoded(raw: bytes, encoding: Encoding) -> str:
    """A line's text. UTF-16 has become UTF-8 on the way.

    Raises:
        UnicodeDecodeError: It is not in this encoding.
    """
    return raw.decode("cp1252" if encoding == "cp1252" else "utf-8")


def csv_rows(lines: Iterable[Line], columns: Sequence[str], delimiter: str, encoding: Encoding) -> Iterator[Row]:
    """Read records; a line that cannot be one is given with its fault, and reading goes on behind it."""
    waiting: deque[Line] = deque()
    more = iter(lines)
    width = len(columns)
    mark = ord('"')

    def following() -> Line | None:
        return waiting.popleft() if waiting else next(more, None)

    while (line := following()) is not None:
        raw = line.raw
        if mark not in raw:
            row = _plain_row(line, columns, delimiter, encoding, width)
            if row is not None:
                yield row
            continue
        taken = [line]
        cells, fault = _quoted_cells(taken, following, delimiter, encoding)
        if fault is None and len(cells) != width:
            fault = _width_fault(len(cells), width)
        if fault is not None and len(taken) > 1:
            # The mark that began it was none: this line alone is at fault, and those after it are read anew.
            waiting.extendleft(reversed(taken[1:]))
            taken = taken[:1]
        whole = raw if len(taken) == 1 else b"".join(each.raw for each in taken)
        yield Row(line.at, line.number, whole, {} if fault else dict(zip(columns, cells, strict=True)), fault)


def _plain_row(line: Line, columns: Sequence[str], delimiter: str, encoding: Encoding, width: int) -> Row | None:
    if line.length > LINE_BYTES_MAX:
        return Row(line.at, line.number, line.raw, {}, _TOO_LONG)
    try:
        text = decoded(line.raw, encoding)
    except UnicodeDecodeError:
        return Row(line.at, line.number, line.raw, {}, _encoding_fault(encoding))
    text = text.rstrip("\r\n")
    if not text and width > 1:
        return None  # an empty line is a row only where there is one column
    cells = text.split(delimiter)
    if len(cells) != width:
        return Row(line.at, line.number, line.raw, {}, _width_fault(len(cells), width))
    if encoding == "utf-16" and "\ufffd" in text:
        return Row(line.at, line.number, line.raw, {}, _encoding_fault(encoding))
    return Row(line.at, line.number, line.raw, dict(zip(columns, cells, strict=True)))


def _quoted_cells(
    taken: list[Line], following: Callable[[], Line | None], delimiter: str, encoding: Encoding
) -> tuple[list[str], Fault | None]:
    """The cells of a record that begins in `taken`, to which the further lines that it needs are added."""
    text = ""
    size = 0
    while True:
        line = taken[-1]
        size += line.length
        if size > LINE_BYTES_MAX:
            return [], _TOO_LONG
        try:
            text += decoded(line.raw, encoding)
        except UnicodeDecodeError:
            return [], _encoding_fault(encoding)
        try:
            return next(csv.reader([text.rstrip("\r\n")], delimiter=delimiter, strict=True), []), None
        except csv.Error as error:
            if "unexpected end" not in str(error):
                return [], Fault("row_malformed", f"The line is no CSV: {error}")
        after = following() if len(taken) < RECORD_LINES_MAX else None
        if after is None:
            return [], Fault("quote_unclosed", "A quotation mark begins a value and nothing ends it")
        taken.append(after)


_TOO_LONG: Final = Fault("row_too_long", f"The row is longer than {LINE_BYTES_MAX} bytes; its beginning is kept")


def _width_fault(found: int, width: int) -> Fault:
    values = "1 value" if found == 1 else f"{found} values"
    return Fault("row_malformed", f"The row has {values}, the header has {width}")


def _encoding_fault(encoding: Encoding) -> Fault:
    return Fault("text_not_readable", f"The row is not text in {encoding}")


def json_rows(lines: Iterable[Line]) -> Iterator[Row]:
    """Read JSON Lines; what is nested becomes columns with dots, `customer.email`."""
    for line in lines:
        if line.length > LINE_BYTES_MAX:
            yield Row(line.at, line.number, line.raw, {}, _TOO_LONG)
            continue
        text = line.raw.strip()
        if not text:
            continue
        try:
            yield Row(line.at, line.number, line.raw, _Sparse(_flat(_decode_object(text))))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            fault = Fault("json_invalid", "The line is not a JSON object (NaN and Infinity are none)")
            yield Row(line.at, line.number, line.raw, {}, fault)


class _Sparse(dict[str, object]):
    """A row in which a column may be left out."""

    def __missing__(self, column: str) -> None:
        return None


def _flat(document: dict[str, object], prefix: str = "", level: int = 1) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in document.items():
        if isinstance(value, dict) and value and level < NESTING_MAX:
            values |= _flat(value, f"{prefix}{name}.", level + 1)
        else:
            values[f"{prefix}{name}"] = value
    return values


def without_mark(raw: bytes) -> bytes:
    return raw.removeprefix(BYTE_ORDER_MARK)


def choose_delimiter(sample: Sequence[str]) -> str:
    """Whichever splits the lines most often into one and the same number of cells, the more the better."""

    def evidence(delimiter: str) -> tuple[int, int]:
        widths = [len(row) for row in _cells(sample, delimiter) if row]
        if not widths:
            return 0, 0
        agreeing = sum(width == widths[0] for width in widths)
        return (agreeing if widths[0] > 1 else 0), widths[0]

    return max(DELIMITERS, key=evidence)


def _cells(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    with suppress(csv.Error):  # what was read until then tells enough
        rows.extend(csv.reader(lines, delimiter=delimiter))
    return rows


def column_names(first: str, delimiter: str, *, header: bool) -> tuple[str, ...]:
    """The columns' names from the first record.

    Raises:
        MappingInvalid: There are none, or two have one name.
    """
    cells = next(csv.reader([first.rstrip("\r\n")], delimiter=delimiter), [])
    if not header:
        return tuple(f"column{number}" for number in range(1, len(cells) + 1))
    names = [cell.strip() or f"column{number}" for number, cell in enumerate(cells, start=1)]
    if not names:
        raise MappingInvalid("header_missing", "The file is empty, or its first line names no columns")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise MappingInvalid("header_ambiguous", f"Two columns are called {repeated}; rename one")
    return tuple(names)
