"""Recent events in DynamoDB: one item a fragment and stream batch, gone after KEPT_MS."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from onefold.adapters.aws_requests import passing_failures, side_by_side
from onefold.adapters.compression import pack, unpack
from onefold.adapters.dynamodb_batches import write_items
from onefold.domain.event import Event
from onefold.domain.timeline import newest
from onefold.use_cases.stitch import TimelineBatch

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_MS: Final = 14 * 24 * 3_600 * 1_000
SEQUENCE_DIGITS: Final = 64  # Kinesis has 56 now; padded, the order of texts is that of numbers
ITEM_BYTES_MAX: Final = 350_000  # DynamoDB takes 400 KB with names and keys
QUERY_PAGES_MAX: Final = 20
HELD_ITEMS_MAX: Final = 10


class DynamoDbTimeline:
    """The table `timeline`: (`fragment_key`, `sequence`) → `events`, `expires_at`."""

    def __init__(self, client: "DynamoDBClient", table_name: str) -> None:
        self._client, self._table_name = client, table_name

    def append(self, batches: Sequence[TimelineBatch]) -> None:
        """Keep each batch under (fragment key, sequence); the same again changes nothing.

        An item lives KEPT_MS from the time at which its newest event was received. Events beyond ITEM_BYTES_MAX go to
        further items of the same sequence, with a suffix.

        Raises:
            Unavailable: Not all were kept.
        """
        write_items(self._client, self._table_name, [item for batch in batches for item in _items(batch)])

    def read(self, fragment_keys: Collection[str], limit: int) -> list[Event]:
        """Return recent events of these fragments: newest first, each (source, message id) once, at most `limit`.

        Of each fragment the `limit` events that arrived last are looked at; in the answer the event's time counts.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        fragments = side_by_side(lambda key: list(self._read_fragment(key, limit)), fragment_keys)
        return newest((event for events in fragments for event in events), limit)

    def holds(self, fragment_key: str, source: str, message_id: str, *, from_sequence: str) -> bool:
        """Whether the fragment's batch that brought this record, or one of the next few, has the message.

        A batch is kept under its last record's number, so the record's own is the first at or after it.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        with passing_failures("DynamoDB"):
            page: Any = self._client.query(
                TableName=self._table_name,
                KeyConditionExpression="fragment_key = :key AND #sequence >= :from",
                ExpressionAttributeNames={"#sequence": "sequence"},
                ExpressionAttributeValues={
                    ":key": {"S": fragment_key},
                    ":from": {"S": from_sequence.zfill(SEQUENCE_DIGITS)},
                },
                Limit=HELD_ITEMS_MAX,
            )
        events = (event for item in page["Items"] for event in unpack(item["events"]["B"], tuple[Event, ...]))
        return any(event.message_id == message_id and event.source == source for event in events)

    def _read_fragment(self, fragment_key: str, limit: int) -> Iterator[Event]:
        count = 0
        start: dict[str, Any] = {}
        for _ in range(QUERY_PAGES_MAX):
            with passing_failures("DynamoDB"):
                page: Any = self._client.query(
                    TableName=self._table_name,
                    KeyConditionExpression="fragment_key = :key",
                    ExpressionAttributeValues={":key": {"S": fragment_key}},
                    ScanIndexForward=False,
                    Limit=limit,
                    **start,
                )
            for item in page["Items"]:
                events = unpack(item["events"]["B"], tuple[Event, ...])
                yield from events
                count += len(events)
                if count >= limit:
                    return
            if not page.get("LastEvaluatedKey"):
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _items(batch: TimelineBatch) -> list[dict[str, Any]]:
    expires_at_s = (max(event.received_at for event in batch.events) + KEPT_MS) // 1_000
    sequence = batch.sequence.zfill(SEQUENCE_DIGITS)
    parts = _parts(batch.events)
    return [
        {
            "fragment_key": {"S": batch.fragment_key},
            "sequence": {"S": sequence if number == 0 else f"{sequence}-{number:04d}"},
            "events": {"B": part},
            "expires_at": {"N": str(expires_at_s)},
        }
        for number, part in enumerate(parts)
    ]


def _parts(events: Sequence[Event]) -> list[bytes]:
    """Pack events, halving what is too big; one event always fits, for collect bounds its size."""
    packed = pack(tuple(events))
    if len(packed) <= ITEM_BYTES_MAX or len(events) == 1:
        return [packed]
    middle = len(events) // 2
    return [*_parts(events[:middle]), *_parts(events[middle:])]
