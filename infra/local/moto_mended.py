"""Mend what moto 5.2.5 gets wrong and this project relies on; every patch has a test that fails without it."""

import json
import time
from bisect import bisect_right
from collections.abc import Callable
from threading import local
from typing import Any

import moto
from moto.core.common_models import BaseModel
from moto.core.utils import unix_time, unix_time_millis
from moto.iam.access_control import PermissionResult
from moto.kinesis.models import Record, Shard
from moto.kinesis.responses import KinesisResponse
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, SQSBackend

from infra.local import (
    moto_mended_dynamodb,  # noqa: F401 - declares its patches
    moto_partiql,  # noqa: F401 - likewise
    moto_patch,
)
from infra.local.moto_patch import LOCKS, locks, replaces
from infra.local.permissions import Decision, decide

MOTO_VERSION = "5.2.5"
_POLL_S = 1.0


class MotoVersionError(Exception):
    """Another moto than the one that the patches were written and tested for."""


def install() -> None:
    """Put all patches in place; calling it again changes nothing.

    Raises:
        MotoVersionError: The installed moto is not the pinned one.
    """
    if moto.__version__ != MOTO_VERSION:
        raise MotoVersionError(
            f"moto {moto.__version__} is installed, the local runtime's patches are for {MOTO_VERSION}; "
            "install that one, or move the pin and run tests/unit/infra/local/test_moto_mended.py"
        )
    moto_patch.apply()
    # moto keeps every model object it ever made in a list, for its dashboard.
    base: Any = BaseModel
    base.__new__ = staticmethod(lambda cls, *_args, **_kwargs: object.__new__(cls))


locks("kinesis", KinesisResponse, "_dispatch")
locks("s3", S3Response, "bucket_response", "key_response")
locks("sqs", SQSBackend, "change_message_visibility", "delete_message")


# Kinesis: moto walks the whole shard for every put and read, and counts from 1 again after every start.


def _sequence_numbers(shard: Shard) -> list[int]:
    """The shard's sequence numbers in order; made anew when records were put or trimmed by another way."""
    numbers: list[int] = shard.__dict__.setdefault("_sequence_numbers", [])
    if len(numbers) != len(shard.records):
        numbers[:] = sorted(shard.records)
    return numbers


@replaces(Shard, "put_record")
def _put_record(_: Callable[..., Any], shard: Shard, partition_key: str, data: str, explicit_hash_key: str) -> str:
    numbers = _sequence_numbers(shard)
    # 56 digits as in AWS; an empty shard begins at the time, so that numbers grow from one start to the next.
    number = numbers[-1] + 1 if numbers else int(f"49{time.time_ns():019d}") * 10**35
    shard.records[number] = Record(partition_key, data, number, explicit_hash_key)
    numbers.append(number)
    return str(number)


@replaces(Shard, "get_records")
def _get_records(
    _: Callable[..., Any], shard: Shard, last_sequence_id: str, limit: int | None
) -> tuple[list[Record], int, int]:
    numbers = _sequence_numbers(shard)
    begin = bisect_right(numbers, int(last_sequence_id))
    chosen = numbers[begin : None if limit is None else begin + limit]
    if not chosen:
        return [], int(last_sequence_id), 0
    behind_s = shard.records[numbers[-1]].created_at - shard.records[chosen[-1]].created_at
    return [shard.records[number] for number in chosen], chosen[-1], int(behind_s * 1000)


@replaces(Shard, "get_min_sequence_number")
def _get_min_sequence_number(_: Callable[..., Any], shard: Shard) -> int:
    return next(iter(_sequence_numbers(shard)), 0)


@replaces(Shard, "get_max_sequence_number")
def _get_max_sequence_number(_: Callable[..., Any], shard: Shard) -> int:
    return next(reversed(_sequence_numbers(shard)), 0)


# SQS: moto counts the whole queue for every message sent, copies it for every message deleted, and has no lock.

_sending = local()


@replaces(SQSBackend, "send_message")
def _send_message(original: Callable[..., Message], *args: Any, **kwargs: Any) -> Message:
    with LOCKS["sqs"]:
        _sending.active = True
        try:
            return original(*args, **kwargs)
        finally:
            _sending.active = False


@replaces(Queue, "attributes")
def _attributes(original: Callable[[Queue], dict[str, Any]], queue: Queue) -> dict[str, Any]:
    """A send asks only for what concerns FIFO queues."""
    return {} if getattr(_sending, "active", False) and not queue.fifo_queue else original(queue)


@replaces(Queue, "messages")
def _messages(_: Callable[..., Any], queue: Queue) -> list[Message]:
    now_ms = unix_time_millis()
    return [message for message in queue._messages if message.visible_at < now_ms and message.delayed_until <= now_ms]


@replaces(SQSBackend, "receive_message")
def _receive_message(
    original: Callable[..., list[Message]],
    backend: SQSBackend,
    queue_name: str,
    count: int,
    wait_seconds_timeout: int,
    *args: Any,
    **kwargs: Any,
) -> list[Message]:
    """Look under the lock, wait without it."""
    deadline = unix_time() + wait_seconds_timeout
    while True:
        with LOCKS["sqs"]:
            messages = original(backend, queue_name, count, 0, *args, **kwargs)
        remaining_s = deadline - unix_time()
        if messages or remaining_s <= 0:
            return messages
        queue: Any = backend.get_queue(queue_name)
        queue.wait_for_messages(min(_POLL_S, remaining_s))


@replaces(Queue, "delete_message")
def _delete_message(_: Callable[..., Any], queue: Queue, receipt_handle: str) -> None:
    if receipt_handle in queue.deleted_messages:
        return
    for position, message in enumerate(queue._messages):
        if message.had_receipt_handle(receipt_handle):
            queue.pending_messages.discard(message)
            queue.deleted_messages.update(filter(None, message.all_receipt_handles))
            del queue._messages[position]
            return
    raise ReceiptHandleIsInvalid


# S3: moto reads a statement with any condition as met, so "deny unless TLS" denies everything.


@replaces(FakeBucket, "get_permission")
def _get_permission(_: Callable[..., Any], bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(bucket.policy)
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    for_everyone = [statement for statement in statements if statement.get("Principal") in ("*", {"AWS": "*"})]
    decision = decide([{"Statement": for_everyone}], action, resource, {"aws:SecureTransport": "true"})
    permission = {Decision.ALLOWED: PermissionResult.PERMITTED, Decision.DENIED: PermissionResult.DENIED}
    return permission.get(decision, PermissionResult.NEUTRAL)
