"""The bus's limits, and what becomes of entries that it does not take."""

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from onefold.adapters.aws_requests import ATTEMPTS_MAX
from onefold.adapters.eventbridge_bus import CALL_BYTES_MAX, EventBridgeBus
from onefold.domain.errors import Unavailable
from onefold.use_cases.activate import Transition


class _Events:
    """Takes what it is told to, and keeps the calls."""

    def __init__(self, *refused: set[int]) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self._refused = list(refused)

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.calls.append(Entries)
        refused = self._refused.pop(0) if self._refused else set()
        answers = [
            {"ErrorCode": "ThrottlingException"} if n in refused else {"EventId": str(n)} for n in range(len(Entries))
        ]
        return {"FailedEntryCount": len(refused), "Entries": answers}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _s: None)


def transition(number: int, size: int = 1) -> Transition:
    return Transition(
        "Audience Entered", f"p:{number}:a", "p", 1_000, number, "evaluated", identifiers={"email": ["x" * size]}
    )


def keys(call: list[dict[str, Any]]) -> list[str]:
    return [each["Detail"].partition('"key":"')[2].partition('"')[0] for each in call]


def test_ten_entries_go_into_a_call() -> None:
    events = _Events()

    EventBridgeBus(events, "bus").publish([transition(number) for number in range(23)])  # type: ignore[arg-type]

    assert [len(call) for call in events.calls] == [10, 10, 3]
    assert [key for call in events.calls for key in keys(call)] == [f"p:{number}:a" for number in range(23)]
    assert events.calls[0][0] | {"Detail": ""} == {
        "Source": "onefold",
        "DetailType": "Audience Entered",
        "Detail": "",
        "EventBusName": "bus",
        "Time": 1.0,
    }


def test_a_call_stays_below_its_size() -> None:
    events = _Events()

    EventBridgeBus(events, "bus").publish([transition(number, 100_000) for number in range(5)])  # type: ignore[arg-type]

    assert [len(call) for call in events.calls] == [2, 2, 1]
    assert all(sum(len(each["Detail"]) for each in call) < CALL_BYTES_MAX for call in events.calls)


def test_only_what_was_not_taken_is_sent_again() -> None:
    events = _Events({1, 2}, {0})

    EventBridgeBus(events, "bus").publish([transition(number) for number in range(4)])  # type: ignore[arg-type]

    assert [keys(call) for call in events.calls] == [
        ["p:0:a", "p:1:a", "p:2:a", "p:3:a"],
        ["p:1:a", "p:2:a"],
        ["p:1:a"],
    ]


def test_what_is_never_taken_is_unavailable() -> None:
    events = _Events(*[{0} for _ in range(ATTEMPTS_MAX)])

    with pytest.raises(Unavailable):
        EventBridgeBus(events, "bus").publish([transition(1)])  # type: ignore[arg-type]

    assert len(events.calls) == ATTEMPTS_MAX


@pytest.fixture
def stub() -> Iterator[tuple[Any, Stubber]]:
    client = boto3.client("events", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        yield client, stubber


def test_a_throttled_call_is_unavailable(stub: tuple[Any, Stubber]) -> None:
    client, stubber = stub
    stubber.add_client_error("put_events", "ThrottlingException")

    with pytest.raises(Unavailable):
        EventBridgeBus(client, "bus").publish([transition(1)])
