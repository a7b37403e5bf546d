"""What evaluate is given: the audiences as they are defined now, and profiles whose fragments changed hands."""

from collections.abc import Iterable
from typing import Final

import msgspec

from onefold.domain.audience import Audience
from onefold.domain.definition import Definition
from onefold.domain.event import FragmentKey
from onefold.domain.head import Head
from onefold.use_cases.evaluate import CurrentAudience

DEFINITION_KIND: Final = "audience"

_audiences = msgspec.json.Decoder(Audience)


def current_audiences(definitions: Iterable[Definition]) -> list[CurrentAudience]:
    """The audiences among the definitions; the body of `audience/<name>` is the compiled audience as JSON.

    One that this version of the code cannot read raises: to leave it out would end every membership in it.

    Raises:
        msgspec.MsgspecError: A body is no compiled audience; apply the definitions again with this version.
    """
    return [
        CurrentAudience(_audiences.decode(definition.body), definition.version)
        for definition in definitions
        if definition.kind == DEFINITION_KIND
    ]


def to_evaluate(old: Head | None, new: Head | None) -> FragmentKey | None:
    """The key by which evaluate finds a head that changed, where that must be evaluated; else None.

    A link moves fragments between profiles without writing one, so the fragments' stream alone would not show it. And
    whoever wrote memberships may have read the fragments before others wrote them, while those others found nothing
    to write: a look at what was written settles it.

    The key is made of one of the head's own identifiers and not of a fragment: evaluate asks who owns it, and a live
    head always owns one, fragments or not. A redirect and a removed head own nothing.
    """
    if new is None or new.merged_into or not new.identifiers:
        return None
    if old is not None and set(old.fragments) == set(new.fragments) and old.memberships == new.memberships:
        return None
    return FragmentKey("", next(iter(new.identifiers)))
