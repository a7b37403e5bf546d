"""Numbers from strangers: exact, or kept as their text; never changed in silence."""

import sys
from decimal import Context, Decimal, InvalidOperation
from typing import Final

# Up to fifteen digits come back from a double as they went in; a point makes sixteen characters of them.
SAFE_CHARACTERS_MAX: Final = 16
_MAX: Final = sys.float_info.max
_MIN: Final = sys.float_info.min  # below it a double loses digits
DIGITS_PRINTED_MAX: Final = 800  # no double has more significant digits than 767


def exact_float(text: str) -> float | Decimal:
    """Read a JSON number that has a point or an exponent: a float where that is what was meant, else a Decimal.

    A text is what its double prints, at whatever length (0.1, 0.10000000000000001, 0.1000000000000000056), or it has
    digits that a double would lose, and stays exact as a Decimal, which `json_text.mend` keeps as text.

    Raises:
        ValueError: No double is that large, or no Decimal that small.
    """
    number = float(text)
    # Spelled out rather than with abs(): this runs for every price in every event.
    if len(text) <= SAFE_CHARACTERS_MAX and (_MIN <= number <= _MAX or -_MAX <= number <= -_MIN):
        return number
    if abs(number) > _MAX:
        raise ValueError("Number out of range")
    return _number_or_text(text, number)


def _number_or_text(text: str, number: float) -> float | Decimal:
    try:
        written, stored = Decimal(text), Decimal(number)
    except InvalidOperation as error:  # an exponent of eighteen digits
        if not text.upper().partition("E")[0].strip("-0."):
            return number
        raise ValueError("Number out of range") from error
    if written in (stored, Decimal(repr(number))):
        return number
    digits = len(written.as_tuple().digits)
    printed = number != 0 and digits <= DIGITS_PRINTED_MAX and Context(prec=digits).create_decimal(stored) == written
    return number if printed else written
