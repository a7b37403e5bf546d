"""Drain: give the stream what waited in the spool, no faster than it may be given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from onefold.domain.errors import StreamUnavailable
from onefold.use_cases.collect import EventLog, KeyedBatch

ATTEMPTS_MAX: Final = 5  # to have one slice taken; then the queue waits for minutes
SLICE_S: Final = 0.25  # what is appended at once is worth this long
SHARE_START: Final = 1 / 8  # events are in the spool because the stream was throttled: begin slowly
SHARE_MIN: Final = 1 / 64


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


class Clock(Protocol):
    """Seconds since some instant, and waiting; the module `time` is one."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


@dataclass(slots=True)
class Pace:
    """How fast one drain may write. What it appends it waits for before it ends, so nothing is carried over.

    Attributes:
        records_per_s, bytes_per_s: At most; bytes before compression. The environment's rate, divided among as many
            drains as may run side by side.
        share: Of these, now: doubled by every slice that is taken whole, taken back by every throttling.
    """

    records_per_s: float
    bytes_per_s: float
    share: float = SHARE_START

    def worth_s(self, records: int, size: int) -> float:
        """How long so much takes at this pace."""
        return max(records / self.records_per_s, size / self.bytes_per_s) / self.share

    def speed_up(self) -> None:
        self.share = min(1.0, self.share * 2)

    def slow_down(self) -> None:
        self.share = max(SHARE_MIN, min(SHARE_START, self.share / 2))


def drain(key: str, spool: SpoolReader, log: EventLog, pace: Pace, clock: Clock) -> int:
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
    sized = [(batch, len(msgspec.msgpack.encode(batch))) for batch in batches]
    while sized:
        part, sized = _cut(sized, pace)
        _append(part, log, pace, clock)
    spool.delete(key)
    return sum(len(batch.events) + len(batch.refusals) for _, batch in batches)


_Sized = tuple[KeyedBatch, int]


def _cut(sized: list[_Sized], pace: Pace) -> tuple[list[_Sized], list[_Sized]]:
    """Take what is worth SLICE_S off the front, but one batch at least."""
    end = size = 0
    for end, (_, batch_size) in enumerate(sized, start=1):
        size += batch_size
        if pace.worth_s(end, size) >= SLICE_S:
            break
    return sized[:end], sized[end:]


def _append(part: Sequence[_Sized], log: EventLog, pace: Pace, clock: Clock) -> None:
    """Have one slice taken, again what was not; each attempt is waited for.

    Raises:
        StreamUnavailable: The stream did not take it in ATTEMPTS_MAX attempts.
    """
    left, size = [batch for batch, _ in part], sum(size for _, size in part)
    for _ in range(ATTEMPTS_MAX):
        began, due_s = clock.monotonic(), pace.worth_s(len(left), size)
        left = log.append(left)
        clock.sleep(max(0.0, began + due_s - clock.monotonic()))
        if not left:
            pace.speed_up()
            return
        pace.slow_down()
        size = sum(len(msgspec.msgpack.encode(batch)) for batch in left)
    raise StreamUnavailable(f"The stream did not take {len(left)} of {len(part)} spooled batches")
