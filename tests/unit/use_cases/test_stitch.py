"""What stitch reports and keeps when a part of a batch fails."""

from tests.fakes.events import event, key_of, record
from tests.fakes.faults import World, check

LAPTOP = "anonymous_id:laptop"


def test_a_fragment_that_needs_no_link_is_folded_though_the_linking_of_its_neighbour_failed() -> None:
    """Only the record that both share comes again; what came before it on the laptop must not be skipped unfolded."""
    browsed, sign_up = [event(LAPTOP) for _ in range(3)], event(LAPTOP, "user_id:ann")
    world = World()
    world.deliver([record(1, browsed[0])])
    batch = [record(2, browsed[1]), record(3, browsed[2], sign_up)]
    world.faults = {world.calls + 1: "unavailable before"}  # the owners of what the sign-up shows

    report = world.stitch(batch)

    assert set(report.failed) == {"3"}
    assert report.counts["folded"] == 2
    assert world.fragments.all()[f"{key_of(LAPTOP)}|"].cursor == "3"
    world.deliver(batch[1:])
    check(world, [*browsed, sign_up])


def test_f11_an_outlived_invocation_with_fewer_records_leaves_the_timeline_whole() -> None:
    """Lambda may cut a batch anew: who was given less, and comes last, must not write over who was given more."""
    events = [event(LAPTOP) for _ in range(3)]
    records = [record(number, each) for number, each in enumerate(events, start=1)]
    for number in range(4):
        world = World()
        world.interruptions = {number: lambda world=world: world.deliver(records)}  # type: ignore[misc]

        world.stitch(records[:1])

        assert not world.interruptions
        check(world, events)
