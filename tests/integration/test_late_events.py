"""Events that arrive months after they happened: where they are kept, and what they change."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pyarrow.parquet as pq
import pytest

from onefold.adapters.dynamodb_fragments import DynamoDbFragments
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.domain.audience_sql import compile_audience
from onefold.domain.event import Event, EventBatch, fragment_key
from onefold.use_cases.evaluate import CurrentAudience, evaluate
from onefold.use_cases.linking import live_head, read_graph
from tests.fakes.events import NOON_MS, event, key_of
from tests.fakes.lambda_events import kinesis_event
from tests.fakes.tables import LAKE, aws, fresh_handler

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAY_MS = 86_400_000
PREDICATES = {
    "came_back": "(SELECT count(*) FROM orders) >= 2",
    "since_winter": "(SELECT min(at) FROM events WHERE name = 'Order Completed') < TIMESTAMP '2025-03-01 00:00:00'",
    "not_since_may": "(SELECT max(at) FROM events WHERE name = 'Order Completed') < TIMESTAMP '2025-05-01 00:00:00'",
}
AUDIENCES = [CurrentAudience(compile_audience(name, text), 1) for name, text in PREDICATES.items()]


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    with aws(monkeypatch) as client:
        yield client


def bought(order_id: str, days_ago: int) -> Event:
    properties = {"order_id": order_id, "total": 5, "currency": "EUR"}
    at = NOON_MS - days_ago * DAY_MS
    return event("user_id:u1", name="Order Completed", properties=properties, at=at, received_at=NOON_MS)


def test_f32_a_late_event_lies_in_the_lake_where_it_arrived_under_the_date_at_which_it_happened(
    dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partitions are by arrival, so old ones are never written again; the column `at` says when it happened."""
    late = bought("o1", days_ago=120)

    fresh_handler("archive", monkeypatch)(kinesis_event(EventBatch((late,))), None)

    s3 = boto3.client("s3")
    (key,) = [each["Key"] for each in s3.list_objects_v2(Bucket=LAKE)["Contents"]]
    assert key.startswith("raw/dt=2025-06-15/hour=15/")
    (row,) = pq.read_table(io.BytesIO(s3.get_object(Bucket=LAKE, Key=key)["Body"].read())).to_pylist()
    assert row["at"].strftime("%Y-%m-%d") == "2025-02-15"
    assert row["received_at"].strftime("%Y-%m-%d") == "2025-06-15"


def test_f32_a_late_event_counts_where_it_falls_and_displaces_nothing_newer(
    dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders of two months ago, of today and of four months ago, in the order in which they arrive."""
    stitch = fresh_handler("stitch", monkeypatch)
    graph, fragments = DynamoDbGraph(dynamodb, "identities", "heads"), DynamoDbFragments(dynamodb, "fragments")
    found = []
    for number, order in enumerate((bought("o1", 60), bought("o2", 0), bought("o3", 120)), start=1):
        assert stitch(kinesis_event(EventBatch((order,)), start=number), None) == {"batchItemFailures": []}
        key = fragment_key(order)
        assert key is not None
        evaluate([key], AUDIENCES, graph, fragments, now_ms=NOON_MS + 1_000)
        heads, owners = read_graph(graph, [key_of("user_id:u1")])
        head = live_head(heads, owners[key_of("user_id:u1")])
        assert head is not None
        found.append(set(head.memberships))

    assert found == [{"not_since_may"}, {"came_back"}, {"came_back", "since_winter"}]
