from datetime import UTC, datetime

import pytest

from infra.local.schedules import parse_schedule

NOW = datetime(2026, 2, 27, 23, 59, 30, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("rate(5 minutes)", datetime(2026, 2, 28, 0, 4, 30, tzinfo=UTC)),
        ("rate(1 day)", datetime(2026, 2, 28, 23, 59, 30, tzinfo=UTC)),
        ("cron(0 3 * * ? *)", datetime(2026, 2, 28, 3, 0, tzinfo=UTC)),
        ("cron(0/15 * * * ? *)", datetime(2026, 2, 28, 0, 0, tzinfo=UTC)),
        ("cron(30 4 1 * ? *)", datetime(2026, 3, 1, 4, 30, tzinfo=UTC)),
        ("cron(0 9 ? * MON-FRI *)", datetime(2026, 3, 2, 9, 0, tzinfo=UTC)),
        ("cron(0 9 ? * 1 *)", datetime(2026, 3, 1, 9, 0, tzinfo=UTC)),
        ("cron(0 0 29 FEB ? *)", datetime(2028, 2, 29, 0, 0, tzinfo=UTC)),
        ("cron(0 0 1 1 ? 2020)", None),
    ],
)
def test_a_schedule_is_due_next(expression: str, due: datetime | None) -> None:
    assert parse_schedule(expression)(NOW) == due


@pytest.mark.parametrize(
    "expression", ["rate(5 weeks)", "cron(0 3 * * ?)", "every day", "at(2026-03-01T10:00:00)", "cron(61 * * * ? *)"]
)
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"schedule expression|cron field"):
        parse_schedule(expression)
