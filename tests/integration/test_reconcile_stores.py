"""Reconcile's adapters over moto: scans page by page, the lake as files, and a repair through real conditions."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.paginate import Paginator

from cli.event_history import DuckDbHistory
from onefold.adapters.dynamodb_decisions import DynamoDbDecisions
from onefold.adapters.dynamodb_fragments import DynamoDbFragments
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.adapters.dynamodb_scans import DynamoDbScans
from onefold.adapters.dynamodb_timeline import DynamoDbTimeline
from onefold.adapters.memory_graph import MemoryGraph
from onefold.adapters.s3_lake import S3Lake
from onefold.adapters.s3_lake_files import SCHEMA_FILE, S3LakeFiles
from onefold.domain.decision import Decision
from onefold.domain.errors import Unavailable
from onefold.domain.event import Event, fragment_key
from onefold.domain.identity_rules import DEFAULT_RULES
from onefold.use_cases.archive import archive
from onefold.use_cases.decide import decide
from onefold.use_cases.drift_report import Report
from onefold.use_cases.rebuild import all_decisions
from onefold.use_cases.reconcile import reconcile
from onefold.use_cases.reconcile_fragments import Run, Scope
from onefold.use_cases.stitch import StreamRecord, stitch
from tests.fakes.events import NOON_MS, event, key_of, record
from tests.fakes.tables import LAKE, aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    with aws(monkeypatch) as client:
        yield client


def river(dynamodb: "DynamoDBClient", *records: StreamRecord) -> tuple[DynamoDbFragments, DynamoDbGraph]:
    """Everything that a stream's consumers write."""
    fragments = DynamoDbFragments(dynamodb, "fragments")
    decisions = DynamoDbDecisions(dynamodb, "decisions")
    graph = DynamoDbGraph(dynamodb, "identities", "heads", decisions)
    assert not stitch(records, fragments, graph, DynamoDbTimeline(dynamodb, "timeline")).failed
    archive(records, [], S3Lake(boto3.client("s3"), LAKE), name=f"shard-{records[0].sequence}-{records[-1].sequence}")
    return fragments, graph


def scans(dynamodb: "DynamoDBClient") -> DynamoDbScans:
    return DynamoDbScans(dynamodb, "fragments", "identities", "heads")


def people(count: int) -> list[StreamRecord]:
    return [
        record(number, event(f"user_id:u{number}", f"anonymous_id:a{number}", traits={"n": number}, kind="identify"))
        for number in range(1, count + 1)
    ]


def run_over(dynamodb: "DynamoDBClient", *, repair: bool) -> Report:
    fragments, graph = DynamoDbFragments(dynamodb, "fragments"), DynamoDbGraph(dynamodb, "identities", "heads")
    log = DynamoDbDecisions(dynamodb, "decisions")
    with tempfile.TemporaryDirectory() as name:
        (work := Path(name) / "work").mkdir()
        S3LakeFiles(boto3.client("s3"), LAKE).fetch(Path(name) / "lake", lambda _: None)
        with closing(DuckDbHistory(Path(name) / "lake", work, DEFAULT_RULES)) as history:
            scope = Scope(repair, NOON_MS * 2, DEFAULT_RULES)
            run = Run(fragments, graph, scans(dynamodb), history, scope)
            reconcile(run, MemoryGraph(), all_decisions(log, now_ms=NOON_MS * 2))
    return run.report


def test_scans_give_each_item_once_however_many_pages_it_takes(
    dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    records = people(7)
    river(dynamodb, *records)
    paginate = Paginator.paginate

    def small_pages(self: Any, **parameters: Any) -> Any:
        return paginate(self, **parameters, Limit=2)

    monkeypatch.setattr(Paginator, "paginate", small_pages)
    found = scans(dynamodb)

    keys = [list(page) for page in found.fragment_keys()]
    assert len(keys) > 3
    assert sorted(key for page in keys for key in page) == sorted(
        str(fragment_key(each)) for one in records for each in one.batch.events
    )
    owners = {key: owner for page in found.identities() for key, owner in page.items()}
    heads = {head.profile_id: head for page in found.heads() for head in page}
    assert len(heads) == 7
    assert owners == {key: head.profile_id for head in heads.values() for key in head.identifiers}


def test_the_lakes_files_are_fetched_once_and_again_where_they_have_changed(
    dynamodb: "DynamoDBClient", tmp_path: Path
) -> None:
    river(dynamodb, *people(3))
    boto3.client("s3").put_object(Bucket=LAKE, Key="raw/dt=2025-06-15/readme.txt", Body=b"no events")
    files = S3LakeFiles(boto3.client("s3"), LAKE)
    fetched: list[int] = []

    files.fetch(tmp_path, fetched.append)
    (path,) = (each for each in tmp_path.rglob("*.parquet") if each.name != SCHEMA_FILE)
    whole, stamp = path.read_bytes(), path.stat().st_mtime_ns
    files.fetch(tmp_path, fetched.append)
    assert path.stat().st_mtime_ns == stamp
    path.write_bytes(whole[:-1])
    files.fetch(tmp_path, fetched.append)

    assert path.read_bytes() == whole
    assert fetched == [1, 1, 1]


def test_a_bucket_or_table_that_is_not_there_is_a_defect_and_a_throttled_one_is_not(
    dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def throttled(*_: Any, **__: Any) -> Any:
        raise dynamodb.exceptions.ProvisionedThroughputExceededException(
            {"Error": {"Code": "ProvisionedThroughputExceededException"}}, "Scan"
        )

    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        list(DynamoDbScans(dynamodb, "nowhere", "nowhere", "nowhere").heads())
    monkeypatch.setattr("botocore.paginate.PageIterator._make_request", throttled)
    with pytest.raises(Unavailable):
        list(scans(dynamodb).identities())
    with pytest.raises(Unavailable):
        S3LakeFiles(boto3.client("s3"), LAKE).fetch(tmp_path, lambda _: None)


def test_what_was_decided_is_part_of_the_history(dynamodb: "DynamoDBClient") -> None:
    """Two that were split stay so in the rebuilt graph, so that nothing differs."""
    first = event("user_id:u1", "email:a@b.co", at=NOON_MS)
    _, graph = river(dynamodb, record(1, first))
    decide(graph, Decision("d1", "split", NOON_MS + 1, "tests", key_of("user_id:u1"), key_of("email:a@b.co")))
    river(dynamodb, record(2, event("user_id:u1", "email:a@b.co", at=NOON_MS + 2)))
    assert len(set(graph.owners([key_of("user_id:u1"), key_of("email:a@b.co")]).values())) == 2

    assert not run_over(dynamodb, repair=False).found


def test_a_broken_deployment_is_mended_under_real_conditions(dynamodb: "DynamoDBClient") -> None:
    records = people(5)
    fragments, graph = river(dynamodb, *records)
    lost, misled = _key(records[0]), key_of("anonymous_id:a2")
    before = fragments.load([lost])[lost]
    dynamodb.delete_item(TableName="fragments", Key={"fragment_key": {"S": lost}})
    dynamodb.delete_item(TableName="identities", Key={"identifier_key": {"S": misled}})

    looked, mended, again = (run_over(dynamodb, repair=repair) for repair in (False, True, True))

    expected = {"missing", "disowned"}
    assert dict(looked.found) == {(kind, "found"): 1 for kind in expected}
    assert dict(mended.found) == {(kind, "repaired"): 1 for kind in expected}
    assert not again.found
    after = fragments.load([lost])[lost]
    assert (after.cursor, after.fragment.facts) == (before.cursor, before.fragment.facts)
    assert graph.owners([misled])


def _key(one: StreamRecord) -> str:
    (shown,) = one.batch.events
    assert isinstance(shown, Event)
    return str(fragment_key(shown))
