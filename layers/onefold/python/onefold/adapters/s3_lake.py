"""The lake's raw zone and quarantine: Parquet whose place and name are functions of what it holds."""

import base64
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from onefold.adapters.aws_requests import passing_failures
from onefold.domain.event import Event, Refusal, fragment_key
from onefold.domain.identifier import Identifier
from onefold.use_cases.archive import ArchivedEvent

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COMPRESSION: Final = "zstd"
_INSTANT = pa.timestamp("ms")
_NAMED = [("type", pa.string()), ("value", pa.string()), ("key", pa.string())]
_IDENTIFIER = pa.struct([*_NAMED, ("priority", pa.int32()), ("role", pa.int32())])

EVENT_SCHEMA: Final = pa.schema(
    [
        ("message_id", pa.string()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("source", pa.string()),
        ("fragment_key", pa.string()),
        ("user_id", pa.string()),
        ("anonymous_id", pa.string()),
        ("email", pa.string()),
        ("identifiers", pa.list_(pa.struct(_NAMED))),
        ("at", _INSTANT),
        ("received_at", _INSTANT),
        ("sent_at", _INSTANT),
        ("original_at", _INSTANT),
        ("clock", pa.string()),
        ("traits", pa.string()),
        ("properties", pa.string()),
        ("context", pa.string()),
        ("consent", pa.map_(pa.string(), pa.bool_())),
        ("violations", pa.list_(pa.string())),
        ("sequence", pa.string()),
        # What an event needs besides to be read back as it was: `lake_rows` does.
        ("identifier_priorities", pa.list_(pa.int32())),
        ("identifier_roles", pa.list_(pa.int32())),
        ("previous", pa.list_(_IDENTIFIER)),
        ("account", _IDENTIFIER),
        ("position", pa.int32()),
    ]
)
REFUSAL_SCHEMA: Final = pa.schema(
    [
        ("message_id", pa.string()),
        ("source", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("component", pa.string()),
        ("version", pa.string()),
        ("body", pa.string()),
        ("received_at", _INSTANT),
        ("envelope", pa.string()),
    ]
)


class S3Lake:
    """The lake bucket's `raw/` and `quarantine/`."""

    def __init__(self, client: "S3Client", bucket_name: str) -> None:
        self._client, self._bucket_name = client, bucket_name

    def write_events(self, events: Sequence[ArchivedEvent], name: str) -> None:
        """Write one file an hour of arrival; the same name again overwrites.

        Raises:
            Unavailable: Not all files were written.
        """
        hours: dict[str, list[ArchivedEvent]] = defaultdict(list)
        for archived in events:
            hours[_instant(archived.event.received_at).strftime("dt=%Y-%m-%d/hour=%H")].append(archived)
        for hour, part in hours.items():
            self._put(f"raw/{hour}/{name}.parquet", event_table(part))

    def write_refusals(self, refusals: Sequence[Refusal], name: str) -> None:
        """Write one file a day of arrival; the same name again overwrites.

        Raises:
            Unavailable: Not all files were written.
        """
        days: dict[str, list[Refusal]] = defaultdict(list)
        for refusal in refusals:
            days[_instant(refusal.received_at).strftime("dt=%Y-%m-%d")].append(refusal)
        for day, part in days.items():
            rows = [_refusal_row(refusal) for refusal in part]
            self._put(f"quarantine/{day}/{name}.parquet", pa.Table.from_pylist(rows, schema=REFUSAL_SCHEMA))

    def _put(self, key: str, table: pa.Table) -> None:
        buffer = BytesIO()
        pq.write_table(table, buffer, compression=COMPRESSION)
        with passing_failures("S3"):
            self._client.put_object(Bucket=self._bucket_name, Key=key, Body=buffer.getvalue())


def event_table(archived: Sequence[ArchivedEvent]) -> pa.Table:
    """Events as the rows of a file; `lake_rows.event_of_row` reads them back."""
    return pa.table(_columns(archived), schema=EVENT_SCHEMA)


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


def _columns(archived: Sequence[ArchivedEvent]) -> dict[str, list[Any]]:
    """Column → values; made column by column, which spares a dictionary a row."""
    events = [each.event for each in archived]
    readers: dict[str, Callable[[Event], Any]] = {
        "message_id": lambda event: event.message_id,
        "kind": lambda event: event.kind,
        "name": lambda event: event.name or None,
        "source": lambda event: event.source,
        "fragment_key": lambda event: None if (key := fragment_key(event)) is None else str(key),
        "user_id": lambda event: _value(event, "user_id"),
        "anonymous_id": lambda event: _value(event, "anonymous_id"),
        "email": lambda event: _value(event, "email"),
        "identifiers": lambda event: [{"type": i.type, "value": i.value, "key": i.key} for i in event.identifiers],
        "at": lambda event: event.at,
        "received_at": lambda event: event.received_at,
        "sent_at": lambda event: event.sent_at,
        "original_at": lambda event: event.original_at,
        "clock": lambda event: event.clock,
        "traits": lambda event: event.traits.decode(),
        "properties": lambda event: event.properties.decode(),
        "context": lambda event: event.context.decode(),
        "consent": lambda event: list(event.consent.items()),
        "violations": lambda event: list(event.violations),
        "identifier_priorities": lambda event: [each.priority for each in event.identifiers],
        "identifier_roles": lambda event: [each.role for each in event.identifiers],
        "previous": lambda event: [_struct(each) for each in event.previous],
        "account": lambda event: None if event.account is None else _struct(event.account),
    }
    columns = {name: [read(event) for event in events] for name, read in readers.items()}
    columns["sequence"] = [each.sequence for each in archived]
    columns["position"] = [each.position for each in archived]
    return columns


def _struct(identifier: Identifier) -> dict[str, Any]:
    return dict(zip(Identifier.__struct_fields__, msgspec.structs.astuple(identifier), strict=True))


def _value(event: Event, kind: str) -> str | None:
    return next((identifier.value for identifier in event.identifiers if identifier.type == kind), None)


def _refusal_row(refusal: Refusal) -> dict[str, Any]:
    return {
        "message_id": refusal.message_id,
        "source": refusal.source,
        "reason": refusal.reason,
        "detail": refusal.detail,
        "component": refusal.component,
        "version": refusal.version,
        "body": base64.b64encode(refusal.body).decode(),
        "received_at": refusal.received_at,
        "envelope": refusal.envelope.decode(),
    }
