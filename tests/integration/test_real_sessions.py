"""Sessions of a real web shop: half-hour gaps find the very sessions that its browsers' own tracker counted."""

import os
from pathlib import Path
from random import Random

import duckdb
import pytest

from onefold.domain.facts import NOTHING, fold, join_all
from tests.fakes.events import event

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ONEFOLD_DATA", str(ROOT.parent / "shared" / "data")))
EVENTS = DATA / "snowplow" / "ecommerce-0.6.1" / "source" / "snowplow_ecommerce_events.csv.gz"

pytestmark = pytest.mark.skipif(not EVENTS.is_file(), reason=f"{EVENTS} is not there: set ONEFOLD_DATA to its folder")

SQL = """
WITH happened AS (
    SELECT domain_userid AS browser, domain_sessionid AS session,
        epoch_ms(coalesce(nullif(derived_tstamp, ''), collector_tstamp)::TIMESTAMPTZ) AS happened_at
    FROM read_csv(?, all_varchar = true) WHERE domain_userid IS NOT NULL
)
"""


def test_sessions_are_those_that_the_tracker_counted() -> None:
    with duckdb.connect() as database:
        ask = (
            SQL + "FROM happened SELECT browser, min(happened_at), max(happened_at), count(*) GROUP BY browser, session"
        )
        expected = sorted(database.execute(ask, [str(EVENTS)]).fetchall())
        happened = database.execute(SQL + "FROM happened SELECT browser, happened_at", [str(EVENTS)]).fetchall()
    random = Random(1)
    random.shuffle(happened)

    found = []
    for browser in {browser for browser, _ in happened}:
        events = [event(f"anonymous_id:{browser}", at=at) for name, at in happened if name == browser]
        halves = [fold(NOTHING, events[::2]), fold(NOTHING, events[1::2])]
        found += [(browser, each.start_at, each.end_at, each.events) for each in join_all(halves).sessions]

    assert len(expected) > 60
    assert sorted(found) == expected
