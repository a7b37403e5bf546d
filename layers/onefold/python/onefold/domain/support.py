"""Support: chats, tickets and calls, how many and how long, and the answers to surveys."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from onefold.domain.event import Event
from onefold.domain.json_text import DECODING_ERRORS
from onefold.domain.register import Register

# Track event → what it ends. The chat's name and property are Segment's; tickets and calls have none there.
CONTACT_EVENTS: Final = {
    "Live Chat Conversation Ended": "chats",
    "Support Ticket Closed": "tickets",
    "Support Call Ended": "calls",
}
CONTACTS: Final = ("chats", "tickets", "calls")
ANSWERS: Final = ("nps", "csat")
CONTACT_S_MAX: Final = 30 * 24 * 3_600  # a longer one is a mistake and has no length


class Contacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Contacts of one kind; `timed` of them told how long they were, together `total_ms`."""

    count: int
    timed: int = 0
    total_ms: int = 0

    def plus(self, other: "Contacts") -> "Contacts":
        return Contacts(self.count + other.count, self.timed + other.timed, self.total_ms + other.total_ms)


class _Lengths(msgspec.Struct):
    """Seconds."""

    conversation_duration: float | None = None
    ticket_duration: float | None = None
    call_duration: float | None = None


class _Answers(msgspec.Struct):
    nps: int | float | None = None
    csat: int | float | None = None


_lengths = msgspec.json.Decoder(_Lengths)
_answers = msgspec.json.Decoder(_Answers)


def read_contact(event: Event) -> tuple[str, Contacts, bool]:
    """What kind of contact ended, its length as contacts of one, and whether a length was stated that cannot be."""
    kind = CONTACT_EVENTS[event.name]
    try:
        stated = _lengths.decode(event.properties)
    except DECODING_ERRORS:
        return kind, Contacts(1), True
    lengths = {
        "chats": stated.conversation_duration,
        "tickets": stated.ticket_duration,
        "calls": stated.call_duration,
    }
    seconds = lengths[kind]
    if seconds is None:
        return kind, Contacts(1), False
    if not 0 <= seconds <= CONTACT_S_MAX:
        return kind, Contacts(1), True
    return kind, Contacts(1, 1, round(seconds * 1_000)), False


def read_answers(properties: bytes) -> dict[str, float]:
    """`nps` and `csat`, as far as they are numbers."""
    try:
        answers = _answers.decode(properties)
    except DECODING_ERRORS:
        return {}
    return {name: value for name, value in (("nps", answers.nps), ("csat", answers.csat)) if value is not None}


def merge_contacts(into: dict[str, Contacts], more: Mapping[str, Contacts]) -> None:
    for kind, contacts in more.items():
        known = into.get(kind)
        into[kind] = contacts if known is None else known.plus(contacts)


def support_document(contacts: Mapping[str, Contacts], answers: Mapping[str, Register]) -> dict[str, Any]:
    """Each kind of contact, and the last answers with their times; the mean is over those of known length."""
    none = Contacts(0)
    return {
        **{kind: _document(contacts.get(kind, none)) for kind in CONTACTS},
        **{name: _answer(answers.get(name)) for name in ANSWERS},
    }


def _document(contacts: Contacts) -> dict[str, Any]:
    mean_ms = contacts.total_ms // contacts.timed if contacts.timed else None
    return {"count": contacts.count, "total_ms": contacts.total_ms, "mean_ms": mean_ms}


def _answer(register: Register | None) -> dict[str, Any] | None:
    return None if register is None else {"value": register.value, "at": register.at}
