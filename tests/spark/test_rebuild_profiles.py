"""The Spark job against the plain loop over the same history."""

from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import networkx as nx
import pyarrow.parquet as pq
import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: `make test-spark` installs it and runs these tests")

from glue_jobs.rebuild_profiles import job
from glue_jobs.rebuild_profiles.transform import find_components
from onefold.adapters.compression import unpack
from onefold.adapters.memory_graph import MemoryGraph
from onefold.domain.decision import Decision
from onefold.domain.event import Event, EventBatch
from onefold.domain.fragment import Fragment
from onefold.domain.head import Head
from onefold.domain.identifier import Identifier
from onefold.domain.identity_rules import DeclaredRules, IdentityRules, build_rules
from onefold.use_cases.rebuild import in_order_of_time, rebuild_fragments, replay
from onefold.use_cases.stitch import StreamRecord
from tests.fakes.events import event, identifier, key_of
from tests.fakes.history import MemoryHistory, archived_events, write_lake
from tests.faults.histories import random_history

pytestmark = pytest.mark.filterwarnings("ignore")  # Spark's own, of pandas and of sockets


def town(people: int) -> MemoryHistory:
    """Many small histories with identifiers of their own, repeats, aliases, accounts and shared devices."""
    archived, sequence = [], 98  # so that texts and numbers differ in order
    for number in range(people):
        history = random_history(Random(f"spark {number}"), with_repeats=True)
        moved = [EventBatch(tuple(moved_to(number, each) for each in batch.events)) for batch in history.records]
        records = [StreamRecord(str(sequence + n), batch) for n, batch in enumerate(moved)]
        archived += archived_events(records)
        sequence += len(records)
    group = event("user_id:u0", kind="group", account=identifier("group_id:acme"), traits={"name": "Acme"})
    archived += archived_events([StreamRecord(str(sequence), EventBatch((group,)))])
    return MemoryHistory(archived)


def moved_to(number: int, sent: Event) -> Event:
    """The same event in another part of the town."""

    def moved(identifiers: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
        return tuple(msgspec.structs.replace(each, key=f"{each.key}{number or ''}") for each in identifiers)

    return msgspec.structs.replace(
        sent,
        message_id=f"{number}/{sent.message_id}",
        identifiers=moved(sent.identifiers),
        previous=moved(sent.previous),
    )


def rows(folder: Path) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = pq.read_table(folder).to_pylist()
    return read


@pytest.mark.parametrize("policy", ["separate", "last"])
def test_the_job_writes_what_the_plain_loop_makes(spark: Any, tmp_path: Path, policy: Any) -> None:
    history, rules = town(25), build_rules(DeclaredRules(shared_devices=policy))
    middle = history.delivered[len(history.delivered) // 2][0].received_at
    decisions = [
        Decision("d1", "split", middle, "tests", key_of("user_id:u0"), key_of("device_id:d0")),
        Decision("d2", "link", middle + 1, "tests", key_of("group_id:acme"), key_of("user_id:u9")),
    ]
    write_lake(tmp_path / "lake", history.archived, name="a")
    write_lake(tmp_path / "lake", history.archived[::3], name="b")  # archived again within other bounds

    job.run(spark, str(tmp_path / "lake" / "raw"), str(tmp_path / "out"), rules, decisions)

    fragments, graph = rebuilt(history, decisions, rules)
    found = {row["fragment_key"]: row for row in rows(tmp_path / "out" / "fragments")}
    assert {key: unpack(row["state"], Fragment) for key, row in found.items()} == {
        each.key: each.fragment for each in fragments
    }
    assert {(key, row["cursor"], row["deliveries"], row["arrived_at"]) for key, row in found.items()} == {
        (each.key, each.cursor, each.deliveries, each.arrived_at) for each in fragments
    }
    heads = {row["profile_id"]: unpack(row["body"], Head) for row in rows(tmp_path / "out" / "heads")}
    assert heads == graph.stored_heads
    owners = {row["identifier_key"]: row["profile_id"] for row in rows(tmp_path / "out" / "identities")}
    assert owners == graph.identities
    assert sum(not head.merged_into for head in heads.values()) > 25


def rebuilt(history: MemoryHistory, decisions: list[Decision], rules: IdentityRules) -> tuple[list[Any], MemoryGraph]:
    graph = MemoryGraph()
    replay(in_order_of_time(history.candidates(rules), decisions), graph, rules)
    return list(rebuild_fragments(history)), graph


def test_components_are_the_connected_ones(spark: Any) -> None:
    """A sparse random graph and a long chain, in several partitions."""
    random = Random(1)
    edges = [(f"k{random.randrange(300):03}", f"k{random.randrange(300):03}") for _ in range(250)]
    chain = [f"c{random.random():.9f}" for _ in range(200)]
    edges += list(pairwise(chain))

    found = find_components(spark.createDataFrame(edges, "left string, right string").repartition(3)).collect()

    component = {row["key"]: row["component"] for row in found}
    assert len(found) == len(component)
    grouped: dict[str, set[str]] = {}
    for key, name in component.items():
        grouped.setdefault(name, set()).add(key)
    assert sorted(map(sorted, grouped.values())) == sorted(map(sorted, nx.connected_components(nx.Graph(edges))))
