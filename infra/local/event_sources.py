"""Event-source mappings: Kinesis and DynamoDB streams and SQS queues, polled and delivered as Lambda does."""

import json
import threading
import time
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.local.assembly import TemplateError
from infra.local.event_records import Log, failed_identifiers, failure_document
from infra.local.functions import CURRENT_FUNCTION, FunctionError, Invoker

BATCH_BYTES_MAX = 6 * 1024 * 1024  # a synchronous invocation's payload
RETRY_S = 1.0  # before the first retry of a stream's batch, doubled up to the maximum
RETRY_S_MAX = 10.0
QUEUE_CONCURRENCY_DEFAULT = 2


@dataclass(frozen=True, slots=True)
class EventSourceMapping:
    """The settings of an event-source mapping, from its template."""

    id: str
    function: str
    function_arn: str
    source_arn: str
    batch_size: int
    window_s: float
    parallelization: int
    latest: bool
    bisect: bool
    partial_failures: bool
    retries_max: int  # -1: no limit
    age_s_max: int  # -1: no limit
    destination: str | None
    concurrency_max: int

    @classmethod
    def parse(cls, properties: Mapping[str, Any], *, function: str, function_arn: str) -> "EventSourceMapping":
        source_arn = properties["EventSourceArn"]
        destination = properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if "FilterCriteria" in properties or (destination and ":s3:" not in destination):
            raise TemplateError(f"{function}: the local runtime's mappings have no filters, and buckets for failures")
        return cls(
            id=properties["Id"],
            function=function,
            function_arn=function_arn,
            source_arn=source_arn,
            batch_size=int(properties.get("BatchSize", 10 if ":sqs:" in source_arn else 100)),
            window_s=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
            parallelization=int(properties.get("ParallelizationFactor", 1)),
            latest=properties.get("StartingPosition") == "LATEST",
            bisect=bool(properties.get("BisectBatchOnFunctionError", False)),
            partial_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
            retries_max=int(properties.get("MaximumRetryAttempts", -1)),
            age_s_max=int(properties.get("MaximumRecordAgeInSeconds", -1)),
            destination=destination,
            concurrency_max=int(
                properties.get("ScalingConfig", {}).get("MaximumConcurrency", QUEUE_CONCURRENCY_DEFAULT)
            ),
        )


@dataclass(frozen=True, slots=True)
class Delivering:
    """What all sources of a runtime share."""

    invoker: Invoker
    time_scale: float  # of windows, backoffs and visibility timeouts
    put_object: Callable[..., Any]  # boto3's, of S3
    closing: threading.Event


@dataclass(slots=True)
class _Attempt:
    records: list[Any]
    number: int = 0


class Lane:
    """The records of one shard whose partition keys hash alike: delivered in order, one batch at a time."""

    def __init__(self, mapping: EventSourceMapping, log: Log, delivering: Delivering) -> None:
        self._mapping = mapping
        self._log = log
        self._delivering = delivering
        self._queue: deque[Any] = deque()
        self._since = 0.0
        self._work: list[_Attempt] = []  # what is left of the batch in hand; the last one is next
        self._changed = threading.Condition()
        self.flushing = False
        self.thread = threading.Thread(target=self._run, name=f"{mapping.function}-{log.shard_id}", daemon=True)

    @property
    def pending(self) -> int:
        with self._changed:
            return len(self._queue) + sum(len(attempt.records) for attempt in self._work)

    def undelivered(self) -> list[Any]:
        with self._changed:
            return [record for attempt in reversed(self._work) for record in attempt.records] + list(self._queue)

    def offer(self, record: Any) -> None:
        with self._changed:
            if not self._queue:
                self._since = time.monotonic()
            self._queue.append(record)
            self._changed.notify()

    def wake(self, *, flushing: bool) -> None:
        with self._changed:
            self.flushing = flushing
            self._changed.notify()

    def _run(self) -> None:
        while self._take_batch():
            while self._work and not self._delivering.closing.is_set():
                self._deliver_next()

    def _take_batch(self) -> bool:
        mapping, closing = self._mapping, self._delivering.closing
        window_s = mapping.window_s * self._delivering.time_scale
        with self._changed:
            while not closing.is_set():
                left_s = self._since + window_s - time.monotonic() if self._queue else None
                if left_s is not None and (left_s <= 0 or len(self._queue) >= mapping.batch_size or self.flushing):
                    self._work = [_Attempt(self._pop_batch())]
                    self._since = time.monotonic()
                    return True
                self._changed.wait(left_s)
        return False

    def _pop_batch(self) -> list[Any]:
        batch = [self._queue.popleft()]
        size = self._log.size(batch[0])
        while self._queue and len(batch) < self._mapping.batch_size:
            size += self._log.size(self._queue[0])
            if size > BATCH_BYTES_MAX:
                break
            batch.append(self._queue.popleft())
        return batch

    def _deliver_next(self) -> None:
        """Invoke with the next piece of work and decide what becomes of it."""
        attempt = self._work[-1]
        expired = self._expired(attempt.records)
        if expired:
            self._discard(attempt.records[:expired], "RecordAgeExceeded", attempt.number)
            self._replace(_Attempt(attempt.records[expired:], attempt.number))
            return
        failed_at = self._invoke(attempt.records)
        if failed_at is None:
            self._replace()
            return
        self._replace(*self._after_failure(attempt, failed_at))
        if self._work:
            delay_s = min(RETRY_S_MAX, RETRY_S * 2 ** min(attempt.number, 10)) * self._delivering.time_scale
            self._delivering.closing.wait(delay_s)

    def _after_failure(self, attempt: _Attempt, failed_at: int) -> list[_Attempt]:
        """What to try next, the last one first. Neither progress nor a split uses up a retry."""
        mapping, records = self._mapping, attempt.records[failed_at:]
        if failed_at > 0:
            return [_Attempt(records, attempt.number)]
        if mapping.bisect and len(records) > 1:
            half = len(records) // 2
            return [_Attempt(records[half:], attempt.number), _Attempt(records[:half], attempt.number)]
        if 0 <= mapping.retries_max <= attempt.number:
            self._discard(records, "RetryAttemptsExhausted", attempt.number + 1)
            return []
        return [_Attempt(records, attempt.number + 1)]

    def _replace(self, *attempts: _Attempt) -> None:
        with self._changed:
            self._work[-1:] = [attempt for attempt in attempts if attempt.records]

    def _invoke(self, records: Sequence[Any]) -> int | None:
        """Position of the first record that failed, None if none did."""
        event = {"Records": [self._log.event(record) for record in records]}
        try:
            response = self._delivering.invoker.invoke(self._mapping.function, event, records=len(records))
        except FunctionError:
            return 0
        if not self._mapping.partial_failures:
            return None
        positions = {self._log.sequence(record): position for position, record in enumerate(records)}
        failed = failed_identifiers(response, positions)
        if failed is None:
            return 0
        return min(failed, default=None)

    def _expired(self, records: Sequence[Any]) -> int:
        if self._mapping.age_s_max < 0:
            return 0
        oldest = time.time() - self._mapping.age_s_max
        return sum(self._log.arrived_at(record) < oldest for record in records)

    def _discard(self, records: Sequence[Any], condition: str, attempts: int) -> None:
        mapping = self._mapping
        if mapping.destination is None:
            return
        document = failure_document(
            self._log,
            records,
            stream_arn=mapping.source_arn,
            function_arn=mapping.function_arn,
            condition=condition,
            attempts=attempts,
        )
        document["payload"] = json.dumps({"Records": [self._log.event(record) for record in records]})
        now = datetime.now(UTC)
        name = f"{now:%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
        key = f"aws/lambda/{mapping.id}/{self._log.shard_id}/{now:%Y/%m/%d}/{name}"
        invoker, bucket = self._delivering.invoker, mapping.destination.rpartition(":")[2]
        token = CURRENT_FUNCTION.set(mapping.function)  # what its role may not write is lost, as in Lambda
        try:
            self._delivering.put_object(Bucket=bucket, Key=key, Body=json.dumps(document).encode())
        except Exception as error:  # noqa: BLE001 -- the stream goes on, whatever the destination says
            invoker.logs[mapping.function].append(f"[ERROR] the destination {bucket} took nothing: {error}")
        finally:
            CURRENT_FUNCTION.reset(token)


class StreamSource:
    """One shard read for one mapping."""

    def __init__(self, mapping: EventSourceMapping, log: Log, delivering: Delivering) -> None:
        self.mapping = mapping
        self.log = log
        self._seen = log.count() if mapping.latest else 0
        self._polling = threading.Lock()
        self._lanes = [Lane(mapping, log, delivering) for _ in range(mapping.parallelization)]

    @property
    def threads(self) -> list[threading.Thread]:
        return [lane.thread for lane in self._lanes]

    @property
    def pending(self) -> int:
        return max(0, self.log.count() - self._seen) + sum(lane.pending for lane in self._lanes)

    def undelivered(self) -> list[Any]:
        """Records in the order of each lane, and those that were not read yet; one read meanwhile is there twice."""
        unread = self.log.read(self._seen)
        return [record for lane in self._lanes for record in lane.undelivered()] + list(unread)

    def poll(self) -> None:
        """Hand new records to their lanes; any thread may call it."""
        if self.log.count() == self._seen:
            return
        with self._polling:
            records = self.log.read(self._seen)
            for record in records:
                lane = zlib.crc32(self.log.partition_key(record).encode()) % len(self._lanes)
                self._lanes[lane].offer(record)
            self._seen += len(records)

    def wake(self, *, flushing: bool) -> None:
        for lane in self._lanes:
            lane.wake(flushing=flushing)
