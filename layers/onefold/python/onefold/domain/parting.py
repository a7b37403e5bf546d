"""Parting: what a profile becomes when links are retracted, each side what it would have been without them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import msgspec

from onefold.domain.event import FragmentKey
from onefold.domain.evidence import components, learnt, root_of
from onefold.domain.head import (
    EXPLICIT,
    PARTED_MAX,
    RETRACTED_MAX,
    Founding,
    Head,
    Link,
    Parted,
    Retracted,
    profile_id_for,
)
from onefold.domain.identifier import Identifier

SHARED: Final = "shared_device"
Pair = tuple[str, str]


class Ruling(msgspec.Struct, frozen=True):
    """By whose word links are retracted: the id of a decision and its time (epoch ms)."""

    decision_id: str
    at: int


def split(head: Head, left: str, right: str, ruling: Ruling) -> list[Head]:
    """Part two identifiers for good.

    The profile's evidence is gone through again in the order in which it came, as if the two had been known to be
    different persons from the beginning: what would bring them together is retracted, the rest holds.

    Returns:
        The profiles that come of it; see `part`.
    """
    pairs = [(left, right), *((each.left, each.right) for each in head.parted)]
    held, refused = _replay(head, pairs)
    return part(head, held, refused, [(left, right)], ruling)


def detach(head: Head, key: str, ruling: Ruling) -> list[Head]:
    """Pull one identifier out: all links to it are retracted, and it stays apart from those that it was linked to."""
    refused = [link for link in head.links if key in (link.left, link.right)]
    held = [link for link in head.links if key not in (link.left, link.right)]
    others = dict.fromkeys(link.right if link.left == key else link.left for link in refused)
    return part(head, held, refused, [(key, other) for other in others], ruling)


def retract(head: Head, messages: Collection[tuple[str, str]], ruling: Ruling) -> list[Head]:
    """Take back all that some messages (source, message id) said; what other evidence holds together stays."""
    refused = [link for link in head.links if (link.source, link.message_id) in messages]
    held = [link for link in head.links if (link.source, link.message_id) not in messages]
    return part(head, held, refused, [link.pair for link in refused], ruling)


def part(
    head: Head, held: Iterable[Link], refused: Iterable[Link], pairs: Iterable[Pair], ruling: Ruling
) -> list[Head]:
    """Distribute a profile by the links that still hold.

    Args:
        head: As it was read.
        held: Its links that stay.
        refused: Those that are retracted.
        pairs: Identifiers not to be joined again, as far as they end up in different profiles. Either may belong to
            somebody else already.
        ruling: See there.

    Returns:
        One head for each component, the one that keeps the id first; a single one where nothing has parted. Each other
        one has the id of the oldest profile that its identifiers founded, version 0, and says where it comes from.
    """
    held = list(held)
    groups = components(head.identifiers, held)
    place = {key: number for number, group in enumerate(groups) for key in group}
    apart = tuple(
        Parted(left, right, ruling.at, ruling.decision_id)
        for left, right in dict.fromkeys(pairs)
        if place.get(left, -1) != place.get(right, -2)
    )
    retracted = (*head.retracted, *(Retracted(link, ruling.at, ruling.decision_id) for link in refused))
    parts = [_component(head, group, held, retracted, (*head.parted, *apart)) for group in groups]
    stays = next((each for each in parts if head.profile_id in each.foundings), parts[0])
    whole = msgspec.structs.replace(
        stays,
        profile_id=head.profile_id,
        founded_at=head.founded_at,
        memberships=head.memberships,
        split_from=head.split_from,
        version=head.version,
    )
    return [whole, *(each for each in parts if each is not stays)]


def renamed(head: Head, is_taken: Callable[[str], bool], decision_id: str) -> Head:
    """Give a part another id where the one that it would get is somebody else's by now."""
    if not is_taken(head.profile_id):
        return head
    founding = head.foundings[head.profile_id]
    profile_id = profile_id_for(f"{founding.key}\0{decision_id}")
    foundings = {profile_id if each == head.profile_id else each: value for each, value in head.foundings.items()}
    return msgspec.structs.replace(head, profile_id=profile_id, foundings=foundings)


def without_device(owner: Head, device: Identifier, fragments: Collection[str], at: int) -> Head:
    """A profile without a device that is not its own any more; the rest still hangs together.

    What was known through the device alone is linked to the strongest identifier, on the same evidence.
    """
    rest = {key: kept for key, kept in owner.identifiers.items() if key != device.key}
    anchor = min(rest.values(), key=lambda each: each.identifier.strength).identifier.key
    gone = [link for link in owner.links if device.key in (link.left, link.right)]
    gone.sort(key=lambda link: link.why not in EXPLICIT)  # what may exceed a limit must go on saying so
    links = [link for link in owner.links if device.key not in (link.left, link.right)]
    ends = [(link, link.right if link.left == device.key else link.left) for link in gone]
    for group in components(rest, links):
        if anchor not in group:
            links += [msgspec.structs.replace(link, left=anchor, right=end) for link, end in ends if end in group][:1]
    foundings = {
        profile_id: msgspec.structs.replace(each, key=anchor) if each.key == device.key else each
        for profile_id, each in owner.foundings.items()
    }
    return msgspec.structs.replace(
        owner,
        identifiers=rest,
        links=tuple(links),
        fragments=tuple(key for key in owner.fragments if key not in fragments),
        foundings=foundings,
        retracted=(*owner.retracted, *(Retracted(link, at, SHARED) for link in gone))[-RETRACTED_MAX:],
    )


def _replay(head: Head, pairs: Sequence[Pair]) -> tuple[list[Link], list[Link]]:
    """The links that hold when no two of a pair may come together, and those that do not, both in the head's order."""
    roots = {key: key for key in head.identifiers}
    refused: set[int] = set()
    in_order = sorted(range(len(head.links)), key=lambda number: learnt(head.links[number]))
    for number in in_order:
        link = head.links[number]
        if link.left not in roots or link.right not in roots:
            continue
        before = root_of(roots, link.left)
        roots[before] = root_of(roots, link.right)
        if any(root_of(roots, one) == root_of(roots, other) for one, other in pairs if one in roots and other in roots):
            refused.add(number)
            roots = _roots_without(head, in_order, number, refused)
    held = [link for number, link in enumerate(head.links) if number not in refused]
    return held, [link for number, link in enumerate(head.links) if number in refused]


def _roots_without(head: Head, in_order: Sequence[int], last: int, refused: Collection[int]) -> dict[str, str]:
    """The sets that the links up to `last` make, those refused left out. Only a refusal pays for it."""
    roots = {key: key for key in head.identifiers}
    for number in in_order:
        link = head.links[number]
        if number not in refused and link.left in roots and link.right in roots:
            roots[root_of(roots, link.left)] = root_of(roots, link.right)
        if number == last:
            break
    return roots


def _component(
    head: Head, group: Collection[str], held: Iterable[Link], retracted: Iterable[Retracted], parted: Iterable[Parted]
) -> Head:
    keys = frozenset(group)
    foundings = {profile_id: each for profile_id, each in head.foundings.items() if each.key in keys}
    links = tuple(link for link in held if link.left in keys)
    if not foundings:
        first = min((head.identifiers[key] for key in keys), key=lambda each: (each.at, each.identifier.strength))
        key = first.identifier.key
        received_at = min((link.received_at for link in head.links if key in (link.left, link.right)), default=first.at)
        foundings = {profile_id_for(key): Founding(key, first.at, received_at)}
    profile_id = min(foundings, key=lambda each: (foundings[each].at, each))
    return Head(
        profile_id,
        foundings[profile_id].at,
        {key: attached for key, attached in head.identifiers.items() if key in keys},
        links,
        tuple(key for key in head.fragments if FragmentKey.parse(key).base in keys),
        kind=head.kind,
        foundings=foundings,
        retracted=tuple(each for each in retracted if each.link.left in keys or each.link.right in keys)[
            -RETRACTED_MAX:
        ],
        parted=tuple(each for each in parted if each.left in keys or each.right in keys)[-PARTED_MAX:],
        split_from=head.profile_id,
    )
