"""Archive: bring every record of a batch into the lake, events to the raw zone and refusals to the quarantine."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from onefold.domain.event import Event, Refusal
from onefold.use_cases.stitch import StreamRecord


class ArchivedEvent(msgspec.Struct, frozen=True):
    """An event and the sequence number of the record that brought it; of repeats the lowest counts.

    Attributes:
        position: Of the event in its record, from 0.
    """

    event: Event
    sequence: str
    position: int = 0


class Lake(Protocol):
    def write_events(self, events: Sequence[ArchivedEvent], name: str) -> None:
        """Keep events under a name; the same name again overwrites."""

    def write_refusals(self, refusals: Sequence[Refusal], name: str) -> None:
        """Likewise for what did not become an event."""


def archive(
    records: Sequence[StreamRecord], unreadable: Sequence[Refusal], lake: Lake, *, name: str
) -> Mapping[str, int]:
    """Write a batch to the lake, all of it, repeats included.

    Args:
        records: In stream order.
        unreadable: What stands for records that could not be decoded.
        lake: Where they go.
        name: A function of the batch (shard, first and last sequence number): a retry overwrites itself, and an
            invocation that outlives its retry overwrites nothing but the same records.

    Returns:
        Counts: `events`, `refusals`.

    Raises:
        Unavailable: Not everything was written; the whole batch must be delivered again.
    """
    events = [
        ArchivedEvent(event, record.sequence, position)
        for record in records
        for position, event in enumerate(record.batch.events)
    ]
    refusals = [refusal for record in records for refusal in record.batch.refusals]
    refusals.extend(unreadable)
    if events:
        lake.write_events(events, name)
    if refusals:
        lake.write_refusals(refusals, name)
    return {"events": len(events), "refusals": len(refusals)}
