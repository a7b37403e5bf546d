"""The TC string of IAB Europe's Transparency and Consent Framework, version 2: which purposes it consents to.

Source: IAB Tech Lab, "Consent string and vendor list formats v2", section "The Core String".
"""

import binascii
from base64 import b64decode
from typing import Final

PURPOSES: Final = 11  # of the 24 bits; the others mean nothing yet
TEXT_CHARACTERS_MAX: Final = 8_000  # with all vendors, and segments that are not read

_VERSION_BITS: Final = 6
_VERSION: Final = 2
# version, created, last updated, CMP id and version, screen, language, vendor list, policy, two flags, special features
_PURPOSES_START: Final = 6 + 36 + 36 + 12 + 12 + 6 + 12 + 12 + 6 + 1 + 1 + 12
_CORE_BYTES_READ: Final = (_PURPOSES_START + 24 + 7) // 8


def read_tc_string(text: str) -> dict[int, bool] | None:
    """Purpose 1 to 11 → consented; None for what is no TC string of version 2.

    Legitimate interest is no consent, and is not read; nor are vendors.
    """
    core = text.partition(".")[0]
    if not core.isascii() or len(text) > TEXT_CHARACTERS_MAX:
        return None
    try:
        octets = b64decode(core.rstrip("=") + "=" * (-len(core.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    if len(octets) < _CORE_BYTES_READ or octets[0] >> (8 - _VERSION_BITS) != _VERSION:
        return None
    bits = int.from_bytes(octets[:_CORE_BYTES_READ])
    last = _CORE_BYTES_READ * 8 - 1
    return {number: bool(bits >> (last - _PURPOSES_START - number + 1) & 1) for number in range(1, PURPOSES + 1)}
