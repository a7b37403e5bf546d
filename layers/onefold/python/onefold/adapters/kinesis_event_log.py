"""The stream: batches of events as compressed Kinesis records, as many in a call as it takes."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from onefold.adapters.compression import pack
from onefold.domain.event import EventBatch
from onefold.use_cases.collect import KeyedBatch

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

RECORDS_A_CALL_MAX: Final = 500
BYTES_A_CALL_MAX: Final = 5 * 1_024 * 1_024
RECORD_BYTES_MAX: Final = 1_024 * 1_024  # the partition key counts too
# The SDKs give a request up after 10 s, so three waits of 0.1, 0.2 and 0.4 s at most, and then the spool.
ATTEMPTS_MAX: Final = 4
FIRST_WAIT_S: Final = 0.1

_Packed = tuple[KeyedBatch, bytes]


class KinesisEventLog:
    """An `EventLog` on a Kinesis stream."""

    def __init__(
        self,
        client: "KinesisClient",
        stream_name: str,
        *,
        sleep: Callable[[float], None],
        jitter: Callable[[], float],
    ) -> None:
        """Take the client and what makes time pass.

        Args:
            client: Its own retries should be few: the stream is tried `ATTEMPTS_MAX` times here.
            stream_name: As the stack names it.
            sleep: Waits for some seconds.
            jitter: Gives a number in [0, 1), by which each wait is shortened, so that writers do not return together.
        """
        self._client = client
        self._stream_name = stream_name
        self._sleep = sleep
        self._jitter = jitter

    def append(self, batches: Sequence[KeyedBatch]) -> list[KeyedBatch]:
        """Append each batch as one record or several; give back what the stream did not take.

        Whatever the stream answers — throttled, out of order, forbidden, not there — the events are worth keeping, so
        no failure of the call is raised: the caller has another place for them.
        """
        left: list[KeyedBatch] = []
        for call in _calls(list(_records(batches))):
            left += [batch for batch, _ in self._append_call(call)]
        return left

    def _append_call(self, records: list[_Packed]) -> list[_Packed]:
        """Send one call's worth, again what was throttled; what is left.

        A call that failed as a whole is not made again: the client has tried, and its caller's time is short. One
        whose answer was lost leaves duplicates, which readers know by their message ids.
        """
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                self._sleep(FIRST_WAIT_S * 2 ** (attempt - 1) * (1 - self._jitter() / 2))
            entries: list[PutRecordsRequestEntryTypeDef] = [
                {"PartitionKey": key, "Data": data} for (key, _), data in records
            ]
            try:
                response = self._client.put_records(StreamName=self._stream_name, Records=entries)
            except (ClientError, BotoCoreError):
                break
            answered = zip(records, response["Records"], strict=True)
            records = [record for record, result in answered if result.get("ErrorCode")]
            if not records:
                break
        return records


def _records(batches: Sequence[KeyedBatch]) -> Iterator[_Packed]:
    """Pack each batch; one too large for a record is halved until its parts fit."""
    for key, batch in batches:
        data = pack(batch)
        if len(data) + len(key.encode()) <= RECORD_BYTES_MAX or len(batch.events) + len(batch.refusals) == 1:
            yield (key, batch), data
        else:
            yield from _records([(key, half) for half in _halves(batch)])


def _halves(batch: EventBatch) -> tuple[EventBatch, EventBatch]:
    if len(batch.events) < 2:  # noqa: PLR2004 - one cannot be halved
        middle = (len(batch.refusals) + 1 - len(batch.events)) // 2
        return EventBatch(batch.events, batch.refusals[:middle]), EventBatch((), batch.refusals[middle:])
    middle = len(batch.events) // 2
    return EventBatch(batch.events[:middle], ()), EventBatch(batch.events[middle:], batch.refusals)


def _calls(records: list[_Packed]) -> Iterator[list[_Packed]]:
    """Cut the records into calls, in order."""
    call: list[_Packed] = []
    call_bytes = 0
    for record in records:
        record_bytes = len(record[1]) + len(record[0][0].encode())
        if call and (len(call) == RECORDS_A_CALL_MAX or call_bytes + record_bytes > BYTES_A_CALL_MAX):
            yield call
            call, call_bytes = [], 0
        call.append(record)
        call_bytes += record_bytes
    if call:
        yield call
