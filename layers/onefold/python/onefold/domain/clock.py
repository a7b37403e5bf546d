"""When an event happened, from four clocks of which only ours can be trusted."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, cast

from onefold.domain.event import Clock

# Further apart than this, sent_at and received_at differ by a wrong clock and not by the network: SDKs give a request
# up after 10 to 15 seconds.
NETWORK_DELAY_MAX_MS: Final = 60_000
# Numbers below are seconds, from here on milliseconds: 1973 in the one reading, 5138 in the other.
MILLISECONDS_FROM: Final = 100_000_000_000
INSTANT_MAX_MS: Final = 253_402_300_800_000  # the year 10000, where datetime ends


def event_time(received_at: int, sent_at: int | None, original_at: int | None) -> tuple[int, Clock]:
    """Find an event's time, and say which way it was found. All in Unix epoch milliseconds.

    Where the client's clock was right when it sent, the time that it wrote is taken; where it was wrong, only the
    distance between its two readings is: `received_at - (sent_at - original_at)`. No event happens after it was
    received, or before 1970.
    """
    if original_at is None:
        return received_at, "received"
    at: int = original_at
    branch: Clock = "as_sent"
    if sent_at is not None and abs(received_at - sent_at) > NETWORK_DELAY_MAX_MS:
        at, branch = received_at - (sent_at - original_at), "corrected"
    if at > received_at:
        return received_at, "clamped"
    return (at, branch) if at >= 0 else (received_at, "received")


def parse_instant(value: object) -> int | None:
    """Read ISO 8601 (without an offset: UTC) or a Unix epoch in seconds or milliseconds; None for anything else."""
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            return None
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=UTC)
        return round(instant.timestamp() * 1_000)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    size = cast("Decimal", abs(value))  # or a float, or an int
    if not size < INSTANT_MAX_MS:
        return None  # NaN is not below anything
    return round(value if size >= MILLISECONDS_FROM else value * 1_000)
