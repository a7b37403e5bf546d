"""Money: exact to the millionth, and nothing that is no sum."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.domain.money import AMOUNT_MAX, from_micros, to_micros


@pytest.mark.parametrize(
    ("amount", "micros"),
    [
        ("12.5", 12_500_000),
        ("-0.01", -10_000),
        ("0.0000005", 0),
        ("0.0000015", 2),
        ("1E+3", 1_000_000_000),
        ("1000000000000", 10**18),
        ("1000000000000.000001", None),
        ("NaN", None),
        ("sNaN", None),
        ("Infinity", None),
        ("1e999999", None),
    ],
)
def test_an_amount_in_millionths(amount: str, micros: int | None) -> None:
    assert to_micros(Decimal(amount)) == micros


@pytest.mark.parametrize(
    ("micros", "text"),
    [(12_500_000, "12.50"), (1_000, "0.001"), (0, "0.00"), (-1, "-0.000001"), (10**18, "1000000000000.00")],
)
def test_the_text_of_an_amount(micros: int, text: str) -> None:
    assert from_micros(micros) == text


@given(st.integers(-int(AMOUNT_MAX) * 1_000_000, int(AMOUNT_MAX) * 1_000_000))
def test_what_is_written_reads_the_same(micros: int) -> None:
    assert to_micros(Decimal(from_micros(micros))) == micros
