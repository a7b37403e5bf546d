"""F39: what sources send changes its shape, and the lake stays readable by the queries that there are."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.drift import find_drift
from onefold.domain.event import Event
from onefold.domain.message import Arrival
from onefold.domain.source import Source
from onefold.use_cases.collect import Collector, CollectRequest
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER
from tests.fakes.lake import Lake, open_lake

NAMED_QUERIES = sorted((Path(__file__).parents[2] / "infra/queries/named").glob("*.sql"))
KEY = "key-of-web"
BEFORE, AFTER = date(2026, 11, 2), date(2026, 11, 10)

# What analysts had written before anything changed.
OLD_QUERY = """
SELECT json_extract_scalar(properties, '$.order_id') AS order_id,
  TRY_CAST(json_extract_scalar(properties, '$.total') AS double) AS total
FROM raw_events
WHERE dt = '2026-11-02' AND name = 'Order Completed' ORDER BY 1
"""
# Each is an order of the second period.
DRIFTED: dict[str, dict[str, Any]] = {
    "the type changes": {"order_id": "o-3", "total": "12,50 EUR"},
    "a number becomes an object": {"order_id": "o-4", "total": {"amount": 12.5, "currency": "EUR"}},
    "a number becomes a list": {"order_id": "o-5", "total": [12.5]},
    "an object is new": {"order_id": "o-6", "total": 12.5, "delivery": {"slot": {"from": 9, "to": 11}}},
    "names that SQL reserves": {"order_id": "o-7", "total": 1, "select": 1, "from": 2, "group": "x", "order": "y"},
    "names that differ in case": {"order_id": "o-8", "total": 1, "Total": "2", "TOTAL": {"a": 3}, "Order_ID": 4},
    "names of columns": {"order_id": "o-9", "total": 1, "message_id": 5, "at": "now", "dt": {"dt": 1}},
    "names that are no words": {"order_id": "o-10", "total": 1, "": 1, "a.b": 2, '"': 4, "$.x": 5, "é\u0000": 6},
    "a number beyond a double": {"order_id": "o-11", "total": 12345678901234567890},
    "nothing": {"order_id": "o-12", "total": None},
}  # fmt: skip


def collected(day: date, orders: list[dict[str, Any]]) -> list[Event]:
    log = MemoryEventLog()
    collector = Collector(KnownSources(Source("web", KEY)), log, MemorySpool(), HASHER, lambda text, region: None)
    purchase = {"type": "track", "event": "Order Completed", "userId": "u1"}
    messages = [purchase | {"messageId": str(order["order_id"]), "properties": order} for order in orders]
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() * 1_000)
    body = json.dumps({"batch": messages}).encode()
    outcome = collector.collect(CollectRequest(body, None, (KEY,), Arrival(noon)))
    assert outcome.accepted == len(orders)
    return [event for _, batch in log.batches for event in batch.events]


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with open_lake() as made:
        made.archive(collected(BEFORE, [{"order_id": "o-1", "total": 12.5}, {"order_id": "o-2", "total": 3}]))
        assert made.ask(OLD_QUERY) == ORDERS_BEFORE
        made.archive(collected(AFTER, list(DRIFTED.values())))
        yield made


ORDERS_BEFORE = [("o-1", "12.5"), ("o-2", "3.0")]


def test_f39_old_queries_answer_as_before(lake: Lake) -> None:
    """Fault: a property changes its type, gets an object, or has a name that SQL knows or another has but for case."""
    assert lake.ask(OLD_QUERY) == ORDERS_BEFORE


def test_f39_old_queries_read_what_has_drifted_as_far_as_it_still_is_what_it_was(lake: Lake) -> None:
    """Fault: as above. What is no number any more is NULL for a query that wants one, and no query fails."""
    totals = {row[0]: row[1] for row in lake.ask(OLD_QUERY.replace("2026-11-02", "2026-11-10"))}

    assert len(totals) == len(DRIFTED)
    assert {order for order, total in totals.items() if total is None} == {"o-3", "o-4", "o-5", "o-12"}
    assert float(totals["o-11"] or 0) == pytest.approx(12345678901234567890)


def test_f39_what_was_sent_is_kept_by_its_own_name(lake: Lake) -> None:
    """Fault: as above. Each name, whatever SQL makes of it, leads to the value that was sent."""
    stored = {
        order: json.loads(text or "")
        for order, text in lake.ask("SELECT message_id, properties FROM raw_events WHERE dt = '2026-11-10'")
    }

    for sent in DRIFTED.values():
        order = str(sent["order_id"])
        expected = {name.replace("\0", ""): value for name, value in sent.items()}
        if order == "o-11":
            expected["total"] = str(expected["total"])  # the written rule for numbers that a double would change
        assert stored[order] == expected
    asked = "SELECT json_extract_scalar(properties, '$.select'), json_extract_scalar(properties, '$.Total'), "
    found = lake.ask(
        asked + "json_extract_scalar(properties, '$.total') FROM raw_events WHERE message_id IN ('o-7', 'o-8')"
    )
    assert sorted(found, key=str) == [("1", None, "1"), (None, "2", "1")]


@pytest.mark.parametrize(
    "query", [path for path in NAMED_QUERIES if "FROM events" in path.read_text()], ids=lambda p: p.stem
)
def test_f39_the_queries_that_come_with_the_stacks_still_answer(lake: Lake, query: Path) -> None:
    """Fault: as above. The named queries read the view `events`, which has each raw event once here."""
    assert lake.ask(query.read_text().replace("FROM events", "FROM raw_events")) is not None


def test_f39_the_drift_is_reported(lake: Lake) -> None:
    """Fault: as above. What has changed is found, by its name."""
    found = {
        (drift.what, drift.property): drift for drift in find_drift(lake.deployment, source="web", days=7, until=AFTER)
    }

    assert found["type changed", "properties.total"].was == "integer, number"
    assert found["type changed", "properties.total"].now == "array, integer, number, object, string"
    new = {place.removeprefix("properties.") for what, place in found if what == "property new"}
    assert {"delivery", "select", "Total", "TOTAL", "Order_ID", "message_id", "a.b", '"', ""} <= new
