"""F31: clocks that are wrong by years, and clients that do not say when they sent."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from onefold.domain.event import Event
from onefold.domain.message import Arrival
from onefold.domain.source import Source
from onefold.use_cases.collect import Collector, CollectRequest
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER

NOON = 1_794_484_800_000
YEAR = 365 * 86_400_000
KEY = "key-of-web"

skews = st.integers(-10 * YEAR, 10 * YEAR)
ages = st.integers(0, 86_400_000)


def collected(message: dict[str, Any], **envelope: Any) -> Event:
    log = MemoryEventLog()
    collector = Collector(KnownSources(Source("app", KEY)), log, MemorySpool(), HASHER, lambda text, region: None)
    whole = {"type": "track", "event": "Opened", "userId": "u1", "messageId": "m1"} | message
    body = json.dumps({"batch": [whole]} | envelope).encode()
    assert collector.collect(CollectRequest(body, None, (KEY,), Arrival(NOON))).accepted == 1
    [(_, batch)] = log.batches
    return batch.events[0]


@given(skews, ages)
def test_f31_a_device_that_is_years_off_tells_the_true_age_of_its_event(skew: int, age: int) -> None:
    """Fault: the device's clock is off by up to ten years. Its two readings are off alike, so their distance holds."""
    event = collected({"timestamp": NOON + skew - age}, sentAt=NOON + skew)

    if abs(skew) > 60_000:
        assert (event.at, event.clock) == (NOON - age, "corrected")
    else:
        assert abs(event.at - (NOON - age)) <= 60_000
    assert (event.original_at, event.sent_at, event.received_at) == (NOON + skew - age, NOON + skew, NOON)


@given(skews)
def test_f31_without_a_time_of_sending_the_future_is_clamped_and_the_past_believed(skew: int) -> None:
    """Fault: sentAt is missing. An event of the future cannot be; one of the past may be an import."""
    event = collected({"timestamp": NOON + skew})

    assert (event.at, event.clock) == ((NOON, "clamped") if skew > 0 else (NOON + skew, "as_sent"))
    assert (event.original_at, event.sent_at) == (NOON + skew, None)


def test_f31_a_time_that_is_none_is_said_and_arrival_counts() -> None:
    """Fault: what the device sends as a time cannot be read, or lies before 1970."""
    for written, slug in (("yesterday", "timestamp_unreadable"), (-YEAR * 100, "timestamp_implausible")):
        event = collected({"timestamp": written})
        assert (event.at, event.clock, event.violations) == (NOON, "received", (slug,))
