"""Messages as Segment's and RudderStack's SDKs send them, and how one becomes an event."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

import msgspec

from onefold.domain.clock import event_time, parse_instant
from onefold.domain.consent_rules import CONSENT_EVENTS, purposes_of, refused_purposes, without_person
from onefold.domain.consent_signals import MARKS, read_signals
from onefold.domain.enrichment import Enricher, set_aside
from onefold.domain.errors import EventInvalid, EventSuppressed
from onefold.domain.event import KINDS, Event, Kind
from onefold.domain.identifier import Identifier
from onefold.domain.json_text import KEY_BYTES_MIN, count_keys, encode_object, mend
from onefold.domain.message_consent import read_consent
from onefold.domain.message_id import is_usable_message_id, made_message_id
from onefold.domain.message_identifiers import EMAIL_EVENTS, IdentifierReader, claims_of
from onefold.domain.message_merge import MERGE, merge_claims
from onefold.domain.source import Source
from onefold.domain.tracking_plan import CompiledPlan, Part

NAME_CHARACTERS_MAX: Final = 500

# Where a context tells of consent.
CONSENT_FIELDS: Final = MARKS | {"consent", "consentManagement"}


class Message(msgspec.Struct, rename="camel"):
    """The fields of a message that mean something here; anything may stand in any of them."""

    type: Any = None
    message_id: Any = None
    user_id: Any = None
    anonymous_id: Any = None
    previous_id: Any = None
    group_id: Any = None
    event: Any = None
    name: Any = None
    category: Any = None
    channel: Any = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    context: Any = None
    properties: Any = None
    traits: Any = None
    write_key: Any = None
    merge_properties: Any = None


_TEXT_FIELDS: Final = tuple(
    field for field in Message.__struct_fields__ if field not in {"context", "properties", "traits", "merge_properties"}
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a request came in.

    Attributes:
        received_at: Unix epoch milliseconds of our clock.
        address: The connection's.
        user_agent: Of HTTP.
        gpc: Whether the client asked not to be sold or shared, by `Sec-GPC: 1`.
    """

    received_at: int
    address: str = ""
    user_agent: str = ""
    gpc: bool = False


class _Said(NamedTuple):
    """A message's context, its consent by purpose, and whether that is too little to keep the person in the event."""

    context: dict[str, Any]
    consent: dict[str, bool]
    is_refused: bool


@dataclass(slots=True)
class EventReader:
    """Turns the messages of one request into events.

    Attributes:
        sent_at: The envelope's send time, for messages that have none of their own.
        shared_context: The envelope's context; a message's own fields win over it.
        nul: Whether the body may hold NUL characters.
        enricher: Adds to contexts, and shortens addresses; None to leave contexts as they are.
        plan: The source's tracking plan, if it has one.
        bytes_unchecked: The size up to which an event is within all limits of its source.
    """

    source: Source
    arrival: Arrival
    identifiers: IdentifierReader
    sent_at: int | None = None
    shared_context: dict[str, Any] | None = None
    nul: bool = False
    enricher: Enricher | None = None
    plan: CompiledPlan | None = None
    bytes_unchecked: int = field(init=False)

    def __post_init__(self) -> None:
        # Below this size no limit can be reached, whatever the texts hold.
        limits = self.source.limits
        names = min(limits.properties, limits.traits, limits.keys)
        self.bytes_unchecked = min(self.source.event_bytes_max, KEY_BYTES_MIN * names)

    def read(self, message: Message, kind: Kind | None, text: Callable[[], bytes], violations: list[str]) -> Event:
        """Read one message.

        Args:
            message: May be changed: its context is enriched in place.
            kind: What the route says; None where the message must say it itself.
            text: Gives the message as it was received; called only where an id must be made of it.
            violations: What has been let through already; more is added.

        Raises:
            EventInvalid: The message is no event, or its source's plan keeps it out, with the reason.
            EventSuppressed: Its person did not consent to what storing it needs.
        """
        if self.nul:
            _mend_texts(message, violations)
        context = self._context(message)
        consent = self._consent(context, violations)
        is_refused = bool(self.source.consent.required) and self._is_refused(message, consent, violations)
        said = _Said(context, consent, is_refused)
        try:
            return self._event(message, kind or _kind(message.type), text, said, violations)
        except EventInvalid as error:
            if is_refused:  # the quarantine keeps a message whole, and this person's must not be kept
                detail = f"{error.detail}. It was not kept, for its person did not consent"
                raise EventSuppressed(error.reason, detail, pointer=error.pointer) from error
            raise

    def _event(
        self, message: Message, kind: Kind, text: Callable[[], bytes], said: _Said, violations: list[str]
    ) -> Event:
        context = said.context
        properties = _object(message.properties, "properties")
        traits = _traits(kind, message, context)
        name, group_id = _name(kind, message, properties), _group_id(kind, message)
        if self.plan is not None:
            parts: dict[Part, dict[str, Any]] = {"properties": properties, "traits": traits, "context": context}
            self.plan.judge(kind, name, parts, violations)
        if kind == "alias" and message.merge_properties is not None:
            claims = merge_claims(message.merge_properties, self.identifiers.rules)[0]
        else:
            claims = self._claims(kind, name, message, context=context, traits=traits, properties=properties)
        identifiers = self.identifiers.read(claims, violations)
        previous = self._previous(message, identifiers) if kind == "alias" else ()
        account = self.identifiers.read_account(group_id, violations) if group_id else None
        if not identifiers:
            violations.append("identifier_missing")
        if said.is_refused:
            context, properties, traits = *without_person(context, properties), {}
            if not _states_consent(message):
                identifiers = previous = ()
        elif self.enricher is not None and self._is_a_robots(message, name, context, violations):
            identifiers = previous = ()
        original_at, sent_at = self._client_times(message, violations)
        at, clock = event_time(self.arrival.received_at, sent_at, original_at)
        if original_at is not None and clock == "received":
            violations.append("timestamp_implausible")
        event = Event(
            message_id=self._message_id(message, text, violations),
            kind=kind,
            name=name,
            source=self.source.name,
            identifiers=identifiers,
            at=at,
            received_at=self.arrival.received_at,
            sent_at=sent_at,
            original_at=original_at,
            clock=clock,
            traits=encode_object(traits, violations, nul=self.nul),
            properties=encode_object(properties, violations, nul=self.nul),
            context=encode_object(context, violations, nul=self.nul),
            consent=said.consent,
            # The list fills up to the line above, so this one stands below all that may add to it.
            violations=tuple(dict.fromkeys(violations)),
            previous=previous,
            account=account,
        )
        size = len(event.traits) + len(event.properties) + len(event.context)
        if size > self.bytes_unchecked:
            self._check_limits(event, size, properties, traits)
        return event

    def _claims(
        self, kind: Kind, name: str, message: Message, **parts: dict[str, Any]
    ) -> list[tuple[str, object, str]]:
        """Whom the message claims to name, in its context, traits and properties, read by the rules in force."""
        trusted = self.source.email_in_properties
        return claims_of(kind, name, message, self.identifiers.rules, is_email_trusted=trusted, **parts)

    def _check_limits(self, event: Event, size: int, properties: dict[str, Any], traits: dict[str, Any]) -> None:
        """See `Limits`; `size` is that of the three texts together.

        Raises:
            EventInvalid: The event is beyond one of them.
        """
        limits = self.source.limits
        if size > self.source.event_bytes_max:
            limit = self.source.event_bytes_max
            raise EventInvalid("event_too_large", f"Keep an event's data below {limit} bytes of JSON")
        if len(properties) > limits.properties:
            detail = f"Send at most {limits.properties} properties an event"
            raise EventInvalid("too_many_properties", detail, pointer="#/properties")
        if len(traits) > limits.traits:
            raise EventInvalid("too_many_traits", f"Send at most {limits.traits} traits an event", pointer="#/traits")
        if size > limits.keys * KEY_BYTES_MIN:
            keys = count_keys(event.traits) + count_keys(event.properties) + count_keys(event.context)
            if keys > limits.keys:
                detail = f"Send at most {limits.keys} names of properties, all levels together"
                raise EventInvalid("too_many_keys", detail)

    def _consent(self, context: dict[str, Any], violations: list[str]) -> dict[str, bool]:
        """Purpose → given, of all that the message and its request say."""
        gpc = self.arrival.gpc and self.source.client_is_the_person
        if not gpc and CONSENT_FIELDS.isdisjoint(context):
            return {}
        stated = read_consent(context, violations)
        for signal, given in read_signals(context, violations, gpc=gpc).items():
            stated[signal] = stated.get(signal, True) and given
        return purposes_of(self.source.consent, stated)

    def _is_a_robots(self, message: Message, name: str, context: dict[str, Any], violations: list[str]) -> bool:
        """Enrich the context; True where a robot is behind the event, so that it must not found a profile.

        The mail programs that fetch a mail's pictures for their person are no robots.
        """
        robot = self.enricher.enrich(context, violations) if self.enricher is not None else ""
        if not robot or self.source.bots == "keep" or name in EMAIL_EVENTS:
            return False
        set_aside(context, {"userId": message.user_id, "anonymousId": message.anonymous_id})
        return True

    def _is_refused(self, message: Message, consent: dict[str, bool], violations: list[str]) -> bool:
        """Whether a purpose is missing that storing the event as it is needs.

        Raises:
            EventSuppressed: Then nothing is to be stored.
        """
        refused = refused_purposes(self.source.consent, consent)
        if not refused:
            return False
        if self.source.consent.refused == "suppress" and not _states_consent(message):
            purposes = ", ".join(refused)
            raise EventSuppressed("consent_refused", f"The source needs consent to {purposes}; nothing was stored")
        violations.append("consent_refused")
        return True

    def _other_side(self, message: Message, identifiers: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
        """Of a merge, what its first side is to be linked with."""
        other = self.identifiers.read(merge_claims(message.merge_properties, self.identifiers.rules)[1], [])
        if not identifiers or not other:
            detail = "Send usable values in mergeProperties"
            raise EventInvalid("merge_incomplete", detail, pointer="#/mergeProperties")
        return other

    def _previous(self, message: Message, identifiers: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
        """An alias's former identity. Browsers leave previousId out and mean the anonymous id."""
        if message.merge_properties is not None:
            return self._other_side(message, identifiers)
        previous = self.identifiers.read_previous(message.previous_id or message.anonymous_id)
        if not previous or not any(known.type == "user_id" for known in identifiers):
            raise EventInvalid(
                "alias_incomplete", "Send usable values in userId and previousId", pointer="#/previousId"
            )
        return previous

    def _context(self, message: Message) -> dict[str, Any]:
        """The message's context over the envelope's, with what the connection adds where the person holds it."""
        context = _object(message.context, "context")
        if self.shared_context:
            context = self.shared_context | context
        if message.channel is not None and "channel" not in context:
            context["channel"] = message.channel
        if self.source.client_is_the_person or context.get("direct") is True:
            if self.arrival.address and not context.get("ip"):
                context["ip"] = self.arrival.address
            if self.arrival.user_agent and not context.get("userAgent"):
                context["userAgent"] = self.arrival.user_agent
        return context

    def _client_times(self, message: Message, violations: list[str]) -> tuple[int | None, int | None]:
        """When the client says that it happened, and that it was sent."""
        written = message.original_timestamp if message.original_timestamp is not None else message.timestamp
        original_at = None if written is None else parse_instant(written)
        if written is not None and original_at is None:
            violations.append("timestamp_unreadable")
        sent_at = self.sent_at if message.sent_at is None else parse_instant(message.sent_at)
        if message.sent_at is not None and sent_at is None:
            violations.append("sent_at_unreadable")
        return original_at, sent_at

    def _message_id(self, message: Message, text: Callable[[], bytes], violations: list[str]) -> str:
        """The sender's id where it is usable; else one that the same message gets again when it is sent again."""
        given: object = message.message_id
        if is_usable_message_id(given):
            return given
        if given is None or given == "":
            violations.append("message_id_missing")
        else:
            violations.append("message_id_too_long" if isinstance(given, str) else "message_id_not_text")
        return made_message_id(self.source.name, text())


def _mend_texts(message: Message, violations: list[str]) -> None:
    found: set[str] = set()
    for name in _TEXT_FIELDS:
        value = getattr(message, name)
        if isinstance(value, str):
            setattr(message, name, mend(value, found))
    violations += sorted(found)


def _states_consent(message: Message) -> bool:
    """Whether the event is there to tell of consent; then it keeps its identifiers, so that it takes effect."""
    return isinstance(message.event, str) and message.event in CONSENT_EVENTS


def _kind(written: object) -> Kind:
    if written == MERGE:
        return "alias"
    if isinstance(written, str) and written in KINDS:
        return cast("Kind", written)
    raise EventInvalid("kind_unknown", f"Send a type, one of {', '.join(KINDS)}", pointer="#/type")


def _object(value: object, field: str) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise EventInvalid(f"{field}_not_an_object", f"Send {field} as an object", pointer=f"#/{field}")


def _traits(kind: Kind, message: Message, context: dict[str, Any]) -> dict[str, Any]:
    """What this message says of its person or account. Traits in the context count for identify only.

    RudderStack's browser SDK sends the traits that it remembers with every event, stale or not.
    """
    if kind not in {"identify", "group"}:
        return {}
    traits = _object(message.traits, "traits")
    if not traits and kind == "identify":
        return _object(context.get("traits"), "traits")
    return traits


def _name(kind: Kind, message: Message, properties: dict[str, Any]) -> str:
    name: object = ""
    if kind == "track":
        name = message.event
        if not isinstance(name, str) or not name.strip():
            raise EventInvalid("event_name_missing", "Send the event's name as text in `event`", pointer="#/event")
    elif kind in {"page", "screen"}:
        name = message.name if message.name is not None else properties.get("name", "")
        if isinstance(message.category, str):
            properties.setdefault("category", message.category)
    if not isinstance(name, str):
        return ""
    if len(name) > NAME_CHARACTERS_MAX:
        raise EventInvalid(
            "event_name_too_long", f"Keep names below {NAME_CHARACTERS_MAX} characters", pointer="#/event"
        )
    return name


def _group_id(kind: Kind, message: Message) -> str:
    if kind != "group":
        return ""
    group_id = message.group_id
    if isinstance(group_id, bool) or not isinstance(group_id, str | int) or group_id == "":
        raise EventInvalid("group_id_missing", "Send the account's id in groupId", pointer="#/groupId")
    return str(group_id)
