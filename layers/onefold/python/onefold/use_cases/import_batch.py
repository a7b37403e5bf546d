"""A batch of an import: rows become messages, take the way that every message takes, and land on the stream at once."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import msgspec

from onefold.domain.errors import StreamUnavailable
from onefold.domain.event import EventBatch, Refusal
from onefold.domain.import_file import Counts, Import, RefusedRow
from onefold.domain.message import Arrival
from onefold.domain.parcel import BODY_BYTES_MAX, OBJECTS_MAX
from onefold.domain.row_message import Message, RowInvalid, RowMapper, Told, encode_message
from onefold.domain.source import Source
from onefold.domain.table_text import Fault, Row
from onefold.use_cases.collect import (
    REFUSAL_BODY_BYTES_MAX,
    Collector,
    CollectRequest,
    EventLog,
    KeyedBatch,
    Outcome,
    Sources,
    Spool,
)

COMPONENT: Final = "import_files"
MESSAGES_MAX: Final = 1_000
ROWS_MAX: Final = 10_000  # rows that fit no event fill a batch too, or a run would never look at its clock
BYTES_MAX: Final = 1_000_000
# A fragment remembers its last 256 messages. A batch that is sent again, because a run ended between the stream and the
# checkpoint, is recognised whole as long as it has fewer of any person than that.
MESSAGES_OF_ONE_MAX: Final = 250
OBJECTS_IN_BATCH_MAX: Final = OBJECTS_MAX // 2
MESSAGE_BYTES_MAX: Final = BODY_BYTES_MAX // 2
APPEND_ATTEMPTS_MAX: Final = 6
APPEND_WAIT_S: Final = 0.5


class _Captured:
    """An event log that keeps what it is given, and a source's register of one."""

    def __init__(self, source: Source) -> None:
        self.batches: list[KeyedBatch] = []
        self._source = source

    def append(self, batches: Sequence[KeyedBatch]) -> list[KeyedBatch]:
        self.batches += batches
        return []

    def find(self, _: str) -> Source:
        return self._source


class _NoSpool:
    """An import has its file: what the stream does not take is read again."""

    def append(self, batches: Sequence[KeyedBatch], *, received_at: int) -> None:
        del batches, received_at
        raise StreamUnavailable("An import spools nothing")


@dataclass(frozen=True, slots=True)
class Way:
    """How rows reach the stream.

    Attributes:
        collector: Makes the use case that every message goes through, on these stand-ins for what it stores to.
    """

    log: EventLog
    source: Source
    collector: Callable[[Sources, EventLog, Spool], Collector]
    now_ms: Callable[[], int]
    sleep: Callable[[float], None]


@dataclass(slots=True)
class Batch:
    """Messages of rows that are sent together; where it ends depends on the rows alone, so a second run cuts alike."""

    known: Import
    mapper: RowMapper
    _messages: list[bytes] = field(default_factory=list)
    _owners: list[Sequence[Row]] = field(default_factory=list)
    _faults: list[tuple[Row, Fault]] = field(default_factory=list)
    _of_one: Counter[str] = field(default_factory=Counter)
    _most_of_one: int = 0
    _told: Told = field(default_factory=dict)
    _size: int = 0
    _objects: int = 0
    rows: int = 0
    unmatched: int = 0

    @property
    def is_full(self) -> bool:
        return (
            len(self._messages) + len(self._faults) >= MESSAGES_MAX
            or self.rows >= ROWS_MAX
            or self._size >= BYTES_MAX
            or self._objects >= OBJECTS_IN_BATCH_MAX
            or self._most_of_one >= MESSAGES_OF_ONE_MAX
        )

    def add(self, rows: Sequence[Row]) -> None:
        """Add the rows of one message; those that cannot be used go with their reason."""
        self.rows += len(rows)
        fault = next((row.fault for row in rows if row.fault), None)
        if fault is not None:
            self.refuse(rows, fault)
            return
        try:
            messages = self.mapper.messages([row.values for row in rows], self._told)
        except RowInvalid as error:
            self.refuse(rows, Fault(error.reason, error.detail))
            return
        if not messages:
            self.unmatched += len(rows)
        texts = [encode_message(message) for message in messages]
        if any(len(text) > MESSAGE_BYTES_MAX for text in texts):
            detail = f"The message of the row has more than {MESSAGE_BYTES_MAX} bytes"
            self.refuse(rows, Fault("event_too_large", detail))
            return
        for message, text in zip(messages, texts, strict=True):
            self._messages.append(text)
            self._owners.append(rows)
            self._size += len(text)
            self._objects += text.count(b"{") + text.count(b"[")
            for name in _named(message):
                self._of_one[name] += 1
                self._most_of_one = max(self._most_of_one, self._of_one[name])

    def refuse(self, rows: Sequence[Row], fault: Fault) -> None:
        """Put rows aside."""
        detail = fault.detail
        if len(rows) > 1:
            detail = f"{detail}; one of the {len(rows)} rows from line {rows[0].line} that make one message"
        for row in rows:
            self._faults.append((row, Fault(fault.reason, detail, fault.version)))
            self._size += min(len(row.raw), REFUSAL_BODY_BYTES_MAX)

    def send(self, way: Way) -> tuple[Counts, tuple[RefusedRow, ...]]:
        """Bring everything onto the stream; what cannot be events as refusals with the rows' own bytes.

        Raises:
            StreamUnavailable: The stream does not take it; nothing is lost, the rows are read again.
        """
        now = way.now_ms()
        batches, outcome = self._collected(way, now) if self._messages else ([], Outcome(self.known.source))
        refusals = tuple(self._refusal(row, fault, now) for row, fault in self._faults)
        if refusals:
            batches.append((refusals[0].message_id, EventBatch((), refusals)))
        _append(way, batches)
        counts = Counts(
            rows=self.rows,
            messages=len(self._messages),
            accepted=sum(len(batch.events) for _, batch in batches),
            repeated=len(outcome.repeated),
            suppressed=len(outcome.suppressed),
            refused=len(refusals),
            unmatched=self.unmatched,
            reasons=dict(Counter(refusal.reason for refusal in refusals)),
        )
        return counts, tuple(RefusedRow(row.line, fault.reason, fault.detail) for row, fault in self._faults)

    def _collected(self, way: Way, now: int) -> tuple[list[KeyedBatch], Outcome]:
        captured = _Captured(way.source)
        collector = way.collector(captured, captured, _NoSpool())
        body = b'{"batch":[' + b",".join(self._messages) + b"]}"
        outcome = collector.collect(CollectRequest(body, None, (way.source.write_key,), Arrival(now)))
        refused_rows = {id(row) for row, _ in self._faults}
        for index, refusal in outcome.refused:
            rows = [row for row in self._owners[index] if id(row) not in refused_rows]
            refused_rows.update(map(id, rows))
            if rows:
                self.refuse(rows, Fault(refusal.reason, refusal.detail, refusal.version))
        events = [(key, EventBatch(batch.events)) for key, batch in captured.batches if batch.events]
        return events, outcome

    def _refusal(self, row: Row, fault: Fault, now: int) -> Refusal:
        known = self.known
        place = f"{known.facts.digest}\0{known.mapping}\0{row.line}".encode()
        detail = f"{known.file}:{row.line}: {fault.detail}"
        return Refusal(
            message_id=f"import-{blake2b(place, digest_size=16).hexdigest()}",
            source=known.source,
            reason=fault.reason,
            detail=detail,
            body=row.raw[:REFUSAL_BODY_BYTES_MAX],
            received_at=now,
            component=COMPONENT,
            version=fault.version,
        )


def _named(message: Message) -> list[str]:
    """What may be the key of a message's fragment."""
    named = [str(message[field]).casefold() for field in ("userId", "anonymousId") if field in message]
    context = message.get("context")
    external = context.get("externalIds", ()) if isinstance(context, dict) else ()
    named += [str(each["id"]).casefold() for each in external]
    return named


def _append(way: Way, batches: list[KeyedBatch]) -> None:
    """Append all of it, with patience: unlike a client, a file can wait."""
    left = batches
    for attempt in range(APPEND_ATTEMPTS_MAX):
        if attempt:
            way.sleep(APPEND_WAIT_S * 2.0**attempt)
        left = way.log.append(left) if left else []
        if not left:
            return
    raise StreamUnavailable(f"The stream did not take {len(left)} batches of an import")


def content_id(row: Row) -> str:
    """A name for what a row says, whatever its file's separators and order of columns."""
    said = msgspec.json.encode(sorted((name, str(value)) for name, value in row.values.items() if value is not None))
    return blake2b(said, digest_size=16).hexdigest()
