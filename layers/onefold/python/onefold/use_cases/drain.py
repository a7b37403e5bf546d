"""Drain: give the stream what waited in the spool."""

from typing import Protocol

from onefold.domain.errors import StreamUnavailable
from onefold.use_cases.collect import EventLog, KeyedBatch


class SpoolReader(Protocol):
    """The spool, as who empties it sees it."""

    def load(self, key: str) -> list[KeyedBatch] | None:
        """What one object holds; None where it is gone.

        Raises:
            BodyInvalid: It is none of the spool's.
            Unavailable: It cannot be read.
        """

    def delete(self, key: str) -> None:
        """Forget one object, there or not.

        Raises:
            Unavailable: It cannot be deleted.
        """


def drain(key: str, *, spool: SpoolReader, log: EventLog) -> int:
    """Append what one object holds, then forget it. Safe to repeat: readers know a message that comes twice.

    Returns:
        The number of messages appended; 0 where the object is gone, because an earlier delivery did the work.

    Raises:
        StreamUnavailable: The stream did not take all of it; the object stays whole.
        BodyInvalid, Unavailable: As the spool says.
    """
    batches = spool.load(key)
    if batches is None:
        return 0
    left = log.append(batches)
    if left:
        raise StreamUnavailable(f"The stream did not take {len(left)} of {len(batches)} spooled batches")
    spool.delete(key)
    return sum(len(batch.events) + len(batch.refusals) for _, batch in batches)
