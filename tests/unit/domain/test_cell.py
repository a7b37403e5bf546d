"""Cells are read exactly as files write them, or not at all."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from onefold.domain.cell import CellError, boolean_of, instant_of, money_of, number_of, text_of

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "mark", "expected"),
    [
        ("12.50", ".", "12.50"),
        ("1,234.50", ".", "1234.50"),
        ("1,234,567", ".", "1234567"),
        ("12,50", ",", "12.50"),
        ("1.234,50", ",", "1234.50"),
        ("1.234", ",", "1234"),
        ("1\u202f234,5", ",", "1234.5"),
        ("1'234.50", ".", "1234.50"),
        ("-7", ",", "-7"),
        ("1e3", ".", "1000"),
    ],
)
def test_numbers_are_read_with_the_mark_that_the_file_uses(text: str, mark: str, expected: str) -> None:
    assert number_of(text, "n", mark) == Decimal(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("12,50", "."),
        ("1,23,4", "."),
        ("1.23", ","),
        ("1.2345,6", ","),
        ("", "."),
        ("NaN", "."),
        ("Infinity", ","),
        ("x", "."),
    ],
)
def test_what_could_be_two_numbers_is_none(text: str, mark: str) -> None:
    with pytest.raises(CellError) as caught:
        number_of(text, "price", mark)  # type: ignore[arg-type]

    assert "price" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "mark", "digits", "expected"),
    [
        ("€ 12,50", ",", 0, "12.50"),
        ("12.50 USD", ".", 0, "12.50"),
        ("$1,234.56", ".", 0, "1234.56"),
        ("(3.20)", ".", 0, "-3.20"),
        ("3,20-", ",", 0, "-3.20"),
        ("£-4", ".", 0, "-4"),
        ("1999", ".", 2, "19.99"),
    ],
)
def test_money_may_wear_its_currency_and_count_cents(text: str, mark: str, digits: int, expected: str) -> None:
    assert money_of(text, "paid", mark, digits) == Decimal(expected)  # type: ignore[arg-type]


def test_a_float_counts_as_the_text_that_shows_it() -> None:
    assert number_of(2.55, "n") == Decimal("2.55")
    assert text_of(17850.0) == "17850"
    assert text_of(float("nan")) == ""


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        ("2024-07-01 10:00", None, "2024-07-01T08:00:00.000Z"),
        ("2024-01-01 10:00", None, "2024-01-01T09:00:00.000Z"),
        ("2024-07-01T10:00:00-04:00", None, "2024-07-01T14:00:00.000Z"),
        ("01.07.2024 10:00", "%d.%m.%Y %H:%M", "2024-07-01T08:00:00.000Z"),
        ("1719820800", "epoch", "2024-07-01T08:00:00.000Z"),
        (1_719_820_800_123, "epoch_ms", "2024-07-01T08:00:00.123Z"),
        (date(2024, 7, 1), None, "2024-06-30T22:00:00.000Z"),
        (datetime(2024, 7, 1, 8, tzinfo=UTC), None, "2024-07-01T08:00:00.000Z"),
    ],
)
def test_times_are_read_where_they_were_written(value: object, form: str | None, expected: str) -> None:
    assert instant_of(value, "at", BERLIN, form) == expected


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("yesterday", None),
        ("01.07.2024", None),
        ("1e300", "epoch"),
        (True, None),
        ("0001-01-01", None),
        ("NaN", "epoch"),
    ],
)
def test_what_is_no_time_is_refused_by_its_column(value: object, form: str | None) -> None:
    with pytest.raises(CellError, match="sold_at"):
        instant_of(value, "sold_at", BERLIN, form)


@pytest.mark.parametrize(("word", "expected"), [("ja", True), ("Y", True), ("1", True), ("NEIN", False), (0, False)])
def test_yes_and_no_are_known_in_the_words_of_exports(word: object, expected: bool) -> None:
    assert boolean_of(word, "newsletter") is expected


def test_a_word_that_is_neither_is_refused_without_being_repeated() -> None:
    with pytest.raises(CellError) as caught:
        boolean_of("perhaps", "newsletter")

    assert "perhaps" not in str(caught.value)
