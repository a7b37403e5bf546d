"""Real invoices through `onefold send`: Athena and the profiles agree with DuckDB over the file, to the cent."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cli.profile import fetch_profile
from cli.query import run_query
from cli.up import DEFINITIONS, Running, apply_if_none, running
from tests.e2e.conftest import REPOSITORY, RETAIL

pytestmark = pytest.mark.skipif(not RETAIL.is_file(), reason=f"{RETAIL} is not there: set ONEFOLD_DATA to its folder")

INVOICES_MIN = 2_000
ONE_IN = 11  # invoices; the sample covers every month and nearly every country
DRAIN_S = 120

# The file's own words for what was sold and what came back, independent of the mapping: a refund's number begins with
# C; numbers with A are bookkeeping; single lines of negative quantity without a C are losses of stock.
LINES = """
SELECT
  CAST(date_trunc('month', InvoiceDate) AS DATE) AS month, Country AS country, CustomerID AS customer,
  InvoiceNo AS invoice, starts_with(InvoiceNo, 'C') AS is_refund,
  Quantity AS units, Quantity * CAST(UnitPrice AS DECIMAL(18, 3)) AS amount
FROM '{path}'
WHERE NOT starts_with(InvoiceNo, 'A') AND (starts_with(InvoiceNo, 'C') OR Quantity >= 0)
"""
SUMS = """
  count(DISTINCT customer) AS customers,
  count(DISTINCT invoice) FILTER (NOT is_refund) AS orders,
  coalesce(sum(units) FILTER (NOT is_refund), 0) AS units,
  coalesce(sum(amount) FILTER (NOT is_refund), 0) AS gross,
  coalesce(-sum(amount) FILTER (is_refund), 0) AS refunds,
  coalesce(sum(amount), 0) AS net
"""

SALES_SQL = """
WITH sales AS (
  SELECT
    message_id, user_id, name, cast(date_trunc('month', at) AS date) AS month,
    json_extract_scalar(properties, '$.country') AS country,
    cast(json_extract_scalar(properties, '$.total') AS decimal(18, 3)) AS total,
    cast(json_extract(properties, '$.products') AS array(json)) AS products
  FROM events
  WHERE name IN ('Order Completed', 'Order Refunded')
),
sold AS (
  SELECT message_id, sum(cast(json_extract_scalar(product, '$.quantity') AS bigint)) AS units
  FROM sales CROSS JOIN UNNEST(products) AS lines(product)
  GROUP BY message_id
)
SELECT
  month, country,
  count(DISTINCT user_id) AS customers,
  count_if(name = 'Order Completed') AS orders,
  sum(CASE WHEN name = 'Order Completed' THEN units ELSE 0 END) AS units,
  sum(CASE WHEN name = 'Order Completed' THEN total ELSE 0 END) AS gross,
  sum(CASE WHEN name = 'Order Refunded' THEN total ELSE 0 END) AS refunds,
  sum(CASE WHEN name = 'Order Completed' THEN total ELSE -total END) AS net
FROM sales JOIN sold USING (message_id)
GROUP BY 1, 2
ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Shop:
    """A running instance that was sent a sample of the file."""

    instance: Running
    sample: Path
    sent: dict[str, Any]

    def ask_file(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect() as database:
            database.execute(f"CREATE VIEW lines AS {LINES.format(path=self.sample)}")
            database.read_parquet(str(self.sample)).create_view("whole")
            return database.execute(sql).fetchall()


@pytest.fixture(scope="module")
def shop(own_home: Path) -> Iterator[Shop]:
    sample = own_home / "sample.parquet"
    with duckdb.connect() as database:
        database.execute(f"COPY (FROM '{RETAIL}' WHERE hash(InvoiceNo) % {ONE_IN} = 0) TO '{sample}' (FORMAT parquet)")
    with running() as instance:
        apply_if_none(instance.deployment)
        mapping = DEFINITIONS / "mappings" / "online_retail.yaml"
        sent = _onefold("send", str(sample), "--source", "files", "--mapping", str(mapping), "--json")
        assert instance.runtime.drain(DRAIN_S), instance.runtime.lag()
        yield Shop(instance, sample, sent)


def _onefold(*arguments: str) -> dict[str, Any]:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=180, env=os.environ, check=False
    )
    assert done.stdout, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_sample_is_large_enough_to_mean_something(shop: Shop) -> None:
    [(invoices, months, countries, refunds, nameless)] = shop.ask_file(
        "SELECT count(DISTINCT invoice), count(DISTINCT month), count(DISTINCT country), "
        "count(DISTINCT invoice) FILTER (is_refund), count(DISTINCT invoice) FILTER (customer IS NULL) FROM lines"
    )

    assert invoices >= INVOICES_MIN
    assert (months, countries > 20, refunds > 100, nameless > 100) == (13, True, True, True)


def test_every_invoice_was_accepted(shop: Shop) -> None:
    [(invoices,)] = shop.ask_file("SELECT count(DISTINCT InvoiceNo) FROM whole")
    answer = run_query(shop.instance.deployment, "SELECT count(*) FROM events WHERE kind = 'track'")

    assert (shop.sent["refused"], shop.sent["reasons"]) == (0, {})
    assert int(answer.rows[0][0] or 0) == invoices


def test_sales_per_country_and_month_equal_the_files(shop: Shop) -> None:
    planned = shop.ask_file(f"FROM lines SELECT month, country, {SUMS} GROUP BY month, country ORDER BY month, country")

    answer = run_query(shop.instance.deployment, SALES_SQL)

    found = [
        (month, country, int(customers or 0), int(orders or 0), int(units or 0), *map(Decimal, (gross, refunds, net)))  # type: ignore[arg-type]
        for month, country, customers, orders, units, gross, refunds, net in answer.rows
    ]
    assert found == [(str(month), country, *numbers) for month, country, *numbers in planned]


def test_each_customers_profile_holds_its_orders(shop: Shop) -> None:
    planned = shop.ask_file(f"FROM lines SELECT customer, {SUMS} WHERE customer IS NOT NULL GROUP BY customer")

    def found(customer: int) -> tuple[Any, ...]:
        sums = fetch_profile(shop.instance.deployment, f"user_id:{customer}")["orders"]["GBP"]
        return (sums["orders"], sums["units"], *(Decimal(sums[name]) for name in ("gross", "refunded", "net")))

    customers = [row[0] for row in planned]
    with ThreadPoolExecutor(4) as pool:
        profiles = dict(zip(customers, pool.map(found, customers), strict=True))

    assert len(customers) > 1_000
    assert profiles == {
        customer: (orders, units, gross, refunds, net) for customer, _, orders, units, gross, refunds, net in planned
    }


def test_receipts_without_a_customer_found_no_profile(shop: Shop) -> None:
    [(nameless, customers)] = shop.ask_file(
        "SELECT count(DISTINCT InvoiceNo) FILTER (CustomerID IS NULL), count(DISTINCT CustomerID) FROM whole"
    )
    about = shop.instance.deployment.description
    pages = shop.instance.deployment.client("dynamodb").get_paginator("scan").paginate(TableName=about.tables["heads"])

    unresolved = run_query(shop.instance.deployment, "SELECT count(*) FROM events WHERE cardinality(identifiers) = 0")

    assert int(unresolved.rows[0][0] or 0) == nameless
    assert sum(len(page["Items"]) for page in pages) == customers
    assert shop.instance.runtime.denied == []


def test_sending_the_file_again_changes_nothing(shop: Shop) -> None:
    [(customer,)] = shop.ask_file(
        "FROM lines SELECT customer WHERE customer > 0 GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    )
    before = run_query(shop.instance.deployment, SALES_SQL)
    profile = fetch_profile(shop.instance.deployment, f"user_id:{customer}")

    mapping = DEFINITIONS / "mappings" / "online_retail.yaml"
    again = _onefold("send", str(shop.sample), "--source", "files", "--mapping", str(mapping), "--json")
    assert shop.instance.runtime.drain(DRAIN_S)

    assert again["accepted"] == shop.sent["accepted"]
    assert run_query(shop.instance.deployment, SALES_SQL).rows == before.rows
    assert fetch_profile(shop.instance.deployment, f"user_id:{customer}") == profile
