"""The bus on EventBridge: messages in calls of its size, until each one is taken."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from onefold.adapters.aws_requests import ATTEMPTS_MAX, passing_failures, pause_before
from onefold.domain.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE: Final = "onefold"
CALL_ENTRIES_MAX: Final = 10  # EventBridge's limits of one call
CALL_BYTES_MAX: Final = 256_000
ENTRY_OVERHEAD_BYTES: Final = 100  # source, detail type and time count too

Entry = dict[str, Any]


class Message(Protocol):
    """What the bus carries: a struct with its detail type and its time (epoch ms)."""

    @property
    def kind(self) -> str: ...

    @property
    def at(self) -> int: ...


class EventBridgeBus:
    def __init__(self, client: "EventBridgeClient", bus_name: str) -> None:
        self._client, self._bus_name = client, bus_name

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish all, in any order.

        Raises:
            Unavailable: Not all were taken after ATTEMPTS_MAX attempts.
        """
        for call in _calls([self._entry(message) for message in messages]):
            self._put(call)

    def _entry(self, message: Message) -> Entry:
        return {
            "Source": SOURCE,
            "DetailType": message.kind,
            "Detail": msgspec.json.encode(message).decode(),
            "EventBusName": self._bus_name,
            "Time": message.at / 1_000,
        }

    def _put(self, entries: Sequence[Entry]) -> None:
        remaining: list[Any] = list(entries)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            with passing_failures("EventBridge"):
                answer = self._client.put_events(Entries=remaining)
            outcomes = zip(remaining, answer["Entries"], strict=True)
            remaining = [entry for entry, outcome in outcomes if "ErrorCode" in outcome]
            if not remaining:
                return
            if attempt < ATTEMPTS_MAX:
                pause_before(attempt)
        raise Unavailable("EventBridge did not take every message; the batch will be retried")


def _calls(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Cut into calls that keep to the limits."""
    call: list[Entry] = []
    size = 0
    for entry in entries:
        entry_bytes = len(entry["Detail"].encode()) + ENTRY_OVERHEAD_BYTES
        if call and (len(call) >= CALL_ENTRIES_MAX or size + entry_bytes > CALL_BYTES_MAX):
            yield call
            call, size = [], 0
        call.append(entry)
        size += entry_bytes
    if call:
        yield call
