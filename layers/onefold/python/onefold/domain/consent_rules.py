"""What consent means for a source's event: its purposes, whether it may be stored, and what is left of it if not."""

from collections.abc import Iterable
from typing import Any, Final

from onefold.domain.consent_signals import family_of
from onefold.domain.source import ConsentRules

# Whoever withdraws must be known to have withdrawn: this event keeps its identifiers and its consent, and nothing else
# of a person.
CONSENT_EVENTS: Final = frozenset(["Segment Consent Preference Updated"])

# What a reduced event keeps of its context: the software that sent it, and the consent itself.
CONTEXT_KEPT: Final = frozenset(
    [
        "app", "channel", "consent", "consentManagement", "googleConsentMode", "gcd", "gcs", "gpc", "library",
        "tcString", "tcf",
    ]
)  # fmt: skip
PROPERTIES_DROPPED: Final = frozenset(["email", "phone", "search", "traits", "userId", "user_id"])
ADDRESSES: Final = ("url", "referrer")  # of page events; their queries carry whatever a mail or an advertisement put in


def purposes_of(rules: ConsentRules, stated: dict[str, bool]) -> dict[str, bool]:
    """Purpose → given, from signals → given.

    A purpose is denied if one of its signals is. It is given if all of its signals of one family are: those of TCF, of
    Google's Consent Mode, or the categories of a consent object; so a purpose can name what several banners say.
    Otherwise it is not stated. A signal that no purpose names stands for itself.
    """
    if not rules.purposes or not stated:
        return stated
    used: set[str] = set()
    consent: dict[str, bool] = {}
    for purpose, signals in rules.purposes.items():
        used.update(signals)
        said = [stated.get(signal) for signal in signals]
        if False in said:
            consent[purpose] = False
        elif True in said and any(all(family) for family in _families(signals, said)):
            consent[purpose] = True
    for signal, given in stated.items():
        if signal not in used:
            consent[signal] = consent.get(signal, True) and given
    return consent


def _families(signals: Iterable[str], said: Iterable[bool | None]) -> Iterable[list[bool | None]]:
    families: dict[str, list[bool | None]] = {}
    for signal, given in zip(signals, said, strict=True):
        families.setdefault(family_of(signal), []).append(given)
    return families.values()


def refused_purposes(rules: ConsentRules, consent: dict[str, bool]) -> tuple[str, ...]:
    """The required purposes that an event is not given, sorted."""
    absent = rules.missing == "given"
    return tuple(sorted(purpose for purpose in rules.required if not consent.get(purpose, absent)))


def without_person(context: dict[str, Any], properties: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """An event's context and properties without what tells of its person; traits and identifiers go whole."""
    kept = {name: value for name, value in properties.items() if name not in PROPERTIES_DROPPED}
    for name in ADDRESSES:
        if isinstance(kept.get(name), str):
            kept[name] = kept[name].partition("#")[0].partition("?")[0]
    app = context.get("app")
    software = {name: value for name, value in context.items() if name in CONTEXT_KEPT}
    if isinstance(app, dict):
        software["app"] = {name: app[name] for name in ("name", "version", "build", "namespace") if name in app}
    return software, kept
