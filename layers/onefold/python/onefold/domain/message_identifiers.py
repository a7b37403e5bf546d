"""Who a message names: where identifiers stand in it, and how they become the event's."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from onefold.domain.event import Kind
from onefold.domain.identifier import REFERENCE, Identifier, IdentifierHasher
from onefold.domain.identity_rules import ACCOUNT_TYPE, DEFAULT_RULES, IdentityRules

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

ADVERTISING_ID: Final = ("device", "advertisingId")
AD_TRACKING: Final = ("device", "adTrackingEnabled")
EMAIL: Final = ("traits", "email")
MALFORMED: Final = False  # in the place of a value: a bool is none
Raw = str | int | float
# Identifier type, value as sent, and what is put before the normalised value.
Claim = tuple[str, Raw, str]
# Turns a phone number and a country into E.164, or None where it is no number.
PhoneReader = Callable[[str, str], str | None]


def claims_of(  # noqa: PLR0913 - the parts of a message
    kind: Kind,
    name: str,
    message: "Message",
    rules: IdentityRules,
    *,
    context: dict[str, Any],
    traits: dict[str, Any],
    properties: dict[str, Any],
    is_email_trusted: bool = False,
) -> list[tuple[str, object, str]]:
    """Collect what a message claims to be identifiers, unchecked.

    Traits count for identify only, whichever place they were in. `is_email_trusted`: whether the source says that
    `properties.email` of its track events names the person.
    """
    places = rules.places
    claims: list[tuple[str, object, str]] = []
    if message.user_id is not None:
        claims += [(each, message.user_id, "") for each in places.user_id]
    if message.anonymous_id is not None:
        claims += [(each, message.anonymous_id, "") for each in places.anonymous_id]
    if context:
        if context.get("externalIds"):
            claims += _external(context["externalIds"], rules)
        for each, path in places.context:
            if path[0] in context and not _is_tracking_refused(path, context):
                claims.append((each, _at(context, path), ""))
    if kind == "identify":
        claims += [(each, _at(traits, path), "") for each, path in places.traits]
    elif kind == "track":
        claims += [("email", properties.get("email"), "")] if is_email_trusted else []
        claims += [("email", _at(context, EMAIL), "")] if name in EMAIL_EVENTS else []
    claims += [(each, _at(properties, path), "") for each, path in places.properties]
    return claims


def _at(part: object, path: tuple[str, ...]) -> object:
    """The value at a path; None where there is none."""
    for step in path:
        part = part.get(step) if isinstance(part, dict) else None
    return part


def _is_tracking_refused(path: tuple[str, ...], context: dict[str, Any]) -> bool:
    """Whether the device's owner has opted out of being tracked by its advertising id."""
    return path == ADVERTISING_ID and _at(context, AD_TRACKING) is False


def _external(declared: object, rules: IdentityRules) -> list[tuple[str, object, str]]:
    if not isinstance(declared, list):
        return [("external_id", MALFORMED, "")]
    claims: list[tuple[str, object, str]] = []
    for entry in declared:
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
            claims.append(("external_id", MALFORMED, ""))
        elif entry.get("collection") != "accounts":  # an account is no person
            claims += _external_one(entry["type"], entry.get("id"), rules)
    return claims


def _external_one(kind: str, value: object, rules: IdentityRules) -> list[tuple[str, object, str]]:
    if kind in rules.types:
        return [(kind, value, "")]
    if kind in DEVICE_ALIASES:
        return [("device_id", value, "")]
    return [(each, value, f"{kind}:") for each in rules.places.external]


class IdentifierReader:
    """Normalises and keys the identifiers of one request, each value once: a batch repeats them."""

    def __init__(
        self, hasher: IdentifierHasher, phone: PhoneReader, phone_region: str, rules: IdentityRules = DEFAULT_RULES
    ) -> None:
        self.rules = rules
        self._hasher = hasher
        self._phone = phone
        self._phone_region = phone_region
        self._read: dict[tuple[Claim, ...], tuple[tuple[Identifier, ...], tuple[str, ...]]] = {}

    def read(self, claims: list[tuple[str, object, str]], violations: list[str]) -> tuple[Identifier, ...]:
        """The identifiers among the claims: distinct, strongest first; none where only references are named.

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

    def read_account(self, given: str, violations: list[str]) -> Identifier | None:
        """A group call's account; None where its id is a placeholder."""
        value = self.rules.type_of(ACCOUNT_TYPE).normalise(given)
        if value is None:
            violations.append(f"{ACCOUNT_TYPE}_unusable")
            return None
        return self.rules.identifier(self._hasher, ACCOUNT_TYPE, value)

    def _identify(self, claims: tuple[Claim, ...]) -> tuple[tuple[Identifier, ...], tuple[str, ...]]:
        found: set[tuple[int, str, str]] = set()
        violations: list[str] = []
        for name, raw, prefix in claims:
            kind = self.rules.type_of(name)
            value = kind.normalise(raw, self._e164)
            if value is None:
                violations.append(f"{name}_unusable")
            else:
                found.add((kind.priority, name, prefix + value))
        if len(found) > IDENTIFIERS_MAX:
            violations.append("identifiers_too_many")
        strongest_first = sorted(found)[:IDENTIFIERS_MAX]  # as Identifier.strength has it
        if not strongest_first or self.rules.type_of(strongest_first[0][1]).role == REFERENCE:
            return (), tuple(violations)
        identifiers = (self.rules.identifier(self._hasher, name, value) for _, name, value in strongest_first)
        return tuple(identifiers), tuple(violations)

    def _e164(self, text: str) -> str | None:
        return self._phone(text, self._phone_region)
