"""Quarantine: what was refused, shown, repaired, and sent again, once."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Protocol

import msgspec

from onefold.domain.errors import Rejected, Unavailable
from onefold.domain.event import EventBatch
from onefold.domain.message import Arrival
from onefold.domain.quarantine import Entry, Mark, parse_entry_id, repaired, unpack_envelope
from onefold.domain.snowplow import FORM as SNOWPLOW
from onefold.domain.snowplow import open_snowplow, snowplow_body
from onefold.domain.source import Source
from onefold.use_cases.collect import Collector, CollectRequest, KeyedBatch, group
from onefold.use_cases.marks import Claim, Marks, claim, settle

REPLAYS_MAX: Final = 50  # in one request: each costs two writes of its mark
LIST_MAX: Final = 200
COLLECT: Final = "collect"  # what it refuses is a message; of others it is a file's row or a webhook's body

ReplayStatus = Literal["replayed", "already_replayed", "in_progress", "refused", "not_found", "unavailable"]


class Selection(msgspec.Struct, frozen=True):
    """Which entries; empty texts are no condition.

    Attributes:
        since, until: Days of arrival, both included, `2026-11-12`.
        after: First arrival (epoch ms) and digest of the last entry of the page before.
    """

    since: str
    until: str
    source: str = ""
    reason: str = ""
    component: str = ""
    message_id: str = ""
    limit: int = 20
    after: tuple[int, str] | None = None


class QuarantineReader(Protocol):
    """What was refused, as the lake has it; that is a minute or two after it was refused."""

    def find(self, selection: Selection) -> Sequence[Entry]:
        """At most `limit` entries without their bodies, the latest first.

        Raises:
            Rejected: That is more than may be read.
            Unavailable: The store does not answer.
        """

    def load(self, entry_ids: Collection[str]) -> Mapping[str, Entry]:
        """Entry id → entry with its body, for those that exist; raises as `find` does."""


class NamedSources(Protocol):
    def named(self, name: str) -> Source | None:
        """The declared source of this name.

        Raises:
            Unavailable: The definitions cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Repair:
    """What to change before sending again: a JSON merge patch for all, or one whole message for one entry."""

    patch: Any = None
    message: Any = None


class Replay(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one entry that was to be sent again."""

    entry_id: str
    status: ReplayStatus
    message_id: str = ""
    reason: str = ""
    detail: str = ""
    at: int | None = None


@dataclass(slots=True)
class HeldLog:
    """An event log that holds what it is given, so that it can be looked at before it is sent."""

    batches: list[KeyedBatch] = field(default_factory=list)

    def append(self, batches: Sequence[KeyedBatch]) -> list[KeyedBatch]:
        self.batches += batches
        return []


@dataclass(frozen=True, slots=True)
class _OneSource:
    source: Source

    def find(self, write_key: str) -> Source | None:
        return self.source if write_key == self.source.write_key else None


@dataclass(frozen=True, slots=True)
class Replayer:
    """Sends entries again.

    Attributes:
        collector: The way that every message goes; its sources are not asked.
        unpack_record: Reads a stream record's bytes.
    """

    entries: QuarantineReader
    marks: Marks
    sources: NamedSources
    collector: Collector
    unpack_record: Callable[[bytes], EventBatch]

    def replay(
        self, entry_ids: Sequence[str], repair: Repair, *, now: int, request_id: str, force: bool = False
    ) -> list[Replay]:
        """Send entries again as new records, each once; what became of each, in the order of the ids.

        The mark is written before and after. Who dies in between leaves a mark that lapses, so the entry may be sent
        again: under the same message id, which counts once.

        Raises:
            Rejected: An id is none, there are too many, or one whole message is to stand for several.
            Unavailable: The quarantine cannot be read.
        """
        self._check(entry_ids, repair)
        found = self.entries.load(entry_ids)
        return [
            self._replay_one(found[entry_id], repair, now=now, request_id=request_id, force=force)
            if entry_id in found
            else Replay(entry_id, "not_found", reason="entry_not_found", detail="No such entry on that day")
            for entry_id in dict.fromkeys(entry_ids)
        ]

    @staticmethod
    def _check(entry_ids: Sequence[str], repair: Repair) -> None:
        if not 1 <= len(entry_ids) <= REPLAYS_MAX:
            raise Rejected("too_many_entries", f"Name 1 to {REPLAYS_MAX} entries in a request", pointer="#/entries")
        if repair.message is not None and len(entry_ids) > 1:
            raise Rejected("message_for_several", "Give a whole message for one entry only", pointer="#/message")
        for entry_id in entry_ids:
            parse_entry_id(entry_id)

    def _replay_one(self, entry: Entry, repair: Repair, *, now: int, request_id: str, force: bool) -> Replay:
        outcome = Replay(entry.entry_id, "replayed", entry.message_id, at=now)
        try:
            batches = self.prepare(entry, repair)
            held = claim(self.marks, entry.digest, at=now, request_id=request_id, force=force)
            if isinstance(held, Mark):
                done = held.state == "done"
                return msgspec.structs.replace(
                    outcome, status="already_replayed" if done else "in_progress", at=held.at
                )
            self._send(batches, held, now)
        except Rejected as error:
            return Replay(entry.entry_id, "refused", entry.message_id, error.reason, error.detail)
        except Unavailable:
            detail = "It was not sent; send the same request again"
            return Replay(entry.entry_id, "unavailable", entry.message_id, "unavailable", detail)
        return outcome

    def _send(self, batches: Sequence[KeyedBatch], held: Claim, now: int) -> None:
        try:
            left = self.collector.log.append(batches)
            if left:
                self.collector.spool.append(left, received_at=now)
        except Unavailable:
            settle(self.marks, held, "released")
            raise
        try:
            settle(self.marks, held, "done")
        except Unavailable:
            return  # it is sent; the mark lapses, and who sends it once more finds that it counts once

    def prepare(self, entry: Entry, repair: Repair) -> list[KeyedBatch]:
        """What would be appended for an entry; nothing is.

        The message goes through the collector at the time at which it first came, so that its event's time is what it
        would have been.

        Raises:
            Rejected: It would be refused again, with the reason.
            Unavailable: The sources cannot be read.
        """
        if not entry.source:
            return self._record(entry)
        if entry.component != COLLECT and repair.message is None:
            detail = (
                f"It is no message, but what {entry.component} was given: give a whole message, or the original anew"
            )
            raise Rejected("not_a_message", detail)
        source = self.sources.named(entry.source)
        if source is None:
            raise Rejected("source_unknown", "No source of this name is declared: declare it again to replay")
        envelope = unpack_envelope(entry.envelope)
        message = repaired(entry, repair.patch, repair.message)
        body = {"batch": [message], "sentAt": envelope.sent_at}
        held = HeldLog()
        collector = replace(self.collector, sources=_OneSource(source), log=held)
        request = CollectRequest(
            msgspec.json.encode(body | {"context": envelope.context}),
            None,
            (source.write_key,),
            Arrival(entry.received_at),
            (lambda: open_snowplow(snowplow_body(message))[0].parcel) if envelope.form == SNOWPLOW else None,
        )
        outcome = collector.collect(request)
        if outcome.refused:
            _, refusal = outcome.refused[0]
            raise Rejected(refusal.reason, refusal.detail)
        if outcome.suppressed:
            raise outcome.suppressed[0][1]
        return held.batches

    def _record(self, entry: Entry) -> list[KeyedBatch]:
        """A whole stream record that could not be read: perhaps this version can."""
        batch = self.unpack_record(entry.body)
        return group(batch.events, batch.refusals)
