"""Google's Consent Mode: what its parameters `gcs` and `gcd`, as Google's tags send them, say of four types of consent.

Google documents neither; both are as observed and described by those who work with them.
"""

import re
from typing import Final

GCS_TYPES: Final = ("ad_storage", "analytics_storage")
GCD_TYPES: Final = ("ad_storage", "analytics_storage", "ad_user_data", "ad_personalization")

_GCS: Final = re.compile(r"G1([01\-])([01\-])")
_GCD: Final = re.compile(r"1\d([a-z])\d([a-z])\d([a-z])\d([a-z])(?:\d[a-z])*\d?")
# A letter tells the default and its update: denied before and after (q), granted by default and then denied (u), …
_GRANTED: Final = frozenset("tnrv")
_DENIED: Final = frozenset("pqmu")


def read_gcs(text: str) -> dict[str, bool] | None:
    """Of `G1` with a digit for each of two types; a type that is not set is absent. None for anything else."""
    match = _GCS.fullmatch(text)
    if match is None:
        return None
    return {name: mark == "1" for name, mark in zip(GCS_TYPES, match.groups(), strict=True) if mark != "-"}


def read_gcd(text: str) -> dict[str, bool] | None:
    """Of `11`, then a letter for each of four types with digits between; a type that is not set (`l`) is absent."""
    match = _GCD.fullmatch(text)
    if match is None:
        return None
    letters = dict(zip(GCD_TYPES, match.groups(), strict=True))
    return {name: letter in _GRANTED for name, letter in letters.items() if letter in _GRANTED | _DENIED}
