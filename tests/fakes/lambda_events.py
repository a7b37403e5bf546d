"""Lambda's event documents, field by field as the services send them."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from onefold.adapters.compression import pack
from onefold.domain.event import EventBatch
from onefold.domain.head import Head
from tests.fakes.events import NOON_MS

REGION = "eu-central-1"
ACCOUNT = "123456789012"
STREAM_ARN = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/events"
SHARD = "shardId-000000000002"
SEQUENCE_BASE = 49_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000


def sequence(number: int) -> str:
    return str(SEQUENCE_BASE + number)


def kinesis_event(*data: bytes | EventBatch, start: int = 1) -> dict[str, Any]:
    return {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "anonymous_id:x",
                    "sequenceNumber": sequence(start + number),
                    "data": base64.b64encode(each if isinstance(each, bytes) else pack(each)).decode(),
                    "approximateArrivalTimestamp": NOON_MS / 1_000,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"{SHARD}:{sequence(start + number)}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": f"arn:aws:iam::{ACCOUNT}:role/stitch",
                "awsRegion": REGION,
                "eventSourceARN": STREAM_ARN,
            }
            for number, each in enumerate(data)
        ]
    }


Images = tuple[Mapping[str, Any], Mapping[str, Any] | None, Mapping[str, Any] | None]


def dynamodb_event(table: str, *changes: Images) -> dict[str, Any]:
    """Records of a table's stream from (keys, old image, new image)."""
    return {
        "Records": [
            {
                "eventID": f"{number:032x}",
                "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": REGION,
                "dynamodb": {
                    "ApproximateCreationDateTime": NOON_MS // 1_000,
                    "Keys": keys,
                    **({} if new is None else {"NewImage": new}),
                    **({} if old is None else {"OldImage": old}),
                    "SequenceNumber": str(100_000_000_000_000_000_001 + number),
                    "SizeBytes": 100,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
                "eventSourceARN": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}/stream/2025-06-15T00:00:00.000",
            }
            for number, (keys, old, new) in enumerate(changes)
        ]
    }


def fragments_event(*keys: str) -> dict[str, Any]:
    """KEYS_ONLY: no images."""
    return dynamodb_event("fragments", *[({"fragment_key": {"S": key}}, None, None) for key in keys])


def heads_event(*changes: tuple[Head | None, Head | None]) -> dict[str, Any]:
    images = []
    for old, new in changes:
        profile_id = next(head.profile_id for head in (new, old) if head is not None)
        images.append(({"profile_id": {"S": profile_id}}, head_image(old), head_image(new)))
    return dynamodb_event("heads", *images)


def head_image(head: Head | None) -> dict[str, Any] | None:
    if head is None:
        return None
    redirect = {"merged_into": {"S": head.merged_into}} if head.merged_into else {}
    return {
        "profile_id": {"S": head.profile_id},
        "body": {"B": base64.b64encode(pack(head)).decode()},
        "version": {"N": str(head.version)},
        **redirect,
    }


def sqs_event(bodies: Sequence[str]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"00000000-0000-0000-0000-{number:012d}",
                "receiptHandle": f"handle-{number}",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": str(NOON_MS),
                    "SenderId": "AIDA",
                    "ApproximateFirstReceiveTimestamp": str(NOON_MS),
                },
                "messageAttributes": {},
                "md5OfBody": "0",
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:deliveries",
                "awsRegion": REGION,
            }
            for number, body in enumerate(bodies)
        ]
    }


def bus_message(detail_type: str, detail: Mapping[str, Any]) -> str:
    """A message of the bus as a rule puts it into a queue."""
    envelope = {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": detail_type,
        "source": "onefold",
        "account": ACCOUNT,
        "time": "2025-06-15T15:06:40Z",
        "region": REGION,
        "resources": [],
        "detail": detail,
    }
    return msgspec.json.encode(envelope).decode()


def http_event(path: str, query: str = "", method: str = "GET") -> dict[str, Any]:
    """A request in API Gateway's payload format 2.0."""
    return {
        "version": "2.0",
        "routeKey": "GET /v1/profiles/{identifier}",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"accept": "application/json", "host": "api.example.com", "authorization": "Bearer x"},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "a1b2c3",
            "authorizer": {"jwt": {"claims": {"scope": "onefold/profiles.read"}, "scopes": ["onefold/profiles.read"]}},
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.9",
                "userAgent": "curl",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "GET /v1/profiles/{identifier}",
            "stage": "$default",
            "time": "15/Jun/2025:15:06:40 +0000",
            "timeEpoch": NOON_MS,
        },
        "isBase64Encoded": False,
    }
