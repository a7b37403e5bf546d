"""Batch events of Kinesis, DynamoDB streams and SQS, and the answer that names the failed records."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypedDict

from onefold.domain.errors import Unavailable


class ItemFailure(TypedDict):
    """One record that must be delivered again."""

    itemIdentifier: str


class BatchResponse(TypedDict):
    """What Lambda expects of a batch: an empty list says that everything is done."""

    batchItemFailures: list[ItemFailure]


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One Kinesis record. `sequence` names it in a batch response; within a shard it grows."""

    sequence: str
    shard: str
    partition_key: str
    arrived_at_ms: int
    data: bytes


@dataclass(frozen=True, slots=True)
class TableChange:
    """One record of a table's stream. Images are as the stream has them (`{"name": {"S": "…"}}`), None where absent."""

    sequence: str
    change: str  # INSERT, MODIFY or REMOVE
    keys: Mapping[str, Mapping[str, Any]]
    new: Mapping[str, Mapping[str, Any]] | None
    old: Mapping[str, Mapping[str, Any]] | None
    by_ttl: bool  # the table's time-to-live removed the item, nobody else did
    changed_at_ms: int = 0  # to the second, as the stream tells it


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """One SQS message. `message_id` names it in a batch response."""

    message_id: str
    body: str
    receive_count: int


def stream_records(event: Mapping[str, Any]) -> list[StreamRecord]:
    """The records of a Kinesis batch, in their order."""
    return [
        StreamRecord(
            sequence=record["kinesis"]["sequenceNumber"],
            shard=record["eventID"].partition(":")[0],
            partition_key=record["kinesis"]["partitionKey"],
            arrived_at_ms=round(float(record["kinesis"]["approximateArrivalTimestamp"]) * 1_000),
            data=base64.b64decode(record["kinesis"]["data"]),
        )
        for record in event["Records"]
    ]


def table_changes(event: Mapping[str, Any]) -> list[TableChange]:
    """The records of a DynamoDB stream's batch, in their order."""
    return [
        TableChange(
            sequence=record["dynamodb"]["SequenceNumber"],
            change=record["eventName"],
            keys=record["dynamodb"]["Keys"],
            new=record["dynamodb"].get("NewImage"),
            old=record["dynamodb"].get("OldImage"),
            by_ttl=(record.get("userIdentity") or {}).get("principalId") == "dynamodb.amazonaws.com",
            changed_at_ms=round(float(record["dynamodb"].get("ApproximateCreationDateTime", 0)) * 1_000),
        )
        for record in event["Records"]
    ]


def queue_messages(event: Mapping[str, Any]) -> list[QueueMessage]:
    """The messages of an SQS batch."""
    return [
        QueueMessage(
            message_id=record["messageId"],
            body=record["body"],
            receive_count=int(record.get("attributes", {}).get("ApproximateReceiveCount", "1")),
        )
        for record in event["Records"]
    ]


def created_object_key(message: QueueMessage) -> str:
    """The key in S3's event `Object Created`, as EventBridge puts it on a queue: not URL-encoded.

    Raises:
        KeyError, ValueError: The message is another one; a defect of the rule that sent it.
    """
    return str(json.loads(message.body)["detail"]["object"]["key"])


@dataclass(frozen=True, slots=True)
class CreatedObject:
    """An object that was written. `sequencer` tells two writings of one key apart."""

    key: str
    sequencer: str


def created_object(message: QueueMessage) -> CreatedObject:
    """The object of S3's event `Object Created`.

    Raises:
        KeyError, ValueError: The message is another one; a defect of the rule that sent it.
    """
    described = json.loads(message.body)["detail"]["object"]
    return CreatedObject(str(described["key"]), str(described["sequencer"]))


def attempts_of(message: QueueMessage) -> int:
    """How often a message was put back by `again`."""
    return int(json.loads(message.body).get("attempts", 0))


def again(message: QueueMessage, *, attempts: int) -> str:
    """A message's body to be queued once more, with the number of attempts that were in vain."""
    return json.dumps(json.loads(message.body) | {"attempts": attempts})


def text_of(image: Mapping[str, Mapping[str, Any]] | None, name: str) -> str | None:
    """A string attribute of a stream's image."""
    value = (image or {}).get(name, {}).get("S")
    return None if value is None else str(value)


def bytes_of(image: Mapping[str, Mapping[str, Any]] | None, name: str) -> bytes | None:
    """A binary attribute of a stream's image, which is base64 there."""
    value = (image or {}).get(name, {}).get("B")
    return value if value is None or isinstance(value, bytes) else base64.b64decode(value)


def number_of(image: Mapping[str, Mapping[str, Any]] | None, name: str) -> Decimal | None:
    """A number attribute of a stream's image, which is text there."""
    value = (image or {}).get(name, {}).get("N")
    return None if value is None else Decimal(value)


def batch_response(
    failed: Iterable[str], *, delivered: Sequence[StreamRecord] | Sequence[TableChange] | Sequence[QueueMessage]
) -> BatchResponse:
    """Name the records to deliver again.

    Lambda reads a missing or null answer, and an empty identifier, as if everything had gone well or everything had
    failed; so every identifier is held against the delivered ones. Of a stream Lambda starts again at the lowest
    failed record, so what comes after it will be seen twice.

    Args:
        failed: Sequence numbers or message ids, any order, repeats allowed.
        delivered: The batch that they belong to.

    Raises:
        Unavailable: Every one of several records failed. A failed invocation makes Lambda halve the batch.
        ValueError: A failed identifier was not delivered: the caller is mistaken, and the whole batch comes again.
    """
    order = [item.message_id if isinstance(item, QueueMessage) else item.sequence for item in delivered]
    names = set(failed)
    if not names <= set(order):
        raise ValueError("A record was reported as failed that is not in the batch")
    if len(order) > 1 and len(names) == len(set(order)):
        raise Unavailable(f"All {len(order)} records of the batch failed")
    return {"batchItemFailures": [{"itemIdentifier": name} for name in dict.fromkeys(order) if name in names]}
