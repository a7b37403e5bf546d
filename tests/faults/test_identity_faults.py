"""Faults of identities: merges that race, merges that were wrong, and profiles that grow without end."""

from collections.abc import Callable
from itertools import permutations
from random import Random

import pytest

from onefold.adapters.compression import pack
from onefold.adapters.dynamodb_fragments import STATE_BYTES_MAX
from onefold.domain.decision import Decision
from onefold.domain.event import Event, EventBatch, FragmentKey, fragment_key
from onefold.domain.head import FRAGMENTS_MAX, IDENTIFIERS_MAX, Head
from onefold.domain.profile import join_fragments, profile_document
from onefold.use_cases.decide import decide
from onefold.use_cases.linking import live_head
from onefold.use_cases.stitch import StreamRecord, stitch
from tests.fakes.events import NOON_MS, event, key_of
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryTimeline
from tests.faults.histories import History
from tests.faults.river import River
from tests.faults.simulate import run

ITEM_BYTES_MAX = 400_000
SCHEDULES = 150


def owner(graph: MemoryGraph, name: str) -> Head:
    head = live_head(graph.stored_heads, graph.identities[key_of(name)])
    assert head is not None
    return head


@pytest.mark.parametrize("turn", range(3))
def test_f25_merges_that_race_and_go_in_circles_end_in_one_profile_with_every_trait(turn: int) -> None:
    """A with B, B with C and C with A at once, under every fault: one component, one id, nothing lost."""
    pairs = list(permutations(["external_id:a", "external_id:b", "external_id:c"], 2))[turn::3]
    births = [event(f"external_id:{name}", kind="identify", traits={name: 1}, message_id=name) for name in "abc"]
    merges = [event(*pair, message_id=f"m{number}") for number, pair in enumerate([*pairs, *pairs])]
    ring = [event(f"external_id:{x}", f"external_id:{y}", message_id=x + y) for x, y in ("ab", "bc", "ca")]
    sent = (*births, *merges, *ring)
    history = History(sent, tuple(EventBatch((each,)) for each in sent), is_free=True)

    for seed in range(SCHEDULES):
        river = River(seed, history, (), with_ring=True)
        river.run()

        (head,) = river.graph.live_heads()
        stored = river.fragments.all()
        document = profile_document(join_fragments(head, (stored[key].fragment for key in head.fragments)))
        assert document["traits"] == {"a": 1, "b": 1, "c": 1}, f"seed {seed}"
        assert all(live_head(river.graph.stored_heads, each) is head for each in river.graph.stored_heads)
        assert sum(count["times"] for count in document["events"].values()) == len(sent)


class World:
    def __init__(self) -> None:
        self.fragments, self.graph, self.timeline = MemoryFragments(), MemoryGraph(), MemoryTimeline()
        self.sequence = 0

    def take(self, *events: Event) -> None:
        for each in events:
            self.sequence += 1
            record = StreamRecord(str(self.sequence), EventBatch((each,)))
            assert not stitch([record], self.fragments, self.graph, self.timeline).failed

    def document(self, name: str) -> dict[str, object]:
        head, stored = owner(self.graph, name), self.fragments.all()
        return profile_document(join_fragments(head, (stored[key].fragment for key in head.fragments)))


def test_f26_after_a_wrong_merge_each_side_is_what_it_would_have_been() -> None:
    """Ids, traits, orders and counts, with what arrived while the two were one."""
    ann = [event("user_id:ann", "device_id:phone", kind="identify", traits={"city": "Ulm"}, at=NOON_MS)]
    ben = [event("email:ben@b.co", kind="identify", traits={"city": "Bonn"}, at=NOON_MS + 1)]
    wrong = event("device_id:phone", "email:ben@b.co", message_id="wrong", at=NOON_MS + 2, kind="page")
    later = [
        event("user_id:ann", name="Order Completed", properties={"order_id": "o1", "total": 5}, at=NOON_MS + 3),
        event("email:ben@b.co", name="Order Completed", properties={"order_id": "o2", "total": 7}, at=NOON_MS + 4),
        event("email:ben@b.co", "anonymous_id:laptop", at=NOON_MS + 5),
    ]
    apart, merged = World(), World()
    apart.take(*ann, *ben, *later)
    merged.take(*ann, *ben, wrong, *later)
    assert owner(merged.graph, "user_id:ann") is owner(merged.graph, "anonymous_id:laptop")

    split = Decision("d1", "split", NOON_MS + 9, "ops", key_of("user_id:ann"), key_of("email:ben@b.co"))
    decide(merged.graph, split)

    assert merged.document("user_id:ann") == apart.document("user_id:ann")
    bens, expected = merged.document("email:ben@b.co"), apart.document("email:ben@b.co")
    assert bens["profile_id"] == expected["profile_id"], "the old id is back"
    assert {name for name in expected if bens[name] != expected[name]} <= {
        "events", "first_seen_at", "last_seen_at", "sessions", "devices", "fragments",
    }, "all that differs is the page that he was seen on"  # fmt: skip
    merged.take(wrong, event("device_id:phone", "email:ben@b.co"))
    assert owner(merged.graph, "user_id:ann") is not owner(merged.graph, "email:ben@b.co")


class Interrupted(MemoryGraph):
    """Lets somebody else act just before the next commit."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None

    def commit(self, *args: object) -> None:
        act, self.meanwhile = self.meanwhile, lambda: None
        act()
        super().commit(*args)  # type: ignore[arg-type]


def test_f26_a_profile_that_kept_something_out_and_has_changed_since_is_looked_at_again() -> None:
    """What is left out depends on a head that is not written; a detachment beside it must not be lost."""
    world = World()
    world.graph = graph = Interrupted()
    laptop, mail = "anonymous_id:laptop", "email:ben@b.co"
    world.take(event("user_id:ann", laptop), event(mail))
    decide(graph, Decision("d1", "split", NOON_MS, "ops", key_of("user_id:ann"), key_of(mail)))
    graph.meanwhile = lambda: decide(graph, Decision("d2", "detach", NOON_MS, "ops", key_of(laptop)))

    world.take(event(mail, laptop))

    assert owner(graph, mail) is owner(graph, laptop)
    assert owner(graph, laptop) is not owner(graph, "user_id:ann")


def test_f26_decisions_race_with_events_in_the_schedules() -> None:
    """The simulation splits, detaches and links while events arrive and everything fails; here: that it really does."""
    seen = {name for seed in range(250) for name in run(seed).chance.struck}

    assert {"decided split", "decided detach", "decided retract", "decided link", "decided allow"} <= seen


def test_f26_a_parting_that_stops_in_the_middle_goes_on_when_it_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is killed before each of its transactions in turn; the graph is whole each time."""
    monkeypatch.setattr("onefold.use_cases.decide.CHANGES_MAX", 3)
    monkeypatch.setattr("onefold.use_cases.decide.PARTS_PER_COMMIT", 1)
    spokes = [event("external_id:hub", f"anonymous_id:a{number}") for number in range(6)]
    decision = Decision("d1", "detach", NOON_MS, "ops", key_of("external_id:hub"))

    class Mortal(MemoryGraph):
        left = 10**6

        def commit(self, *args: object) -> None:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            super().commit(*args)  # type: ignore[arg-type]

    for lifetime in range(12):
        world = World()
        world.graph = Mortal()
        world.take(*spokes)
        world.graph.left = lifetime
        try:
            decide(world.graph, decision)
        except KeyboardInterrupt:
            listed = sorted(key for head in world.graph.live_heads() for key in head.identifiers)
            assert listed == sorted(world.graph.identities)
        world.graph.left = 10**6

        decide(world.graph, decision)

        assert len(world.graph.live_heads()) == 7, f"killed after {lifetime} transactions"
        assert all(len(head.identifiers) == 1 for head in world.graph.live_heads())


def test_f29_a_profile_that_grows_without_end_stops_at_its_caps_and_stops_no_shard() -> None:
    """Ten thousand identifiers, each with a long value, through one that everybody shares."""
    world = World()
    shared = "external_id:kiosk"
    random = Random(29)
    rules_free = [event(shared, f"anonymous_id:{random.getrandbits(400):0100x}") for _ in range(60)]
    aliases = [
        event(shared, kind="alias", previous=[f"anonymous_id:{random.getrandbits(400):0100x}"], message_id=f"alias {n}")
        for n in range(IDENTIFIERS_MAX + 60)
    ]

    world.take(*rules_free, *aliases)

    head = owner(world.graph, shared)
    assert len(head.identifiers) == IDENTIFIERS_MAX
    assert len(head.fragments) <= FRAGMENTS_MAX
    assert len(pack(head)) < ITEM_BYTES_MAX
    stored = world.fragments.all()
    folded = sum(c.times for each in stored.values() for c in each.fragment.facts.counts.values())
    assert folded == len(rules_free) + len(aliases), "every event was folded all the same"
    assert all(len(body) < STATE_BYTES_MAX for _, body in world.fragments.items.values())
    bases = {FragmentKey.parse(key).base for head in world.graph.live_heads() for key in head.fragments}
    assert bases <= set(world.graph.identities)


def test_the_schedules_see_redirects_settled_and_decisions_recorded() -> None:
    """What the invariants rely on to mean anything."""
    rivers = [run(seed) for seed in range(120)]

    assert any(len(head.foundings) > 2 for river in rivers for head in river.graph.live_heads())
    assert any(river.findings for river in rivers)
    assert any(head.parted for river in rivers for head in river.graph.live_heads())
    assert any(head.retracted for river in rivers for head in river.graph.live_heads())
    assert any(head.kind == "account" for river in rivers for head in river.graph.live_heads())
    assert any(fragment_key(each) is None for river in rivers for each in river.history.sent)
