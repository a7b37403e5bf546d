"""Marks and set-aside batches in S3, over moto: marks hold what the fake promises, and races have one winner."""

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from onefold.adapters.compression import pack
from onefold.adapters.event_records import read_records
from onefold.adapters.lambda_functions import LambdaFunctions
from onefold.adapters.s3_failed_batches import MARKS_PREFIX, S3FailedBatches
from onefold.adapters.s3_marks import REPLAYS_PREFIX, S3Marks
from onefold.domain.errors import BodyInvalid, Unavailable, VersionConflict
from onefold.domain.event import EventBatch, Refusal
from onefold.domain.quarantine import Mark
from onefold.use_cases.marks import Claim, Marks, claim
from onefold.use_cases.redrive import Redriver
from tests.fakes.collecting import MemoryEventLog, MemorySpool
from tests.fakes.events import NOON_MS, event
from tests.fakes.lambda_events import fragments_event, kinesis_event
from tests.fakes.quarantine import MemoryMarks
from tests.fakes.stores import MemoryLake
from tests.fakes.tables import LAKE, aws

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BEGUN, DONE = Mark("begun", 1, 0, "r1"), Mark("done", 1, 1, "r1")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator["S3Client"]:
    with aws(monkeypatch):
        yield boto3.client("s3")


@pytest.fixture(params=["memory", "s3"])
def marks(request: pytest.FixtureRequest, s3: "S3Client") -> Marks:
    return MemoryMarks() if request.param == "memory" else S3Marks(lambda: s3, LAKE, REPLAYS_PREFIX)


def test_a_mark_is_written_by_who_has_seen_its_last_state(marks: Marks) -> None:
    assert marks.load("x") is None
    tag = marks.store("x", BEGUN, after="")
    assert marks.load("x") == (BEGUN, tag)

    for stale in ("", '"0123456789abcdef0123456789abcdef"'):
        with pytest.raises(VersionConflict):
            marks.store("x", DONE, after=stale)
    later = marks.store("x", DONE, after=tag)

    assert marks.load("x") == (DONE, later)
    with pytest.raises(VersionConflict):
        marks.store("x", BEGUN, after=tag)
    with pytest.raises(VersionConflict):
        marks.store("never", DONE, after=tag)


def test_of_many_who_claim_at_once_one_gets_it(marks: Marks) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: claim(marks, "x", at=n, request_id=str(n), force=False), range(8)))

    assert sum(isinstance(each, Claim) for each in found) == 1


def test_a_store_that_fails_is_unavailable(s3: "S3Client", monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "SlowDown", "Message": "down"}}, "PutObject")

    monkeypatch.setattr(s3, "put_object", fail)
    monkeypatch.setattr(s3, "get_object", fail)
    stored = S3Marks(lambda: s3, LAKE, REPLAYS_PREFIX)

    with pytest.raises(Unavailable):
        stored.store("x", BEGUN, after="")
    with pytest.raises(Unavailable):
        stored.load("x")


class MemoryFunctions:
    """Notes what is delivered to which function, and fails on the records that are named."""

    def __init__(self, *broken: str) -> None:
        self.delivered: list[tuple[str, Any]] = []
        self.broken = set(broken)

    def deliver(self, function_name: str, record: Any) -> None:
        if record["eventID"] in self.broken:
            raise Unavailable("it failed again")
        self.delivered.append((function_name, record))


def failed(function: str, *data: EventBatch | bytes, changes: tuple[dict[str, Any], ...] = ()) -> bytes:
    """What Lambda puts into the bucket for a batch that a function gave up."""
    place = {"shardId": "shardId-000000000000", "batchSize": len(data)}
    document: dict[str, Any] = {
        "requestContext": {
            "requestId": "r",
            "functionArn": f"arn:aws:lambda:eu-central-1:123456789012:function:{function}:$LATEST",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 11,
        },
        "version": "1.0",
        "timestamp": "2026-11-12T10:00:00.000Z",
        "DDBStreamBatchInfo" if changes else "KinesisBatchInfo": place,
        "payload": json.dumps({"Records": changes} if changes else kinesis_event(*data)),
    }
    return json.dumps(document).encode()


class Setting:
    """Set-aside batches in moto, and what brings them back."""

    def __init__(self, s3: "S3Client") -> None:
        self._s3 = s3
        self.batches = S3FailedBatches(s3, LAKE, {"Stitch-1": "stitch", "Archive-1": "archive"})
        self.marks = S3Marks(lambda: s3, LAKE, MARKS_PREFIX)
        self.log, self.spool, self.lake = MemoryEventLog(), MemorySpool(), MemoryLake()
        self.redriver = Redriver(
            self.batches,
            self.marks,
            self.log,
            self.spool,
            self.lake,
            lambda records: read_records(records, component="redrive"),
        )

    def put(self, body: bytes, name: str = "aws/lambda/mapping/shard/2026/11/12/x") -> str:
        self._s3.put_object(Bucket=LAKE, Key=name, Body=body)
        return name


@pytest.fixture
def setting(s3: "S3Client") -> Setting:
    return Setting(s3)


def test_what_stitch_gave_up_returns_record_by_record(setting: Setting) -> None:
    """F17: one record of the batch is poison that nobody can read; the others are well."""
    inner = Refusal("r", "web", "event_name_missing", "d", b"{}", NOON_MS)
    mine = event("user_id:u1")
    key = setting.put(failed("Stitch-1", EventBatch((mine,), (inner,)), b"\x07poison", EventBatch((), (inner,))))

    found = setting.redriver.redrive(key, now=1, request_id="r")

    assert (found.status, found.records, found.events, found.unreadable) == ("redriven", 2, 1, 1)
    [(partition_key, events), (_, poison)] = setting.log.batches
    assert (partition_key, events) == ("anonymous_id:x", EventBatch((mine,)))
    assert (poison.events, poison.refusals[0].body) == ((), b"\x07poison")
    assert setting.redriver.redrive(key, now=2, request_id="r").status == "already_redriven"
    assert list(setting.batches.keys()) == [key]


def test_what_archive_gave_up_is_written_under_its_own_name(setting: Setting) -> None:
    events = [event("user_id:u1"), event("user_id:u2")]
    key = setting.put(failed("Archive-1", EventBatch((events[0],)), EventBatch((events[1],))))

    assert setting.redriver.redrive(key, now=1, request_id="r").status == "redriven"
    setting.redriver.redrive(key, now=2, request_id="r", force=True)

    [(name, archived)] = setting.lake.events.items()
    assert name.startswith("shardId-000000000000-")
    assert [each.event for each in archived] == events
    assert setting.log.batches == []


def test_where_neither_stream_nor_spool_takes_it_the_batch_waits(setting: Setting) -> None:
    key = setting.put(failed("Stitch-1", EventBatch((event("user_id:u1"),))))
    setting.log.broken = setting.spool.broken = True

    with pytest.raises(Unavailable):
        setting.redriver.redrive(key, now=1, request_id="r")

    assert setting.redriver.look(key).status == "waiting"
    setting.spool.broken = False
    assert setting.redriver.redrive(key, now=2, request_id="r").status == "redriven"
    assert len(setting.spool.objects) == 1


CHANGES = tuple(fragments_event("a|", "b|")["Records"])


def test_a_tables_changes_are_told_and_left_where_functions_cannot_be_invoked(setting: Setting) -> None:
    key = setting.put(failed("Evaluate-1", changes=CHANGES))

    assert setting.redriver.look(key).status == "table_changes"
    assert setting.redriver.redrive(key, now=1, request_id="r").status == "table_changes"
    assert setting.log.batches == []


def test_a_tables_changes_are_delivered_to_their_function_again_one_by_one(setting: Setting) -> None:
    key = setting.put(failed("Evaluate-1", changes=CHANGES))
    functions = MemoryFunctions(CHANGES[1]["eventID"])
    redriver = replace(setting.redriver, functions=functions)

    with pytest.raises(Unavailable):
        redriver.redrive(key, now=1, request_id="r")
    functions.broken = set()
    done = redriver.redrive(key, now=2, request_id="r")
    again = redriver.redrive(key, now=3, request_id="r")

    assert functions.delivered == [("Evaluate-1", CHANGES[at]) for at in (0, 0, 1)]
    assert (done.status, done.records, again.status) == ("redriven", 2, "already_redriven")
    assert setting.log.batches == []


@pytest.mark.parametrize(
    ("answer", "fails"),
    [
        ({"Payload": BytesIO(b'{"batchItemFailures": []}')}, False),
        ({"Payload": BytesIO(b'{"batchItemFailures": [{"itemIdentifier": "1"}]}')}, True),
        ({"Payload": BytesIO(b'{"errorType": "Defect"}'), "FunctionError": "Unhandled"}, True),
    ],
)
def test_a_function_that_fails_again_is_told(answer: dict[str, Any], fails: bool) -> None:
    class Client:
        def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - AWS's
            assert (FunctionName, json.loads(Payload)) == ("Evaluate-1", {"Records": [CHANGES[0]]})
            return answer

    functions = LambdaFunctions(Client())

    with pytest.raises(Unavailable) if fails else nullcontext():
        functions.deliver("Evaluate-1", CHANGES[0])


DAMAGED: list[Callable[[], bytes]] = [
    lambda: b"no json",
    lambda: b"[]",
    lambda: b"{}",
    lambda: failed("Stitch-1", EventBatch()).replace(b"payload", b"metadata"),
    lambda: failed("Stitch-1", EventBatch()).replace(base64.b64encode(pack(EventBatch())), b"%"),
]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_another_object_is_named_and_left(setting: Setting, damaged: Callable[[], bytes]) -> None:
    key = setting.put(damaged())

    with pytest.raises(BodyInvalid, match=key):
        setting.redriver.redrive(key, now=1, request_id="r")
