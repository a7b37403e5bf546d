"""Collect: take a request's messages, make events of them, and store them before anything is acknowledged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import msgspec

from onefold.domain.clock import parse_instant
from onefold.domain.enrichment import Enricher
from onefold.domain.errors import EventInvalid, EventSuppressed, PayloadTooLarge, PlanViolated, Unauthorized
from onefold.domain.event import Event, EventBatch, Kind, Refusal, partition_key
from onefold.domain.geography import Locator
from onefold.domain.identifier import Identifier, IdentifierHasher
from onefold.domain.identity_rules import DEFAULT_RULES, IdentityRules
from onefold.domain.message import Arrival, EventReader, Message
from onefold.domain.message_id import is_usable_message_id, made_message_id
from onefold.domain.message_identifiers import IdentifierReader, PhoneReader
from onefold.domain.parcel import BODY_BYTES_MAX, Parcel, open_parcel
from onefold.domain.quarantine import Envelope, pack_envelope
from onefold.domain.source import Source
from onefold.domain.tracking_plan import CompiledPlan
from onefold.domain.user_agent import UserAgentReader

# A refused message must fit a stream record of 1 MiB even where it does not compress.
REFUSAL_BODY_BYTES_MAX: Final = 512 * 1_024
RULES_VERSION: Final = "1"  # of what collect itself refuses; a plan has a version of its own
SHARED_CONTEXT_BYTES_MAX: Final = BODY_BYTES_MAX  # the envelope's context, counted once for each message

KeyedBatch = tuple[str, EventBatch]  # a partition key, and what goes there


class EventLog(Protocol):
    """The stream."""

    def append(self, batches: Sequence[KeyedBatch]) -> list[KeyedBatch]:
        """Append each batch as one record or, where it is too large, as several; give back what was not taken.

        Whatever is not given back is durable. Never raises for a stream that is unavailable.
        """


class Spool(Protocol):
    """Where events wait that the stream would not take."""

    def append(self, batches: Sequence[KeyedBatch], *, received_at: int) -> None:
        """Keep the batches durably.

        Raises:
            StreamUnavailable: They are not kept.
        """


class Sources(Protocol):
    """The declared sources."""

    def find(self, write_key: str) -> Source | None:
        """The source with this write key.

        Raises:
            Unavailable: The definitions have never been read and cannot be.
        """


class Plans(Protocol):
    """The declared tracking plans."""

    def of_source(self, source: str) -> CompiledPlan | None:
        """The plan for a source's events, if there is one.

        Raises:
            Unavailable: The definitions have never been read and cannot be.
        """


@dataclass(frozen=True, slots=True)
class CollectRequest:
    """One POST.

    Attributes:
        body: Inflated.
        kind: What the path says of the one message in the body; None for a batch.
        write_keys: Those given beside the body, the best first; one inside the body is tried last.
        parcel: Opens a body that is not in Segment's form.
    """

    body: bytes
    kind: Kind | None
    write_keys: tuple[str, ...]
    arrival: Arrival
    parcel: Callable[[], Parcel] | None = None


@dataclass(slots=True)
class Outcome:
    """What became of each message, by its index in the request. Those in none of the lists were accepted.

    Attributes:
        refused: In the quarantine.
        suppressed: Not kept, for want of consent or because the person is suppressed: what it was refused with.
    """

    source: str
    accepted: int = 0
    repeated: list[int] = field(default_factory=list)
    refused: list[tuple[int, Refusal]] = field(default_factory=list)
    spooled: int = 0
    suppressed: list[tuple[int, EventSuppressed]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Collector:
    """The use case with what it needs.

    Attributes:
        plans, read_user_agent, locate: None where there are none; then events are not held against plans, and
            their contexts get no browser and no place.
    """

    sources: Sources
    log: EventLog
    spool: Spool
    hasher: IdentifierHasher
    phone: PhoneReader
    rules: Callable[[], IdentityRules] = lambda: DEFAULT_RULES
    plans: Plans | None = None
    read_user_agent: UserAgentReader | None = None
    locate: Locator | None = None

    def collect(self, request: CollectRequest) -> Outcome:
        """Store every message of a request, as an event or as a refusal.

        Raises:
            BodyInvalid, PayloadTooLarge, Unauthorized: The request as a whole; nothing is stored.
            Unavailable: Neither the stream nor the spool took it, or the sources are not known yet; send it again.
        """
        parcel = request.parcel() if request.parcel else open_parcel(request.body, single=request.kind is not None)
        source = self.authenticate((*request.write_keys, parcel.write_key))
        outcome = Outcome(source.name)
        reader = self._reader(source, request.arrival, parcel)
        events: dict[str, Event] = {}
        for index, message in enumerate(parcel.messages):
            try:
                event = _read(reader, parcel, index, message, request.kind)
            except EventSuppressed as error:
                outcome.suppressed.append((index, error))
                continue
            except EventInvalid as error:
                refusal = _refusal(error, message, parcel.text(index), source.name, request.arrival.received_at)
                outcome.refused.append((index, refusal))
                continue
            earlier = events.get(event.message_id)
            if earlier is not None and not _says_the_same(earlier, event):
                event = _told_apart(event, parcel.text(index))
            if event.message_id in events:
                outcome.repeated.append(index)
            else:
                events[event.message_id] = event
        outcome.accepted = len(events)
        if outcome.refused:
            outcome.refused = _with_envelope(outcome.refused, parcel, request.kind)
        self._store(group(events.values(), [refusal for _, refusal in outcome.refused]), request.arrival, outcome)
        return outcome

    def authenticate(self, write_keys: Iterable[object]) -> Source:
        """The source of the first key that is known.

        Raises:
            Unauthorized: No key is known (`write_key_invalid`), or its source is switched off (`source_disabled`).
            Unavailable: The sources are not known yet.
        """
        for key in write_keys:
            source = self.sources.find(key) if isinstance(key, str) and key else None
            if source is not None:
                if not source.enabled:
                    raise Unauthorized("source_disabled", "This source is disabled")
                return source
        raise Unauthorized("write_key_invalid", "Invalid write key")

    def _reader(self, source: Source, arrival: Arrival, parcel: Parcel) -> EventReader:
        shared = parcel.context if isinstance(parcel.context, dict) and parcel.context else None
        if shared and len(msgspec.json.encode(shared)) * len(parcel.messages) > SHARED_CONTEXT_BYTES_MAX:
            raise PayloadTooLarge("context_too_large", "Send a smaller context beside the batch, or fewer events")
        return EventReader(
            source=source,
            arrival=arrival,
            identifiers=IdentifierReader(self.hasher, self.phone, source.phone_region, self.rules()),
            sent_at=parse_instant(parcel.sent_at),
            shared_context=shared,
            nul=parcel.nul,
            enricher=Enricher(source, self.read_user_agent, self.locate),
            plan=self.plans.of_source(source.name) if self.plans is not None else None,
        )

    def _store(self, batches: list[KeyedBatch], arrival: Arrival, outcome: Outcome) -> None:
        left = self.log.append(batches) if batches else []
        if left:
            self.spool.append(left, received_at=arrival.received_at)
            outcome.spooled = sum(len(batch.events) + len(batch.refusals) for _, batch in left)


def group(events: Iterable[Event], refusals: Sequence[Refusal]) -> list[KeyedBatch]:
    """One batch for each partition key, in the order in which the keys first appear; refusals travel with the first."""
    batches: dict[str, list[Event]] = {}
    keys: dict[tuple[Identifier, ...], str] = {}
    for event in events:
        # A batch repeats its identifiers, and comparing them costs less than finding the strongest again.
        key = keys.get(event.identifiers)
        if key is None:
            key = partition_key(event)
            if event.identifiers:
                keys[event.identifiers] = key
        batches.setdefault(key, []).append(event)
    if refusals and not batches:
        return [(refusals[0].message_id, EventBatch((), tuple(refusals)))]
    grouped = [(key, EventBatch(tuple(members))) for key, members in batches.items()]
    if refusals:
        key, first = grouped[0]
        grouped[0] = (key, EventBatch(first.events, tuple(refusals)))
    return grouped


def _read(reader: EventReader, parcel: Parcel, index: int, message: Message | EventInvalid, kind: Kind | None) -> Event:
    if isinstance(message, EventInvalid):
        raise message
    violations = ["surrogate_replaced"] if index in parcel.repaired else []
    try:
        return reader.read(message, kind, partial(parcel.text, index), violations)
    except RecursionError as error:
        raise EventInvalid("nesting_too_deep", "The event is nested too deeply to be read") from error


def _refusal(
    error: EventInvalid, message: Message | EventInvalid, text: bytes, source: str, received_at: int
) -> Refusal:
    given: object = message.message_id if isinstance(message, Message) else None
    detail = error.detail
    if len(text) > REFUSAL_BODY_BYTES_MAX:
        detail += f". Of its {len(text)} bytes the first {REFUSAL_BODY_BYTES_MAX} are kept"
    return Refusal(
        message_id=given if is_usable_message_id(given) else made_message_id(source, text),
        source=source,
        reason=error.reason,
        detail=detail,
        body=text[:REFUSAL_BODY_BYTES_MAX],
        received_at=received_at,
        version=error.version if isinstance(error, PlanViolated) else RULES_VERSION,
    )


def _with_envelope(
    refused: Sequence[tuple[int, Refusal]], parcel: Parcel, kind: Kind | None
) -> list[tuple[int, Refusal]]:
    """Keep with each refusal what the request says beside it, so that it means the same when it is sent again."""
    context = parcel.context if isinstance(parcel.context, dict) else {}
    envelope = pack_envelope(Envelope(kind, parcel.sent_at, context, parcel.form))
    return [(index, msgspec.structs.replace(refusal, envelope=envelope)) for index, refusal in refused]


def _says_the_same(one: Event, other: Event) -> bool:
    return msgspec.structs.replace(one, sent_at=None, at=0, clock="received") == msgspec.structs.replace(
        other, sent_at=None, at=0, clock="received"
    )


def _told_apart(event: Event, text: bytes) -> Event:
    """Another message under an id that is taken: both count, the second under an id of its own."""
    return msgspec.structs.replace(
        event,
        message_id=made_message_id(event.source, text),
        violations=(*event.violations, "message_id_conflict"),
    )
