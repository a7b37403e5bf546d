"""Messages as Segment's and RudderStack's SDKs send them, and how one becomes an event."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, TypeGuard, cast

import msgspec

from onefold.domain.clock import event_time, parse_instant
from onefold.domain.errors import EventInvalid
from onefold.domain.event import KINDS, Event, Kind
from onefold.domain.json_text import DECODING_ERRORS, encode_object, mend
from onefold.domain.message_consent import read_consent
from onefold.domain.message_identifiers import IdentifierReader, claims_of
from onefold.domain.source import Source

MESSAGE_ID_CHARACTERS_MAX: Final = 100
NAME_CHARACTERS_MAX: Final = 500

# What a resent message may change without being another one.
TRANSPORT_FIELDS: Final = frozenset(["sentAt", "writeKey", "_metadata", "receivedAt"])


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


_TEXT_FIELDS: Final = tuple(
    field for field in Message.__struct_fields__ if field not in {"context", "properties", "traits"}
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a request came in: Unix epoch milliseconds of our clock, the connection's address, the HTTP user agent."""

    received_at: int
    address: str = ""
    user_agent: str = ""


@dataclass(slots=True)
class EventReader:
    """Turns the messages of one request into events.

    Attributes:
        sent_at: The envelope's send time, for messages that have none of their own.
        shared_context: The envelope's context; a message's own fields win over it.
        nul: Whether the body may hold NUL characters.
    """

    source: Source
    arrival: Arrival
    identifiers: IdentifierReader
    sent_at: int | None = None
    shared_context: dict[str, Any] | None = None
    nul: bool = False

    def read(self, message: Message, kind: Kind | None, text: Callable[[], bytes], violations: list[str]) -> Event:
        """Read one message.

        Args:
            message: May be changed: its context is enriched in place.
            kind: What the route says; None where the message must say it itself.
            text: Gives the message as it was received; called only where an id must be made of it.
            violations: What has been let through already; more is added.

        Raises:
            EventInvalid: The message is no event, with the reason.
        """
        if self.nul:
            _mend_texts(message, violations)
        kind = kind or _kind(message.type)
        context = self._context(message)
        properties = _object(message.properties, "properties")
        traits = _traits(kind, message, context)
        name, group_id = _name(kind, message, properties), _group_id(kind, message)
        claims = claims_of(
            kind,
            name,
            message,
            self.identifiers.rules,
            context=context,
            traits=traits,
            properties=properties,
            is_email_trusted=self.source.email_in_properties,
        )
        identifiers = self.identifiers.read(claims, violations)
        # Browsers leave previousId out and mean the anonymous id.
        previous = (
            self.identifiers.read_previous(message.previous_id or message.anonymous_id) if kind == "alias" else ()
        )
        if kind == "alias" and not (previous and any(known.type == "user_id" for known in identifiers)):
            raise EventInvalid(
                "alias_incomplete", "Send usable values in userId and previousId", pointer="#/previousId"
            )
        account = self.identifiers.read_account(group_id, violations) if group_id else None
        if not identifiers:
            violations.append("identifier_missing")
        original_at, sent_at = self._client_times(message, violations)
        at, clock = event_time(self.arrival.received_at, sent_at, original_at)
        if original_at is not None and clock == "received":
            violations.append("timestamp_implausible")
        consent = read_consent(context, violations)
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
            consent=consent,
            # The list fills up to the line above, so this one stands below all that may add to it.
            violations=tuple(dict.fromkeys(violations)),
            previous=previous,
            account=account,
        )
        if len(event.traits) + len(event.properties) + len(event.context) > self.source.event_bytes_max:
            limit = self.source.event_bytes_max
            raise EventInvalid("event_too_large", f"Keep an event's data below {limit} bytes of JSON")
        return event

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


def is_usable_message_id(given: object) -> TypeGuard[str]:
    """Whether a sender's message id can be ours."""
    return isinstance(given, str) and 0 < len(given) <= MESSAGE_ID_CHARACTERS_MAX


def made_message_id(source: str, text: bytes) -> str:
    """A message id from what a message says: its canonical JSON without what belongs to its transport."""
    try:
        fields = msgspec.json.decode(text)
        if isinstance(fields, dict):
            fields = {name: value for name, value in fields.items() if name not in TRANSPORT_FIELDS}
        canonical = msgspec.json.encode(fields, order="sorted")
    except DECODING_ERRORS:
        canonical = text
    return f"made-{blake2b(source.encode() + bytes(1) + canonical, digest_size=16).hexdigest()}"


def _mend_texts(message: Message, violations: list[str]) -> None:
    found: set[str] = set()
    for field in _TEXT_FIELDS:
        value = getattr(message, field)
        if isinstance(value, str):
            setattr(message, field, mend(value, found))
    violations += sorted(found)


def _kind(written: object) -> Kind:
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
