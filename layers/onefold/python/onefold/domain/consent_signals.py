"""What else than a consent object tells of consent: the browser's Sec-GPC, a TC string, Google's Consent Mode.

The texts stay in the context as they came. Decoded, each is a signal with a name of its own: `tcf.1` to `tcf.11`,
`ad_storage`, `analytics_storage`, `ad_user_data`, `ad_personalization`, and `sale_or_sharing`.
"""

from functools import lru_cache
from typing import Any, Final

from onefold.domain.google_consent_mode import GCD_TYPES, read_gcd, read_gcs
from onefold.domain.tcf import read_tc_string

# Global Privacy Control: its one sentence is "do not sell or share".
SALE_OR_SHARING: Final = "sale_or_sharing"
KNOWN_MAX: Final = 1_024  # strings that a process remembers
TCF_PREFIX: Final = "tcf."
TC_STRING_FIELDS: Final = ("tcString", "tcf")
MARKS: Final = frozenset([*TC_STRING_FIELDS, "gcs", "gcd", "gpc", "googleConsentMode"])
_WORDS: Final = {"granted": True, "denied": False}


def family_of(signal: str) -> str:
    """Which of the ways a signal comes from; what is none of those above is a category of a consent object."""
    if signal.startswith(TCF_PREFIX):
        return "tcf"
    if signal in GCD_TYPES:
        return "google"
    return SALE_OR_SHARING if signal == SALE_OR_SHARING else "category"


def read_signals(context: dict[str, Any], violations: list[str], *, gpc: bool) -> dict[str, bool]:
    """Signal → given, of `context.consent` or the context itself.

    Whether the browser sent `Sec-GPC: 1` is `gpc`. What cannot be read is noted as `consent_unreadable`.
    """
    signals: dict[str, bool] = {SALE_OR_SHARING: False} if gpc else {}
    consent = context.get("consent")
    for place in (context, consent) if isinstance(consent, dict) else (context,):
        if not MARKS.isdisjoint(place):
            _read_place(place, signals, violations)
    return signals


def _read_place(place: dict[str, Any], signals: dict[str, bool], violations: list[str]) -> None:
    for field in TC_STRING_FIELDS:
        if place.get(field):
            _merge(signals, _tc_signals(place[field]) if isinstance(place[field], str) else None, violations)
    for field, read in (("gcs", read_gcs), ("gcd", read_gcd)):
        if place.get(field):
            _merge(signals, read(place[field]) if isinstance(place[field], str) else None, violations)
    if place.get("googleConsentMode"):
        _merge(signals, _written_out(place["googleConsentMode"]), violations)
    gpc = place.get("gpc")
    if isinstance(gpc, bool | int | str) and str(gpc).lower() in {"1", "true"}:
        signals[SALE_OR_SHARING] = False


@lru_cache(maxsize=KNOWN_MAX)
def _tc_signals(text: str) -> dict[str, bool] | None:
    """A visitor's string comes with every event. The answer is remembered, and not to be changed."""
    purposes = read_tc_string(text)
    return None if purposes is None else {f"{TCF_PREFIX}{number}": given for number, given in purposes.items()}


def _written_out(types: object) -> dict[str, bool] | None:
    """As gtag's `consent` command has it: type → granted or denied."""
    if not isinstance(types, dict):
        return None
    words = {name: types.get(name) for name in GCD_TYPES}
    return {name: _WORDS[word] for name, word in words.items() if isinstance(word, str) and word in _WORDS}


def _merge(signals: dict[str, bool], found: dict[str, bool] | None, violations: list[str]) -> None:
    """A signal that is both given and denied is denied."""
    if found is None:
        violations.append("consent_unreadable")
        return
    for name, given in found.items():
        signals[name] = signals.get(name, True) and given
