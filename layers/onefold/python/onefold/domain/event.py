"""The event as it travels: what collect makes of a message, and everything later reads."""

import hashlib
from typing import Final, Literal

import msgspec

from onefold.domain.identifier import DEVICE_TYPES, Identifier

Kind = Literal["track", "identify", "page", "screen", "group", "alias"]
KINDS: Final = ("track", "identify", "page", "screen", "group", "alias")

# Which way the event's time was found, kept beside it.
Clock = Literal["as_sent", "corrected", "clamped", "received"]


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One accepted event. Times are Unix epoch milliseconds, UTC.

    Stored as an array: fields are only ever added at the end, with a default, so that older and newer readers
    understand each other.

    Attributes:
        name: A track event's name, a page's or screen's name, else empty.
        identifiers: Normalised, distinct, strongest first; empty where nobody is named (the event founds no profile).
        at: The event's time after clock correction.
        traits: JSON object; only what this event says about the person (identify) or account (group).
        properties: JSON object as sent.
        context: JSON object as sent, enriched.
        consent: Purpose → given, as this event states it; purposes that it does not mention are absent.
        violations: Slugs of what was wrong and let through.
        previous: An alias's former identity: candidates, of which the one that is known counts.
        group_id: A group call's account, else empty.
    """

    message_id: str
    kind: Kind
    name: str
    source: str
    identifiers: tuple[Identifier, ...]
    at: int
    received_at: int
    sent_at: int | None = None
    original_at: int | None = None
    clock: Clock = "received"
    traits: bytes = b"{}"
    properties: bytes = b"{}"
    context: bytes = b"{}"
    consent: dict[str, bool] = {}
    violations: tuple[str, ...] = ()
    previous: tuple[Identifier, ...] = ()
    group_id: str = ""


class Refusal(msgspec.Struct, frozen=True, array_like=True):
    """A message that did not become an event, kept whole so that it can be repaired and sent again.

    Attributes:
        body: The bytes as received.
        reason: A slug. detail: a sentence without any value of a person.
        component, version: Who refused it, and by which version of its rules.
        envelope: JSON of what stood around the message and belongs to it: `Envelope` of the quarantine; empty for none.
    """

    message_id: str
    source: str
    reason: str
    detail: str
    body: bytes
    received_at: int
    component: str = "collect"
    version: str = "1"
    envelope: bytes = b""


class EventBatch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one stream record holds: the events of one request that share a partition key, in their order."""

    events: tuple[Event, ...] = ()
    refusals: tuple[Refusal, ...] = ()


class FragmentKey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one person did on one device: either may be absent, not both."""

    device: str
    person: str

    def __str__(self) -> str:
        return f"{self.device}|{self.person}"

    @property
    def base(self) -> str:
        """The identifier key whose owner is the fragment's profile: a fragment follows its base."""
        return self.person or self.device

    @classmethod
    def parse(cls, text: str) -> "FragmentKey":
        device, _, person = text.partition("|")
        return cls(device, person)


def fragment_key(event: Event) -> FragmentKey | None:
    """The fragment that an event belongs to; None where it names nobody."""
    device = person = ""
    for identifier in event.identifiers:  # strongest first
        if identifier.type in DEVICE_TYPES:
            device = device or identifier.key
        else:
            person = person or identifier.key
    return FragmentKey(device, person) if device or person else None


def partition_key(event: Event) -> str:
    """The stream partition of an event: a function of its fragment's key, so that a fragment has one writer."""
    key = fragment_key(event)
    return event.message_id if key is None else key.device or key.person


FINGERPRINT_BYTES: Final = 5  # one event in about 4 billion is mistaken for a repeat within a full ring


def fingerprint(event: Event) -> bytes:
    """What the ring of recent messages remembers of an event: a short hash of (source, message id)."""
    return hashlib.blake2b(f"{event.source}\0{event.message_id}".encode(), digest_size=FINGERPRINT_BYTES).digest()
