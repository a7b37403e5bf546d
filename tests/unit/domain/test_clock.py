import pytest

from onefold.domain.clock import event_time, parse_instant

NOON = 1_794_484_800_000
MINUTE = 60_000
HOUR = 60 * MINUTE
YEAR = 365 * 24 * HOUR


@pytest.mark.parametrize(
    ("sent_at", "original_at", "expected"),
    [
        (None, None, (NOON, "received")),
        (NOON - 3_000, None, (NOON, "received")),
        (NOON - 300, NOON - 5_000, (NOON - 5_000, "as_sent")),
        (NOON + 900, NOON - 5_000, (NOON - 5_000, "as_sent")),  # a clock a second ahead is a clock
        (None, NOON - 16 * YEAR, (NOON - 16 * YEAR, "as_sent")),  # an import of history
        (NOON, NOON - 16 * YEAR, (NOON - 16 * YEAR, "as_sent")),
        (NOON + HOUR, NOON + HOUR - 5_000, (NOON - 5_000, "corrected")),
        (NOON - 10 * YEAR, NOON - 10 * YEAR - 7_000, (NOON - 7_000, "corrected")),
        (NOON + 10 * YEAR, NOON + 10 * YEAR - 7_000, (NOON - 7_000, "corrected")),
        (None, NOON + 1, (NOON, "clamped")),
        (NOON - 10, NOON + YEAR, (NOON, "clamped")),
        (NOON + HOUR, NOON + 2 * HOUR, (NOON, "clamped")),  # sent before it happened
        (None, -1, (NOON, "received")),
        (NOON, NOON, (NOON, "as_sent")),
    ],
)
def test_the_branch_follows_the_three_readings(
    sent_at: int | None, original_at: int | None, expected: tuple[int, str]
) -> None:
    assert event_time(NOON, sent_at, original_at) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-12T12:00:00.000Z", 1_794_484_800_000),
        ("2026-11-12T12:00:00+00:00", 1_794_484_800_000),
        ("2026-11-12T14:00:00.123456+02:00", 1_794_484_800_123),
        ("2026-11-12T12:00:00", 1_794_484_800_000),
        ("2026-11-12", 1_794_441_600_000),
        ("1969-12-31T23:59:59Z", -1_000),
        (1_794_484_800, 1_794_484_800_000),
        (1_794_484_800.5, 1_794_484_800_500),
        (1_794_484_800_000, 1_794_484_800_000),
        ("", None),
        ("yesterday", None),
        ("2026-13-12T12:00:00Z", None),
        ("\x00", None),
        (True, None),
        (None, None),
        ({}, None),
        (1e300, None),
        (10**40, None),
    ],
)
def test_an_instant_is_read_or_it_is_none(written: object, expected: int | None) -> None:
    assert parse_instant(written) == expected
