"""Money: exact, in millionths of the currency's unit, so that no price list is too fine and no sum drifts."""

from decimal import Decimal, InvalidOperation
from typing import Final

MICROS: Final = 1_000_000
AMOUNT_MAX: Final = Decimal(10) ** 12  # what fits 64 bits many times over; beyond it nobody sells anything


def to_micros(amount: Decimal) -> int | None:
    """Millionths of a unit, rounded half to even beyond the sixth decimal; None where the amount is no sum of money."""
    if not amount.is_finite() or abs(amount) > AMOUNT_MAX:
        return None
    try:
        return int((amount * MICROS).to_integral_value())
    except InvalidOperation:
        return None


def from_micros(micros: int) -> str:
    """Decimal text with at least two decimals and no needless zeros: `12.50`, `0.001`."""
    whole, fraction = divmod(abs(micros), MICROS)
    digits = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole}.{digits}"
