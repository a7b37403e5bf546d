"""The records that a stream or queue holds, and the documents that Lambda makes of them."""

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

from moto.dynamodb.models.table import StreamRecord, StreamShard
from moto.kinesis.models import Record as KinesisRecord
from moto.kinesis.models import Shard
from moto.sqs.models import Message

from infra.local.moto_patch import LOCKS


class Log(Protocol):
    """A shard: records in order, only ever appended."""

    shard_id: str
    info_name: str  # how Lambda's failure document names a batch of it

    def count(self) -> int: ...
    def read(self, start: int) -> Sequence[Any]: ...
    def sequence(self, record: Any) -> str: ...
    def partition_key(self, record: Any) -> str: ...
    def arrived_at(self, record: Any) -> float: ...
    def size(self, record: Any) -> int: ...
    def event(self, record: Any) -> dict[str, Any]: ...


class KinesisLog:
    """A shard of a Kinesis stream, read where moto keeps it."""

    info_name = "KinesisBatchInfo"

    def __init__(self, shard: Shard, *, stream_arn: str, role_arn: str) -> None:
        self.shard_id: str = shard.shard_id
        self._shard = shard
        self._fields = {
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": role_arn,
            "awsRegion": stream_arn.split(":")[3],
            "eventSourceARN": stream_arn,
        }

    def count(self) -> int:
        return len(self._shard.records)

    def read(self, start: int) -> list[KinesisRecord]:
        with LOCKS["kinesis"]:
            wanted = len(self._shard.records) - start
            return list(islice(reversed(self._shard.records.values()), wanted))[::-1]

    def sequence(self, record: KinesisRecord) -> str:
        return str(record.sequence_number)

    def partition_key(self, record: KinesisRecord) -> str:
        return str(record.partition_key)

    def arrived_at(self, record: KinesisRecord) -> float:
        return float(record.created_at)

    def size(self, record: KinesisRecord) -> int:
        return len(record.data)

    def event(self, record: KinesisRecord) -> dict[str, Any]:
        data = record.data
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record.partition_key,
                "sequenceNumber": str(record.sequence_number),
                "data": data if isinstance(data, str) else base64.b64encode(data).decode(),
                "approximateArrivalTimestamp": round(record.created_at, 3),
            },
            "eventID": f"{self.shard_id}:{record.sequence_number}",
            **self._fields,
        }


class TableLog:
    """The stream of a DynamoDB table, read where moto keeps it."""

    info_name = "DDBStreamBatchInfo"

    def __init__(self, shard: StreamShard, *, stream_arn: str) -> None:
        self.shard_id: str = shard.id
        self._shard = shard
        self._stream_arn = stream_arn

    def count(self) -> int:
        return len(self._shard.items)

    def read(self, start: int) -> list[StreamRecord]:
        with LOCKS["dynamodb"]:
            return self._shard.items[start:]

    def sequence(self, record: StreamRecord) -> str:
        return str(record.record["dynamodb"]["SequenceNumber"])

    def partition_key(self, record: StreamRecord) -> str:
        return json.dumps(record.record["dynamodb"]["Keys"], sort_keys=True, default=_wire)

    def arrived_at(self, record: StreamRecord) -> float:
        return _epoch_s(record.record["dynamodb"]["ApproximateCreationDateTime"])

    def size(self, record: StreamRecord) -> int:
        return int(record.record["dynamodb"]["SizeBytes"])

    def event(self, record: StreamRecord) -> dict[str, Any]:
        kept = record.record
        change = {**kept["dynamodb"], "ApproximateCreationDateTime": int(self.arrived_at(record))}
        document = {
            "eventID": kept["eventID"],
            "eventName": kept["eventName"],
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self._stream_arn.split(":")[3],
            "dynamodb": change,
            "eventSourceARN": self._stream_arn,
        }
        copied: dict[str, Any] = json.loads(json.dumps(document, default=_wire))
        return copied


def queue_event(message: Message, *, queue_arn: str) -> dict[str, Any]:
    """A message as Lambda hands it over."""
    attributes = {
        "ApproximateReceiveCount": str(message.approximate_receive_count),
        "SentTimestamp": str(message.sent_timestamp),
        "SenderId": str(message.sender_id),
        "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
    }
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": {
            name: {
                **{key[0].lower() + key[1:]: value for key, value in attribute.items()},
                "stringListValues": [],
                "binaryListValues": [],
            }
            for name, attribute in message.message_attributes.items()
        },
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def failure_document(
    log: Log, records: Sequence[Any], *, stream_arn: str, function_arn: str, condition: str, attempts: int
) -> dict[str, Any]:
    """What Lambda sends to an on-failure destination: where the records are, not what they hold."""
    response = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    return {
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": f"{function_arn}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        **({"responseContext": response} if attempts else {}),
        "version": "1.0",
        "timestamp": _timestamp(datetime.now(UTC).timestamp()),
        log.info_name: {
            "shardId": log.shard_id,
            "startSequenceNumber": log.sequence(records[0]),
            "endSequenceNumber": log.sequence(records[-1]),
            "approximateArrivalOfFirstRecord": _timestamp(log.arrived_at(records[0])),
            "approximateArrivalOfLastRecord": _timestamp(log.arrived_at(records[-1])),
            "batchSize": len(records),
            "streamArn": stream_arn,
        },
    }


def failed_identifiers(response: Any, known: Mapping[str, int]) -> list[int] | None:
    """Positions of the records that a batch response reports as failed; None when it stands for the whole batch.

    As Lambda reads it: nothing, null, no `batchItemFailures` or an empty or null one is success. An empty, null or
    missing `itemIdentifier`, one that is not in the batch, and anything that is not of this form fail the whole batch.
    """
    if response is None or response == {}:
        return []
    if not isinstance(response, Mapping):
        return None
    failures = response.get("batchItemFailures")
    if failures is None:
        return []
    if not isinstance(failures, list):
        return None
    identifiers = [failure.get("itemIdentifier") if isinstance(failure, Mapping) else None for failure in failures]
    positions = [known.get(identifier) if isinstance(identifier, str) else None for identifier in identifiers]
    found = [position for position in positions if position is not None]
    return found if len(found) == len(positions) else None


def _epoch_s(instant: Any) -> float:
    if isinstance(instant, datetime):
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    return float(instant)


def _timestamp(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _wire(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if hasattr(value, "to_json"):
        return value.to_json()
    raise TypeError(f"{type(value).__name__} in a stream record")
