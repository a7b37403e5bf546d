import pytest

from onefold.domain.errors import Unavailable
from onefold.domain.quarantine import Mark
from onefold.use_cases.marks import BEGUN_MS_MAX, Claim, claim, settle
from tests.fakes.quarantine import MemoryMarks


def take(marks: MemoryMarks, at: int, *, force: bool = False) -> Claim | Mark:
    return claim(marks, "x", at=at, request_id=f"r{at}", force=force)


def held(marks: MemoryMarks, at: int, *, force: bool = False) -> Claim:
    found = take(marks, at, force=force)
    assert isinstance(found, Claim)
    return found


def test_a_thing_is_claimed_by_one_and_done_once() -> None:
    marks = MemoryMarks()
    mine = held(marks, 1)

    assert take(marks, 2) == Mark("begun", 1, 0, "r1")
    settle(marks, mine, "done")
    assert take(marks, BEGUN_MS_MAX * 9) == Mark("done", 1, 1, "r1")


def test_what_is_done_is_done_again_by_force_alone_and_counted() -> None:
    marks = MemoryMarks()
    settle(marks, held(marks, 1), "done")

    settle(marks, held(marks, 2, force=True), "done")

    assert marks.marks["x"][0] == Mark("done", 2, 2, "r2")


def test_force_does_not_take_what_somebody_is_doing() -> None:
    marks = MemoryMarks()
    held(marks, 1)

    assert take(marks, 2, force=True) == Mark("begun", 1, 0, "r1")


def test_a_released_claim_can_be_taken_at_once() -> None:
    marks = MemoryMarks()
    settle(marks, held(marks, 1), "released")

    held(marks, 2)


def test_a_claim_lapses_and_who_outlived_it_changes_nothing() -> None:
    marks = MemoryMarks()
    first = held(marks, 1)
    assert isinstance(take(marks, BEGUN_MS_MAX), Mark)
    second = held(marks, 1 + BEGUN_MS_MAX)

    settle(marks, first, "done")
    assert marks.marks["x"][0].state == "begun"
    settle(marks, second, "done")

    assert marks.marks["x"][0] == Mark("done", 1 + BEGUN_MS_MAX, 1, second.mark.request_id)


def test_of_two_who_saw_nothing_one_gets_it() -> None:
    """Both read before either writes."""

    class Slow(MemoryMarks):
        def load(self, name: str) -> tuple[Mark, str] | None:
            return None

    marks = Slow()

    held(marks, 1)
    assert isinstance(take(marks, 2), Mark)


def test_a_lost_answer_is_not_taken_for_a_claim() -> None:
    marks = MemoryMarks()
    marks.broken_after = {1}

    with pytest.raises(Unavailable):
        take(marks, 1)

    assert isinstance(take(marks, 2), Mark)
    held(marks, 1 + BEGUN_MS_MAX)
