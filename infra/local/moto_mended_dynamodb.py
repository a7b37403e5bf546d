"""Mend moto's DynamoDB: locks, atomic updates, transactions with an undo log, true stream records."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import local
from typing import Any

from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import (
    ConditionalCheckFailed,
    MockValidationException,
    MultipleTransactionsException,
    TooManyTransactionsException,
    TransactionCanceledException,
    TransactWriteSingleOpException,
)
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import StreamRecord, StreamShard, Table
from moto.dynamodb.responses import DynamoHandler
from moto.dynamodbstreams.responses import DynamoDBStreamsHandler

from infra.local.moto_patch import locks, replaces

_BATCH_WRITES_MAX = 25
_TRANSACTION_OPERATIONS_MAX = 100

locks("dynamodb", DynamoHandler, "_dispatch")
locks("dynamodb", DynamoDBStreamsHandler, "_dispatch")


@dataclass(frozen=True, slots=True)
class _Slot:
    """The place of one item in moto's table."""

    table: Table
    hash_key: DynamoType
    range_key: DynamoType | None

    def load(self) -> Item | None:
        item: Item | None = self.table.get_item(self.hash_key, self.range_key)
        return item

    def store(self, item: Item | None) -> None:
        items: dict[Any, Any] = self.table.items
        key = self.hash_key
        if self.range_key is not None:
            items, key = items[self.hash_key], self.range_key
        if item is None:
            items.pop(key, None)
        else:
            items[key] = item


def _slot(backend: DynamoDBBackend, table_name: str, attributes: dict[str, Any]) -> _Slot:
    table = backend.get_table(table_name)
    return _Slot(table, *backend.get_keys_value(table, attributes))


# Streams: moto writes two INSERT records for an update that creates an item, and a MODIFY where nothing changed.

_held = local()
_Change = tuple[StreamShard, Item | None, Item | None]


@contextmanager
def _stream_records_held() -> Iterator[list[_Change]]:
    """Collect what would go to a stream, until it is known that the whole operation succeeded."""
    outer, changes = getattr(_held, "changes", None), list[_Change]()
    _held.changes = changes
    try:
        yield changes
    finally:
        _held.changes = outer


@replaces(StreamShard, "add")
def _add_stream_record(original: Callable[..., None], shard: StreamShard, old: Item | None, new: Item | None) -> None:
    changes = getattr(_held, "changes", None)
    if changes is not None:
        changes.append((shard, old, new))
    elif old is None or new is None or old.attrs != new.attrs:
        original(shard, old, new)


@replaces(StreamShard, "__init__")
def _init_stream_shard(original: Callable[..., None], shard: StreamShard, *args: Any, **kwargs: Any) -> None:
    """Sequence numbers begin at the time, so that they grow from one start to the next."""
    original(shard, *args, **kwargs)
    shard.starting_sequence_number = time.time_ns() * 1000


@replaces(StreamRecord, "__init__")
def _init_stream_record(
    original: Callable[..., None], record: StreamRecord, table: Table, *args: Any, **kwargs: Any
) -> None:
    """Moto's records all come from us-east-1."""
    original(record, table, *args, **kwargs)
    record.record["awsRegion"] = table.table_arn.split(":")[3]


# Updates: moto changes the stored item action by action and leaves it half changed when one of them fails.


@replaces(DynamoDBBackend, "update_item")
def _update_item(
    original: Callable[..., Item],
    backend: DynamoDBBackend,
    table_name: str,
    key: dict[str, Any],
    *args: Any,
    **kwargs: Any,
) -> Item:
    slot = _slot(backend, table_name, key)
    before = slot.load()
    slot.store(copy.deepcopy(before))
    try:
        with _stream_records_held() as changes:
            item = original(backend, table_name, key, *args, **kwargs)
    except Exception:
        slot.store(before)
        raise
    if changes:
        changes[-1][0].add(before, item)
    return item


# Transactions: moto copies every table once per item, and a failed one puts the copies back over what others wrote.


@dataclass(frozen=True, slots=True)
class _Operation:
    """One member of a transaction."""

    kind: str  # Put, Update, Delete or ConditionCheck
    body: dict[str, Any]
    slot: _Slot

    def refusal(self) -> tuple[str | None, str | None, dict[str, Any] | None]:
        """Code, message and item of the cancellation reason; all None when the condition holds."""
        current, condition = self.slot.load(), self.body.get("ConditionExpression")
        names, values = self.body.get("ExpressionAttributeNames"), self.body.get("ExpressionAttributeValues")
        if condition is None or get_filter_expression(condition, names, values).expr(current):
            return None, None, None
        wanted = self.body.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        item = current.to_json()["Attributes"] if wanted and current is not None else None
        return "ConditionalCheckFailed", str(ConditionalCheckFailed(item=item).message), item

    def apply(self, backend: DynamoDBBackend) -> None:
        if self.kind == "Put":
            backend.put_item(self.slot.table.name, self.body["Item"])
        elif self.kind == "Delete":
            backend.delete_item(self.slot.table.name, self.body["Key"])
        elif self.kind == "Update":
            backend.update_item(
                self.slot.table.name,
                self.body["Key"],
                update_expression=self.body["UpdateExpression"],
                expression_attribute_names=self.body.get("ExpressionAttributeNames", {}),
                expression_attribute_values=self.body.get("ExpressionAttributeValues", {}),
            )


def _operation(backend: DynamoDBBackend, item: dict[str, Any]) -> _Operation:
    if len(item) != 1:
        raise TransactWriteSingleOpException
    ((kind, body),) = item.items()
    return _Operation(kind, body, _slot(backend, body["TableName"], body["Item" if kind == "Put" else "Key"]))


@replaces(DynamoDBBackend, "transact_write_items")
def _transact_write_items(
    _: Callable[..., None], backend: DynamoDBBackend, transact_items: list[dict[str, Any]]
) -> None:
    if len(transact_items) > _TRANSACTION_OPERATIONS_MAX:
        raise TooManyTransactionsException
    operations = [_operation(backend, item) for item in transact_items]
    if len({(slot.table.name, slot.hash_key, slot.range_key) for slot in (each.slot for each in operations)}) < len(
        operations
    ):
        raise MultipleTransactionsException
    reasons = [operation.refusal() for operation in operations]
    if any(code is not None for code, _, _ in reasons):
        raise TransactionCanceledException(reasons)
    before = [operation.slot.load() for operation in operations]
    try:
        with _stream_records_held() as changes:
            for operation in operations:
                operation.apply(backend)
    except Exception:
        for operation, item in zip(operations, before, strict=True):
            operation.slot.store(item)
        raise
    for shard, old, new in changes:
        shard.add(old, new)


@replaces(DynamoHandler, "batch_write_item")
def _batch_write_item(original: Callable[[DynamoHandler], Any], handler: DynamoHandler) -> Any:
    """Moto takes any number."""
    if sum(map(len, handler.body["RequestItems"].values())) > _BATCH_WRITES_MAX:
        raise MockValidationException("Too many items requested for the BatchWriteItem call")
    return original(handler)


@replaces(Table, "query")
def _query(original: Callable[..., Any], table: Table, hash_key: DynamoType | None, *args: Any, **kwargs: Any) -> Any:
    """Moto sorts the whole table to find one partition."""
    index_name = kwargs.get("index_name") or (args[6] if len(args) > 6 else None)  # noqa: PLR2004 - Table.query's order
    if index_name is None and hash_key is not None:
        narrowed: Any = copy.copy(table)
        narrowed.items = {hash_key: table.items[hash_key]} if hash_key in table.items else {}
        table = narrowed
    return original(table, hash_key, *args, **kwargs)
