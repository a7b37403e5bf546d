"""What the event log, the spool and the definitions promise, held against memory and against moto."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import boto3
import pytest

from onefold.adapters.compression import unpack
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.adapters.kinesis_event_log import KinesisEventLog
from onefold.adapters.s3_spool import S3Spool
from onefold.domain.errors import StreamUnavailable, Unavailable, VersionConflict
from onefold.domain.event import EventBatch, Refusal
from onefold.use_cases.collect import KeyedBatch
from tests.fakes.collecting import MemoryDefinitions, MemoryEventLog, MemorySpool
from tests.fakes.events import NOON_MS, event
from tests.fakes.tables import aws


@dataclass
class Logged:
    log: MemoryEventLog | KinesisEventLog
    read: Callable[[], list[KeyedBatch]]
    break_it: Callable[[], object]


@dataclass
class Spooled:
    spool: MemorySpool | S3Spool
    keys: Callable[[], list[str]]
    break_it: Callable[[], object]


@dataclass
class Defined:
    definitions: MemoryDefinitions | DynamoDbDefinitions
    break_it: Callable[[], object]


def read_stream() -> list[KeyedBatch]:
    client = boto3.client("kinesis")
    read = []
    for shard in client.list_shards(StreamName="events")["Shards"]:
        iterator = client.get_shard_iterator(
            StreamName="events", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        records = client.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
        read += [(record["PartitionKey"], unpack(record["Data"], EventBatch)) for record in records]
    return read


@pytest.fixture(params=["memory", "moto"])
def logged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    if request.param == "memory":
        memory = MemoryEventLog()
        yield Logged(memory, lambda: memory.batches, lambda: setattr(memory, "broken", True))
        return
    with aws(monkeypatch):
        client = boto3.client("kinesis")
        client.create_stream(StreamName="events", ShardCount=3)
        log = KinesisEventLog(client, "events", sleep=lambda _: None, jitter=lambda: 0.0)
        yield Logged(log, read_stream, lambda: client.delete_stream(StreamName="events"))


@pytest.fixture(params=["memory", "moto"])
def spooled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spooled]:
    if request.param == "memory":
        memory = MemorySpool()
        yield Spooled(memory, lambda: list(memory.objects), lambda: setattr(memory, "broken", True))
        return
    with aws(monkeypatch):
        client = boto3.client("s3")
        client.create_bucket(Bucket="spool", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        spool = S3Spool(lambda: client, "spool")

        def keys() -> list[str]:
            return [each["Key"] for each in client.list_objects_v2(Bucket="spool").get("Contents", [])]

        def break_it() -> None:
            spool._bucket_name = "there-is-no-such-bucket"

        yield Spooled(spool, keys, break_it)


@pytest.fixture(params=["memory", "moto"])
def defined(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Defined]:
    if request.param == "memory":
        memory = MemoryDefinitions()
        yield Defined(memory, lambda: setattr(memory, "broken", True))
        return
    with aws(monkeypatch) as client:
        yield Defined(DynamoDbDefinitions(client, "definitions"), lambda: client.delete_table(TableName="definitions"))


def batches(*keys: str, events: int = 2) -> list[KeyedBatch]:
    return [(key, EventBatch(tuple(event(f"user_id:{key}") for _ in range(events)))) for key in keys]


def test_a_log_gives_back_nothing_of_what_it_took_and_each_key_keeps_its_order(logged: Logged) -> None:
    first, second = batches("a", "b", "c"), batches("a", "b")

    assert logged.log.append(first) == []
    assert logged.log.append(second) == []

    assert sorted(logged.read(), key=repr) == sorted(first + second, key=repr)
    assert [batch for key, batch in logged.read() if key == "a"] == [first[0][1], second[0][1]]


def test_a_log_that_is_not_there_gives_everything_back(logged: Logged) -> None:
    logged.break_it()
    given = batches("a", "b")

    assert logged.log.append(given) == given


def test_a_log_takes_no_batches_as_nothing(logged: Logged) -> None:
    assert logged.log.append([]) == []
    assert logged.read() == []


def test_a_log_takes_more_than_a_call_holds(logged: Logged) -> None:
    given = batches(*(f"person {number}" for number in range(1_201)), events=1)

    assert logged.log.append(given) == []
    assert sorted(logged.read(), key=repr) == sorted(given, key=repr)


def test_a_log_takes_a_batch_beyond_a_record_whole_and_in_order(logged: Logged) -> None:
    noise = Random(7)
    events = tuple(
        event("user_id:a", properties={"noise": noise.randbytes(15_000).hex()}) for _ in range(90)
    )  # 1.3 MB that no compression makes smaller
    refusals = tuple(
        Refusal(f"r{number}", "web", "event_too_large", "too large", noise.randbytes(500_000), NOON_MS)
        for number in range(5)
    )

    assert logged.log.append([("a", EventBatch(events, refusals))]) == []

    parts = [batch for key, batch in logged.read() if key == "a"]
    assert tuple(each for part in parts for each in part.events) == events
    assert tuple(each for part in parts for each in part.refusals) == refusals


def test_a_spool_keeps_batches_as_they_are(spooled: Spooled) -> None:
    given = batches("a", "b")

    spooled.spool.append(given, received_at=NOON_MS)

    [key] = spooled.keys()
    assert key.startswith("spool/")
    assert spooled.spool.load(key) == given


def test_a_spool_written_twice_with_the_same_holds_it_once(spooled: Spooled) -> None:
    given = batches("a")

    spooled.spool.append(given, received_at=NOON_MS)
    spooled.spool.append(given, received_at=NOON_MS)
    spooled.spool.append(batches("a"), received_at=NOON_MS)

    assert len(spooled.keys()) == 2


def test_a_spooled_object_is_deleted_once_or_twice_and_then_gone(spooled: Spooled) -> None:
    spooled.spool.append(batches("a"), received_at=NOON_MS)
    [key] = spooled.keys()

    spooled.spool.delete(key)
    spooled.spool.delete(key)

    assert spooled.spool.load(key) is None


def test_a_spool_that_is_not_there_says_so(spooled: Spooled) -> None:
    spooled.break_it()

    with pytest.raises(StreamUnavailable):
        spooled.spool.append(batches("a"), received_at=NOON_MS)
    with pytest.raises(Unavailable):
        spooled.spool.load("spool/x")
    with pytest.raises(Unavailable):
        spooled.spool.delete("spool/x")


def test_definitions_give_the_newest_version_of_each_and_keep_all(defined: Defined) -> None:
    defined.definitions.put_current("source/web", b'{"a": 1}', after_version=0)
    second = defined.definitions.put_current("source/web", b'{"a": 2}', after_version=1)
    audience = defined.definitions.put_current("audience/loyal", b"{}", after_version=0)

    assert defined.definitions.load_current() == (audience, second)
    assert defined.definitions.load_current("source") == (second,)
    assert [(each.name, each.version, each.body) for each in defined.definitions.load_history("source/web")] == [
        ("source/web", 1, b'{"a": 1}'),
        ("source/web", 2, b'{"a": 2}'),
    ]


@pytest.mark.parametrize("after_version", [0, 2])
def test_a_definition_replaces_only_the_version_that_was_read(defined: Defined, after_version: int) -> None:
    defined.definitions.put_current("source/web", b"1", after_version=0)

    with pytest.raises(VersionConflict):
        defined.definitions.put_current("source/web", b"2", after_version=after_version)

    assert [each.body for each in defined.definitions.load_current()] == [b"1"]
    assert len(defined.definitions.load_history("source/web")) == 1


def test_definitions_beyond_a_page_are_all_read(defined: Defined) -> None:
    body = b'"' + b"x" * 300_000 + b'"'
    for number in range(5):  # a Query gives 1 MB a page
        defined.definitions.put_current(f"audience/a{number}", body, after_version=0)

    assert len(defined.definitions.load_current()) == 5


def test_definitions_that_are_not_there_say_so(defined: Defined) -> None:
    defined.break_it()

    with pytest.raises(Unavailable):
        defined.definitions.load_current()
    with pytest.raises(Unavailable):
        defined.definitions.put_current("source/web", b"", after_version=0)
