"""What a local runtime keeps between two runs, in a folder."""

import fcntl
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import StreamRecord, Table
from moto.kinesis.models import Record as KinesisRecord
from moto.kinesis.models import kinesis_backends
from moto.s3.models import FakeKey, s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sqs.models import Message, sqs_backends

from infra.local.assembly import AssemblyError
from infra.local.bus import Bus, Delivery
from infra.local.event_sources import StreamSource
from infra.local.moto_patch import LOCKS

FORMAT = 1
_STATE_FILE = "state.msgpack"
_OBJECTS = "objects"


class StateError(AssemblyError):
    """The folder cannot be used; the text is one line with its name and the remedy."""


class SavedRecord(msgspec.Struct, array_like=True):
    sequence: str  # 56 digits, more than MessagePack's integers
    partition_key: str
    data: Any
    hash_key: str
    created_at: float


class SavedMessage(msgspec.Struct, array_like=True):
    id: str
    body: str
    attributes: dict[str, Any]
    receive_count: int
    sent_at_ms: int
    group_id: str | None
    deduplication_id: str | None


class SavedObject(msgspec.Struct, array_like=True):
    bucket: str
    key: str
    file: str
    metadata: dict[str, str]
    modified_at: float


class SavedTable(msgspec.Struct):
    key_schema: list[dict[str, str]]
    items: list[dict[str, Any]]
    stream: list[dict[str, Any]]  # records that some mapping did not get yet


class SavedState(msgspec.Struct):
    format: int
    tables: dict[str, SavedTable]
    objects: list[SavedObject]
    secrets: dict[str, str]
    streams: dict[str, dict[str, list[SavedRecord]]]  # stream -> shard -> records that some mapping did not get yet
    undelivered: dict[str, list[str]]  # mapping -> sequence numbers
    queues: dict[str, list[SavedMessage]]
    deliveries: list[Delivery]


class StateFolder:
    """One folder, for one local runtime at a time."""

    def __init__(self, path: Path, *, region: str, account: str) -> None:
        """Open the folder and read what it holds.

        Raises:
            StateError: It is in use, damaged, or from another version.
        """
        self.path = path
        self._region, self._account = region, account
        (path / _OBJECTS).mkdir(parents=True, exist_ok=True)
        self._lock = (path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.saved = self._read()
        except BlockingIOError as error:
            self._lock.close()
            raise StateError(f"{path} is in use by another local runtime: stop it, or use another folder") from error
        except StateError:
            self._lock.close()
            raise

    def close(self) -> None:
        self._lock.close()

    def _read(self) -> SavedState | None:
        file = self.path / _STATE_FILE
        if not file.exists():
            return None
        try:
            content = file.read_bytes()
            found = msgspec.msgpack.decode(content, type=_FormatOnly).format
            if found != FORMAT:
                raise StateError(f"{file} has format {found}, this version reads {FORMAT}: use another folder")
            return msgspec.msgpack.decode(content, type=SavedState)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StateError(f"{file} is damaged ({error}): put back a copy of it, or use another folder") from error

    def skipped(self, mapping_id: str) -> frozenset[str]:
        """Sequence numbers that `restore` puts back, and that the mapping got before."""
        if self.saved is None:
            return frozenset()
        kinesis = chain.from_iterable(shards.values() for shards in self.saved.streams.values())
        sequences = {record.sequence for records in kinesis for record in records}
        sequences |= {
            record["dynamodb"]["SequenceNumber"] for table in self.saved.tables.values() for record in table.stream
        }
        return frozenset(sequences.difference(self.saved.undelivered.get(mapping_id, ())))

    def restore(self, bus: Bus) -> None:
        """Put back what was saved; the resources are deployed, and nothing runs yet.

        Raises:
            StateError: The state holds a table, bucket, secret, stream or queue that is not deployed, or an object's
                file is missing.
        """
        saved = self.saved
        if saved is None:
            return
        try:
            for name, table in saved.tables.items():
                _restore_table(dynamodb_backends[self._account][self._region].tables[name], table)
            secrets: Any = secretsmanager_backends[self._account][self._region].secrets
            for name, value in saved.secrets.items():
                secret = secrets[name]
                secret.versions[secret.default_version_id]["secret_string"] = secret.secret_string = value
            for name, shards in saved.streams.items():
                deployed = kinesis_backends[self._account][self._region].streams[name].shards
                for shard_id, records in shards.items():
                    deployed[shard_id].records |= {int(record.sequence): _kinesis_record(record) for record in records}
            for name, messages in saved.queues.items():
                queue = sqs_backends[self._account][self._region].queues[name]
                queue._messages.extend(map(_message, messages))
            for kept_object in saved.objects:
                self._restore_object(kept_object)
        except KeyError as error:
            raise StateError(
                f"{self.path} holds the state of other stacks ({error} is not in these): use another folder"
            ) from error
        except OSError as error:
            raise StateError(f"{self.path} is damaged ({error}): put back a copy, or use another folder") from error
        bus.restore(saved.deliveries)
        self.saved = None

    def _restore_object(self, saved: SavedObject) -> None:
        backend = s3_backends[self._account]["aws"]
        if saved.bucket not in backend.buckets:
            raise KeyError(saved.bucket)
        content = (self.path / _OBJECTS / saved.file).read_bytes()
        key = backend.put_object(saved.bucket, saved.key, content, disable_notification=True)
        key.set_metadata(dict(saved.metadata), replace=True)
        key.last_modified = datetime.fromtimestamp(saved.modified_at, UTC).replace(tzinfo=None)

    def save(self, sources: Iterable[StreamSource], bus: Bus) -> None:
        """Write everything; a crash at any time leaves the former state or this one.

        What is not delivered is read before what deliveries change: after a crash some records are delivered again,
        none is lost.
        """
        known = list(sources)
        streams, undelivered = _undelivered_kinesis(one for one in known if ":kinesis:" in one.mapping.source_arn)
        tables, undelivered_of_tables = self._save_tables(
            one for one in known if ":dynamodb:" in one.mapping.source_arn
        )
        deliveries = bus.undelivered()
        queues = self._save_queues()
        objects = self._save_objects()
        state = SavedState(
            format=FORMAT,
            tables=tables,
            objects=objects,
            secrets=self._save_secrets(),
            streams=streams,
            undelivered={**undelivered, **undelivered_of_tables},
            queues=queues,
            deliveries=deliveries,
        )
        _write(self.path / _STATE_FILE, msgspec.msgpack.encode(state))
        kept = {saved.file for saved in objects}
        for file in (self.path / _OBJECTS).iterdir():
            if file.name not in kept:
                file.unlink()

    def _save_tables(self, sources: Iterable[StreamSource]) -> tuple[dict[str, SavedTable], dict[str, list[str]]]:
        tables, undelivered = {}, defaultdict[str, list[str]](list)
        streams: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)  # table -> sequence number -> record
        with LOCKS["dynamodb"]:
            for source in sources:
                table_name = source.mapping.source_arn.split("/")[1]
                for record in source.undelivered():
                    sequence = source.log.sequence(record)
                    arrived_at = source.log.arrived_at(record)
                    change = {**record.record["dynamodb"], "ApproximateCreationDateTime": arrived_at}
                    streams[table_name][sequence] = {**record.record, "dynamodb": change}
                    undelivered[source.mapping.id].append(sequence)
            for name, table in dynamodb_backends[self._account][self._region].tables.items():
                items = [item.to_json()["Attributes"] for item in table.all_items()]
                stream = [streams[name][sequence] for sequence in sorted(streams[name], key=int)]
                tables[name] = SavedTable(table.schema, items, stream)
        return tables, undelivered

    def _save_queues(self) -> dict[str, list[SavedMessage]]:
        with LOCKS["sqs"]:
            queues = sqs_backends[self._account][self._region].queues
            return {name: [_saved_message(message) for message in queue._messages] for name, queue in queues.items()}

    def _save_secrets(self) -> dict[str, str]:
        secrets: Any = secretsmanager_backends[self._account][self._region].secrets
        current = {
            secret.name: secret.versions.get(secret.default_version_id, {}).get("secret_string")
            for secret in secrets.values()
        }
        return {name: value for name, value in current.items() if isinstance(value, str)}

    def _save_objects(self) -> list[SavedObject]:
        """Write the objects that are new, each to a file named by bucket, key and content."""
        with LOCKS["s3"]:
            buckets = s3_backends[self._account]["aws"].buckets
            keys = [(name, key) for name, bucket in buckets.items() for key in bucket.keys.values()]
        objects = []
        for bucket_name, key in keys:
            if not isinstance(key, FakeKey):
                continue
            file = hashlib.sha256(f"{bucket_name}/{key.name}/{key.etag}".encode()).hexdigest()
            if not (self.path / _OBJECTS / file).exists():
                _write(self.path / _OBJECTS / file, key.value)
            modified_at = key.last_modified.replace(tzinfo=UTC).timestamp()
            objects.append(SavedObject(bucket_name, key.name, file, dict(key.metadata), modified_at))
        return objects


class _FormatOnly(msgspec.Struct):
    format: int


def _undelivered_kinesis(
    sources: Iterable[StreamSource],
) -> tuple[dict[str, dict[str, list[SavedRecord]]], dict[str, list[str]]]:
    streams: dict[str, dict[str, dict[int, SavedRecord]]] = defaultdict(lambda: defaultdict(dict))
    undelivered: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        shard = streams[source.mapping.source_arn.rpartition("/")[2]][source.log.shard_id]
        for record in source.undelivered():
            sequence = str(record.sequence_number)
            undelivered[source.mapping.id].append(sequence)
            shard[record.sequence_number] = SavedRecord(
                sequence,
                record.partition_key,
                record.data,
                record.explicit_hash_key or "",
                record.created_at,
            )
    ordered = {
        stream: {shard_id: [records[sequence] for sequence in sorted(records)] for shard_id, records in shards.items()}
        for stream, shards in streams.items()
    }
    return ordered, undelivered


def _kinesis_record(saved: SavedRecord) -> KinesisRecord:
    record = KinesisRecord(saved.partition_key, saved.data, int(saved.sequence), saved.hash_key)
    record.created_at = saved.created_at
    record.created_at_datetime = datetime.fromtimestamp(saved.created_at, UTC).replace(tzinfo=None)
    return record


def _restore_table(table: Table, saved: SavedTable) -> None:
    if table.schema != saved.key_schema:
        raise KeyError(f"table {table.name} with key {saved.key_schema}")
    items: Any = table.items
    for attributes in saved.items:
        hash_key = DynamoType(attributes[table.hash_key_attr])
        if table.range_key_attr is None:
            items[hash_key] = Item(hash_key, None, attributes)
        else:
            range_key = DynamoType(attributes[table.range_key_attr])
            items[hash_key][range_key] = Item(hash_key, range_key, attributes)
    if table.stream_shard is not None:
        table.stream_shard.items.extend(map(_stream_record, saved.stream))


def _stream_record(saved: dict[str, Any]) -> StreamRecord:
    record: Any = object.__new__(StreamRecord)
    record.record = saved
    return record  # type: ignore[no-any-return]


def _saved_message(message: Message) -> SavedMessage:
    return SavedMessage(
        message.id,
        message.body,
        message.message_attributes,
        message.approximate_receive_count,
        int(message.sent_timestamp or 0),
        message.group_id,
        message.deduplication_id,
    )


def _message(saved: SavedMessage) -> Message:
    message = Message(saved.id, saved.body)
    message.message_attributes = saved.attributes
    message.approximate_receive_count = saved.receive_count
    message.sent_timestamp = saved.sent_at_ms  # type: ignore[assignment]
    message.group_id, message.deduplication_id = saved.group_id, saved.deduplication_id
    return message


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_suffix(".new")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
