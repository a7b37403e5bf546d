"""When a schedule expression of EventBridge is due: rate(...), cron(...) and at(...)."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

YEARS_AHEAD_MAX = 5

NextTime = Callable[[datetime], datetime | None]

_UNIT_S = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}
_WEEKDAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}


def parse_schedule(expression: str) -> NextTime:
    """A function from an instant to the next one at which the schedule is due, None when there is no more.

    Raises:
        ValueError: Not an expression of EventBridge, or one with L, W or #, which the local runtime does not know.
    """
    kind, _, rest = expression.partition("(")
    argument = rest.removesuffix(")").strip()
    if kind == "rate" and (found := re.fullmatch(r"(\d+) (minute|hour|day)s?", argument)):
        step = timedelta(seconds=int(found[1]) * _UNIT_S[found[2]])
        return lambda after: after + step
    if kind == "at":
        instant = datetime.fromisoformat(argument).replace(tzinfo=UTC)
        return lambda after: instant if instant > after else None
    fields = argument.split()
    if kind == "cron" and len(fields) == 6:  # noqa: PLR2004 -- minute hour day month weekday year
        return _cron(fields)
    raise ValueError(f"schedule expression {expression!r}: expected rate(...), at(...) or cron(...) of six fields")


def _cron(fields: list[str]) -> NextTime:
    minutes = sorted(_values(fields[0], 0, 59))
    hours = sorted(_values(fields[1], 0, 23))
    days = _values(fields[2], 1, 31)
    months = _values(fields[3], 1, 12, _MONTHS)
    weekdays = _values(fields[4], 1, 7, _WEEKDAYS)
    years = _values(fields[5], 1970, 2199)

    def next_time(after: datetime) -> datetime | None:
        start = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for ahead in range(366 * YEARS_AHEAD_MAX):
            day = (start + timedelta(days=ahead)).replace(hour=0, minute=0)
            if day.year not in years or day.month not in months or day.day not in days:
                continue
            if day.isoweekday() % 7 + 1 not in weekdays:
                continue
            times = (day.replace(hour=hour, minute=minute) for hour in hours for minute in minutes)
            due = next((time for time in times if time >= start), None)
            if due is not None:
                return due
        return None

    return next_time


def _values(field: str, low: int, high: int, names: Mapping[str, int] | None = None) -> set[int]:
    def number(text: str) -> int:
        value = (names or {}).get(text.upper())
        return int(text) if value is None else value

    values: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if first in ("*", "?"):
            start, end = low, high
        else:
            start = number(first)
            end = number(last) if last else (high if step else start)
        values.update(range(start, end + 1, int(step or 1)))
    if not values or min(values) < low or max(values) > high:
        raise ValueError(f"cron field {field!r} is not within {low} and {high}")
    return values
