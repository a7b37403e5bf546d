"""When a schedule expression of EventBridge is due: rate(...) and cron(...)."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product

_DAYS_AHEAD_MAX = 366 * 5
_UNIT_S = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]

NextTime = Callable[[datetime], datetime | None]


def parse_schedule(expression: str) -> NextTime:
    """A function from an instant to the next one at which the schedule is due, None when there is no more.

    Raises:
        ValueError: Not an expression of EventBridge, or one with L, W or #, which the local runtime does not know.
    """
    if found := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        step = timedelta(seconds=int(found[1]) * _UNIT_S[found[2]])
        return lambda after: after + step
    if found := re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)", expression):
        return _cron(*found.groups())
    raise ValueError(f"schedule expression {expression!r}: expected rate(...) or cron(...) of six fields")


def _cron(*fields: str) -> NextTime:
    bounds: tuple[tuple[int, int, list[str]], ...] = (
        *((0, 59, []), (0, 23, []), (1, 31, [])),
        *((1, 12, _MONTHS), (1, 7, _WEEKDAYS), (1970, 2199, [])),
    )
    minutes, hours, days, months, weekdays, years = (
        _values(field, low, high, names) for field, (low, high, names) in zip(fields, bounds, strict=True)
    )

    times_of_day = list(product(sorted(hours), sorted(minutes)))

    def next_time(after: datetime) -> datetime | None:
        start = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for ahead in range(_DAYS_AHEAD_MAX):
            day = start + timedelta(days=ahead)
            if day.year in years and day.month in months and day.day in days and day.isoweekday() % 7 + 1 in weekdays:
                times = (day.replace(hour=hour, minute=minute) for hour, minute in times_of_day)
                due = next((time for time in times if time >= start), None)
                if due is not None:
                    return due
        return None

    return next_time


def _values(field: str, low: int, high: int, names: list[str]) -> set[int]:
    values: set[int] = set()
    for part in field.upper().split(","):
        span, _, step = part.partition("/")
        first, _, last = (str(names.index(end) + 1) if end in names else end for end in span.partition("-"))
        start = low if first in ("*", "?") else int(first)
        end = int(last) if last else high if step or first in ("*", "?") else start
        values.update(range(start, end + 1, int(step or 1)))
    if not values or min(values) < low or max(values) > high:
        raise ValueError(f"cron field {field!r} is not within {low} and {high}")
    return values
