"""Evidence: what the links of a profile say, now and at an earlier time."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from onefold.domain.head import Founding, Head, Link, profile_id_for


def components(keys: Iterable[str], links: Iterable[Link]) -> list[list[str]]:
    """Which identifiers hang together; both lists in the order of `keys`. Links of other keys are passed over.

    Cost: next to O(n) for n links.
    """
    roots = {key: key for key in keys}
    for link in links:
        if link.left in roots and link.right in roots:
            roots[root_of(roots, link.left)] = root_of(roots, link.right)
    together: dict[str, list[str]] = {}
    for key in roots:
        together.setdefault(root_of(roots, key), []).append(key)
    return list(together.values())


def root_of(roots: dict[str, str], key: str) -> str:
    """The representative of a key's set, with the path to it made shorter."""
    while roots[key] != key:
        roots[key] = roots[roots[key]]
        key = roots[key]
    return key


def path(links: Iterable[Link], left: str, right: str) -> tuple[Link, ...] | None:
    """The shortest chain of links from one identifier to another; of several that of the earliest evidence.

    Returns:
        The links in their order along the chain, none for an identifier and itself; None where nothing links them.
    """
    neighbours: dict[str, list[tuple[str, Link]]] = {}
    for link in sorted(links, key=learnt):
        neighbours.setdefault(link.left, []).append((link.right, link))
        neighbours.setdefault(link.right, []).append((link.left, link))
    came_by: dict[str, tuple[str, Link] | None] = {left: None}
    waiting = deque([left])
    while waiting and right not in came_by:
        here = waiting.popleft()
        for there, link in neighbours.get(here, []):
            if there not in came_by:
                came_by[there] = (here, link)
                waiting.append(there)
    if right not in came_by:
        return None
    chain: list[Link] = []
    step = came_by[right]
    while step is not None:
        chain.append(step[1])
        step = came_by[step[0]]
    return tuple(reversed(chain))


def learnt(link: Link) -> tuple[int, str, str]:
    """Sort key: the order in which evidence came; the links of one event keep theirs in a stable sort."""
    return (link.received_at, link.source, link.message_id)


class Snapshot(msgspec.Struct, frozen=True):
    """What was known of a person at a time.

    Attributes:
        profile_id: The profile that owned the identifiers then; empty where none of them was known.
        identifiers: Their keys, sorted.
        links: Those that held, in the order in which they were learnt.
        missing: Identifiers of other profiles to be read before the answer is complete.
    """

    profile_id: str
    identifiers: tuple[str, ...]
    links: tuple[Link, ...]
    missing: tuple[str, ...] = ()


def snapshot(heads: Collection[Head], key: str, at: int) -> Snapshot:
    """The profile of an identifier as of a time (epoch ms), from the heads that its identifiers are in today."""
    links = {link: None for head in heads for link in _held_at(head, at)}
    found = _reached(links, key)
    foundings: Mapping[str, Founding] = {
        profile_id: founding
        for head in heads
        for profile_id, founding in head.foundings.items()
        if founding.key in found and founding.received_at <= at
    }
    known = {identifier for head in heads for identifier in head.identifiers}
    missing = tuple(sorted(found - known - {key}))
    held = tuple(sorted((link for link in links if link.left in found and link.right in found), key=learnt))
    if not held and not foundings:
        return Snapshot("", (), (), missing)
    oldest = min(foundings, key=lambda profile_id: (foundings[profile_id].at, profile_id), default="")
    return Snapshot(oldest or profile_id_for(min(found)), tuple(sorted(found)), held, missing)


def _held_at(head: Head, at: int) -> Sequence[Link]:
    current = [link for link in head.links if link.received_at <= at]
    return current + [each.link for each in head.retracted if each.link.received_at <= at < each.at]


def _reached(links: Iterable[Link], start: str) -> set[str]:
    keys = dict.fromkeys([start, *(key for link in links for key in (link.left, link.right))])
    return set(next(each for each in components(keys, links) if start in each))
