"""Cells: single values of a table, read exactly as the file writes them."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final, Literal
from zoneinfo import ZoneInfo

CellType = Literal["text", "number", "money", "boolean", "time"]
DecimalMark = Literal[".", ","]

# Money is multiplied and added without rounding; a result that would need it is an error, not a drift.
EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation])
EPOCHS: Final = frozenset(["epoch", "epoch_ms"])

_YES: Final = frozenset(["1", "true", "t", "yes", "y", "on", "ja", "j", "x", "oui", "si", "sí"])
_NO: Final = frozenset(["0", "false", "f", "no", "n", "off", "nein", "non"])
_CURRENCY: Final = re.compile(r"[A-Z]{3}|[€$£¥₹]|kr\.?|zł|Fr\.")
_PLAIN: Final = re.compile(r"[+-]?[\d.]+")
_GROUPED: Final = {
    ".": re.compile(r"[+-]?\d{1,3}(?:[,'\u2019\u00a0\u202f ]\d{3})+(?:\.\d+)?"),
    ",": re.compile(r"[+-]?\d{1,3}(?:[.'\u2019\u00a0\u202f ]\d{3})+(?:,\d+)?"),
}
_SEPARATORS: Final = re.compile(r"[.,'\u2019\u00a0\u202f ]")


class CellError(ValueError):
    """A value that cannot be used; the text names the column, never the value."""


def is_empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and value != value)  # noqa: PLR0124 - NaN


def text_of(value: object) -> str:
    """The value as an identifier or a part of a name; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, float):
        # A whole number in a column with gaps often arrives as a float; its name has no fraction.
        return "" if value != value else str(int(value)) if value.is_integer() else repr(value)  # noqa: PLR0124 - NaN
    return str(value).strip()


def number_of(value: object, column: str, decimal: DecimalMark = ".") -> Decimal:
    """The decimal that the file shows: a float counts as its shortest text, 2.55 and not 2.54999.

    Args:
        value: A number, or a text with or without separators of thousands.
        column: Its name, for the error.
        decimal: What separates the fraction in a text.

    Raises:
        CellError: It is no number.
    """
    if isinstance(value, bool):
        raise CellError(f"The column {column} holds no number")
    text = repr(value) if isinstance(value, float) else str(value).strip()
    if isinstance(value, str):
        text = _plain_number(text, decimal)
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise CellError(f"The column {column} holds no number") from error
    if not number.is_finite():
        raise CellError(f"The column {column} holds no number")
    return number


def _plain_number(text: str, decimal: DecimalMark) -> str:
    if decimal == "." and _PLAIN.fullmatch(text):
        return text
    if _GROUPED[decimal].fullmatch(text):
        whole, mark, fraction = text.rpartition(decimal) if decimal in text else (text, "", "")
        return f"{_SEPARATORS.sub('', whole)}{'.' if mark else ''}{fraction}"
    if decimal == "," and "." not in text:
        return text.replace(",", ".")
    return text if decimal == "." else "no number"


def money_of(value: object, column: str, decimal: DecimalMark = ".", minor_digits: int = 0) -> Decimal:
    """A sum of money: currency signs and codes around it are left out, `(1.50)` and `1.50-` are negative.

    Args:
        value: As the file has it.
        column: Its name, for the error.
        decimal: What separates the fraction in a text.
        minor_digits: 2 where the file counts cents.

    Raises:
        CellError: It is no number.
    """
    sign = 1
    if isinstance(value, str):
        value = _CURRENCY.sub("", value).strip()
        if value.startswith("(") and value.endswith(")"):
            value, sign = value[1:-1].strip(), -1
        elif value.endswith("-"):
            value, sign = value[:-1].strip(), -1
    number = number_of(value, column, decimal)
    number = EXACT.minus(number) if sign < 0 else number
    return number.scaleb(-minor_digits, EXACT) if minor_digits else number


def boolean_of(value: object, column: str) -> bool:
    """Yes or no in the words that exports use.

    Raises:
        CellError: It is neither.
    """
    if isinstance(value, bool):
        return value
    word = text_of(value).lower()
    if word in _YES or word in _NO:
        return word in _YES
    raise CellError(f"The column {column} is neither yes nor no")


def instant_of(value: object, column: str, zone: ZoneInfo, form: str | None = None) -> str:
    """A point in time as ISO 8601 in UTC.

    Args:
        value: A text, a date, or an epoch where `form` says so.
        column: Its name, for the error.
        zone: Where a value that names no zone was written.
        form: For strptime, or `epoch` (seconds) or `epoch_ms`; None reads ISO 8601.

    Raises:
        CellError: It is no time.
    """
    if form in EPOCHS:
        return _from_epoch(value, column, form or "")
    if isinstance(value, str):
        try:
            text = value.strip()
            value = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007 - zone below
        except ValueError as error:
            remedy = "as `format` has it" if form else "in ISO 8601; give `format`"
            raise CellError(f"The column {column} is no time {remedy}") from error
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - zone below
    if not isinstance(value, datetime):
        raise CellError(f"The column {column} holds no time")
    located = value if value.tzinfo else value.replace(tzinfo=zone)
    try:
        return iso(located)
    except OverflowError as error:
        raise CellError(f"The column {column} is a time out of range") from error


def _from_epoch(value: object, column: str, form: str) -> str:
    number = number_of(value, column)
    seconds = float(number) / 1_000 if form == "epoch_ms" else float(number)
    try:
        return iso(datetime.fromtimestamp(seconds, UTC))
    except (OverflowError, ValueError, OSError) as error:
        raise CellError(f"The column {column} is a time out of range") from error


def iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cell_reader(
    kind: CellType | None, decimal: DecimalMark, minor_digits: int, zone: ZoneInfo, form: str | None
) -> Callable[[object, str], object]:
    """How a column's values are read, where there are any; without a type as the file has them, floats exactly."""
    if kind == "text":
        return lambda value, _: text_of(value)
    if kind == "number":
        return lambda value, column: number_of(value, column, decimal)
    if kind == "money":
        return lambda value, column: money_of(value, column, decimal, minor_digits)
    if kind == "boolean":
        return boolean_of
    if kind == "time":
        return lambda value, column: instant_of(value, column, zone, form)
    return _as_written


def _as_written(value: object, _: str) -> object:
    if isinstance(value, float):
        return Decimal(repr(value))
    return value.isoformat() if isinstance(value, date) else value
