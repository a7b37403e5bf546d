"""The event as it travels: what collect makes of a message, and everything later reads."""

import hashlib
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from onefold.domain.identifier import DEVICE, PERSON, Identifier

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
        account: What a group call is about, besides the person who makes it.
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
    account: Identifier | None = None


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
    """What one person did on one device: either may be absent, not both.

    With an account it is what they said about that account. Each such part has a fragment of its own, because a
    fragment has one writer, and an account has many members.
    """

    device: str
    person: str
    account: str = ""

    def __str__(self) -> str:
        return f"{self.device}|{self.person}|{self.account}" if self.account else f"{self.device}|{self.person}"

    @property
    def base(self) -> str:
        """The identifier key whose owner is the fragment's profile: a fragment follows its base."""
        return self.account or self.person or self.device

    @property
    def member(self) -> str:
        """Of a part of an account: the identifier key of who it is from, or empty."""
        return (self.person or self.device) if self.account else ""

    @classmethod
    def parse(cls, text: str) -> "FragmentKey":
        device, _, rest = text.partition("|")
        person, _, account = rest.partition("|")
        return cls(device, person, account)


def fragment_key(event: Event) -> FragmentKey | None:
    """The fragment that an event belongs to; None where it names nobody."""
    device = person = ""
    for identifier in event.identifiers:  # strongest first
        if identifier.role == DEVICE:
            device = device or identifier.key
        elif identifier.role == PERSON:
            person = person or identifier.key
    return FragmentKey(device, person) if device or person else None


def parts(event: Event) -> Iterator[tuple[FragmentKey, Event]]:
    """What an event says, by fragment: of its person, and of the account that a group call is about."""
    key = fragment_key(event)
    if key is not None:
        yield key, event
    if event.account is not None:
        member = key or FragmentKey("", "")
        yield FragmentKey(member.device, member.person, event.account.key), about_account(event, event.account)


def about_account(event: Event, account: Identifier) -> Event:
    """A group call as the account's own event: it identifies the account by its traits."""
    return msgspec.structs.replace(
        event, kind="identify", identifiers=(account,), account=None, consent={}, context=b"{}", previous=()
    )


def partition_key(event: Event) -> str:
    """The stream partition of an event: a function of its fragments' keys, so that a fragment has one writer."""
    key = fragment_key(event)
    if key is not None:
        return key.device or key.base
    return event.message_id if event.account is None else event.account.key


FINGERPRINT_BYTES: Final = 5  # one event in about 4 billion is mistaken for a repeat within a full ring


def fingerprint(event: Event) -> bytes:
    """What the ring of recent messages remembers of an event: a short hash of (source, message id)."""
    return hashlib.blake2b(f"{event.source}\0{event.message_id}".encode(), digest_size=FINGERPRINT_BYTES).digest()
