"""What a sample of a table's values tells of its columns: their types, and what their names say they are."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

from onefold.domain.cell import CellError, DecimalMark, boolean_of, is_empty, money_of, text_of

Look = Literal["empty", "integer", "number", "money", "boolean", "time", "email", "phone", "text"]

SHARE_MIN: Final = 0.95  # of the values that are there; the rest are mistakes, which the import will refuse
VALUES_MAX: Final = 500
EPOCH_RANGE: Final = (946_684_800, 4_102_444_800)  # the years 2000 to 2100

_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
_PHONE: Final = re.compile(r"\+?[\d\s()/.\-]{7,20}")
_INTEGER: Final = re.compile(r"[+-]?\d{1,15}")
_CODE: Final = re.compile(r"0\d+")  # a number with a leading zero is a name
_SIGN: Final = re.compile(r"[€$£¥]|\b[A-Z]{3}\b")
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-zäöüß]+|\d+")
_DATES: Final = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y")
_CLOCKS: Final = ("", " %H:%M", " %H:%M:%S", ", %H:%M", " %I:%M %p")
SIGNS: Final = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        words: Its name in lower-case words, `unit_price`.
        format: Of a time that is not ISO 8601.
        is_ambiguous: A time in which day and month could be either.
        currency: That the values show, or empty.
    """

    name: str
    words: str
    look: Look
    values: tuple[object, ...]
    is_unique: bool
    has_negative: bool = False
    format: str | None = None
    is_ambiguous: bool = False
    currency: str = ""

    @property
    def is_number(self) -> bool:
        return self.look in {"integer", "number", "money"}

    def says(self, pattern: str) -> bool:
        """Whether its name has these words."""
        return re.search(rf"(?:^|_)(?:{pattern})(?:_|$)", self.words) is not None


def look_at(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> tuple[list[Column], DecimalMark]:
    """Look at a sample.

    Returns:
        The columns, and what separates the fraction in its numbers.
    """
    values = {name: [row[name] for row in rows if not is_empty(row.get(name))] for name in columns}
    decimal = _decimal_mark(values.values())
    return [_column(name, values[name], len(rows), decimal) for name in columns], decimal


def _decimal_mark(columns: object) -> DecimalMark:
    """The comma, where more columns are numbers with it than with the point."""
    votes = {".": 0, ",": 0}
    for values in columns:  # type: ignore[attr-defined]
        texts = [value for value in values[:VALUES_MAX] if isinstance(value, str)]
        if not texts:
            continue
        fits = {mark: _share(texts, _money_test(mark)) >= SHARE_MIN for mark in votes}
        has = {mark: any(mark in text for text in texts) for mark in votes}
        for mark, other in ((".", ","), (",", ".")):
            votes[mark] += fits[mark] and has[mark] and not (fits[other] and mark != "." and not has[mark])
    both = votes[","] > votes["."]
    return "," if both else "."


def _money_test(mark: str) -> Callable[[object], bool]:
    def test(value: object) -> bool:
        try:
            money_of(value, "", "," if mark == "," else ".")
        except CellError:
            return False
        return True

    return test


def _share(values: Sequence[object], test: Callable[[object], bool]) -> float:
    return sum(map(test, values)) / len(values) if values else 0.0


def _column(name: str, values: Sequence[object], rows: int, decimal: DecimalMark) -> Column:
    words = "_".join(word.lower() for word in _WORD.findall(name)) or name.lower()
    sample = tuple(values[:VALUES_MAX])
    distinct = {text_of(value) for value in values}
    unique = len(values) == rows > 0 and len(distinct) == rows
    if not sample:
        return Column(name, words, "empty", (), is_unique=False)
    form, ambiguous = _time_format(sample, words)
    if form is not None:
        return Column(name, words, "time", sample, unique, format=form or None, is_ambiguous=ambiguous)
    look = _look(sample, words, decimal)
    negative, currency = False, ""
    if look in {"integer", "number", "money"}:
        numbers = [_number(value, decimal) for value in values]
        negative = any(number is not None and number < 0 for number in numbers)
        currency = next((_currency(str(value)) for value in sample if _currency(str(value))), "")
    return Column(name, words, look, sample, unique, has_negative=negative, currency=currency)


def _look(values: Sequence[object], words: str, decimal: DecimalMark) -> Look:
    texts = [text_of(value) for value in values]
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    if _share(texts, lambda text: _EMAIL.fullmatch(str(text)) is not None) >= SHARE_MIN:
        return "email"
    if re.search(r"phone|tel|mobil|handy", words) and _share(texts, lambda t: bool(_PHONE.fullmatch(str(t)))) > 0.5:  # noqa: PLR2004 - more than half
        return "phone"
    if any(_CODE.fullmatch(text) for text in texts):
        return "text"
    if all(isinstance(value, int) for value in values) or all(_INTEGER.fullmatch(text) for text in texts):
        return "integer"
    if _is_boolean(texts):
        return "boolean"
    if _share(values, _money_test(decimal)) >= SHARE_MIN:
        return "money" if any(_SIGN.search(text) for text in texts) else "number"
    return "text"


def _is_boolean(texts: Sequence[str]) -> bool:
    try:
        return len({boolean_of(text, "") for text in texts}) > 0 and len(set(texts)) <= 4  # noqa: PLR2004 - yes, no, and capitals
    except CellError:
        return False


def _number(value: object, decimal: DecimalMark) -> Decimal | None:
    try:
        return money_of(value, "", decimal)
    except CellError:
        return None


def _currency(text: str) -> str:
    found = _SIGN.search(text)
    return "" if found is None else SIGNS.get(found[0], found[0])


def _time_format(values: Sequence[object], words: str) -> tuple[str | None, bool]:
    """(strptime format, or "" for ISO 8601, or None where these are no times; whether day and month may be swapped)."""
    if all(isinstance(value, date) for value in values):
        return "", False
    named = re.search(r"date|time|datum|zeit|_at$|timestamp|day$|^at$|^ts$|created|updated|since", words) is not None
    if not all(isinstance(value, str) for value in values):
        return (_epoch(values) if named else None), False
    texts = [str(value).strip() for value in values]
    if all(text.isdigit() for text in texts):
        return (_epoch(texts) if named else None), False
    if _share(texts, lambda text: _parses(str(text), "")) >= SHARE_MIN:
        return "", False
    fitting = [
        f"{day}{clock}"
        for day in _DATES
        for clock in _CLOCKS
        if _share(texts[:50], lambda text, form=f"{day}{clock}": _parses(str(text), form)) >= SHARE_MIN  # type: ignore[misc]
        and _share(texts, lambda text, form=f"{day}{clock}": _parses(str(text), form)) >= SHARE_MIN  # type: ignore[misc]
    ]
    if not fitting:
        return None, False
    return fitting[0], any("/" in form for form in fitting) and len(fitting) > 1


def _epoch(values: Sequence[object]) -> str | None:
    try:
        numbers = [float(str(value)) for value in values]
    except ValueError:
        return None
    low, high = EPOCH_RANGE
    if all(low <= number < high for number in numbers):
        return "epoch"
    return "epoch_ms" if all(low * 1_000 <= number < high * 1_000 for number in numbers) else None


def _parses(text: str, form: str) -> bool:
    try:
        if form:
            datetime.strptime(text, form)  # noqa: DTZ007 - asked for its form only
        else:
            datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
