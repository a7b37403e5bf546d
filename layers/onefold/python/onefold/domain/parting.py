"""Parting: what a profile becomes when links are retracted, each side what it would have been without them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from onefold.domain.event import FragmentKey
from onefold.domain.evidence import components, learnt
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
from onefold.domain.identity_rules import DEFAULT_RULES, IdentityRules

SHARED: Final = "shared_device"
Pair = tuple[str, str]


class Ruling(msgspec.Struct, frozen=True):
    """By whose word links are retracted: the id of a decision and its time (epoch ms)."""

    decision_id: str
    at: int


def split(head: Head, left: str, right: str, ruling: Ruling, rules: IdentityRules = DEFAULT_RULES) -> list[Head]:
    """Part two identifiers for good.

    The profile's evidence is gone through again in the order in which it came, as if the two had been known to be
    different persons from the beginning: what would bring them together is retracted, the rest holds.

    Returns:
        The profiles that come of it; see `part`.
    """
    pairs = [(left, right), *((each.left, each.right) for each in head.parted)]
    held, refused = _replay(head, head.links, pairs, rules)
    return part(head, held, refused, [(left, right)], ruling)


def detach(head: Head, key: str, ruling: Ruling, rules: IdentityRules = DEFAULT_RULES) -> list[Head]:
    """Pull one identifier out: all links to it are retracted, and it stays apart from those that it was linked to."""
    refused = [link for link in head.links if key in (link.left, link.right)]
    held, over = _replay(head, [link for link in head.links if key not in (link.left, link.right)], (), rules)
    others = dict.fromkeys(link.right if link.left == key else link.left for link in refused)
    return part(head, held, [*refused, *over], [(key, other) for other in others], ruling)


def retract(
    head: Head, messages: Collection[tuple[str, str]], ruling: Ruling, rules: IdentityRules = DEFAULT_RULES
) -> list[Head]:
    """Take back all that some messages (source, message id) said; what other evidence holds together stays."""
    refused = [link for link in head.links if (link.source, link.message_id) in messages]
    kept = [link for link in head.links if (link.source, link.message_id) not in messages]
    held, over = _replay(head, kept, (), rules)
    return part(head, held, [*refused, *over], [link.pair for link in refused], ruling)


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
    parts = [_component(head, group, held, retracted, (*head.parted, *apart), ruling=ruling) for group in groups]
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


def renamed(head: Head, is_taken: Callable[[str], bool], ruling: Ruling) -> Head:
    """Give a part another id where the one that it would get is somebody else's by now."""
    if not is_taken(head.profile_id):
        return head
    founding = head.foundings[head.profile_id]
    profile_id = _other_id(founding.key, ruling)
    foundings = {profile_id if each == head.profile_id else each: value for each, value in head.foundings.items()}
    return msgspec.structs.replace(head, profile_id=profile_id, foundings=foundings)


def _other_id(key: str, ruling: Ruling) -> str:
    return profile_id_for(f"{key}\0{ruling.decision_id}")


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


def _replay(
    head: Head, links: Sequence[Link], pairs: Sequence[Pair], rules: IdentityRules
) -> tuple[list[Link], list[Link]]:
    """Go through evidence in the order in which it was learnt.

    Returns:
        The links that hold, and those that do not, both in the order of `links`: refused is what would bring two of a
        pair together, or, unless it is explicit, more values of a type than its limit. The latter may have been noted
        while something explicit held them together anyway.
    """
    groups = {key: _Group({key}, Counter([each.identifier.type])) for key, each in head.identifiers.items()}
    refused: set[int] = set()
    for number in sorted(range(len(links)), key=lambda number: learnt(links[number])):
        link = links[number]
        left, right = groups.get(link.left), groups.get(link.right)
        if left is None or right is None or left is right:
            continue
        if left.is_apart_from(right, pairs) or (link.why not in EXPLICIT and left.is_too_much_with(right, rules)):
            refused.add(number)
            continue
        left.keys |= right.keys
        left.types += right.types
        groups.update(dict.fromkeys(right.keys, left))
    return (
        [link for number, link in enumerate(links) if number not in refused],
        [link for number, link in enumerate(links) if number in refused],
    )


@dataclass(eq=False, slots=True)
class _Group:
    """Identifiers that hang together so far, and how many there are of each type."""

    keys: set[str]
    types: Counter[str]

    def is_apart_from(self, other: "_Group", pairs: Sequence[Pair]) -> bool:
        return any(
            (one in self.keys and another in other.keys) or (another in self.keys and one in other.keys)
            for one, another in pairs
        )

    def is_too_much_with(self, other: "_Group", rules: IdentityRules) -> bool:
        together = self.types + other.types
        kinds = map(rules.type_of, other.types)
        return any(together[kind.name] > kind.limit for kind in kinds if not kind.limit_days)


def _component(
    head: Head,
    group: Collection[str],
    held: Iterable[Link],
    retracted: Iterable[Retracted],
    parted: Iterable[Parted],
    *,
    ruling: Ruling,
) -> Head:
    keys = frozenset(group)
    foundings = {profile_id: each for profile_id, each in head.foundings.items() if each.key in keys}
    links = tuple(link for link in held if link.left in keys)
    if not foundings:
        first = min((head.identifiers[key] for key in keys), key=lambda each: (each.at, each.identifier.strength))
        key = first.identifier.key
        received_at = min((link.received_at for link in head.links if key in (link.left, link.right)), default=first.at)
        # An id whose founder was a device that has left goes on with the rest of its profile.
        is_taken = profile_id_for(key) in head.foundings
        profile_id = _other_id(key, ruling) if is_taken else profile_id_for(key)
        foundings = {profile_id: Founding(key, first.at, received_at)}
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
