"""What every store promises, held against the stores in memory and against DynamoDB's interface in moto."""

from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from random import Random
from threading import Barrier

import msgspec
import pytest

from onefold.adapters.compression import pack
from onefold.adapters.dynamodb_fragments import STATE_BYTES_MAX, DynamoDbFragments
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.adapters.dynamodb_timeline import DynamoDbTimeline
from onefold.domain.errors import VersionConflict
from onefold.domain.event import Kind
from onefold.domain.fragment import NEW_FRAGMENT, StoredFragment, fold_events
from onefold.domain.head import Attached, Head, Membership
from onefold.domain.identity import GraphChanges, IdentityChange
from onefold.use_cases.stitch import TimelineBatch
from tests.fakes.events import event, identifier
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryTimeline
from tests.fakes.tables import aws

RACERS = 8
KINDS: tuple[Kind, ...] = ("identify", "track")
ROUNDS = 15


@dataclass
class Stores:
    fragments: MemoryFragments | DynamoDbFragments
    graph: MemoryGraph | DynamoDbGraph
    timeline: MemoryTimeline | DynamoDbTimeline


@pytest.fixture(params=["memory", "moto"])
def stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    if request.param == "memory":
        yield Stores(MemoryFragments(), MemoryGraph(), MemoryTimeline())
        return
    with aws(monkeypatch) as client:
        yield Stores(
            DynamoDbFragments(client, "fragments"),
            DynamoDbGraph(client, "identities", "heads"),
            DynamoDbTimeline(client, "timeline"),
        )


def stored_fragment(key: str, cursor: str = "7", version: int = 0) -> StoredFragment:
    fragment = fold_events(NEW_FRAGMENT, [event("user_id:u1", properties={"price": 12.5})])
    return StoredFragment(key, fragment, cursor, version)


def test_a_fragment_comes_back_as_it_was_written_one_version_later(stores: Stores) -> None:
    fragment = stored_fragment("a|b")

    assert stores.fragments.write([fragment]) == {}
    assert stores.fragments.load(["a|b", "absent|"]) == {"a|b": msgspec.structs.replace(fragment, version=1)}


def test_f22_a_fragment_is_written_only_under_the_version_that_was_read(stores: Stores) -> None:
    """Who read an older version is refused, alone."""
    stores.fragments.write([stored_fragment("a|")])

    outcome = stores.fragments.write([stored_fragment("a|"), stored_fragment("b|"), stored_fragment("c|", version=4)])

    assert set(outcome) == {"a|", "c|"}
    assert all(isinstance(reason, VersionConflict) for reason in outcome.values())
    assert set(stores.fragments.load(["a|", "b|", "c|"])) == {"a|", "b|"}


def test_more_fragments_than_one_request_takes_are_written_and_read(stores: Stores) -> None:
    keys = [f"device:{number}|" for number in range(230)]

    assert stores.fragments.write([stored_fragment(key) for key in keys]) == {}
    assert set(stores.fragments.load([*keys, keys[0]])) == set(keys)


def test_nothing_asked_is_nothing_found(stores: Stores) -> None:
    assert stores.fragments.load([]) == {}
    assert stores.fragments.write([]) == {}
    assert stores.graph.owners([]) == {}
    assert stores.graph.heads([]) == {}
    assert stores.timeline.read([], 10) == []
    stores.timeline.append([])


def test_f22_of_writers_that_read_the_same_fragment_one_wins(stores: Stores) -> None:
    """Lambdas race for one fragment: the condition lets one of them through."""

    def write(version: int, barrier: Barrier, racer: int) -> bool:
        barrier.wait()
        return not stores.fragments.write([stored_fragment("hot|", cursor=str(racer), version=version)])

    for version in range(ROUNDS):
        barrier = Barrier(RACERS)
        with ThreadPoolExecutor(RACERS) as pool:
            wins = list(pool.map(partial(write, version, barrier), range(RACERS)))

        assert sum(wins) == 1
        stored = stores.fragments.load(["hot|"])["hot|"]
        assert (stored.version, stored.cursor) == (version + 1, str(wins.index(True)))


def head(profile_id: str, version: int = 0, **fields: object) -> Head:
    mail = identifier("email:a@b.co")
    return msgspec.structs.replace(
        Head(profile_id, 5, {mail.key: Attached(mail, 5)}, fragments=("|x",), version=version), **fields
    )


def test_a_commit_writes_heads_and_identities_together(stores: Stores) -> None:
    stores.graph.commit(GraphChanges((head("p_1"),), {"email:x": IdentityChange("p_1", None)}))

    assert stores.graph.owners(["email:x", "email:y"]) == {"email:x": "p_1"}
    assert stores.graph.heads(["p_1", "p_2"]) == {"p_1": head("p_1", version=1)}


def test_a_redirect_is_read_as_it_is(stores: Stores) -> None:
    stores.graph.commit(GraphChanges((Head("p_old", 5, merged_into="p_1"),), {}))

    assert stores.graph.heads(["p_old"]) == {"p_old": Head("p_old", 5, merged_into="p_1", version=1)}


@pytest.mark.parametrize(
    "changes",
    [
        GraphChanges((head("p_2"), head("p_1")), {}),
        GraphChanges((head("p_2"), head("p_1", version=7)), {}),
        GraphChanges((head("p_2"),), {"email:x": IdentityChange("p_2", None)}),
        GraphChanges((head("p_2"),), {}, {"p_1": 7}),
        GraphChanges((head("p_2"),), {}, {"p_3": 1}),
        GraphChanges((head("p_2"),), {}, {}, ("email:x",)),
        GraphChanges((head("p_2"),), {"email:x": IdentityChange("p_2", "p_9")}),
        GraphChanges((head("p_2"),), {"email:new": IdentityChange("p_2", "p_9")}),
    ],
)
def test_one_condition_that_fails_leaves_everything_as_it_was(stores: Stores, changes: GraphChanges) -> None:
    stores.graph.commit(GraphChanges((head("p_1"),), {"email:x": IdentityChange("p_1", None)}))

    with pytest.raises(VersionConflict):
        stores.graph.commit(changes)

    assert stores.graph.heads(["p_1", "p_2"]) == {"p_1": head("p_1", version=1)}
    assert stores.graph.owners(["email:x", "email:new"]) == {"email:x": "p_1"}


def test_a_head_that_is_only_checked_stays_as_it_is(stores: Stores) -> None:
    stores.graph.commit(GraphChanges((head("p_1"),), {}))

    stores.graph.commit(GraphChanges((head("p_2"),), {}, {"p_1": 1}, ("email:nobody",)))

    assert stores.graph.heads(["p_1", "p_2"]) == {"p_1": head("p_1", version=1), "p_2": head("p_2", version=1)}


def test_an_identity_moves_from_the_owner_that_was_read(stores: Stores) -> None:
    stores.graph.commit(GraphChanges((), {"email:x": IdentityChange("p_1", None)}))

    stores.graph.commit(GraphChanges((), {"email:x": IdentityChange("p_2", "p_1")}))

    assert stores.graph.owners(["email:x"]) == {"email:x": "p_2"}


def test_more_than_a_transaction_takes_is_a_defect(stores: Stores) -> None:
    changes = GraphChanges((), {f"email:{number}": IdentityChange("p_1", None) for number in range(101)})

    with pytest.raises(ValueError, match="changes"):
        stores.graph.commit(changes)


def test_memberships_are_written_under_the_version_that_was_read(stores: Stores) -> None:
    stores.graph.write(head("p_1"))
    grown = head("p_1", version=1, memberships={"vips": Membership(9, 1)})

    stores.graph.write(grown)

    with pytest.raises(VersionConflict):
        stores.graph.write(grown)
    assert stores.graph.heads(["p_1"]) == {"p_1": msgspec.structs.replace(grown, version=2)}


def test_f22_of_rivals_for_one_identity_one_commits_and_no_head_is_orphaned(stores: Stores) -> None:
    """Lambdas race to be the first owner of an identifier: a transaction decides; losers leave nothing behind."""

    def claim(key: str, barrier: Barrier, racer: int) -> bool:
        barrier.wait()
        try:
            stores.graph.commit(
                GraphChanges((head(f"p_{key}_{racer}"),), {key: IdentityChange(f"p_{key}_{racer}", None)})
            )
        except VersionConflict:
            return False
        return True

    for number in range(ROUNDS):
        key, barrier = f"email:{number}", Barrier(RACERS)
        with ThreadPoolExecutor(RACERS) as pool:
            wins = list(pool.map(partial(claim, key, barrier), range(RACERS)))

        assert sum(wins) == 1
        winner = f"p_{key}_{wins.index(True)}"
        assert stores.graph.owners([key]) == {key: winner}
        assert set(stores.graph.heads([f"p_{key}_{racer}" for racer in range(RACERS)])) == {winner}


def test_commits_to_one_head_count_every_one_that_was_acknowledged(stores: Stores) -> None:
    stores.graph.commit(GraphChanges((head("p_hot"),), {}))

    def grow(racer: int) -> int:
        acknowledged = 0
        for number in range(ROUNDS):
            read = stores.graph.heads(["p_hot"])["p_hot"]
            grown = msgspec.structs.replace(read, founded_at=read.founded_at + 1)
            try:
                stores.graph.commit(GraphChanges((grown,), {f"email:{racer}:{number}": IdentityChange("p_hot", None)}))
            except VersionConflict:
                continue
            acknowledged += 1
        return acknowledged

    with ThreadPoolExecutor(RACERS) as pool:
        acknowledged = sum(pool.map(grow, range(RACERS)))

    final = stores.graph.heads(["p_hot"])["p_hot"]
    assert final.founded_at - 5 == acknowledged == final.version - 1
    keys = [f"email:{racer}:{number}" for racer in range(RACERS) for number in range(ROUNDS)]
    assert len(stores.graph.owners(keys)) == acknowledged


def test_the_timeline_shows_the_newest_first_over_all_fragments(stores: Stores) -> None:
    events = [event("user_id:u1", at=1_000 + number) for number in range(6)]
    stores.timeline.append(
        [TimelineBatch("a|", "9", (events[1], events[0])), TimelineBatch("b|", "5", (events[2], events[5]))]
    )
    stores.timeline.append([TimelineBatch("a|", "10", (events[4],)), TimelineBatch("c|", "11", (events[3],))])

    shown = stores.timeline.read(["a|", "b|"], 4)

    assert [each.at for each in shown] == [1_005, 1_004, 1_002, 1_001]
    assert all(later.at > earlier.at for later, earlier in pairwise(shown))


def test_f12_a_batch_of_the_timeline_that_comes_again_changes_nothing(stores: Stores) -> None:
    """A redelivered batch of the timeline."""
    batch = TimelineBatch("a|", "9", (event("user_id:u1"), event("user_id:u1")))

    for _ in range(2):
        stores.timeline.append([batch])

    assert stores.timeline.read(["a|"], 10) == list(reversed(batch.events))


def test_of_copies_of_one_message_the_first_received_is_shown(stores: Stores) -> None:
    first = event("user_id:u1", message_id="m", received_at=10, at=5)
    again = msgspec.structs.replace(first, received_at=20, at=15)
    elsewhere = msgspec.structs.replace(first, source="till")
    stores.timeline.append([TimelineBatch("a|", "2", (again,)), TimelineBatch("b|", "1", (first, elsewhere))])

    assert stores.timeline.read(["a|", "b|"], 10) == [first, elsewhere]


def test_a_batch_beyond_an_items_size_is_kept_whole(stores: Stores) -> None:
    random = Random(1)  # what does not compress
    noise = [msgspec.json.encode({"text": random.randbytes(30_000).hex()}) for _ in range(40)]
    events = tuple(event("user_id:u1", properties=each) for each in noise)

    stores.timeline.append([TimelineBatch("a|", "9", events)])

    assert stores.timeline.read(["a|"], 100) == list(reversed(events))


def test_a_fragment_that_strangers_blew_up_is_stored_without_its_bulk(stores: Stores) -> None:
    random = Random(2)
    blown_up = [
        event(
            "anonymous_id:bot",
            kind=kind,
            name=random.randbytes(200).hex(),
            traits={random.randbytes(10).hex(): b64encode(random.randbytes(1_400)).decode() for _ in range(15)},
            consent={random.randbytes(1_000).hex(): True},
        )
        for _ in range(100)
        for kind in KINDS
    ]
    fragment = fold_events(NEW_FRAGMENT, blown_up)
    assert len(pack(fragment)) > STATE_BYTES_MAX

    assert stores.fragments.write([StoredFragment("bot|", fragment, "7")]) == {}

    stored = stores.fragments.load(["bot|"])["bot|"]
    assert stored.cursor == "7"
    assert sum(count.times for count in stored.fragment.facts.counts.values()) == len(blown_up)
    assert stored.fragment.recent == fragment.recent


def test_a_timeline_tells_whether_it_holds_the_message_of_a_record(stores: Stores) -> None:
    """A batch is kept under its last record's number, which is the record's own or a later one."""
    mine, other = event("user_id:u1", message_id="mine"), event("user_id:u1", message_id="other")
    stores.timeline.append([TimelineBatch("f", "9", (other,)), TimelineBatch("f", "12", (other, mine))])

    def holds(message_id: str, from_sequence: str, source: str = "web", key: str = "f") -> bool:
        return stores.timeline.holds(key, source, message_id, from_sequence=from_sequence)

    assert holds("mine", "10")
    assert holds("mine", "12")
    assert not holds("mine", "13")
    assert not holds("mine", "10", source="till")
    assert not holds("mine", "10", key="g")
    assert not holds("nobody's", "1")
