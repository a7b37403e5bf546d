"""Real records through `onefold import` and files dropped on S3: lake and profiles agree with DuckDB over the files."""

# ruff: noqa: S608 - the SQL is these tests' own

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cli.apply import apply_declared
from cli.definitions import Declared
from cli.importing import declared_mapping, load_summary
from cli.profile import fetch_profile
from cli.query import run_query
from cli.up import Running, apply_if_none, running
from tests.e2e.conftest import DATA, REPOSITORY

COMMERCE = DATA / "commerce"
NEEDED = (
    "cdnow_master",
    "completejourney_transactions_sample",
    "customer_personality_marketing_campaign",
    "online_retail_2010_2011",
    "uci_bank_marketing_full",
)
pytestmark = pytest.mark.skipif(
    not all((COMMERCE / f"{name}.parquet").is_file() for name in NEEDED),
    reason=f"{COMMERCE} has not all of {', '.join(NEEDED)}: set ONEFOLD_DATA to its folder",
)

DRAIN_S = 120
BAD_LINES = ("536365;only three;values", '999;"never closed;A;1;2011-07-01 08:26:00;2.00;1;France')

# What a user writes, each for one of the files below.
MAPPINGS = {
    # One customer in seven; prices with commas and semicolons between, in the file of a European till.
    "cdnow": """
source: files
message_id: cdnow/{@row}
timestamp: {column: date, format: "%d.%m.%Y"}
decimal: ","
identifiers: {user_id: customer_id}
events: [{event: Order Completed}]
properties:
  order_id: "@row"
  currency: {value: USD}
  total: {column: amount, type: money}
  products: {rows: {quantity: {column: quantity, type: number}}}
""",
    # Baskets whose lines lie anywhere in the file.
    "journey": """
source: till
message_id: journey/{basket_id}
group_by: [basket_id]
timestamp: {column: transaction_timestamp, zone: America/New_York}
identifiers: {external_id.household: household_id}
events: [{event: Order Completed}]
properties:
  order_id: basket_id
  store_id: store_id
  currency: {value: USD}
  total: {sum: [sales_value]}
  products: {rows: {product_id: product_id, quantity: {column: quantity, type: number}}}
""",
    "personality": """
source: files
message_id: personality/{ID}/{@content}
timestamp: {value: "2014-12-07"}
identifiers: {user_id: ID}
traits:
  year_of_birth: {column: Year_Birth, type: number}
  income: {column: Income, type: money}
  education: Education
  spent_on_wines: {column: MntWines, type: number}
consents: {marketing: {column: Response, type: boolean}}
""",
    "calls": """
source: support
message_id: calls/{@row}
timestamp: {value: "2010-11-30"}
events: [{event: Support Call Ended}]
properties:
  duration_s: {column: duration, type: number}
  job: job
  campaign: campaign
  outcome: {column: y, type: boolean}
""",
}


@dataclass
class Office:
    """A running instance, and the files that were written for it."""

    instance: Running
    folder: Path
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)

    def mapping(self, name: str) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(MAPPINGS[name], encoding="utf-8")
        return path

    def bring(self, file: Path, mapping: Path, *options: str) -> dict[str, Any]:
        """Import as a user does."""
        arguments = ("import", str(file), "--mapping", str(mapping), "--json", *options)
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=180,
            env=os.environ,
            check=False,
        )
        assert done.stdout, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        assert self.instance.runtime.drain(DRAIN_S), self.instance.runtime.lag()
        return document

    def ask(self, sql: str) -> list[list[str | None]]:
        return [list(row) for row in run_query(self.instance.deployment, sql).rows]

    def profile(self, identifier: str) -> dict[str, Any]:
        return fetch_profile(self.instance.deployment, identifier)


def ask_file(sql: str, **parquet: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        for name, file in parquet.items():
            database.execute(f"CREATE VIEW {name} AS FROM '{COMMERCE / file}.parquet'")
        return database.execute(sql).fetchall()


@pytest.fixture(scope="module")
def office(own_home: Path) -> Iterator[Office]:
    with running() as instance:
        apply_if_none(instance.deployment)
        yield Office(instance, own_home)


CDNOW = "SELECT * FROM orders WHERE customer_id % 17 = 0"


def test_orders_of_a_shop_equal_its_books(office: Office) -> None:
    rows = ask_file(f"SELECT customer_id, date, quantity, amount FROM ({CDNOW})", orders="cdnow_master")
    file = office.folder / "cdnow.csv"
    lines = [f"{c};{at:%d.%m.%Y};{n};{str(amount).replace('.', ',')}" for c, at, n, amount in rows]
    file.write_bytes("\r\n".join(["customer_id;date;quantity;amount", *lines, ""]).encode("cp1252"))

    told = office.bring(file, office.mapping("cdnow"))

    per_person = ask_file(
        f"SELECT customer_id, count(*), sum(quantity)::INT, sum(amount::DECIMAL(18, 2)) FROM ({CDNOW}) GROUP BY 1",
        orders="cdnow_master",
    )
    with ThreadPoolExecutor(4) as pool:
        profiles = list(pool.map(lambda row: office.profile(f"user_id:{row[0]}")["orders"]["USD"], per_person))
    assert (told["counts"]["rows"], told["counts"]["accepted"], told["counts"]["refused"]) == (len(rows),) * 2 + (0,)
    assert len(per_person) > 1_000
    assert [(p["orders"], p["units"], Decimal(p["gross"])) for p in profiles] == [row[1:] for row in per_person]


JOURNEY = "SELECT * FROM lines WHERE hash(household_id) % 6 = 0"


def test_baskets_whose_lines_are_scattered_add_up(office: Office) -> None:
    file = office.folder / "journey.jsonl.gz"
    with duckdb.connect() as database:
        database.execute(f"CREATE VIEW lines AS FROM '{COMMERCE / 'completejourney_transactions_sample.parquet'}'")
        database.execute(f"COPY (FROM ({JOURNEY}) ORDER BY hash(product_id)) TO '{file}' (FORMAT json)")

    told = office.bring(file, office.mapping("journey"))

    books = "completejourney_transactions_sample"
    [(lines, baskets, households, total)] = ask_file(
        "SELECT count(*), count(DISTINCT basket_id), count(DISTINCT household_id), sum(sales_value::DECIMAL(18, 2)) "
        f"FROM ({JOURNEY})",
        lines=books,
    )
    [[found, people, stitched]] = office.ask(
        "SELECT count(*), count(DISTINCT fragment_key), sum(cast(json_extract_scalar(properties, '$.total') AS "
        "decimal(18, 2))) FROM events WHERE source = 'till' AND name = 'Order Completed'"
    )
    assert (told["counts"]["rows"], told["counts"]["refused"]) == (lines, 0)
    assert (int(found or 0), int(people or 0), Decimal(stitched or 0)) == (baskets, households, total)
    assert baskets > 5_000
    best = ask_file(
        f"SELECT household_id, sum(sales_value::DECIMAL(18, 2)) FROM ({JOURNEY}) GROUP BY 1 ORDER BY 2 DESC LIMIT 20",
        lines=books,
    )
    sums = [office.profile(f"external_id:household:{name}")["orders"]["USD"]["gross"] for name, _ in best]
    assert [Decimal(each) for each in sums] == [amount for _, amount in best]


def test_people_of_a_utf16_file_dropped_on_s3_are_there_with_their_traits(office: Office) -> None:
    """Nobody runs a command: a nightly job puts the file where imports are found."""
    path = office.mapping("personality")
    declared = Declared("mapping/personality", path, declared_mapping(path))
    apply_declared(office.instance.deployment, [declared])
    table = "customer_personality_marketing_campaign"
    with duckdb.connect() as database:
        names = [row[0] for row in database.execute(f"DESCRIBE FROM '{COMMERCE / table}.parquet'").fetchall()]
    rows = ask_file("FROM people", people=table)
    text = "\n".join("\t".join("" if v is None else str(v) for v in row) for row in [tuple(names), *rows])

    office.instance.deployment.client("s3").put_object(
        Bucket=office.instance.deployment.description.spool_bucket,
        Key="imports/inbox/personality/nightly/people.csv",
        Body=text.encode("utf-16"),
    )
    until = time.monotonic() + 60
    while not (
        (known := load_summary(office.instance.deployment, "personality", "nightly/people.csv")) and known.is_final
    ):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert office.instance.runtime.drain(DRAIN_S)

    assert (known.state, known.facts.encoding, known.facts.delimiter) == ("done", "utf-16", "\t")
    assert (known.counts.rows, known.counts.refused) == (len(rows), 0)
    planned = ask_file(
        "SELECT count(*), sum(Income)::BIGINT, sum(MntWines)::BIGINT, min(Year_Birth) FROM people", people=table
    )
    found = office.ask(
        "SELECT count(*), sum(cast(json_extract_scalar(traits, '$.income') AS decimal(18, 2))), "
        "sum(cast(json_extract_scalar(traits, '$.spent_on_wines') AS bigint)), "
        "min(cast(json_extract_scalar(traits, '$.year_of_birth') AS bigint)) "
        "FROM events WHERE message_id LIKE 'personality/%'"
    )
    assert [tuple(int(Decimal(value or 0)) for value in row) for row in found] == planned
    someone = ask_file(
        "SELECT ID, Education, Response FROM people WHERE ID > 0 ORDER BY hash(ID) LIMIT 5", people=table
    )
    for number, education, response in someone:
        profile = office.profile(f"user_id:{number}")
        assert profile["traits"]["education"] == education
        assert {name: each["given"] for name, each in profile["consents"].items()} == {"marketing": bool(response)}


RETAIL = "SELECT * FROM lines WHERE hash(InvoiceNo) % 29 = 0"


def test_bad_lines_are_quarantined_and_the_good_ones_kept(office: Office) -> None:
    names = "InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country"
    rows = ask_file(f"SELECT {names} FROM ({RETAIL})", lines="online_retail_2010_2011")
    lines = [";".join("" if v is None else str(v) for v in row) for row in rows]
    places = (100, 2_000)
    for place, bad in zip(places, BAD_LINES, strict=True):
        lines.insert(place, bad)
    file = office.folder / "retail.csv"
    file.write_text("\n".join([names.replace(", ", ";"), *lines, ""]), encoding="utf-8")

    told = office.bring(file, REPOSITORY / "definitions" / "mappings" / "online_retail.yaml")

    counts = told["counts"]
    assert [(row["line"], row["reason"]) for row in told["refused_rows"]] == [
        (places[0] + 2, "row_malformed"),
        (places[1] + 2, "quote_unclosed"),
    ]
    assert (counts["rows"], counts["refused"]) == (len(rows) + 2, 2)
    kept = office.ask("SELECT detail, from_utf8(from_base64(body)) FROM quarantine WHERE component = 'import_files'")
    assert sorted((str(detail).split(": ")[0], str(body).rstrip()) for detail, body in kept) == sorted(
        (f"retail.csv:{place + 2}", bad) for place, bad in zip(places, BAD_LINES, strict=True)
    )
    planned = ask_file(
        "SELECT date_trunc('month', InvoiceDate)::DATE::VARCHAR, count(DISTINCT InvoiceNo), "
        f"sum(Quantity * UnitPrice::DECIMAL(18, 3)) FROM ({RETAIL}) WHERE NOT starts_with(InvoiceNo, 'A') "
        "AND (starts_with(InvoiceNo, 'C') OR Quantity >= 0) GROUP BY 1 ORDER BY 1",
        lines="online_retail_2010_2011",
    )
    found = office.ask(
        "SELECT cast(cast(date_trunc('month', at) AS date) AS varchar), count(*), "
        "sum(CASE WHEN name = 'Order Refunded' THEN -1 ELSE 1 END "
        "* cast(json_extract_scalar(properties, '$.total') AS decimal(18, 3))) "
        "FROM events WHERE message_id LIKE 'online-retail/%' AND name IN ('Order Completed', 'Order Refunded') "
        "GROUP BY 1 ORDER BY 1"
    )
    assert [(month, int(orders or 0), Decimal(total or 0)) for month, orders, total in found] == planned


def test_calls_of_nobody_reach_the_lake_alone(office: Office) -> None:
    file = office.folder / "calls.parquet"
    with duckdb.connect() as database:
        database.execute(
            f"COPY (SELECT * FROM '{COMMERCE / 'uci_bank_marketing_full.parquet'}' LIMIT 4000) TO '{file}' "
            "(FORMAT parquet, ROW_GROUP_SIZE 2048)"
        )

    told = office.bring(file, office.mapping("calls"))

    with duckdb.connect() as database:
        planned = database.execute(
            "SELECT job, count(*), sum(duration)::BIGINT, count(*) FILTER (y = 'yes') "
            f"FROM '{file}' GROUP BY 1 ORDER BY 1"
        ).fetchall()
    found = office.ask(
        "SELECT json_extract_scalar(properties, '$.job'), count(*), "
        "sum(cast(json_extract_scalar(properties, '$.duration_s') AS bigint)), "
        "count_if(json_extract_scalar(properties, '$.outcome') = 'true') "
        "FROM events WHERE name = 'Support Call Ended' AND cardinality(identifiers) = 0 GROUP BY 1 ORDER BY 1"
    )
    assert told["counts"]["accepted"] == 4_000
    assert [(job, int(n or 0), int(s or 0), int(y or 0)) for job, n, s, y in found] == planned


def test_what_others_say_of_a_person_and_which_numbers_were_one(office: Office) -> None:
    """A CRM links two user ids of one person, of which a profile may have one; a seller's traits keep its name."""
    crm, bought = office.folder / "crm.jsonl", office.folder / "bought.csv"
    person = {"email": "kim@posteo-demo.net", "first_name": "Kim", "newsletter": "yes", "updated_at": "2024-07-01"}
    rows = [
        {**person, "customer_no": "crm-9", "merged_customer_no": "", "city": "Köln"},
        {**person, "customer_no": "crm-17", "merged_customer_no": "crm-9", "phone": "", "loyalty_card": "L-1"},
    ]
    crm.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    bought.write_text("email,valid_from,segment,income_band,affinity\nkim@posteo-demo.net,2024-07-02,urban,high,0.7\n")

    for file, mapping in ((crm, "crm_customers"), (bought, "third_party_segments")):
        told = office.bring(file, REPOSITORY / "definitions" / "mappings" / f"{mapping}.yaml")
        assert (told["state"], told["counts"]["refused"]) == ("done", 0), told

    profile = office.profile("user_id:crm-9")
    assert profile == office.profile("user_id:crm-17")
    assert {each["value"] for each in profile["identifiers"]} >= {"crm-9", "crm-17", "kim@posteo-demo.net"}
    assert {name: profile["traits"][name] for name in ("city", "lifedata.segment", "lifedata.affinity")} == {
        "city": "Köln",
        "lifedata.segment": "urban",
        "lifedata.affinity": 0.7,
    }
    assert {name: each["given"] for name, each in profile["consents"].items()} == {"marketing": True}
    [[provider]] = office.ask(
        "SELECT json_extract_scalar(context, '$.provider.licence') FROM events WHERE message_id LIKE 'lifedata/%'"
    )
    assert str(provider).startswith("LD-2026-17")


def test_every_file_a_second_time_changes_nothing(office: Office) -> None:
    def state() -> list[Any]:
        counted = office.ask("SELECT source, name, count(*), count(DISTINCT message_id) FROM raw_events GROUP BY 1, 2")
        people = [office.profile(f"user_id:{number}") for number in (17, 34, 51)]
        return [sorted(map(str, counted)), people]

    before = state()

    again = [
        office.bring(office.folder / "cdnow.csv", office.folder / "cdnow.yaml"),
        office.bring(office.folder / "journey.jsonl.gz", office.folder / "journey.yaml"),
        office.bring(office.folder / "calls.parquet", office.folder / "calls.yaml"),
    ]

    assert [told["state"] for told in again] == ["repeated"] * 3
    assert all(told["counts"]["accepted"] > 0 for told in again)  # what the first time told is still told
    assert state() == before


def test_a_forced_import_counts_nothing_twice_in_the_lake(office: Office) -> None:
    told = office.bring(office.folder / "calls.parquet", office.folder / "calls.yaml", "--force")

    [[events]] = office.ask("SELECT count(*) FROM events WHERE name = 'Support Call Ended'")
    assert (told["state"], told["counts"]["accepted"], events) == ("done", 4_000, "4000")


def test_the_role_of_the_function_was_enough(office: Office) -> None:
    assert office.instance.runtime.denied == []
