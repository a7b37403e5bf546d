"""Threads that race on conditional writes and transactions, and answers that do not arrive: memory and moto alike."""

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier
from typing import TYPE_CHECKING, Any

import boto3
import networkx as nx
import pytest

from onefold.adapters.aws_requests import client_config
from onefold.adapters.dynamodb_fragments import DynamoDbFragments
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.adapters.dynamodb_timeline import DynamoDbTimeline
from onefold.domain.errors import Unavailable, VersionConflict
from onefold.domain.event import Event, fragment_key
from onefold.domain.fragment import NEW_FRAGMENT, StoredFragment, fold_events
from onefold.domain.head import Head
from onefold.domain.identity import GraphChanges, IdentityChange
from onefold.use_cases.linking import Candidate, link, live_head, read_graph
from onefold.use_cases.stitch import StreamRecord, TimelineBatch, stitch
from tests.fakes.events import NOON_MS, event, record
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryTimeline
from tests.fakes.tables import aws
from tests.fakes.wire import answering, answers_lost, document, forward

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RACERS = 6
ROUNDS = 4
# Never more values of a type than a profile may have, so that no rule keeps apart what an event names together.
NAMES = (
    "user_id:u",
    "email:e1@b.co",
    "email:e2@b.co",
    "device_id:d1",
    "device_id:d2",
    "anonymous_id:a1",
    "anonymous_id:a2",
)
Stores = tuple[MemoryFragments | DynamoDbFragments, MemoryGraph | DynamoDbGraph, MemoryTimeline | DynamoDbTimeline]


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    """A client as the functions have it, in an empty deployment."""
    with aws(monkeypatch):
        yield boto3.client("dynamodb", config=client_config())


@pytest.fixture(params=["memory", "moto"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        return MemoryFragments(), MemoryGraph(), MemoryTimeline()
    return on_moto(request.getfixturevalue("dynamodb"))


def on_moto(client: "DynamoDBClient") -> tuple[DynamoDbFragments, DynamoDbGraph, DynamoDbTimeline]:
    return (
        DynamoDbFragments(client, "fragments"),
        DynamoDbGraph(client, "identities", "heads"),
        DynamoDbTimeline(client, "timeline"),
    )


def race(work: Any) -> list[Any]:
    """Run `work` with the number of each racer, all at once."""
    barrier = Barrier(RACERS)

    def run(racer: int) -> Any:
        barrier.wait()
        return work(racer)

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(run, range(RACERS)))


def link_until_linked(graph: MemoryGraph | DynamoDbGraph, events: Sequence[Event]) -> int:
    """Link events as redelivery does: a batch that lost too often comes again. Returns how often it lost."""
    lost = 0
    while True:
        try:
            link(graph, [Candidate(key, each) for each in events if (key := fragment_key(each))])
        except VersionConflict:
            lost += 1
            assert lost < 100, "the racers keep each other from ever ending"
        else:
            return lost


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_f22_threads_that_link_the_same_people_end_in_one_owner_for_each_identifier(stores: Stores, seed: int) -> None:
    """Lambdas of several shards link overlapping identifiers at the same moment; who loses reads again."""
    _, graph, _ = stores
    random = Random(seed)
    named = [f"{name}-{random.randint(0, 1)}" for name in NAMES for _ in range(3)]
    batches = [
        [event(*dict.fromkeys(random.sample(named, random.choice([1, 2, 2, 3])))) for _ in range(3)]
        for _ in range(RACERS)
    ]
    batches = [[each for each in batch if _is_free(each)] for batch in batches]

    race(lambda racer: link_until_linked(graph, batches[racer]))

    connected = nx.Graph()
    for each in (each for batch in batches for each in batch):
        nx.add_path(connected, [identifier.key for identifier in each.identifiers])
    heads, owners = read_graph(graph, set(connected))
    assert owners.keys() == set(connected), "an identifier has no owner"
    by_profile: dict[str, set[str]] = {}
    for key, owner in owners.items():
        live = live_head(heads, owner)
        assert live is not None, "an owner is no live profile"
        by_profile.setdefault(live.profile_id, set()).add(key)
    listed = [key for head in heads.values() for key in head.identifiers]
    assert sorted(listed) == sorted(connected), "an identifier is in two heads, or in none"
    components = sorted(map(sorted, nx.connected_components(connected)))
    assert sorted(map(sorted, by_profile.values())) == components, f"seed {seed}"


def _is_free(each: Event) -> bool:
    """Whether no rule has a say: an event of one person at most."""
    return len({identifier.value[-1] for identifier in each.identifiers}) == 1


def fold(stores: Stores, records: Sequence[StreamRecord]) -> int:
    """Deliver a batch until nothing of it fails; returns how often it came."""
    for attempt in range(1, 100):
        try:
            if not stitch(records, *stores).failed:
                return attempt
        except Unavailable:
            continue
    raise AssertionError("the batch never got through")


def test_f22_lambdas_that_fold_overlapping_batches_at_once_count_each_event_once(stores: Stores) -> None:
    """Zombies with fewer records race the whole batch for the same fragments; who loses the condition reads again."""
    people = [f"device_id:d{number}" for number in range(5)]
    for number in range(ROUNDS):
        records = [
            record(1_000 * number + place, event(people[place % len(people)], at=NOON_MS + place))
            for place in range(1, 31)
        ]
        cuts = [len(records), *(Random(number).choices(range(1, 30), k=RACERS - 1))]
        race(lambda racer, records=records, cuts=cuts: fold(stores, records[: cuts[racer]]))

    fragments, _, timeline = stores
    keys = [str(fragment_key(event(name))) for name in people]
    stored = fragments.load(keys)
    counted = [sum(count.times for count in stored[key].fragment.facts.counts.values()) for key in keys]
    assert counted == [6 * ROUNDS] * len(people)
    assert all(each.fragment.repeats == 0 for each in stored.values()), "the cursor alone must know what is folded"
    assert len(timeline.read(keys, 1_000)) == 30 * ROUNDS


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def grown(key: str, version: int = 0) -> StoredFragment:
    return StoredFragment(key, fold_events(NEW_FRAGMENT, [event("user_id:u1")]), "7", version)


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("version", [0, 1])
def test_f24_fragments_whose_answer_was_lost_are_written_once_and_reported_as_conflicts(
    dynamodb: "DynamoDBClient", version: int
) -> None:
    """The writes were applied, the answer was lost, the SDK sends them again: they fail their own conditions."""
    store = DynamoDbFragments(dynamodb, "fragments")
    keys = [f"{number}|" for number in range(3)]
    if version:
        store.write([grown(key) for key in keys])

    with answers_lost(dynamodb, "BatchExecuteStatement") as bodies:
        outcome = store.write([grown(key, version) for key in keys])

    assert len(bodies) == 1
    assert {key: type(reason) for key, reason in outcome.items()} == dict.fromkeys(keys, VersionConflict)
    assert {each.version for each in store.load(keys).values()} == {version + 1}


@pytest.mark.usefixtures("pauses")
def test_f24_a_transaction_whose_answer_was_lost_is_not_applied_twice(dynamodb: "DynamoDBClient") -> None:
    """moto forgets the token at once, as DynamoDB does after ten minutes: the version's condition must protect."""
    graph = DynamoDbGraph(dynamodb, "identities", "heads")
    changes = GraphChanges((Head("p_1", 5),), {"email:x": IdentityChange("p_1", None)})

    with answers_lost(dynamodb, "TransactWriteItems"), pytest.raises(VersionConflict):
        graph.commit(changes)

    assert graph.heads(["p_1"])["p_1"].version == 1
    assert graph.owners(["email:x"]) == {"email:x": "p_1"}


@pytest.mark.usefixtures("pauses")
def test_f24_who_links_and_loses_the_answer_reads_again_and_finds_it_done(dynamodb: "DynamoDBClient") -> None:
    """Linking twice is linking once: the second attempt finds the identifiers owned and adds nothing."""
    graph, seen = DynamoDbGraph(dynamodb, "identities", "heads"), event("user_id:u1", "device_id:d1")
    key = fragment_key(seen)
    assert key is not None

    with answers_lost(dynamodb, "TransactWriteItems"):
        (attachment,) = link(graph, [Candidate(key, seen)])

    heads, owners = read_graph(graph, [each.key for each in seen.identifiers])
    assert set(owners.values()) == {attachment.profile_id}
    assert heads[attachment.profile_id].version == 1
    assert heads[attachment.profile_id].fragments == (str(key),)


def test_f28_reads_and_writes_that_are_answered_in_part_are_finished(
    dynamodb: "DynamoDBClient", pauses: list[float]
) -> None:
    """DynamoDB takes two of each request's elements and hands the others back, again and again."""
    fragments, _, timeline = on_moto(dynamodb)
    keys = [f"{number}|" for number in range(7)]
    batches = [TimelineBatch(key, "5", (event("user_id:u1"),)) for key in keys]

    with answering(dynamodb, "BatchWriteItem", _write_two), answering(dynamodb, "BatchGetItem", _read_two):
        timeline.append(batches)
        assert fragments.write([grown(key) for key in keys]) == {}
        assert set(fragments.load(keys)) == set(keys)

    assert len(timeline.read(keys, 100)) == len(keys)
    assert len(pauses) == 6, "seven elements, two at a time: three further requests of each kind"


def _write_two(request: Any) -> Any:
    items = json.loads(request.body)["RequestItems"]["timeline"]
    forward(request, {"RequestItems": {"timeline": items[:2]}})
    return document(request, {"UnprocessedItems": {"timeline": items[2:]} if items[2:] else {}})


def _read_two(request: Any) -> Any:
    asked = json.loads(request.body)["RequestItems"]["fragments"]
    keys = asked["Keys"]
    answer = forward(request, {"RequestItems": {"fragments": {**asked, "Keys": keys[:2]}}})
    left = {"fragments": {**asked, "Keys": keys[2:]}} if keys[2:] else {}
    return document(request, {**answer, "UnprocessedKeys": left})


def test_f23_a_transaction_that_collides_is_sent_again_and_one_that_lost_is_not(
    dynamodb: "DynamoDBClient", pauses: list[float]
) -> None:
    """Collisions and throttles cancel a transaction twice, then it is applied; a failed condition ends it at once."""
    graph = DynamoDbGraph(dynamodb, "identities", "heads")
    reasons = [["TransactionConflict", "None"], ["None", "ThrottlingError"]]
    changes = GraphChanges((Head("p_1", 5),), {"email:x": IdentityChange("p_1", None)})

    def cancel(request: Any) -> Any:
        if not reasons:
            return None
        codes = reasons.pop(0)
        listed = [{"Code": code, "Message": "cancelled"} for code in codes]
        kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
        return document(request, {"__type": kind, "Message": str(codes), "CancellationReasons": listed}, status=400)

    with answering(dynamodb, "TransactWriteItems", cancel):
        graph.commit(changes)
        assert (reasons, len(pauses)) == ([], 2)

        reasons.append(["TransactionConflict", "ConditionalCheckFailed"])
        with pytest.raises(VersionConflict):
            graph.commit(changes)

    assert len(pauses) == 2
    assert graph.heads(["p_1"])["p_1"].version == 1
