"""Activate: tell the bus what a change of a head means: audiences entered and left, profiles merged and split."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, Protocol

import msgspec

from onefold.domain.head import Head

TransitionKind = Literal["Audience Entered", "Audience Exited", "Profile Merged", "Profile Split"]
IDENTIFIERS_MAX: Final = 100  # in one message; the bus takes 256 KB


class Transition(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message on the bus, and the body that destinations get.

    Attributes:
        key: The same for every repeat of the same transition, and for no other one.
        at: Epoch ms.
        version: Of the head's record; of two transitions of one profile the higher is the later.
        status: `entered` or `exited`, for an audience.
        reason: `evaluated`, `merged`, `removed`, `decided` or `shared_device`.
        identifiers: Type → values, the strongest IDENTIFIERS_MAX.
        merged_profile_id: The profile that became a redirect to `profile_id`.
        split_from_profile_id: The profile out of which `profile_id` was taken.
    """

    kind: TransitionKind
    key: str
    profile_id: str
    at: int
    version: int
    reason: str
    audience: str = ""
    status: str = ""
    identifiers: dict[str, list[str]] = {}
    merged_profile_id: str = ""
    split_from_profile_id: str = ""


class HeadChange(msgspec.Struct, frozen=True):
    """One record of the heads' stream: what was stored before and after, and when (epoch ms)."""

    old: Head | None
    new: Head | None
    at: int


class Bus(Protocol):
    def publish(self, transitions: Sequence[Transition]) -> None:
        """Publish all, in any order.

        Raises:
            Unavailable: Not all were taken; those that were will be sent again.
        """


def activate(changes: Iterable[HeadChange], bus: Bus) -> Sequence[Transition]:
    """Publish the transitions that the changes show, at least once; returns them."""
    found = [transition for change in changes for transition in transitions(change)]
    if found:
        bus.publish(found)
    return found


def transitions(change: HeadChange) -> list[Transition]:
    """What one change means. A head that became a redirect leaves its audiences and is merged."""
    old, new = change.old, change.new
    head = new or old
    if head is None:
        return []
    before = old.memberships if old else {}
    after = new.memberships if new else {}
    version = new.version if new else head.version + 1
    identifiers = _identifiers(head if head.identifiers or old is None else old)
    reason = "removed" if new is None else "merged" if new.merged_into else "evaluated"

    def moved(kind: TransitionKind, audience: str, status: str, at: int) -> Transition:
        key = f"{head.profile_id}:{version}:{audience}"
        return Transition(kind, key, head.profile_id, at, version, reason, audience, status, identifiers)

    found = [moved("Audience Exited", name, "exited", change.at) for name in sorted(before.keys() - after.keys())]
    found += [
        moved("Audience Entered", name, "entered", after[name].since) for name in sorted(after.keys() - before.keys())
    ]
    key = f"{head.profile_id}:{version}"
    if new is not None and new.merged_into and not (old is not None and old.merged_into):
        found.append(
            Transition(
                "Profile Merged", key, new.merged_into, change.at, version, reason,
                identifiers=identifiers, merged_profile_id=head.profile_id,
            )
        )  # fmt: skip
    if new is not None and _begins_to_live(old, new) and new.split_from:
        reason = "shared_device" if new.is_shared_device else "decided"
        found.append(
            Transition(
                "Profile Split", key, new.profile_id, change.at, version, reason,
                identifiers=identifiers, split_from_profile_id=new.split_from,
            )
        )  # fmt: skip
    return found


def _begins_to_live(old: Head | None, new: Head) -> bool:
    return not new.merged_into and (old is None or bool(old.merged_into))


def _identifiers(head: Head) -> dict[str, list[str]]:
    strongest = sorted((each.identifier for each in head.identifiers.values()), key=lambda each: each.strength)
    by_type: dict[str, list[str]] = {}
    for identifier in strongest[:IDENTIFIERS_MAX]:
        by_type.setdefault(identifier.type, []).append(identifier.value)
    return by_type
