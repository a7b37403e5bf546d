"""What a message says of consent, in Segment's and in RudderStack's words."""

from collections.abc import Iterator
from typing import Any, Final

PURPOSES_MAX: Final = 100


def read_consent(context: dict[str, Any], violations: list[str]) -> dict[str, bool]:
    """Purpose → given, for the purposes that the message names.

    Segment: `context.consent.categoryPreferences`. RudderStack: `context.consentManagement` with allowed and denied
    ids. A purpose that is both allowed and denied is denied. What cannot be read is left out as `consent_unreadable`.
    """
    segment, rudder = context.get("consent"), context.get("consentManagement")
    if segment is None and rudder is None:
        return {}
    stated = list(_segment(segment)) + list(_rudder(rudder))
    consent: dict[str, bool] = {}
    for purpose, given in stated[:PURPOSES_MAX]:
        if isinstance(purpose, str) and purpose and isinstance(given, bool):
            consent[purpose] = consent.get(purpose, True) and given
        else:
            violations.append("consent_unreadable")
    if len(stated) > PURPOSES_MAX:
        violations.append("consent_too_many_purposes")
    return consent


def _segment(consent: object) -> Iterator[tuple[object, object]]:
    if consent is None:
        return
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else consent
    if isinstance(preferences, dict):
        yield from preferences.items()
    elif preferences is not None:
        yield None, None


def _rudder(management: object) -> Iterator[tuple[object, object]]:
    if management is None:
        return
    if not isinstance(management, dict):
        yield None, None
        return
    for field, given in (("allowedConsentIds", True), ("deniedConsentIds", False)):
        purposes = management.get(field) or []
        if isinstance(purposes, list):
            yield from ((purpose, given) for purpose in purposes)
        else:
            yield None, None
