"""The identity rules: which identifiers there are, how each is read, and how far it may link."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

import msgspec

from onefold.domain.definition import Definition
from onefold.domain.errors import DefinitionInvalid, IdentifierInvalid
from onefold.domain.head import IDENTIFIERS_MAX, MERGES_MAX
from onefold.domain.identifier import ACCOUNT, DEVICE, PERSON, REFERENCE, Identifier, IdentifierHasher
from onefold.domain.normal_form import Form, PhoneForm, normalise, why_unusable

DEFINITION_KIND: Final = "identity"
DEFINITION_NAME: Final = "identity/rules"
TYPES_MAX: Final = 30
LIMIT_MAX: Final = 1_000
PRIORITY_MAX: Final = 1_000
BLOCKED_MAX: Final = 1_000
PLACES_MAX: Final = 10
ACCOUNT_TYPE: Final = "group_id"
USER_TYPE: Final = "user_id"
GENERIC_USERS_MAX: Final = 10
PROBABILITY_MIN: Final = 0.99

SharedDevices = Literal["separate", "first", "last"]
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_PLACE: Final = re.compile(r"userId|anonymousId|context\.externalIds|(traits|properties|context)(\.[^.\s]{1,100}){1,6}")
_RESERVED: Final = frozenset(["profile_id", ACCOUNT_TYPE])


class DeclaredType(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One identifier type as `definitions/identity.yaml` declares it; what is left out stays as it is by default.

    Attributes:
        priority: 1 is strongest; decides which identifier founds a profile and which is left out first.
        limit: Most values of this type in one profile; with `limit_days` only those first attached in the last so
            many days count.
        role: `person` or `device`: what a value names.
        links: False for a type that is attached and can be searched for, but never brings two profiles together.
        form: The normal form. pattern: What a normalised value must match as a whole; its first group, if it has
            one, is the value.
        places: Where it is read from: `userId`, `anonymousId`, `context.externalIds`, or a path below `traits`,
            `properties` or `context`. Entries of `context.externalIds` that bear the type's name count in any case.
        blocked: Values that never identify anybody, in any case. blocked_patterns: Likewise, as a whole.
    """

    priority: int | None = None
    limit: int | None = None
    limit_days: int | None = None
    role: Literal["person", "device"] | None = msgspec.field(name="class", default=None)
    links: bool | None = None
    form: Form | None = msgspec.field(name="normalise", default=None)
    pattern: str | None = None
    places: tuple[str, ...] | None = msgspec.field(name="from", default=None)
    blocked: tuple[str, ...] = ()
    blocked_patterns: tuple[str, ...] = ()


class DeclaredRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The identity rules as declared; the body of the definition `identity/rules`.

    Attributes:
        shared_devices: Whose the anonymous events of a device are that two persons use: `separate`, a profile's of
            their own; `first`, its first owner's; `last`, the last person's who was seen on it.
        generic_users: A person's identifier seen with more user ids than this stops linking.
        probability_min: A probabilistic link joins from this probability on.
        merges_max, identifiers_max: Of one profile.
    """

    types: dict[str, DeclaredType] = {}
    shared_devices: SharedDevices = "separate"
    generic_users: int = GENERIC_USERS_MAX
    probability_min: float = PROBABILITY_MIN
    merges_max: int = MERGES_MAX
    identifiers_max: int = IDENTIFIERS_MAX


@dataclass(frozen=True, slots=True)
class IdentifierType:
    """What identity resolution knows of one type; the attributes are those of its declaration."""

    name: str
    priority: int
    limit: int
    role: int = PERSON
    limit_days: int = 0
    form: Form = "text"
    pattern: re.Pattern[str] | None = None
    places: tuple[str, ...] = ()
    blocked: frozenset[str] = frozenset()
    blocked_patterns: tuple[re.Pattern[str], ...] = ()

    @property
    def is_device(self) -> bool:
        return self.role == DEVICE

    def normalise(self, raw: object, phone: PhoneForm | None = None) -> str | None:
        """The value under which an identifier of this type is known; None where it may not identify anybody."""
        value = normalise(self.form, raw, phone=phone)
        if value is None:
            return None
        if self.pattern is not None:
            found = self.pattern.fullmatch(value)
            value = (found.group(1) if found.re.groups else found.group()) if found else None
        if not value or (self.blocked and value.lower() in self.blocked):
            return None
        return None if any(each.fullmatch(value) for each in self.blocked_patterns) else value


DEFAULT_TYPES: Final = {
    each.name: each
    for each in (
        IdentifierType(USER_TYPE, 1, 1, places=("userId",)),
        IdentifierType("external_id", 2, 5, places=("context.externalIds",)),
        IdentifierType("email", 3, 2, form="email", places=("traits.email",)),
        IdentifierType("phone", 4, 3, form="phone", places=("traits.phone",)),
        IdentifierType("device_id", 5, 10, DEVICE, places=("context.device.id", "context.device.advertisingId")),
        IdentifierType("anonymous_id", 6, 50, DEVICE, places=("anonymousId",)),
    )
}
_ACCOUNT: Final = IdentifierType(ACCOUNT_TYPE, 1, 1, ACCOUNT)
_UNKNOWN: Final = IdentifierType("", PRIORITY_MAX, LIMIT_MAX, REFERENCE)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a message holds identifiers, sorted by the part of the message; each with its type.

    Attributes:
        external: Types that read all of `context.externalIds` that bear no type's name.
    """

    user_id: tuple[str, ...] = ()
    anonymous_id: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    traits: tuple[tuple[str, tuple[str, ...]], ...] = ()
    properties: tuple[tuple[str, tuple[str, ...]], ...] = ()
    context: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The rules in force; the attributes that are not here are those of the declaration."""

    types: Mapping[str, IdentifierType] = field(default_factory=lambda: DEFAULT_TYPES)
    shared_devices: SharedDevices = "separate"
    generic_users: int = GENERIC_USERS_MAX
    probability_min: float = PROBABILITY_MIN
    merges_max: int = MERGES_MAX
    identifiers_max: int = IDENTIFIERS_MAX
    version: int = 0
    places: Places = field(default_factory=Places)

    def type_of(self, name: str) -> IdentifierType:
        """A type by its name; one that is declared no more links nothing."""
        if name == ACCOUNT_TYPE:
            return _ACCOUNT
        return self.types.get(name, _UNKNOWN)

    def identifier(self, hasher: IdentifierHasher, name: str, value: str) -> Identifier:
        """Key an already normalised value of a declared type."""
        kind = self.type_of(name)
        return Identifier(name, value, hasher.key(name, value), kind.priority, kind.role)


def build_rules(declared: DeclaredRules, version: int = 0) -> IdentityRules:
    """Complete what is declared with the defaults.

    Raises:
        DefinitionInvalid: With a pointer to what is wrong.
    """
    if len(declared.types) > TYPES_MAX:
        raise _invalid("types", f"Declare at most {TYPES_MAX} types")
    types = dict(DEFAULT_TYPES)
    for name, each in declared.types.items():
        types[name] = _build_type(name, each)
    _check_order(types.values())
    for limit, value, most in (
        ("merges_max", declared.merges_max, MERGES_MAX),
        ("identifiers_max", declared.identifiers_max, IDENTIFIERS_MAX),
        ("generic_users", declared.generic_users, LIMIT_MAX),
    ):
        if not 1 <= value <= most:
            raise _invalid(limit, f"Write {limit} as a number from 1 to {most}")
    if not 0 < declared.probability_min <= 1:
        raise _invalid("probability_min", "Write probability_min as a number above 0 and at most 1")
    return IdentityRules(
        types,
        declared.shared_devices,
        declared.generic_users,
        declared.probability_min,
        declared.merges_max,
        declared.identifiers_max,
        version,
        _places(types.values()),
    )


def _build_type(name: str, declared: DeclaredType) -> IdentifierType:
    pointer = f"types/{name}"
    if not _NAME.fullmatch(name) or name in _RESERVED:
        reserved = " and ".join(sorted(_RESERVED))
        raise _invalid(pointer, f"Name a type with lower-case letters, digits and _; {reserved} are taken")
    known = DEFAULT_TYPES.get(name)
    if known is None and (declared.priority is None or declared.limit is None):
        raise _invalid(pointer, "Give a new type a priority and a limit")
    priority = declared.priority if declared.priority is not None else known.priority if known else 0
    limit = declared.limit if declared.limit is not None else known.limit if known else 0
    if not 1 <= priority <= PRIORITY_MAX:
        raise _invalid(f"{pointer}/priority", f"Write priority as a number from 1 to {PRIORITY_MAX}")
    if not 1 <= limit <= LIMIT_MAX:
        raise _invalid(f"{pointer}/limit", f"Write limit as a number from 1 to {LIMIT_MAX}")
    if (declared.limit_days or 0) < 0:
        raise _invalid(f"{pointer}/limit_days", "Write limit_days as a number of days, or leave it out")
    if len(declared.blocked) + len(declared.blocked_patterns) > BLOCKED_MAX:
        raise _invalid(f"{pointer}/blocked", f"Block at most {BLOCKED_MAX} values and patterns a type")
    places = known.places if declared.places is None and known else declared.places or ()
    for number, place in enumerate(places):
        if not _PLACE.fullmatch(place) or number >= PLACES_MAX:
            remedy = "userId, anonymousId, context.externalIds, or a path below traits, properties or context"
            raise _invalid(f"{pointer}/from/{number}", f"Read it from at most {PLACES_MAX} of {remedy}")
    return IdentifierType(
        name,
        priority,
        limit,
        _role(declared, known),
        declared.limit_days or 0,
        declared.form or (known.form if known else "text"),
        _pattern(f"{pointer}/pattern", declared.pattern) if declared.pattern else None,
        places,
        frozenset(value.lower() for value in declared.blocked),
        tuple(
            _pattern(f"{pointer}/blocked_patterns/{number}", text)
            for number, text in enumerate(declared.blocked_patterns)
        ),
    )


def _role(declared: DeclaredType, known: IdentifierType | None) -> int:
    if declared.links is False:
        return REFERENCE
    if declared.role is not None:
        return DEVICE if declared.role == "device" else PERSON
    return known.role if known else PERSON


def _pattern(pointer: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise _invalid(pointer, f"Not a regular expression: {error}") from error


def _check_order(types: Iterable[IdentifierType]) -> None:
    """Persons before devices before references: an event's base must be the first that joins."""
    ranks = {PERSON: 0, DEVICE: 1, REFERENCE: 2}
    by_strength = sorted(types, key=lambda each: (each.priority, each.name))
    for stronger, weaker in pairwise(by_strength):
        if ranks[stronger.role] > ranks[weaker.role]:
            raise _invalid(
                f"types/{stronger.name}/priority",
                f"Give {stronger.name} a higher number than {weaker.name}: "
                "persons come before devices, and both before what does not link",
            )


def _places(types: Iterable[IdentifierType]) -> Places:
    direct: dict[str, list[str]] = {"userId": [], "anonymousId": [], "context.externalIds": []}
    below: dict[str, list[tuple[str, tuple[str, ...]]]] = {"traits": [], "properties": [], "context": []}
    for each in types:
        for place in each.places:
            if place in direct:
                direct[place].append(each.name)
            else:
                root, *path = place.split(".")
                below[root].append((each.name, tuple(path)))
    return Places(
        tuple(direct["userId"]),
        tuple(direct["anonymousId"]),
        tuple(direct["context.externalIds"]),
        tuple(below["traits"]),
        tuple(below["properties"]),
        tuple(below["context"]),
    )


DEFAULT_RULES: Final = build_rules(DeclaredRules())
_declared = msgspec.json.Decoder(DeclaredRules)


def parse_rules(body: bytes, version: int = 0) -> IdentityRules:
    """Read the body of the definition `identity/rules`.

    Raises:
        DefinitionInvalid: It is no JSON, has a field too many or of the wrong shape, or rules that contradict.
    """
    try:
        declared = _declared.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        place = re.search(r"`\$\.?([^`]*)`", str(error))
        pointer = re.sub(r"[.\[\]]+", "/", place.group(1)).strip("/") if place else ""
        raise _invalid(pointer, f"Not identity rules: {error}") from error
    return build_rules(declared, version)


def rules_of(definitions: Iterable[Definition]) -> IdentityRules:
    """The rules among the definitions, or the defaults.

    Raises:
        DefinitionInvalid: This version of the code cannot read them; other rules in their place would merge or part
            profiles.
    """
    for definition in definitions:
        if definition.name == DEFINITION_NAME:
            return parse_rules(definition.body, definition.version)
    return DEFAULT_RULES


def _invalid(pointer: str, detail: str) -> DefinitionInvalid:
    return DefinitionInvalid("identity_invalid", detail, pointer=f"#/{pointer}")


_NOUNS = {"email": "email address", "phone": "phone number"}


def parse_identifier(text: str, rules: IdentityRules = DEFAULT_RULES) -> tuple[str, str]:
    """Split `type:value`.

    Raises:
        IdentifierInvalid: There is no type, an unknown type, or no usable value.
    """
    name, separator, raw = text.partition(":")
    if not separator or (name not in rules.types and name != ACCOUNT_TYPE):
        known = ", ".join((*rules.types, ACCOUNT_TYPE))
        raise IdentifierInvalid("identifier_unknown", f"Write type:value with one of the types {known}")
    kind = rules.type_of(name)
    value = kind.normalise(raw)
    if value is None:
        article, noun = "an" if name[0] in "aeio" else "a", _NOUNS.get(name, name)
        reason = why_unusable(kind.form, raw)
        raise IdentifierInvalid("identifier_unusable", f"The value cannot be {article} {noun}: {reason}")
    return name, value
