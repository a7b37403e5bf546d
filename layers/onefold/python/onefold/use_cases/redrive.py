"""Redrive: batches that a consumer of the stream gave up, read record by record and brought where they belong."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec

from onefold.domain.errors import Unavailable
from onefold.domain.event import EventBatch, Refusal
from onefold.domain.quarantine import Mark
from onefold.use_cases.archive import Lake, archive
from onefold.use_cases.collect import EventLog, KeyedBatch, Spool
from onefold.use_cases.marks import Marks, claim, settle
from onefold.use_cases.stitch import StreamRecord

ARCHIVE: Final = "archive"

RedriveStatus = Literal["waiting", "redriven", "already_redriven", "in_progress", "table_changes"]


class FailedRecord(msgspec.Struct, frozen=True):
    """A record of the stream, as it was delivered."""

    shard: str
    sequence: str
    partition_key: str
    arrived_at_ms: int
    data: bytes


class FailedBatch(msgspec.Struct, frozen=True):
    """What Lambda set aside.

    Attributes:
        function, function_name: Which gave it up, as the code and as AWS call it.
        condition: Why, in Lambda's words.
        records: Of the event stream; empty for the changes of a table, which no stream takes back.
        changes: The records of a table's stream as they were delivered.
    """

    key: str
    function: str
    function_name: str
    condition: str
    shard: str
    failed_at: str
    records: tuple[FailedRecord, ...] = ()
    changes: tuple[Mapping[str, Any], ...] = ()


class FailedBatches(Protocol):
    def load(self, key: str) -> FailedBatch:
        """One batch.

        Raises:
            BodyInvalid: The object is none.
            Unavailable: It cannot be read.
        """


class Redriven(msgspec.Struct, frozen=True):
    """What became of a batch.

    Attributes:
        records, events: How many were brought back.
        unreadable: Records that are in the quarantine now.
    """

    key: str
    function: str
    status: RedriveStatus
    condition: str = ""
    failed_at: str = ""
    records: int = 0
    events: int = 0
    unreadable: int = 0


class Functions(Protocol):
    def deliver(self, function_name: str, record: Mapping[str, Any]) -> None:
        """Invoke a function with a batch of this one record.

        Raises:
            Unavailable: It failed, or reports the record as failed.
        """


ReadRecords = Callable[[Sequence[FailedRecord]], tuple[list[StreamRecord], list[Refusal]]]


@dataclass(frozen=True, slots=True)
class Redriver:
    """Brings set-aside batches back.

    Attributes:
        read: Decodes records one by one; what cannot be is given as a refusal.
        functions: None where functions cannot be invoked; then a table's changes stay where they are.
    """

    batches: FailedBatches
    marks: Marks
    log: EventLog
    spool: Spool
    lake: Lake
    read: ReadRecords
    functions: Functions | None = None

    def look(self, key: str) -> Redriven:
        """What there is to do about a batch; nothing is done.

        Raises:
            BodyInvalid, Unavailable: As the store says.
        """
        batch = self.batches.load(key)
        found = self.marks.load(mark_name(key))
        waits = found is None or found[0].state == "released"
        status: RedriveStatus = "waiting" if waits else "already_redriven"
        if found is not None and found[0].state == "begun":
            status = "in_progress"
        if batch.changes and self.functions is None:
            status = "table_changes"
        return self._redriven(batch, status, records=len(batch.records) + len(batch.changes))

    def redrive(self, key: str, *, now: int, request_id: str, force: bool = False) -> Redriven:
        """Bring a batch back, once; safe to repeat, and to stop anywhere.

        What archive gave up goes to the lake, under the name that its batch would have had. What stitch gave up
        returns to the stream as new records, since its fragments' cursors have passed the old ones; messages that a
        fragment had folded before are repeats, which it knows. What cannot be read goes to the quarantine. A table's
        changes are delivered to their function again, one by one: evaluate reads what is stored, and the receivers of
        what activate publishes know a repeat by its key, and an older state by its version.

        Raises:
            BodyInvalid, Unavailable: As the stores say; the batch waits as before.
        """
        batch = self.batches.load(key)
        if batch.changes and self.functions is None:
            return self._redriven(batch, "table_changes", records=len(batch.changes))
        held = claim(self.marks, mark_name(key), at=now, request_id=request_id, force=force)
        if isinstance(held, Mark):
            return self._redriven(batch, "already_redriven" if held.state == "done" else "in_progress")
        try:
            if self.functions is not None:
                for change in batch.changes:
                    self.functions.deliver(batch.function_name, change)
            records, unreadable = self.read(batch.records)
            if batch.function == ARCHIVE and batch.records:
                name = f"{batch.shard}-{batch.records[0].sequence}-{batch.records[-1].sequence}"
                archive(records, unreadable, self.lake, name=name)
            else:
                self._append(batch, records, unreadable, now)
        except Unavailable:
            settle(self.marks, held, "released")
            raise
        settle(self.marks, held, "done")
        events = sum(len(record.batch.events) for record in records)
        count = len(records) + len(batch.changes)
        return self._redriven(batch, "redriven", records=count, events=events, unreadable=len(unreadable))

    def _append(
        self, batch: FailedBatch, records: Sequence[StreamRecord], unreadable: Sequence[Refusal], now: int
    ) -> None:
        """Refusals inside a record stay out: archive has brought them to the quarantine by itself."""
        keys = {record.sequence: record.partition_key for record in batch.records}
        batches: list[KeyedBatch] = [
            (keys[record.sequence], EventBatch(record.batch.events)) for record in records if record.batch.events
        ]
        batches += [(refusal.message_id, EventBatch((), (refusal,))) for refusal in unreadable]
        left = self.log.append(batches) if batches else []
        if left:
            self.spool.append(left, received_at=now)

    @staticmethod
    def _redriven(
        batch: FailedBatch, status: RedriveStatus, *, records: int = 0, events: int = 0, unreadable: int = 0
    ) -> Redriven:
        return Redriven(
            batch.key, batch.function, status, batch.condition, batch.failed_at, records, events, unreadable
        )


def mark_name(key: str) -> str:
    """A batch's mark is named by its object's key."""
    return hashlib.sha256(key.encode()).hexdigest()
