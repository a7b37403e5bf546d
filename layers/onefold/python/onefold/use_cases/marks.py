"""Marks: who does something once, when two try at the same time and either may die in between."""

from typing import Final, Protocol, TypeAlias

import msgspec

from onefold.domain.errors import VersionConflict
from onefold.domain.quarantine import Mark, MarkState

# Whoever began and has not ended after this long is dead: twice what the function that does it may take.
BEGUN_MS_MAX: Final = 60_000

Tag: TypeAlias = str  # tells one state of a stored mark from the next; empty for one that is not there


class Marks(Protocol):
    """Small documents, each written only by who has seen its last state."""

    def load(self, name: str) -> tuple[Mark, Tag] | None:
        """The mark and its tag; None where there is none.

        Raises:
            Unavailable: The store does not answer.
        """

    def store(self, name: str, mark: Mark, *, after: Tag) -> Tag:
        """Write it if the stored one's tag is still `after`; returns the new tag.

        Raises:
            VersionConflict: Somebody else wrote first.
            Unavailable: The store does not answer, and may have written or not.
        """


class Claim(msgspec.Struct, frozen=True):
    """The right to do it, held by whoever has the tag."""

    name: str
    mark: Mark
    tag: Tag


def claim(marks: Marks, name: str, *, at: int, request_id: str, force: bool) -> Claim | Mark:
    """Take the right to do something that is to be done once.

    Args:
        marks: Where they are.
        name: Of what is to be done.
        at: Now, epoch milliseconds.
        request_id: Whose claim it is.
        force: Do it again though it is done.

    Returns:
        The claim; or the mark of who has done it or is about to.

    Raises:
        Unavailable: The store does not answer.
    """
    found = marks.load(name)
    mark, tag = found or (Mark("released", at), "")
    if mark.state == "done" and not force:
        return mark
    if mark.state == "begun" and at - mark.at < BEGUN_MS_MAX:
        return mark
    begun = Mark("begun", at, mark.times, request_id)
    try:
        return Claim(name, begun, marks.store(name, begun, after=tag))
    except VersionConflict:
        return begun  # somebody else began at this moment


def settle(marks: Marks, held: Claim, state: MarkState) -> None:
    """Say how it ended. Whoever outlived the claim, and lost it, says nothing.

    Raises:
        Unavailable: The store does not answer; the claim lapses after `BEGUN_MS_MAX`.
    """
    mark = msgspec.structs.replace(held.mark, state=state, times=held.mark.times + (state == "done"))
    try:
        marks.store(held.name, mark, after=held.tag)
    except VersionConflict:
        return
