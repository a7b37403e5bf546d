"""Laws of an event's time."""

from calendar import timegm
from datetime import datetime, timedelta, timezone

from hypothesis import assume, given
from hypothesis import strategies as st

from onefold.domain.clock import NETWORK_DELAY_MAX_MS, event_time, parse_instant

DAY_MS = 86_400_000
NOW = 1_794_484_800_000

instants = st.integers(NOW - 30 * 365 * DAY_MS, NOW + 30 * 365 * DAY_MS)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(instants, st.none() | instants, st.none() | instants)
def test_f31_no_event_happens_after_it_was_received_or_before_1970(
    received_at: int, sent_at: int | None, original_at: int | None
) -> None:
    """Clocks that are wrong by up to thirty years, send times that are missing, events of the future."""
    at, branch = event_time(received_at, sent_at, original_at)

    assert 0 <= at <= received_at
    assert (branch == "as_sent") <= (at == original_at)


@given(st.integers(0, DAY_MS), st.integers(0, 5_000), st.integers(-30 * 365 * DAY_MS, 30 * 365 * DAY_MS))
def test_f31_a_wrong_clock_gives_the_time_that_a_right_one_would(age: int, delay: int, error: int) -> None:
    """The oracle is the world: it happened `age` before it was sent, and travelled for `delay`."""
    assume(abs(delay - error) > NETWORK_DELAY_MAX_MS)

    at, branch = event_time(NOW, NOW - delay + error, NOW - delay + error - age)

    assert branch == "corrected"
    assert at - (NOW - delay - age) == delay  # off by the journey, which no clock tells


@given(st.integers(0, DAY_MS), st.integers(0, 5_000), st.integers(-30_000, 30_000))
def test_f31_a_clock_that_is_right_enough_is_believed(age: int, delay: int, error: int) -> None:
    original_at = NOW - delay + error - age
    assume(original_at <= NOW)

    assert event_time(NOW, NOW - delay + error, original_at) == (original_at, "as_sent")


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=offsets), st.sampled_from(["T", " "]))  # noqa: DTZ001
def test_an_instant_is_what_the_calendar_says(moment: datetime, separator: str) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)
    expected = timegm(moment.utctimetuple()) * 1_000 + moment.microsecond // 1_000

    assert parse_instant(moment.isoformat(separator)) == expected
    assert parse_instant(expected) in {expected, expected * 1_000}  # small numbers are read as seconds


@given(st.text() | st.floats() | st.integers() | st.binary() | st.none() | st.booleans())
def test_anything_is_an_instant_within_the_calendar_or_none(value: object) -> None:
    instant = parse_instant(value)

    assert instant is None or abs(instant) < 253_402_300_800_000
