"""What merging two profiles costs, and splitting them again: it must not depend on what their fragments hold.

    python benchmarks/identity_merge.py

Two customers with FRAGMENTS devices each are stitched into moto with so many orders on each device; then one event
names both, and then a decision splits them. Requests and units are what DynamoDB would count (cli/costs.py); the CPU
time is the best of ROUNDS on the store in memory, which packs no bytes, since what else runs on the machine can only
add to it, and that of one run through boto3 and moto, whose own work is most of it.
"""

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import process_time_ns
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / folder) for folder in (".", "layers/onefold/python")]

import pytest  # noqa: E402

from cli.costs import dynamodb_units  # noqa: E402
from infra.local import calls  # noqa: E402
from onefold.adapters.dynamodb_decisions import DynamoDbDecisions  # noqa: E402
from onefold.adapters.dynamodb_fragments import DynamoDbFragments  # noqa: E402
from onefold.adapters.dynamodb_graph import DynamoDbGraph  # noqa: E402
from onefold.adapters.dynamodb_timeline import DynamoDbTimeline  # noqa: E402
from onefold.domain.decision import Decision, DecisionRecord  # noqa: E402
from onefold.domain.event import Event, FragmentKey  # noqa: E402
from onefold.domain.identity_rules import DEFAULT_RULES  # noqa: E402
from onefold.use_cases.decide import DecisionStore  # noqa: E402
from onefold.use_cases.linking import Candidate, link, live_head, read_graph  # noqa: E402
from onefold.use_cases.rule import rule  # noqa: E402
from onefold.use_cases.stitch import FragmentStore, Timeline, stitch  # noqa: E402
from tests.fakes.events import NOON_MS, event, key_of, record  # noqa: E402
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryTimeline  # noqa: E402
from tests.fakes.tables import aws  # noqa: E402

FRAGMENTS = 50
ORDERS = (1, 50, 500)  # on each device
ROUNDS = 101
SIDES = ("external_id:left", "external_id:right")


def history(orders: int) -> Iterator[list[Event]]:
    """Device by device: the first event shows the customer, the others are orders."""
    for side in SIDES:
        for device in range(FRAGMENTS // 2):
            for person in (side, f"email:{side[12:]}@b.co"):  # two fragments a device
                shown = (person, f"anonymous_id:{side[12:]}-{device}")
                first = event(side, *shown, at=NOON_MS, received_at=NOON_MS)
                yield [first, *(order(number, f"{shown}-{number}", *shown) for number in range(orders))]


def order(number: int, order_id: str, *shown: str) -> Event:
    properties = {"order_id": order_id, "total": 59.9, "currency": "EUR"}
    return event(*shown, name="Order Completed", at=NOON_MS + number, properties=properties)


def build(orders: int, fragments: FragmentStore, graph: DecisionStore, timeline: Timeline) -> None:
    for number, events in enumerate(history(orders), start=1):
        for start in range(0, len(events), 250):
            batch = record(number * 1_000 + start // 250, *events[start : start + 250])
            assert not stitch([batch], fragments, graph, timeline).failed


def merge(graph: DecisionStore) -> None:
    both = event(*SIDES, message_id="both", at=NOON_MS + 1, received_at=NOON_MS + 1)
    (attachment,) = link(graph, [Candidate(FragmentKey("", both.identifiers[0].key), both)])
    assert attachment.merged


def split(graph: DecisionStore) -> DecisionRecord:
    left, right = map(key_of, SIDES)
    decision = Decision("d-1", "split", NOON_MS + 2, "benchmark", left, right)
    made = rule(graph, decision, DEFAULT_RULES)
    assert len(made.after) == 2
    return made


@contextmanager
def counted(used: Counter[str]) -> Iterator[None]:
    def watch(_: str, operation: str, params: Mapping[str, Any], response: Mapping[str, Any]) -> None:
        used.update(dynamodb_units(operation, params, response) | {"requests": 1})

    remove = calls.observe(watch)
    try:
        yield
    finally:
        remove()


def timed_ms(work: Callable[[], object]) -> float:
    begin = process_time_ns()
    work()
    return (process_time_ns() - begin) / 1e6


def on_moto(orders: int) -> tuple[float, list[tuple[Counter[str], float]]]:
    """KB of facts, and for merge and split what they used and their CPU time in ms."""
    with pytest.MonkeyPatch.context() as patch, aws(patch) as client:
        log = DynamoDbDecisions(client, "decisions")
        graph = DynamoDbGraph(client, "identities", "heads", log)
        build(orders, DynamoDbFragments(client, "fragments"), graph, DynamoDbTimeline(client, "timeline"))
        items = [
            item for page in client.get_paginator("scan").paginate(TableName="fragments") for item in page["Items"]
        ]
        heads, owners = read_graph(graph, [key_of(side) for side in SIDES])
        kept = [len(head.fragments) for each in owners.values() if (head := live_head(heads, each)) is not None]
        assert kept == [FRAGMENTS, FRAGMENTS], kept
        found = []
        for work in (merge, split):
            used: Counter[str] = Counter()
            with counted(used):
                found.append((used, timed_ms(lambda work=work: work(graph))))  # type: ignore[misc]
        return sum(len(item["state"]["B"]) for item in items) / 1_000, found


def in_memory_ms() -> dict[int, tuple[float, float]]:
    """Orders → the least CPU time in ms of merge and split over the store in memory; taken in turns."""
    graphs: dict[int, MemoryGraph] = {}
    for orders in ORDERS:
        graphs[orders] = MemoryGraph()
        build(orders, MemoryFragments(), graphs[orders], MemoryTimeline())
    gc.collect()
    gc.freeze()  # what was built shall not be looked through again while we measure
    merges: dict[int, list[float]] = {orders: [] for orders in ORDERS}
    splits: dict[int, list[float]] = {orders: [] for orders in ORDERS}
    for _ in range(ROUNDS):
        for orders, built in graphs.items():
            graph = MemoryGraph()
            graph.identities, graph.stored_heads = dict(built.identities), dict(built.stored_heads)
            merges[orders].append(timed_ms(lambda graph=graph: merge(graph)))  # type: ignore[misc]
            splits[orders].append(timed_ms(lambda graph=graph: split(graph)))  # type: ignore[misc]
    return {orders: (min(merges[orders]), min(splits[orders])) for orders in ORDERS}


def main() -> None:
    print(f"two profiles of {FRAGMENTS} fragments each: merged by one event, split by one decision")
    print(
        "orders per fragment | facts, KB | what  | requests | read units | write units | CPU ms | with boto3 and moto"
    )
    spans: dict[str, list[float]] = {}
    in_memory = in_memory_ms()
    for orders in ORDERS:
        size_kb, found = on_moto(orders)
        for what, (used, moto_ms), memory_ms in zip(("merge", "split"), found, in_memory[orders], strict=True):
            reads, writes = used["dynamodb_read_units"], used["dynamodb_write_units"]
            spans.setdefault(what, []).append(memory_ms)
            print(
                f"{orders:>19,} | {size_kb:>9,.0f} | {what} | {used['requests']:>8} | {reads:>10,.0f}"
                f" | {writes:>11,.0f} | {memory_ms:>6.2f} | {moto_ms:>6.1f}"
            )
    for what, durations in spans.items():
        print(f"a {what} of the fattest takes {durations[-1] / durations[0]:.2f} times that of the leanest")


if __name__ == "__main__":
    main()
