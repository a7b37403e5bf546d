"""What a local runtime keeps between two runs, in a folder.

A runtime that is stopped delivers first, and keeps everything. One that is killed (kill -9, power) loses what happened
since the last save, and of the moment of that save what was still on its way to functions from table streams and buses;
records of Kinesis streams and messages of queues that were not delivered then are delivered by the next run, under
new sequence numbers and perhaps once more to functions that had them. Of what users created beside the stacks, objects
with their buckets are kept; tables, secrets and queues are not.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.kinesis.models import kinesis_backends
from moto.s3.models import FakeKey, s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sqs.models import sqs_backends

from infra.local.assembly import AssemblyError
from infra.local.event_sources import StreamSource
from infra.local.moto_patch import LOCKS

FORMAT = 2
_STATE_FILE = "state.msgpack"
_OBJECTS = "objects"


class StateError(AssemblyError):
    """The folder cannot be used; the text is one line with its name and the remedy."""


class SavedObject(msgspec.Struct, array_like=True):
    bucket: str
    key: str
    file: str
    metadata: dict[str, str]
    modified_at: float


class SavedTable(msgspec.Struct):
    key_schema: list[dict[str, str]]
    items: list[dict[str, Any]]


class SavedState(msgspec.Struct):
    format: int
    tables: dict[str, SavedTable]
    objects: list[SavedObject]
    secrets: dict[str, str]
    streams: dict[str, list[tuple[str, Any]]]  # stream -> partition key and data of what some function did not get
    queues: dict[str, list[str]]  # queue -> bodies


class _FormatOnly(msgspec.Struct):
    format: int


class StateFolder:
    """One folder, for one local runtime at a time."""

    def __init__(self, path: Path, *, region: str, account: str) -> None:
        """Open the folder and read what it holds.

        Raises:
            StateError: It is in use, damaged, or from another version.
        """
        self.path, self._region = path, region
        self._deployed_schemas: dict[str, list[dict[str, str]]] = {}
        self._deployed_secrets: set[str] = set()
        self._deployed_queues: set[str] = set()
        self._tables: Any = dynamodb_backends[account][region].tables
        self._s3: Any = s3_backends[account]["aws"]
        self._secrets: Any = secretsmanager_backends[account][region].secrets
        self._streams: Any = kinesis_backends[account][region].streams
        self._sqs: Any = sqs_backends[account][region]
        for folder in (path, path / _OBJECTS):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        self._lock = _open_private(path / "lock")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._saved = self._read()
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

    def restore(self) -> None:
        """Put back what was saved; the resources are deployed, and nothing runs yet.

        Raises:
            StateError: The state holds a table, secret, stream or queue that is not deployed, or an object's
                file is missing.
        """
        self._deployed_schemas = {name: table.schema for name, table in self._tables.items()}
        self._deployed_secrets = {secret.name for secret in self._secrets.values()}
        self._deployed_queues = set(self._sqs.queues)
        saved, self._saved = self._saved, None
        if saved is None:
            return
        try:
            self._restore_stores(saved)
            for name, records in saved.streams.items():
                for partition_key, data in records:
                    self._streams[name].put_record(partition_key, "", data)
            for name, bodies in saved.queues.items():
                for body in bodies:
                    self._sqs.send_message(self._sqs.queues[name].name, body)
        except KeyError as error:
            raise StateError(
                f"{self.path} holds the state of other stacks ({error} is not in these): use another folder"
            ) from error
        except OSError as error:
            raise StateError(f"{self.path} is damaged ({error}): put back a copy, or use another folder") from error

    def _restore_stores(self, saved: SavedState) -> None:
        for name, table in saved.tables.items():
            _restore_table(self._tables[name], table)
        for name, value in saved.secrets.items():
            secret = self._secrets[name]
            secret.versions[secret.default_version_id]["secret_string"] = secret.secret_string = value
        for kept in saved.objects:
            self._restore_object(kept)

    def _restore_object(self, saved: SavedObject) -> None:
        if saved.bucket not in self._s3.buckets:
            self._s3.create_bucket(saved.bucket, self._region)
        content = (self.path / _OBJECTS / saved.file).read_bytes()
        key = self._s3.put_object(saved.bucket, saved.key, content, disable_notification=True)
        key.set_metadata(dict(saved.metadata), replace=True)
        key.last_modified = datetime.fromtimestamp(saved.modified_at, UTC).replace(tzinfo=None)

    def save(self, sources: Iterable[StreamSource]) -> None:
        """Write everything; a crash at any time leaves the former state or this one.

        What is not delivered is read before what deliveries change, so that it may be delivered again but is not lost.
        """
        streams = _undelivered(source for source in sources if ":kinesis:" in source.mapping.source_arn)
        with LOCKS["dynamodb"]:
            tables = {
                name: SavedTable(table.schema, [item.to_json()["Attributes"] for item in table.all_items()])
                for name, table in self._tables.items()
                if table.schema == self._deployed_schemas.get(name)
            }
        with LOCKS["sqs"]:
            queues = {
                name: [each.body for each in queue._messages]
                for name, queue in self._sqs.queues.items()
                if name in self._deployed_queues
            }
        objects = self._save_objects()
        state = SavedState(FORMAT, tables, objects, self._current_secrets(), streams, queues)
        _write(self.path / _STATE_FILE, msgspec.msgpack.encode(state))
        kept = {saved.file for saved in objects}
        for file in (self.path / _OBJECTS).iterdir():
            if file.name not in kept:
                file.unlink()

    def _current_secrets(self) -> dict[str, str]:
        current = {
            secret.name: secret.versions.get(secret.default_version_id, {}).get("secret_string")
            for secret in self._secrets.values()
            if secret.name in self._deployed_secrets
        }
        return {name: value for name, value in current.items() if isinstance(value, str)}

    def _save_objects(self) -> list[SavedObject]:
        """Write the objects that are new, each to a file named by bucket, key and content."""
        with LOCKS["s3"]:
            keys = [(name, key) for name, bucket in self._s3.buckets.items() for key in bucket.keys.values()]
        objects = []
        for bucket_name, key in keys:
            if not isinstance(key, FakeKey):
                continue
            file = hashlib.sha256(f"{bucket_name}/{key.name}/{key.etag}".encode()).hexdigest()
            if not (self.path / _OBJECTS / file).exists():
                try:
                    content = key.value
                except ValueError:  # deleted meanwhile
                    continue
                _write(self.path / _OBJECTS / file, content)
            modified_at = key.last_modified.replace(tzinfo=UTC).timestamp()
            objects.append(SavedObject(bucket_name, key.name, file, dict(key.metadata), modified_at))
        return objects


def _undelivered(sources: Iterable[StreamSource]) -> dict[str, list[tuple[str, Any]]]:
    streams: dict[str, dict[int, tuple[str, Any]]] = {}
    for source in sources:
        records = streams.setdefault(source.mapping.source_arn.rpartition("/")[2], {})
        records |= {each.sequence_number: (each.partition_key, each.data) for each in source.undelivered()}
    return {name: [records[number] for number in sorted(records)] for name, records in streams.items()}


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


def _open_private(file: Path) -> BinaryIO:
    """Open for writing a file that only its owner can read, also if it was there with other rights."""
    stream = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    os.fchmod(stream.fileno(), 0o600)
    return stream


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_suffix(".new")
    with _open_private(temporary) as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
