"""Stream records as the consumers read them: batches of events, and what stands for records that nobody can read."""

from collections.abc import Iterable
from typing import Protocol

from onefold.adapters.compression import unpack
from onefold.domain.errors import BodyInvalid
from onefold.domain.event import EventBatch, Refusal
from onefold.use_cases.stitch import StreamRecord


class DeliveredRecord(Protocol):
    """A record as it was delivered."""

    @property
    def shard(self) -> str: ...

    @property
    def sequence(self) -> str: ...

    @property
    def arrived_at_ms(self) -> int: ...

    @property
    def data(self) -> bytes: ...


def read_records(delivered: Iterable[DeliveredRecord], *, component: str) -> tuple[list[StreamRecord], list[Refusal]]:
    """Decode records; in place of one that cannot be there is the whole of it with the reason, named by its place."""
    records, unreadable = [], []
    for record in delivered:
        try:
            records.append(StreamRecord(record.sequence, unpack(record.data, EventBatch)))
        except BodyInvalid as error:
            name = f"{record.shard}-{record.sequence}"
            unreadable.append(
                Refusal(name, "", error.reason, error.detail, record.data, record.arrived_at_ms, component)
            )
    return records, unreadable
