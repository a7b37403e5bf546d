from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from onefold.adapters.compression import unpack
from onefold.adapters.kinesis_event_log import (
    ATTEMPTS_MAX,
    BYTES_A_CALL_MAX,
    RECORD_BYTES_MAX,
    RECORDS_A_CALL_MAX,
    KinesisEventLog,
)
from onefold.domain.event import EventBatch, Refusal
from onefold.use_cases.collect import KeyedBatch
from tests.fakes.events import event

THROTTLED = "ProvisionedThroughputExceededException"


class ScriptedStream:
    """Kinesis whose answers a function decides: it says of each partition key in each call whether it is refused."""

    def __init__(self, refuses: Callable[[str, int], bool]) -> None:
        self.refuses = refuses
        self.calls: list[list[str]] = []
        self.sizes: list[int] = []
        self.stored: list[KeyedBatch] = []

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.calls.append([record["PartitionKey"] for record in Records])
        self.sizes.append(sum(len(record["Data"]) + len(record["PartitionKey"]) for record in Records))
        results = []
        for record in Records:
            assert len(record["Data"]) + len(record["PartitionKey"]) <= RECORD_BYTES_MAX
            if self.refuses(record["PartitionKey"], len(self.calls)):
                results.append({"ErrorCode": THROTTLED, "ErrorMessage": "Rate exceeded"})
            else:
                self.stored.append((record["PartitionKey"], unpack(record["Data"], EventBatch)))
                results.append({"SequenceNumber": "1", "ShardId": "0"})
        return {"FailedRecordCount": sum("ErrorCode" in result for result in results), "Records": results}


def log_on(stream: Any, waits: list[float] | None = None) -> KinesisEventLog:
    return KinesisEventLog(stream, "events", sleep=([] if waits is None else waits).append, jitter=lambda: 0.5)


def batches(*keys: str) -> list[KeyedBatch]:
    return [(key, EventBatch((event(f"user_id:{key}"),))) for key in keys]


def test_f01_only_what_was_throttled_is_sent_again() -> None:
    """Kinesis takes some records of a call and throttles others."""
    stream = ScriptedStream(lambda key, call: call == 1 and key in {"b", "d"})
    given = batches("a", "b", "c", "d")

    assert log_on(stream).append(given) == []

    assert stream.calls == [["a", "b", "c", "d"], ["b", "d"]]
    assert sorted(key for key, _ in stream.stored) == ["a", "b", "c", "d"]


def test_f01_what_stays_throttled_is_given_back_after_a_bounded_number_of_longer_and_longer_waits() -> None:
    """A partition that stays throttled: its records are the caller's again, who has the spool."""
    waits: list[float] = []
    stream = ScriptedStream(lambda key, call: key == "b")
    given = batches("a", "b")

    assert log_on(stream, waits).append(given) == [given[1]]

    assert len(stream.calls) == ATTEMPTS_MAX
    assert waits == pytest.approx([0.075, 0.15, 0.3])


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutRecords"),
        ClientError({"Error": {"Code": "InternalFailure", "Message": "no"}}, "PutRecords"),
        ReadTimeoutError(endpoint_url="https://kinesis"),
    ],
)
def test_f03_a_call_that_fails_as_a_whole_gives_everything_back_at_once(error: Exception) -> None:
    """Kinesis is forbidden, broken or silent."""

    class Broken:
        calls = 0

        def put_records(self, **_: Any) -> dict[str, Any]:
            self.calls += 1
            raise error

    stream, given = Broken(), batches("a", "b")

    assert log_on(stream).append(given) == given
    assert stream.calls == 1


def test_a_mistake_of_our_own_is_not_taken_for_a_stream_that_is_down() -> None:
    class Mistaken:
        def put_records(self, **_: Any) -> dict[str, Any]:
            raise TypeError("a defect")

    with pytest.raises(TypeError):
        log_on(Mistaken()).append(batches("a"))


def test_calls_keep_to_the_number_of_records_and_bytes() -> None:
    stream = ScriptedStream(lambda key, call: False)
    noise = Random(1)
    small = batches(*(f"k{number}" for number in range(RECORDS_A_CALL_MAX + 1)))
    large = [
        (f"large {number}", EventBatch((), (Refusal("m", "web", "r", "d", noise.randbytes(900_000), 0),)))
        for number in range(12)
    ]

    assert log_on(stream).append(small + large) == []

    assert max(len(call) for call in stream.calls) == RECORDS_A_CALL_MAX
    assert max(stream.sizes) <= BYTES_A_CALL_MAX
    assert len(stream.calls) == 4  # 500; one and five large ones; five; two
    assert [key for key, _ in stream.stored] == [key for key, _ in small + large]
