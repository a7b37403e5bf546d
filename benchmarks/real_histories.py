"""Histories of real shops as calls to make, in the order of time; their data are no part of the project."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from cli.definitions import read_mapping
from cli.rows import read_messages
from cli.simulator import Call

ROOT: Final = Path(__file__).resolve().parent.parent
DATA: Final = Path(os.environ.get("ONEFOLD_DATA", str(ROOT.parent / "shared" / "data")))
RETAIL: Final = DATA / "commerce" / "online_retail_2010_2011.parquet"
OTTO: Final = DATA / "commerce" / "otto_sample_sessions.jsonl"
SNOWPLOW: Final = DATA / "snowplow" / "ecommerce-0.6.1" / "source"

OTTO_NAMES: Final = {"clicks": "Product Viewed", "carts": "Product Added", "orders": "Order Completed"}
SNOWPLOW_NAMES: Final = {
    "product_view": "Product Viewed",
    "add_to_cart": "Product Added",
    "remove_from_cart": "Product Removed",
    "transaction": "Order Completed",
    "refund": "Order Refunded",
}
SNOWPLOW_SQL: Final = """
SELECT event_id, epoch_ms(coalesce(nullif(derived_tstamp, ''), collector_tstamp)::TIMESTAMPTZ) AS happened_at,
    domain_userid, page_url, useragent, type, transaction_id, currency, revenue
FROM read_csv('{0}/snowplow_ecommerce_events.csv.gz', all_varchar = true)
LEFT JOIN read_csv('{0}/com_snowplowanalytics_snowplow_ecommerce_action_1.csv.gz', all_varchar = true) AS action
    ON action.root_id = event_id
LEFT JOIN read_csv('{0}/com_snowplowanalytics_snowplow_ecommerce_transaction_1.csv.gz', all_varchar = true) AS sale
    ON sale.root_id = event_id
WHERE domain_userid IS NOT NULL
ORDER BY happened_at, event_id
"""


def retail() -> Iterator[Call]:
    """A gift shop's 25,900 invoices of 13 months and 4,372 customers, without browsers."""
    mapping = read_mapping(ROOT / "definitions" / "mappings" / "online_retail.yaml")
    for message in read_messages(RETAIL, mapping):
        yield Call("files", "sdk", msgspec.json.decode(message))


def otto() -> Iterator[Call]:
    """Twenty shoppers' clicks, carts and orders over four weeks; 862 events of one browser each."""
    events = []
    for line in OTTO.read_text().splitlines():
        session = json.loads(line)
        for number, each in enumerate(session["events"]):
            properties = {"product_id": str(each["aid"])}
            if each["type"] == "orders":
                properties["order_id"] = f"{session['session']}-{each['ts']}"
            message_id = f"otto-{session['session']}-{number}"
            body = _track(message_id, OTTO_NAMES[each["type"]], f"otto-browser-{session['session']}", each["ts"])
            events.append((each["ts"], Call("web", "http", {**body, "properties": properties})))
    yield from (call for _, call in sorted(events, key=lambda event: event[0]))


def snowplow() -> Iterator[Call]:
    """A web shop's 833 e-commerce events of 59 browsers, with their pages and user agents."""
    with duckdb.connect() as database:
        rows = database.execute(SNOWPLOW_SQL.format(SNOWPLOW)).fetchall()
    for event_id, at, browser, url, agent, action, order_id, currency, revenue in rows:
        name = SNOWPLOW_NAMES.get(action, action or "ecommerce")
        properties = {"order_id": order_id, "currency": currency, "total": revenue} if order_id else {}
        context = {"page": {"url": url}, "userAgent": agent}
        yield Call("web", "http", {**_track(event_id, name, browser, at), "properties": properties, "context": context})


def _track(message_id: str, name: str, browser: str, at: int) -> dict[str, Any]:
    timestamp = datetime.fromtimestamp(at / 1_000, UTC).isoformat()
    body = {"type": "track", "event": name, "anonymousId": browser, "messageId": message_id}
    return {**body, "timestamp": timestamp}


HISTORIES: Final[dict[str, tuple[Path, Callable[[], Iterator[Call]]]]] = {
    "Online Retail": (RETAIL, retail),
    "OTTO": (OTTO, otto),
    "Snowplow": (SNOWPLOW, snowplow),
}
