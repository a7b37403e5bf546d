"""Memberships follow the facts, and of evaluations that overlap the last word is right."""

from collections.abc import Collection

import msgspec
import pytest

from onefold.domain.audience_sql import compile_audience
from onefold.domain.definition import Definition
from onefold.domain.errors import VersionConflict
from onefold.domain.event import Event, FragmentKey, fragment_key
from onefold.domain.fragment import StoredFragment
from onefold.domain.head import Attached, Head, Membership
from onefold.use_cases.evaluate import CurrentAudience, evaluate
from onefold.use_cases.evaluate_inputs import current_audiences, to_evaluate
from onefold.use_cases.linking import live_head
from onefold.use_cases.stitch import stitch
from tests.fakes.events import NOON_MS, event, identifier, key_of, records_of
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryTimeline

PROS = CurrentAudience(compile_audience("pros", "traits.plan = 'pro'"), 3)
BUYERS = CurrentAudience(compile_audience("buyers", "(SELECT count(*) FROM orders) >= 2"), 1)
AUDIENCES = [PROS, BUYERS]


class World:
    def __init__(self) -> None:
        self.fragments, self.graph, self.timeline = MemoryFragments(), MemoryGraph(), MemoryTimeline()
        self._sequence = 1

    def stitch(self, *events: Event) -> list[FragmentKey]:
        report = stitch(records_of(events, start=self._sequence), self.fragments, self.graph, self.timeline)
        assert not report.failed
        self._sequence += 100
        return [key for key in map(fragment_key, events) if key is not None]

    def evaluate(self, *changed: FragmentKey, now_ms: int = NOON_MS) -> dict[str, int]:
        return dict(evaluate(changed, AUDIENCES, self.graph, self.fragments, now_ms=now_ms))

    def head(self, name: str) -> Head:
        head = live_head(self.graph.stored_heads, self.graph.identities[key_of(name)])
        assert head is not None
        return head


def told(plan: str | None, *names: str) -> Event:
    return event(*(names or ("user_id:u1",)), kind="identify", traits={"plan": plan})


def bought(order_id: str, *names: str) -> Event:
    return event(*names, name="Order Completed", properties={"order_id": order_id, "total": 5, "currency": "EUR"})


def test_a_profile_enters_and_leaves_as_its_facts_change() -> None:
    world = World()

    assert world.evaluate(*world.stitch(told("pro"))) == {"profiles": 1, "entered": 1, "exited": 0}
    assert world.head("user_id:u1").memberships == {"pros": Membership(NOON_MS, 3)}
    assert world.evaluate(*world.stitch(told("free"))) == {"profiles": 1, "entered": 0, "exited": 1}
    assert world.head("user_id:u1").memberships == {}


def test_a_membership_that_goes_on_keeps_its_beginning_and_writes_nothing() -> None:
    world = World()
    world.evaluate(*world.stitch(told("pro")))
    version = world.head("user_id:u1").version

    world.evaluate(*world.stitch(told("pro"), bought("o1", "user_id:u1")), now_ms=NOON_MS + 9)

    assert world.head("user_id:u1").version == version


def test_facts_of_all_fragments_count_together() -> None:
    world = World()
    changed = world.stitch(bought("o1", "user_id:u1", "anonymous_id:a1"), bought("o2", "user_id:u1", "anonymous_id:a2"))

    world.evaluate(changed[0])

    assert set(world.head("user_id:u1").memberships) == {"buyers"}


def test_a_shared_device_is_in_no_audience() -> None:
    world = World()
    tablet = "device_id:tablet"
    changed = world.stitch(told("pro", tablet), told("pro", tablet, "user_id:u1"), told("pro", tablet, "user_id:u2"))

    world.evaluate(*changed)

    assert world.head(tablet).is_shared_device
    assert [set(head.memberships) for head in world.graph.live_heads()].count({"pros"}) == 2


def test_fragments_of_nobody_are_passed_over() -> None:
    world = World()

    assert world.evaluate() == {}
    assert world.evaluate(FragmentKey("anonymous_id:gone", "")) == {}


def head(**fields: object) -> Head:
    mail = identifier("email:a@b.co")
    return msgspec.structs.replace(Head("p_1", 1, {mail.key: Attached(mail, 1)}, fragments=("a|",)), **fields)


def test_a_head_is_looked_at_when_its_fragments_or_memberships_changed() -> None:
    key = FragmentKey("", key_of("email:a@b.co"))

    assert to_evaluate(None, head()) == key
    assert to_evaluate(head(), head(fragments=("a|", "b|"))) == key
    assert to_evaluate(head(fragments=("a|", "b|")), head(fragments=())) == key
    assert to_evaluate(head(), head(memberships={"pros": Membership(1, 1)})) == key


def test_a_head_of_which_only_the_rest_changed_is_not() -> None:
    assert to_evaluate(head(), head(version=7, founded_at=2)) is None
    assert to_evaluate(head(fragments=("a|", "b|")), head(fragments=("b|", "a|"))) is None


def test_neither_is_a_redirect_or_what_was_removed() -> None:
    assert to_evaluate(head(), Head("p_1", 1, merged_into="p_2")) is None
    assert to_evaluate(head(), None) is None
    assert to_evaluate(None, Head("p_1", 1)) is None


class _Interrupted(MemoryFragments):
    """Something happens between the reading of fragments and the writing of the head."""

    def __init__(self, inner: MemoryFragments, interrupt: object) -> None:
        self._inner, self._interrupt = inner, interrupt

    def load(self, keys: Collection[str]) -> dict[str, StoredFragment]:
        loaded = self._inner.load(keys)
        self._interrupt()  # type: ignore[operator]
        return loaded


def test_an_evaluation_that_saw_old_facts_and_writes_last_is_put_right_by_its_own_write() -> None:
    """It reads `pro`; meanwhile `free` is stored and evaluated, which finds nothing to write; then it writes `pro`."""
    world = World()
    changed = world.stitch(told("pro"))
    before = world.head("user_id:u1")
    late = _Interrupted(world.fragments, lambda: world.evaluate(*world.stitch(told("free"))))

    evaluate(changed, AUDIENCES, world.graph, late, now_ms=NOON_MS)
    written = world.head("user_id:u1")
    assert set(written.memberships) == {"pros"}, "so far it is wrong"
    again = to_evaluate(before, written)
    assert again is not None
    world.evaluate(again)

    assert world.head("user_id:u1").memberships == {}
    assert to_evaluate(world.head("user_id:u1"), world.head("user_id:u1")) is None


def test_an_evaluation_that_lost_against_another_comes_again() -> None:
    world = World()
    changed = world.stitch(told("pro"))
    late = _Interrupted(world.fragments, lambda: world.evaluate(*changed))

    with pytest.raises(VersionConflict):
        evaluate(changed, AUDIENCES, world.graph, late, now_ms=NOON_MS)


def test_the_audiences_are_those_that_are_defined_now() -> None:
    definitions = [
        Definition("source/web", b"{}", 1),
        Definition("audience/pros", msgspec.json.encode(PROS.audience), 3),
    ]

    assert current_audiences(definitions) == [PROS]


def test_an_audience_that_cannot_be_read_stops_evaluation_and_ends_no_membership() -> None:
    with pytest.raises(msgspec.MsgspecError):
        current_audiences([Definition("audience/pros", b'{"newer": "form"}', 1)])
