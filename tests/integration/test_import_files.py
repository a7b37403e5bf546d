"""import_files over AWS's interfaces in moto: the store's contract, and the function as Lambda calls it."""

import io
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import boto3
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from functions.import_files import handler
from onefold.adapters import s3_imports
from onefold.adapters.compression import unpack
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.adapters.s3_imports import S3ImportStore
from onefold.domain.errors import MappingInvalid, VersionConflict
from onefold.domain.event import Event, EventBatch, Refusal
from onefold.domain.import_file import Claim, FileFacts, Import
from onefold.domain.mapping import RowMapping, parse_mapping
from onefold.domain.source import Source
from tests.fakes.importing import MemoryFile, MemoryImportStore
from tests.fakes.tables import REGION, aws, environment

MAPPING = """
source: till
message_id: till/{receipt}
timestamp: {column: at}
identifiers: {user_id: customer}
events: [{event: Order Completed}]
properties: {order_id: receipt, total: {column: paid, type: money}}
"""
INBOX = "imports/inbox/till/"
BUCKET = "spool"


class Context:
    """Lambda's second argument, of a function whose time is over after some questions."""

    def __init__(self, patience: int = 1_000_000) -> None:
        self.patience = patience

    def get_remaining_time_in_millis(self) -> int:
        self.patience -= 1
        return 900_000 if self.patience > 0 else 1_000


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with aws(monkeypatch) as tables:
        environment("import_files", monkeypatch)
        monkeypatch.setenv("STREAM_NAME", "events")
        monkeypatch.setenv("SPOOL_BUCKET_NAME", BUCKET)
        queue = boto3.client("sqs").create_queue(QueueName="imports")
        monkeypatch.setenv("IMPORTS_QUEUE_URL", queue["QueueUrl"])
        boto3.client("kinesis").create_stream(StreamName="events", ShardCount=1)
        location: Any = {"LocationConstraint": REGION}
        boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
        definitions = DynamoDbDefinitions(tables, "definitions")
        till = Source("till", "key-of-till", kind="import")
        definitions.put_current("source/till", msgspec.json.encode(till), after_version=0)
        mapping = msgspec.json.encode(parse_mapping(yaml.safe_load(MAPPING)))
        definitions.put_current("mapping/till", mapping, after_version=0)
        handler.importer.cache_clear()
        yield


def receipts(count: int) -> bytes:
    lines = (f"r-{n},2024-05-01T10:00:00Z,u-{n % 7},{n}.50" for n in range(count))
    return "\n".join(["receipt,at,customer,paid", *lines]).encode()


def drop(name: str, content: bytes, **more: Any) -> dict[str, Any]:
    """Put a file, and give the queue's message about it."""
    boto3.client("s3").put_object(Bucket=BUCKET, Key=f"{INBOX}{name}", Body=content, **more)
    stored = {"key": f"{INBOX}{name}", "sequencer": f"s{abs(hash(content)) % 10_000}"}
    body = json.dumps({"detail-type": "Object Created", "detail": {"bucket": {"name": BUCKET}, "object": stored}})
    return {"Records": [{"messageId": "m-1", "body": body}]}


def stream() -> list[EventBatch]:
    client = boto3.client("kinesis")
    place = client.get_shard_iterator(
        StreamName="events", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )
    records = client.get_records(ShardIterator=place["ShardIterator"])["Records"]
    return [unpack(record["Data"], EventBatch) for record in records]


def events() -> list[Event]:
    return [event for batch in stream() for event in batch.events]


def refusals() -> list[Refusal]:
    return [refusal for batch in stream() for refusal in batch.refusals]


def queued() -> list[dict[str, Any]]:
    """What the function put back, as its next event."""
    client = boto3.client("sqs")
    url = client.get_queue_url(QueueName="imports")["QueueUrl"]
    messages = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [{"Records": [{"messageId": each["MessageId"], "body": each["Body"]}]} for each in messages]


def summary(name: str) -> Import:
    body = boto3.client("s3").get_object(Bucket=BUCKET, Key=f"imports/summaries/till/{name}.json")["Body"].read()
    return msgspec.json.decode(body, type=Import)


@pytest.mark.usefixtures("deployed")
def test_a_dropped_file_is_on_the_stream_and_no_log_line_holds_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    content = receipts(30) + b"\nbroken;Eva Muster\n"

    assert handler.handle(drop("a.csv", content), Context()) == {"batchItemFailures": []}

    assert {event.message_id for event in events()} == {f"till/r-{n}" for n in range(30)}
    [refusal] = refusals()
    assert (refusal.body, refusal.detail[:9]) == (b"broken;Eva Muster\n", "a.csv:32:")
    assert (summary("a.csv").state, summary("a.csv").counts.accepted, queued()) == ("done", 30, [])
    output = capsys.readouterr().out
    assert '"status":"done"' in output.replace(" ", "")
    assert "Muster" not in output
    assert "a.csv" not in output


@pytest.mark.usefixtures("deployed")
def test_f10_an_import_longer_than_a_function_goes_on_in_the_next() -> None:
    """A run ends before the function's time does; what is left comes back through the queue."""
    event = drop("a.csv", receipts(3_500))
    runs = 0
    while event:
        runs += 1
        handler.handle(event, Context(patience=1))
        assert summary("a.csv").counts.accepted == min(1_000 * runs, 3_500) or runs > 4
        event = next(iter(queued()), {})

    assert (runs, summary("a.csv").state, summary("a.csv").counts.accepted) == (4, "done", 3_500)
    assert sorted(int(event.message_id[7:]) for event in events()) == list(range(3_500))


@pytest.mark.usefixtures("deployed")
def test_f12_a_message_that_is_delivered_twice_imports_once() -> None:
    event = drop("a.csv", receipts(5))

    handler.handle(event, Context())
    handler.handle(event, Context())

    assert len(events()) == 5


@pytest.mark.usefixtures("deployed")
def test_the_same_content_is_imported_once_unless_it_is_forced() -> None:
    handler.handle(drop("a.csv", receipts(5)), Context())
    handler.handle(drop("b.csv", receipts(5)), Context())
    assert (len(events()), summary("b.csv").state) == (5, "repeated")

    handler.handle(drop("c.csv", receipts(5), Metadata={"force": "true"}), Context())

    assert (len(events()), summary("c.csv").state) == (10, "done")


@pytest.mark.usefixtures("deployed")
def test_f03_a_stream_that_does_not_answer_brings_the_message_back_later(monkeypatch: pytest.MonkeyPatch) -> None:
    importer = handler.importer()
    way = importer.importer.way
    broken: Any = type("Broken", (), {"append": staticmethod(list)})()

    def broken_way(source: Source) -> Any:
        made = way(source)
        return type(made)(broken, source, made.collector, made.now_ms, lambda _: None)

    object.__setattr__(importer.importer, "way", broken_way)
    event = drop("a.csv", receipts(5))

    assert handler.handle(event, Context()) == {"batchItemFailures": []}

    monkeypatch.setattr(handler, "LATER_S", 0)
    assert (events(), summary("a.csv").state) == ([], "importing")
    object.__setattr__(importer.importer, "way", way)
    attempts = boto3.client("sqs").get_queue_attributes(
        QueueUrl=boto3.client("sqs").get_queue_url(QueueName="imports")["QueueUrl"], AttributeNames=["All"]
    )["Attributes"]
    assert attempts["ApproximateNumberOfMessagesDelayed"] == "1"
    handler.handle(event, Context())
    assert (len(events()), summary("a.csv").state) == (5, "done")


@pytest.mark.usefixtures("deployed")
def test_a_parquet_file_keeps_its_types_and_goes_on_within_a_row_group() -> None:
    table = pa.table(
        {
            "receipt": pa.array(range(2_500), pa.int64()),
            "at": pa.array([datetime(2024, 5, 1, 10)] * 2_500, pa.timestamp("ns")),  # noqa: DTZ001 - a file without zone
            "customer": pa.array([None if n == 3 else n % 7 for n in range(2_500)], pa.float64()),
            "paid": pa.array([Decimal(n) / 100 for n in range(2_500)], pa.decimal128(18, 2)),
        }
    )
    content = io.BytesIO()
    pq.write_table(table, content, row_group_size=1_500)
    event = drop("a.parquet", content.getvalue())
    while event:
        handler.handle(event, Context(patience=1))
        event = next(iter(queued()), {})

    found = {event.message_id: msgspec.json.decode(event.properties)["total"] for event in events()}
    assert found == {f"till/{n}": n / 100 for n in range(2_500)}
    assert summary("a.parquet").counts.accepted == 2_500
    assert sum(not event.identifiers for event in events()) == 1 + sum(n % 7 == 0 for n in range(2_500) if n != 3)
    assert {event.at for event in events()} == {1_714_557_600_000}


def some_import(**changes: Any) -> Import:
    base = Import("a.csv", "till", "r", "v", "importing", 1, 1, RowMapping("a/{b}"), "till", FileFacts("d", 1))
    return msgspec.structs.replace(base, **changes)


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest, deployed: None) -> Any:
    return MemoryImportStore() if request.param == "memory" else S3ImportStore(boto3.client("s3"), BUCKET)


def test_a_summary_is_replaced_only_by_who_has_seen_it(store: Any) -> None:
    assert store.load("till", "a.csv") == (None, "")
    first = store.save(some_import(), "")
    with pytest.raises(VersionConflict):
        store.save(some_import(), "")

    second = store.save(some_import(runs=2), first)

    with pytest.raises(VersionConflict):
        store.save(some_import(runs=3), first)
    assert store.load("till", "a.csv") == (some_import(runs=2), second)


def test_contents_belong_to_who_claims_them_first_until_they_are_given_free(store: Any) -> None:
    assert store.claim("till", "d1", "a.csv") is None
    assert store.claim("till", "d1", "b.csv") == Claim("a.csv")
    assert store.claim("crm", "d1", "b.csv") is None

    store.settle("till", "d1", Claim("a.csv", is_done=True))
    assert store.claim("till", "d1", "b.csv") == Claim("a.csv", is_done=True)
    store.release("till", "d1")

    assert store.claim("till", "d1", "b.csv") is None


def test_parts_are_kept_until_they_are_dropped(store: Any) -> None:
    store.put_parts("w", 0, {1: b"first", 2: b"other"})
    store.put_parts("w", 2, {1: b"third"})
    store.put_parts("w", 2, {1: b"third again"})

    assert store.load_part("w", 1, 3) == [b"first", b"third again"]
    store.drop_parts("w", 3, 3)

    assert [store.load_part("w", part, 3) for part in range(3)] == [[], [], []]


@pytest.mark.usefixtures("deployed")
def test_a_file_is_read_in_pieces_and_never_mixed_with_what_replaces_it() -> None:
    client = boto3.client("s3")
    client.put_object(Bucket=BUCKET, Key=f"{INBOX}a.csv", Body=b"0123456789" * 1_000)
    file = S3ImportStore(client, BUCKET).open(f"{INBOX}a.csv")
    assert file is not None
    memory = MemoryFile("a.csv", b"0123456789" * 1_000)

    assert b"".join(file.chunks(9_995)) == b"".join(memory.chunks(9_995)) == b"56789"
    assert file.read(12, 15) == memory.read(12, 15) == b"234"
    assert (file.size, file.name) == (memory.size, memory.name)
    client.put_object(Bucket=BUCKET, Key=f"{INBOX}a.csv", Body=b"x" * 10_000)

    with pytest.raises(MappingInvalid) as caught:
        list(file.chunks())
    assert caught.value.reason == "file_changed"


@pytest.mark.usefixtures("deployed")
def test_a_connection_that_breaks_is_taken_up_where_it_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_imports, "CHUNK_BYTES", 100)
    client = boto3.client("s3")
    content = bytes(range(256)) * 10
    client.put_object(Bucket=BUCKET, Key=f"{INBOX}a.csv", Body=content)
    file = S3ImportStore(client, BUCKET).open(f"{INBOX}a.csv")
    assert file is not None
    whole, breaks = file._get, iter([1, 3, 2])

    class Breaking:
        def __init__(self, body: Any, left: int) -> None:
            self._body, self._left = body, left

        def iter_chunks(self, size: int) -> Iterator[bytes]:
            from botocore.exceptions import ResponseStreamingError

            for number, chunk in enumerate(self._body.iter_chunks(size)):
                if number == self._left:
                    raise ResponseStreamingError(error="cut")
                yield chunk

    monkeypatch.setattr(file, "_get", lambda at, end: {"Body": Breaking(whole(at, end)["Body"], next(breaks, 99))})

    assert b"".join(file.chunks()) == content
