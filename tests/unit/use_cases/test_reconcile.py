"""Reconcile over broken tables: each damage is named with its profile, mended, and gone."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec
import pytest

from onefold.adapters.compression import pack, unpack
from onefold.adapters.memory_graph import MemoryGraph
from onefold.domain import drift, fragment
from onefold.domain.audience_sql import compile_audience
from onefold.domain.errors import VersionConflict
from onefold.domain.event import Event
from onefold.domain.fragment import RECENT_MAX, StoredFragment
from onefold.domain.head import Head
from onefold.domain.identity_rules import DEFAULT_RULES, IdentityRules
from onefold.domain.profile import join_fragments, profile_document
from onefold.use_cases.drift_report import Report
from onefold.use_cases.evaluate import CurrentAudience
from onefold.use_cases.evaluate_all import evaluate_all
from onefold.use_cases.linking import live_head
from onefold.use_cases.reconcile import reconcile
from onefold.use_cases.reconcile_fragments import Run, Scope
from onefold.use_cases.stitch import StreamRecord
from tests.fakes.events import NOON_MS, event, identifier, key_of, record
from tests.fakes.faults import World
from tests.fakes.history import MemoryHistory, MemoryTables, archived_events
from tests.faults.histories import random_history

LATER = NOON_MS * 2
ORDER = {"order_id": "o1", "total": 10, "currency": "EUR"}


def browsing() -> list[Event]:
    """Ada on two devices, one of them before she logged in; Bob on a third."""
    return [
        event("anonymous_id:a1", name="Product Viewed"),
        event("anonymous_id:a1", "user_id:ada", name="Order Completed", properties=ORDER),
        event("anonymous_id:a2", "user_id:ada", kind="identify", traits={"plan": "pro"}),
        event("anonymous_id:b1", "user_id:bob", name="Product Viewed"),
        event("user_id:bob", kind="group", account=identifier("group_id:acme"), traits={"name": "Acme"}),
    ]


class Shop:
    """A world through which records have gone, and what was archived of them."""

    def __init__(
        self, records: Sequence[StreamRecord] | None = None, rules: IdentityRules = DEFAULT_RULES, *, size: int = 100
    ) -> None:
        self.records = records if records is not None else [record(n, each) for n, each in enumerate(browsing(), 5)]
        self.world = World(rules=rules)
        self.world.deliver(self.records, size=size)
        self.archived = archived_events(self.records)

    def run(self, *, repair: bool, settled_before: int = LATER) -> Run:
        fragments, graph = self.world.fragments, self.world.graph
        scope = Scope(repair, settled_before, self.world.rules)
        return Run(fragments, graph, MemoryTables(fragments, graph), MemoryHistory(self.archived), scope)

    def reconcile(self, *, repair: bool, settled_before: int = LATER, only: str = "") -> Report:
        run = self.run(repair=repair, settled_before=settled_before)
        reconcile(run, MemoryGraph(), [], self.head(only) if only else None)
        return run.report

    def head(self, name: str) -> Any:
        return live_head(self.world.graph.stored_heads, self.world.graph.identities[key_of(name)])

    def documents(self) -> dict[str, dict[str, Any]]:
        stored = self.world.fragments.all()
        return {
            head.profile_id: profile_document(
                join_fragments(head, [stored[key].fragment for key in head.fragments if key in stored])
            )
            for head in self.world.graph.live_heads()
        }

    def put(self, stored: StoredFragment) -> None:
        self.world.fragments.items[stored.key] = (stored.version, pack(stored))

    def fragment(self, *names: str) -> StoredFragment:
        key = "|".join(key_of(name) if name else "" for name in names)
        return unpack(self.world.fragments.items[key][1], StoredFragment)


def kinds(report: Report) -> dict[tuple[str, str], int]:
    return {place: count for place, count in report.found.items() if place[1] != "reported"}


@pytest.mark.parametrize("seed", range(150))
def test_nothing_drifts_where_nothing_went_wrong(seed: int) -> None:
    random = Random(f"reconcile {seed}")
    history = random_history(random, with_repeats=True)
    shop = Shop([StreamRecord(str(n), batch) for n, batch in enumerate(history.records, 5)], history.rules)

    report = shop.reconcile(repair=False)

    assert report.is_clean, report.document()
    assert not {kind for kind, _ in report.found} - {"clusters", "left_out"}
    assert not report.waiting
    if history.is_free:
        assert not report.found


def _delete_a_fragment(shop: Shop) -> None:
    del shop.world.fragments.items[shop.fragment("anonymous_id:a1", "user_id:ada").key]


def _lose_a_write(shop: Shop) -> None:
    """The cursor has gone on without the facts, as if somebody had written over them."""
    stored = shop.fragment("anonymous_id:a1", "user_id:ada")
    shop.put(msgspec.structs.replace(stored, fragment=fragment.NEW_FRAGMENT))


def _forget_a_fragment(shop: Shop) -> None:
    head = shop.head("user_id:ada")
    kept = msgspec.structs.replace(head, fragments=head.fragments[1:])
    shop.world.graph.stored_heads[head.profile_id] = kept


def _give_a_fragment_away(shop: Shop) -> None:
    """One of Ada's fragments is listed in Bob's profile."""
    ada, bob = shop.head("user_id:ada"), shop.head("user_id:bob")
    heads = shop.world.graph.stored_heads
    heads[ada.profile_id] = msgspec.structs.replace(ada, fragments=ada.fragments[1:])
    heads[bob.profile_id] = msgspec.structs.replace(bob, fragments=(*bob.fragments, ada.fragments[0]))


def _lose_an_identity(shop: Shop) -> None:
    del shop.world.graph.identities[key_of("anonymous_id:a2")]


def _mislead_an_identity(shop: Shop) -> None:
    shop.world.graph.identities[key_of("anonymous_id:a2")] = "p_nobody"


def _lose_an_account(shop: Shop) -> None:
    """Nothing of it was ever linked, though its fragment was folded."""
    head = shop.head("group_id:acme")
    del shop.world.graph.stored_heads[head.profile_id]
    del shop.world.graph.identities[key_of("group_id:acme")]
    stored = shop.fragment("", "user_id:bob", "group_id:acme")
    shop.put(msgspec.structs.replace(stored, fragment=msgspec.structs.replace(stored.fragment, known={})))


ADA, BOB, ACME = "user_id:ada", "user_id:bob", "group_id:acme"
DAMAGES: list[tuple[Callable[[Shop], None], set[str], set[str], set[str]]] = [
    (_delete_a_fragment, {"missing"}, {ADA}, {"orders"}),
    (_lose_a_write, {"facts"}, {ADA}, {"orders", "events"}),
    (_forget_a_fragment, {"unlisted"}, {ADA}, {"fragments", "events"}),
    (_give_a_fragment_away, {"misplaced", "unlisted"}, {ADA, BOB}, {"fragments", "events"}),
    (_lose_an_identity, {"disowned"}, {ADA}, set()),
    (_mislead_an_identity, {"disowned"}, {ADA}, set()),
    (_lose_an_account, {"unowned", "unlisted"}, {ACME}, set()),
]


@pytest.mark.parametrize(
    ("damage", "found", "whose", "fields"), DAMAGES, ids=lambda each: getattr(each, "__name__", "").strip("_")
)
def test_a_damage_is_found_in_exactly_its_profiles_and_mended(
    damage: Callable[[Shop], None], found: set[str], whose: set[str], fields: set[str]
) -> None:
    shop = Shop()
    before, ids = shop.documents(), {name: shop.head(name).profile_id for name in (ADA, BOB, ACME)}
    damage(shop)
    broken = shop.documents()

    looked = shop.reconcile(repair=False)
    assert shop.documents() == broken, "who only looks writes nothing"
    mended = shop.reconcile(repair=True)
    again = shop.reconcile(repair=True)

    assert {kind for kind, _ in mended.found} <= found
    assert {kind for kind, _ in looked.found} & found
    assert {outcome for _, outcome in looked.found} == {"found"}
    assert {outcome for _, outcome in mended.found} == {"repaired"}
    assert {each.profile_id for each in mended.drifts} == {ids[name] for name in whose}
    assert fields <= {name for each in mended.drifts for name in each.fields}
    assert shop.documents() == before
    assert not again.found
    assert again.is_clean


def test_one_profile_can_be_looked_at_alone() -> None:
    shop = Shop()
    before = shop.documents()
    _delete_a_fragment(shop)
    _lose_an_account(shop)

    assert not shop.reconcile(repair=True, only=BOB).found
    report = shop.reconcile(repair=True, only=ADA)

    assert kinds(report) == {("missing", "repaired"): 1}
    ada = shop.head(ADA).profile_id
    assert shop.documents()[ada] == before[ada]


def test_a_repeat_beyond_the_ring_was_counted_twice_and_is_no_more() -> None:
    """F12: the ring of recent messages is finite, the history is not."""
    events = [event("user_id:ada", at=NOON_MS + number) for number in range(RECENT_MAX + 10)]
    shop = Shop([record(number, each) for number, each in enumerate([*events, events[0], events[-1]], 5)], size=10)
    assert shop.fragment("", "user_id:ada").fragment.facts.counts["track:Product Viewed"].times == RECENT_MAX + 11

    report = shop.reconcile(repair=True)

    assert kinds(report) == {("facts", "repaired"): 1}
    assert report.drifts[0].fields == ("events",)
    mended = shop.fragment("", "user_id:ada")
    assert mended.fragment.facts.counts["track:Product Viewed"].times == RECENT_MAX + 10
    assert mended.fragment.repeats == 2
    assert mended.fragment.known == {key_of("user_id:ada"): True}
    assert not shop.reconcile(repair=True).found
    shop.world.stitch(shop.records[-3:])
    assert shop.fragment("", "user_id:ada") == mended, "redelivery after a repair changes nothing"


def test_what_the_archive_has_not_reached_is_left_alone() -> None:
    shop = Shop()
    before = shop.world.fragments.items.copy()
    del shop.archived[1:]

    report = shop.reconcile(repair=True)

    assert not kinds(report)
    assert report.waiting["lake_behind"] == 5
    assert shop.world.fragments.items == before


def test_what_may_still_be_under_way_to_the_table_is_left_alone() -> None:
    shop = Shop()
    _delete_a_fragment(shop)
    _lose_an_account(shop)

    report = shop.reconcile(repair=True, settled_before=NOON_MS)

    assert not kinds(report)
    assert report.waiting["in_flight"] == 2


def test_a_fragment_with_more_events_than_were_archived_is_not_cut_down_to_them() -> None:
    """The archive gave up a batch that stitch has folded: the table knows more."""
    events = [event("user_id:ada") for _ in range(4)]
    shop = Shop([record(number, each) for number, each in enumerate(events, 5)])
    del shop.archived[1]

    report = shop.reconcile(repair=True)

    assert report.found == {("lake_incomplete", "reported"): 1}
    assert shop.fragment("", "user_id:ada").fragment.facts.counts["track:Product Viewed"].times == 4


def test_a_fragment_of_which_nothing_was_archived_and_a_link_without_its_event_are_reported() -> None:
    shop = Shop()
    shop.archived = [each for each in shop.archived if key_of("user_id:bob") not in str(each.event.identifiers)]
    late = event("user_id:eve", at=NOON_MS * 2, received_at=NOON_MS * 2)
    shop.archived += archived_events([record(99, late)])

    report = shop.reconcile(repair=True, settled_before=NOON_MS * 2 - 1)

    assert report.found == {("extra", "reported"): 3, ("evidence", "reported"): 1}


def test_a_fragment_that_another_writer_has_changed_meanwhile_is_left_for_the_next_time() -> None:
    shop = Shop()
    _lose_a_write(shop)
    run = shop.run(repair=True)
    write = shop.world.fragments.write

    def overtaken(fragments: Sequence[StoredFragment]) -> Any:
        shop.world.fragments.write = write  # type: ignore[method-assign]
        write([msgspec.structs.replace(each, fragment=fragment.NEW_FRAGMENT) for each in fragments])
        return write(fragments)

    shop.world.fragments.write = overtaken  # type: ignore[method-assign]
    reconcile(run, MemoryGraph(), [])

    assert kinds(run.report) == {("facts", "skipped"): 1}
    assert not run.report.is_clean
    assert kinds(shop.reconcile(repair=True)) == {("facts", "repaired"): 1}


def test_an_older_folds_fragments_are_brought_up_from_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new computed trait is backfilled: the version of the fold is raised, and reconcile rebuilds what is older."""
    shop = Shop()
    before = shop.documents()
    for module in (fragment, drift):
        monkeypatch.setattr(module, "FOLD_VERSION", 2)
    monkeypatch.setattr(
        "onefold.use_cases.rebuild.NEW_FRAGMENT", msgspec.structs.replace(fragment.NEW_FRAGMENT, fold_version=2)
    )

    report = shop.reconcile(repair=True)

    assert kinds(report) == {("outdated", "repaired"): len(shop.world.fragments.items)}
    assert {each.fragment.fold_version for each in shop.world.fragments.all().values()} == {2}
    assert shop.documents() == before
    assert not shop.reconcile(repair=True).found


def test_a_fragment_that_a_newer_version_wrote_is_not_touched() -> None:
    shop = Shop()
    stored = shop.fragment("anonymous_id:a1", "user_id:ada")
    shop.put(msgspec.structs.replace(stored, fragment=msgspec.structs.replace(stored.fragment, fold_version=9)))

    assert shop.reconcile(repair=True).found == {("newer", "reported"): 1}


def test_events_folded_into_an_old_fragment_leave_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    old = msgspec.structs.replace(fragment.NEW_FRAGMENT, fold_version=1)
    monkeypatch.setattr(fragment, "FOLD_VERSION", 2)

    assert fragment.fold_events(old, [event("user_id:u1")]).fold_version == 1
    before_there_were_versions = pack([[], {}, b"", 0])
    assert unpack(before_there_were_versions, fragment.Fragment).fold_version == 1


def test_an_audience_reaches_profiles_that_have_no_new_event() -> None:
    shop = Shop()
    buyers = CurrentAudience(compile_audience("buyers", "(SELECT count(*) FROM orders) >= 1"), 1)
    graph, fragments = shop.world.graph, shop.world.fragments

    counts = [evaluate_all(graph.stored_heads.values(), [buyers], graph, fragments, now_ms=LATER) for _ in range(2)]

    assert counts[0] == {"profiles": 3, "entered": 1, "exited": 0}
    assert counts[1] == {"profiles": 3}
    assert [head.profile_id for head in graph.live_heads() if head.memberships] == [shop.head(ADA).profile_id]


def test_an_evaluation_that_others_overtake_is_done_again_and_at_last_given_up() -> None:
    shop = Shop()
    everyone = CurrentAudience(compile_audience("everyone", "1 = 1"), 1)
    graph, calls = shop.world.graph, []

    class Contested(MemoryGraph):
        def write(self, head: Head) -> None:
            calls.append(head)
            if len(calls) % 7:
                raise VersionConflict("somebody else wrote first")
            graph.write(head)

    contested = Contested()
    contested.identities, contested.stored_heads = graph.identities, graph.stored_heads

    with pytest.raises(VersionConflict):
        evaluate_all(graph.live_heads(), [everyone], contested, shop.world.fragments, now_ms=LATER)

    assert len(calls) == 5


@pytest.mark.parametrize("seed", range(100))
def test_whatever_fragments_are_lost_the_profiles_come_back(seed: int) -> None:
    random = Random(f"losses {seed}")
    history = random_history(random, with_repeats=True)
    shop = Shop([StreamRecord(str(n), batch) for n, batch in enumerate(history.records, 5)], history.rules)
    before, items = shop.documents(), shop.world.fragments.items
    lost = {key for key in sorted(items) if random.random() < 0.5}
    for key in lost:
        del items[key]

    mended, again = shop.reconcile(repair=True), shop.reconcile(repair=True)

    assert kinds(mended) == ({("missing", "repaired"): len(lost)} if lost else {})
    assert not kinds(again)
    assert shop.documents() == before
