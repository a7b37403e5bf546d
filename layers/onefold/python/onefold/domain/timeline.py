"""The order of a profile's recent events, and which of several copies of one message is shown."""

from collections.abc import Iterable

from onefold.domain.event import Event


def recency(event: Event) -> tuple[int, int, str, str]:
    """Sort key: the event's time counts, then when it was received."""
    return (event.at, event.received_at, event.source, event.message_id)


def newest(events: Iterable[Event], limit: int) -> list[Event]:
    """Newest first, each (source, message id) once as it was first received, at most `limit`."""
    first_received: dict[tuple[str, str], Event] = {}
    for event in sorted(events, key=lambda event: event.received_at):
        first_received.setdefault((event.source, event.message_id), event)
    return sorted(first_received.values(), key=recency, reverse=True)[:limit]
