"""Who a message names: where identifiers stand in it, and how they become the event's."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from onefold.domain.event import Kind
from onefold.domain.identifier import DEFAULT_TYPES, Identifier, IdentifierHasher, normalise

if TYPE_CHECKING:
    from onefold.domain.message import Message

IDENTIFIERS_MAX: Final = 20  # of one event; the strongest stay

# Types of context.externalIds that are ours under another name. Every other type is an external_id whose value is
# `type:id`, so that customer 17 of the loyalty programme is not customer 17 of the till.
DEVICE_ALIASES: Final = frozenset(
    ["android.id", "android.idfa", "android.push_token", "ios.id", "ios.idfa", "ios.push_token", "ga_client_id"]
)

# The events of e-mail tools name their person in context.traits.email, as Segment's specification has it.
EMAIL_EVENTS: Final = frozenset(
    [
        "Email Delivered", "Email Opened", "Email Bounced", "Email Link Clicked", "Email Marked as Spam",
        "Unsubscribed",
    ]
)  # fmt: skip

MALFORMED: Final = False  # in the place of a value: a bool is none
Raw = str | int | float
# Identifier type, value as sent, and what is put before the normalised value.
Claim = tuple[str, Raw, str]
# Turns a phone number and a country into E.164, or None where it is no number.
PhoneReader = Callable[[str, str], str | None]


def claims_of(
    kind: Kind,
    name: str,
    message: "Message",
    *,
    context: dict[str, Any],
    traits: dict[str, Any],
    properties: dict[str, Any],
) -> list[tuple[str, object, str]]:
    """Collect what a message claims to be identifiers, unchecked.

    Traits count for identify only, whichever place they were in; `properties` are those of a source that says so.
    """
    claims: list[tuple[str, object, str]] = []
    if message.user_id is not None:
        claims.append(("user_id", message.user_id, ""))
    if message.anonymous_id is not None:
        claims.append(("anonymous_id", message.anonymous_id, ""))
    if context.get("externalIds"):
        claims += _external(context["externalIds"])
    if context.get("device"):
        claims += _device(context["device"])
    if kind == "identify":
        claims += [("email", traits.get("email"), ""), ("phone", traits.get("phone"), "")]
    elif kind == "track":
        claims.append(("email", properties.get("email"), ""))
        if name in EMAIL_EVENTS and isinstance(context.get("traits"), dict):
            claims.append(("email", context["traits"].get("email"), ""))
    return claims


def _external(declared: object) -> list[tuple[str, object, str]]:
    if not isinstance(declared, list):
        return [("external_id", MALFORMED, "")]
    claims: list[tuple[str, object, str]] = []
    for entry in declared:
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
            claims.append(("external_id", MALFORMED, ""))
        elif entry.get("collection") != "accounts":  # an account is no person
            claims.append(_external_one(entry["type"], entry.get("id")))
    return claims


def _external_one(kind: str, value: object) -> tuple[str, object, str]:
    if kind in DEFAULT_TYPES:
        return kind, value, ""
    return ("device_id", value, "") if kind in DEVICE_ALIASES else ("external_id", value, f"{kind}:")


def _device(device: object) -> list[tuple[str, object, str]]:
    if not isinstance(device, dict):
        return []
    claims: list[tuple[str, object, str]] = [("device_id", device.get("id"), "")]
    if device.get("adTrackingEnabled") is not False:
        claims.append(("device_id", device.get("advertisingId"), ""))
    return claims


class IdentifierReader:
    """Normalises and keys the identifiers of one request, each value once: a batch repeats them."""

    def __init__(self, hasher: IdentifierHasher, phone: PhoneReader, phone_region: str) -> None:
        self._hasher = hasher
        self._phone = phone
        self._phone_region = phone_region
        self._read: dict[tuple[Claim, ...], tuple[tuple[Identifier, ...], tuple[str, ...]]] = {}

    def read(self, claims: list[tuple[str, object, str]], violations: list[str]) -> tuple[Identifier, ...]:
        """The identifiers among the claims: distinct, strongest first.

        What cannot identify anybody leaves a violation, `<type>_unusable`; what is absent or empty leaves none.
        """
        usable: list[Claim] = []
        for kind, value, prefix in claims:
            if type(value) in {str, int, float}:  # a bool is an int, and identifies nobody
                if value != "":
                    usable.append((kind, value, prefix))  # type: ignore[arg-type]
            elif value is not None:
                violations.append(f"{kind}_unusable")
        key = tuple(usable)
        known = self._read.get(key)
        if known is None:
            known = self._read[key] = self._identify(key)
        violations += known[1]
        return known[0]

    def read_previous(self, previous: object) -> tuple[Identifier, ...]:
        """An alias's former identity, which may have been an anonymous id or a user id."""
        claims = [(kind, previous, "") for kind in ("user_id", "anonymous_id")]
        return self.read(claims, [])

    def _identify(self, claims: tuple[Claim, ...]) -> tuple[tuple[Identifier, ...], tuple[str, ...]]:
        found: set[tuple[int, str, str]] = set()
        violations: list[str] = []
        for kind, raw, prefix in claims:
            value = normalise(kind, raw, phone=self._e164)
            if value is None:
                violations.append(f"{kind}_unusable")
            else:
                found.add((DEFAULT_TYPES[kind].priority, kind, prefix + value))
        if len(found) > IDENTIFIERS_MAX:
            violations.append("identifiers_too_many")
        strongest_first = sorted(found)[:IDENTIFIERS_MAX]  # as Identifier.strength has it
        return tuple(self._hasher.identifier(kind, value) for _, kind, value in strongest_first), tuple(violations)

    def _e164(self, text: str) -> str | None:
        return self._phone(text, self._phone_region)
