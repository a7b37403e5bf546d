from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.domain.errors import StreamUnavailable, Unavailable
from onefold.domain.event import EventBatch, Refusal
from onefold.use_cases.collect import KeyedBatch
from onefold.use_cases.drain import ATTEMPTS_MAX, SHARE_MIN, SHARE_START, Pace, drain
from tests.fakes.collecting import MemoryEventLog, MemorySpool
from tests.fakes.events import event

BATCHES = [
    ("a", EventBatch((event("user_id:a"), event("user_id:a")))),
    ("b", EventBatch((), (Refusal("m", "web", "r", "d", b"x", 0),))),
]


@dataclass
class VirtualClock:
    """Time that passes by sleeping alone."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        assert seconds >= 0
        self.now += seconds


@dataclass
class MoodyLog:
    """Takes the next call's batches whole, but for the first `refusals` of them, and notes when it was asked."""

    clock: VirtualClock
    refusals: list[int] = field(default_factory=list)
    batches: list[KeyedBatch] = field(default_factory=list)
    offered: list[tuple[float, int]] = field(default_factory=list)

    def append(self, batches: Sequence[KeyedBatch]) -> list[KeyedBatch]:
        self.offered.append((self.clock.now, len(batches)))
        refused = self.refusals.pop(0) if self.refusals else 0
        self.batches += batches[refused:]
        return list(batches[:refused])


def spooled(batches: Sequence[KeyedBatch] = BATCHES) -> tuple[MemorySpool, str]:
    spool = MemorySpool()
    spool.append(batches, received_at=1)
    [key] = spool.objects
    return spool, key


def fast() -> Pace:
    return Pace(records_per_s=1e9, bytes_per_s=1e12, share=1.0)


def numbered(count: int) -> list[KeyedBatch]:
    return [
        (f"k{number}", EventBatch((), (Refusal(f"m{number}", "web", "r", "d", b"", 0),))) for number in range(count)
    ]


def test_a_spooled_object_goes_to_the_stream_and_is_forgotten() -> None:
    (spool, key), log = spooled(), MemoryEventLog()

    assert drain(key, spool=spool, log=log, pace=fast(), clock=VirtualClock()) == 3

    assert log.batches == BATCHES
    assert spool.objects == {}


def test_an_object_that_is_gone_was_drained_by_an_earlier_delivery() -> None:
    (spool, key), log = spooled(), MemoryEventLog()
    drain(key, spool=spool, log=log, pace=fast(), clock=VirtualClock())

    assert drain(key, spool=spool, log=log, pace=fast(), clock=VirtualClock()) == 0
    assert log.batches == BATCHES


def test_an_object_stays_whole_until_the_stream_has_all_of_it() -> None:
    (spool, key), log = spooled(), MemoryEventLog()
    log.refused_keys = {"b"}

    with pytest.raises(StreamUnavailable):
        drain(key, spool=spool, log=log, pace=fast(), clock=VirtualClock())

    assert spool.objects[key] == BATCHES


def test_a_spool_that_cannot_be_read_is_tried_again() -> None:
    spool, key = spooled()
    spool.broken = True

    with pytest.raises(Unavailable):
        drain(key, spool=spool, log=MemoryEventLog(), pace=fast(), clock=VirtualClock())


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    rate=st.floats(1, 1_000),
    refusals=st.lists(st.integers(0, 3), max_size=4),
)
def test_f05_no_stretch_of_time_sees_more_records_than_the_rate(
    sizes: list[int], rate: float, refusals: list[int]
) -> None:
    """F05: a backlog is drained beside live traffic; objects one after another, some of them throttled."""
    clock = VirtualClock()
    log, pace = MoodyLog(clock, list(refusals)), Pace(rate, 1e12, share=1.0)
    for size in sizes:
        spool, key = spooled(numbered(size))
        try:
            drain(key, spool=spool, log=log, pace=pace, clock=clock)
        except StreamUnavailable:
            continue

    # What is offered at one instant is waited for before the next, so no window holds more than its length allows.
    times = [at for at, _ in log.offered] + [clock.now]
    for number, (at, count) in enumerate(log.offered):
        assert times[number + 1] - at >= count / rate * 0.999


def test_bytes_count_too() -> None:
    clock = VirtualClock()
    large = [("k", EventBatch((), (Refusal("m", "web", "r", "d", b"x" * 100_000, 0),)))]
    spool, key = spooled(large)

    drain(key, spool=spool, log=MoodyLog(clock), pace=Pace(1e9, 50_000, share=1.0), clock=clock)

    assert clock.now == pytest.approx(2.0, rel=0.01)


def test_a_new_drain_begins_slowly_and_doubles_its_pace() -> None:
    clock = VirtualClock()
    log, pace = MoodyLog(clock), Pace(100, 1e12)
    spool, key = spooled(numbered(300))

    drain(key, spool=spool, log=log, pace=pace, clock=clock)

    counts = [count for _, count in log.offered]
    assert counts[:4] == [4, 7, 13, 25]
    assert max(counts) == 25
    assert pace.share == 1.0


def test_throttling_slows_down_and_what_was_refused_alone_is_sent_again() -> None:
    clock = VirtualClock()
    log, pace = MoodyLog(clock, refusals=[2]), Pace(100, 1e12, share=1.0)
    spool, key = spooled(numbered(10))

    drain(key, spool=spool, log=log, pace=pace, clock=clock)

    assert [count for _, count in log.offered] == [10, 2]
    assert sorted(key for key, _ in log.batches) == sorted(key for key, _ in numbered(10))
    assert pace.share == SHARE_START * 2
    assert clock.now == pytest.approx(10 / 100 + 2 / (100 * SHARE_START))


def test_a_stream_that_takes_nothing_is_asked_ever_more_slowly_and_then_left_alone() -> None:
    clock = VirtualClock()
    log, pace = MoodyLog(clock, refusals=[1] * 50), Pace(100, 1e12)
    spool, key = spooled(numbered(1))

    with pytest.raises(StreamUnavailable):
        drain(key, spool=spool, log=log, pace=pace, clock=clock)

    assert len(log.offered) == ATTEMPTS_MAX
    assert pace.share == SHARE_MIN
    assert key in spool.objects
