"""Sessions: intervals of activity on devices, parted by more than half an hour without any."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

SESSION_GAP_MS: Final = 30 * 60_000  # exactly this long is still one session, anything longer begins another
SESSIONS_MAX: Final = 30  # of a fragment, kept one by one; older ones are in the totals
SESSIONS_SHOWN_MAX: Final = 30


class Session(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """From its first event (epoch ms) to its last one, both within."""

    start_at: int
    duration_ms: int
    events: int

    @property
    def end_at(self) -> int:
        return self.start_at + self.duration_ms


class SettledSessions(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Sums over sessions that are no longer kept one by one."""

    count: int = 0
    first_at: int = 0
    last_at: int = 0
    total_ms: int = 0

    def plus(self, other: "SettledSessions") -> "SettledSessions":
        if not self.count or not other.count:
            return self if self.count else other
        return SettledSessions(
            self.count + other.count,
            min(self.first_at, other.first_at),
            max(self.last_at, other.last_at),
            self.total_ms + other.total_ms,
        )


NO_SESSIONS: Final = SettledSessions()
_start = attrgetter("start_at")


def join_sessions(sessions: Iterable[Session]) -> tuple[Session, ...]:
    """Bring those together that no gap parts; oldest first. In whatever order and portions, the same comes out."""
    joined: list[Session] = []
    for session in sorted(sessions, key=_start):
        if joined and session.start_at - joined[-1].end_at <= SESSION_GAP_MS:
            last = joined[-1]
            end_at = max(last.end_at, session.end_at)
            joined[-1] = Session(last.start_at, end_at - last.start_at, last.events + session.events)
        else:
            joined.append(session)
    return tuple(joined)


def add_times(sessions: tuple[Session, ...], times: Sequence[int]) -> tuple[Session, ...]:
    """The sessions with further events at these times, at least one, in any order."""
    if not sessions:
        return _sessions_of(sorted(times))
    last = sessions[-1]
    start_at = last.start_at
    end_at = start_at + last.duration_ms
    oldest, newest = (times[0], times[0]) if len(times) == 1 else (min(times), max(times))
    if oldest < start_at:
        return join_sessions((*sessions, *_sessions_of(sorted(times))))
    if newest - end_at > SESSION_GAP_MS:
        return (*sessions[:-1], *join_sessions((last, *_sessions_of(sorted(times)))))
    # Nearly always: the last session goes on.
    duration_ms = newest - start_at if newest > end_at else last.duration_ms
    return (*sessions[:-1], Session(start_at, duration_ms, last.events + len(times)))


def _sessions_of(times: Sequence[int]) -> tuple[Session, ...]:
    """Sessions of at least one event; the times are sorted."""
    found = []
    start_at = last_at = times[0]
    events = 0
    for at in times:
        if at - last_at > SESSION_GAP_MS:
            found.append(Session(start_at, last_at - start_at, events))
            start_at, events = at, 0
        last_at = at
        events += 1
    found.append(Session(start_at, last_at - start_at, events))
    return tuple(found)


def settle_sessions(
    sessions: tuple[Session, ...], settled: SettledSessions, *, kept_max: int
) -> tuple[tuple[Session, ...], SettledSessions]:
    """Keep the newest; the others only count."""
    leaving = sessions[: max(0, len(sessions) - kept_max)]
    for each in leaving:
        settled = settled.plus(SettledSessions(1, each.start_at, each.end_at, each.duration_ms))
    return sessions[len(leaving) :], settled


def sessions_document(sessions: Sequence[Session], settled: SettledSessions) -> dict[str, Any]:
    """All of them in sums, the newest one by one, newest first. Times in epoch ms."""
    kept = SettledSessions()
    if sessions:
        total_ms = sum(each.duration_ms for each in sessions)
        last_at = max(each.end_at for each in sessions)
        kept = SettledSessions(len(sessions), sessions[0].start_at, last_at, total_ms)
    sums = kept.plus(settled)
    return {
        "count": sums.count,
        "first_at": sums.first_at if sums.count else None,
        "last_at": sums.last_at if sums.count else None,
        "total_ms": sums.total_ms,
        "recent": [
            {"start_at": each.start_at, "end_at": each.end_at, "events": each.events}
            for each in reversed(sessions[-SESSIONS_SHOWN_MAX:])
        ],
    }
