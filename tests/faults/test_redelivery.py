"""Every place at which stitch can be stopped, one after the other: what is delivered again counts once."""

import sys
from collections.abc import Iterator
from functools import cache
from random import Random

import pytest

from onefold.domain import fragment
from onefold.domain.event import Event
from onefold.use_cases.stitch import StreamRecord
from tests.fakes.events import NOON_MS, event, record
from tests.fakes.faults import FAULTS, Fault, World, check

SEEDS = range(25)


@pytest.fixture(autouse=True, params=["cursor and ring", "cursor alone"])
def _guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The ring of recent messages would hide a mistake of the cursor, so everything is also done without it."""
    if request.param == "cursor alone":
        monkeypatch.setattr(fragment, "_has", lambda _recent, _mark: False)
        monkeypatch.setattr(sys.modules[__name__], "REPEATS", ())
    story.cache_clear()
    calls.cache_clear()
    yield
    story.cache_clear()
    calls.cache_clear()


REPEATS: tuple[str, ...] = ("ann", "browsed")
TABLET = "device_id:tablet"


@cache
def story() -> tuple[tuple[Event, ...], ...]:
    """People browse and sign up, a tablet turns out to be shared, profiles merge, messages come twice."""
    browsed, ann, ben = event(TABLET), event(TABLET, "user_id:ann"), event(TABLET, "user_id:ben", "email:ben@b.co")
    repeats = {"ann": ann, "browsed": browsed}
    again = [repeats[name] for name in REPEATS]
    mail, phone = event("email:cem@b.co", at=NOON_MS), event("phone:+49301112", at=NOON_MS - 1)
    return (
        (browsed, ann),
        (mail,),
        (phone, event("anonymous_id:x")),
        (ben, *again[:1]),
        (event("email:cem@b.co", "phone:+49301112", "anonymous_id:x"), event(TABLET)),
        (event("user_id:ann", TABLET), *again[1:]),
    )


def records() -> list[StreamRecord]:
    return [record(number, *events) for number, events in enumerate(story(), start=1)]


def events() -> list[Event]:
    return [each for batch in story() for each in batch]


BATCH = 3


@cache
def calls() -> int:
    world = World()
    world.deliver(records(), size=BATCH)
    check(world, events())
    return world.calls


@pytest.mark.parametrize("fault", FAULTS)
def test_f10_a_failure_at_any_call_is_repaired_by_the_next_delivery(fault: Fault) -> None:
    """A function is stopped at each of its calls, before or after the call's effect: a time-out, a crash."""
    for number in range(calls()):
        world = World(faults={number: fault})

        world.deliver(records(), size=BATCH)

        assert not world.faults, f"call {number} was never made"
        check(world, events())


@pytest.mark.parametrize("fault", FAULTS)
def test_f10_so_is_a_failure_of_the_repair(fault: Fault) -> None:
    """The retry is stopped as well."""
    for number in range(calls()):
        for later in (1, 3, 7):
            world = World(faults={number: "crash after", number + later: fault})

            world.deliver(records(), size=BATCH)

            check(world, events())


def test_f11_an_invocation_that_outlives_its_retry_changes_nothing() -> None:
    """The zombie is held at each of its calls while the retry does all the work, and then goes on."""
    for number in range(calls()):
        world = World()
        world.interruptions = {number: lambda world=world: world.deliver(records(), size=BATCH)}  # type: ignore[misc]

        world.deliver(records(), size=BATCH)

        assert not world.interruptions
        check(world, events())


def test_f22_two_shards_that_link_the_same_profiles_end_as_one_after_the_other() -> None:
    """Between any two calls of one shard's batch another shard links the same people."""
    here, there = records()[:2], [record(1, event("anonymous_id:elsewhere", "email:cem@b.co", "user_id:ann"))]
    alone = World()
    alone.deliver(here)
    for number in range(alone.calls):
        world = World()
        world.interruptions = {number: lambda world=world: world.deliver(there)}  # type: ignore[misc]

        world.deliver(here)

        assert not world.interruptions
        check(world, [each for part in (*here, *there) for each in part.batch.events])


@pytest.mark.parametrize("seed", SEEDS)
def test_many_failures_at_once(seed: int) -> None:
    random = Random(seed)
    live = random.sample(FAULTS, random.randint(1, len(FAULTS)))  # which faults this run knows, then how often
    rate = random.choice([0.02, 0.1, 0.3])
    faults = {number: random.choice(live) for number in range(300) if random.random() < rate}
    world = World(faults=faults)

    world.deliver(records(), size=random.randint(1, len(story())), attempts_max=400)

    check(world, events())
