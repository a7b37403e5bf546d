"""A simulated day held against its own history: nothing drifts; what is broken by hand is found and mended."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cli.apply import apply_definitions, write_keys
from cli.demo.day_sender import send_day
from cli.main import app
from cli.profile import fetch_profile
from cli.simulator import Day, simulate
from cli.up import DEFINITIONS, Running, running
from onefold.adapters.compression import unpack
from onefold.domain.fragment import Fragment

SEED, PERSONS, DRAIN_S = 5, 30, 90


@dataclass(frozen=True)
class Shop:
    """A running instance through which a day has gone."""

    instance: Running
    day: Day

    def settle(self) -> None:
        assert self.instance.runtime.drain(DRAIN_S), self.instance.runtime.lag()

    def command(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        outcome = CliRunner().invoke(app, [*arguments, "--json"])
        assert outcome.exit_code == code, (outcome.output, outcome.exception)
        document: dict[str, Any] = json.loads(outcome.stdout)
        self.settle()
        return document

    def table(self, name: str) -> str:
        return self.instance.deployment.description.tables[name]

    def fragments(self) -> dict[str, dict[str, Any]]:
        pages = (
            self.instance.runtime.client("dynamodb").get_paginator("scan").paginate(TableName=self.table("fragments"))
        )
        return {item["fragment_key"]["S"]: item for page in pages for item in page["Items"]}

    def profile(self, identifier: str) -> dict[str, Any]:
        return fetch_profile(self.instance.deployment, identifier)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    day, folder = simulate(SEED, PERSONS), tmp_path_factory.mktemp("definitions")
    for part in ("sources", "audiences", "mappings"):  # no destination: nobody listens
        shutil.copytree(DEFINITIONS / part, folder / part)
    with running() as instance:
        apply_definitions(instance.deployment, folder)
        send_day(day.calls, instance.instance.collector, write_keys(instance.deployment))
        shop = Shop(instance, day)
        shop.settle()
        yield shop


def buyer(shop: Shop) -> str:
    return max(shop.day.truth.profiles, key=lambda each: (each.orders, each.events)).identifiers[0]


def test_what_the_stream_made_is_what_the_history_makes(shop: Shop) -> None:
    document = shop.command("reconcile")

    assert document["drift"] == []
    assert document["waiting"] == {}
    assert document["compared"]["fragments"] == len(shop.fragments())
    assert document["compared"]["identities"] > 0


def test_a_rebuild_writes_what_the_tables_hold_and_touches_nothing(shop: Shop, tmp_path: Path) -> None:
    before = shop.fragments()

    document = shop.command("rebuild", "--out", str(tmp_path / "rebuilt"))

    assert document["fragments"] == len(before)
    assert document["events"] == shop.day.truth.events
    rows = pq.read_table(tmp_path / "rebuilt" / "fragments.parquet").to_pylist()
    live = {key: unpack(item["state"]["B"], Fragment).facts for key, item in before.items()}
    assert {row["fragment_key"]: unpack(row["state"], Fragment).facts for row in rows} == live
    owners = pq.read_table(tmp_path / "rebuilt" / "identities.parquet").num_rows
    assert owners == document["identifiers"]
    assert shop.fragments() == before
    assert "empty" in CliRunner().invoke(app, ["rebuild", "--out", str(tmp_path / "rebuilt")]).exception.args[0]  # type: ignore[union-attr]


def test_a_fragment_that_was_lost_is_mended_and_its_profile_is_what_it_was(shop: Shop) -> None:
    identifier = buyer(shop)
    before, stored = shop.profile(identifier), shop.fragments()
    lost = max((key for key in stored if _holds_orders(stored[key])), key=lambda key: len(stored[key]["state"]["B"]))
    shop.instance.runtime.client("dynamodb").delete_item(
        TableName=shop.table("fragments"), Key={"fragment_key": {"S": lost}}
    )

    looked = shop.command("reconcile", code=1)
    mended = shop.command("reconcile", "--repair")
    again = shop.command("reconcile", "--repair")

    assert looked["drift"] == [{"kind": "missing", "outcome": "found", "count": 1}]
    assert [each["drifts"][0]["place"] for each in looked["profiles"]] == [lost]
    assert "orders" in looked["profiles"][0]["fields"]
    assert mended["drift"] == [{"kind": "missing", "outcome": "repaired", "count": 1}]
    assert again["drift"] == []
    assert _facts(shop.fragments()[lost]) == _facts(stored[lost])
    assert shop.profile(identifier) == before


def test_one_broken_profile_can_be_mended_alone(shop: Shop) -> None:
    identifier = buyer(shop)
    before = shop.profile(identifier)
    keys = [key for key, item in shop.fragments().items() if _holds_orders(item)]
    dynamodb = shop.instance.runtime.client("dynamodb")
    for key in keys:
        dynamodb.delete_item(TableName=shop.table("fragments"), Key={"fragment_key": {"S": key}})
    assert len(keys) > 1
    assert shop.profile(identifier) != before

    mended = shop.command("reconcile", "--repair", "--profile", identifier)

    assert [each["profile_id"] for each in mended["profiles"]] == [before["profile_id"]]
    assert shop.profile(identifier) == before
    assert shop.command("reconcile", "--repair")["drift"][0]["outcome"] == "repaired"
    assert shop.command("reconcile")["drift"] == []


def test_a_new_audience_reaches_profiles_to_which_nothing_happens(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "audiences").mkdir()
    (tmp_path / "audiences" / "seen.sql").write_text(
        "(SELECT count(*) FROM events WHERE name = 'Order Completed') >= 1\n"
    )
    apply_definitions(shop.instance.deployment, tmp_path)
    identifier = buyer(shop)
    assert "seen" not in [each["audience"] for each in shop.profile(identifier)["audiences"]]

    document = shop.command("reconcile", "--evaluate")

    assert document["compared"] == {}
    assert document["evaluated"]["entered"] == sum(each.orders > 0 for each in shop.day.truth.profiles)
    assert "seen" in [each["audience"] for each in shop.profile(identifier)["audiences"]]


def test_no_function_asked_for_more_than_its_role_allows(shop: Shop) -> None:
    assert shop.instance.runtime.denied == []


def _facts(item: dict[str, Any]) -> Any:
    return unpack(item["state"]["B"], Fragment).facts


def _holds_orders(item: dict[str, Any]) -> bool:
    return bool(_facts(item).orders)
