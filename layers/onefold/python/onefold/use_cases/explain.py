"""Explain: why two identifiers are together or apart, and what was known of a person at a time."""

from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from onefold.domain.errors import ProfileNotFound, VersionConflict
from onefold.domain.evidence import path, snapshot
from onefold.domain.head import Attached, Head, Link, Parted, Retracted
from onefold.domain.identity import GraphIncomplete, IdentityGraph
from onefold.domain.identity_rules import IdentityRules
from onefold.use_cases.linking import LINK_ATTEMPTS_MAX, GraphStore, live_head, read_graph

ROUNDS_MAX: Final = 10  # of reading: each follows links to profiles that the one before did not know
HEADS_MAX: Final = 100
LINKS_SHOWN_MAX: Final = 1_500


class Surroundings(msgspec.Struct, frozen=True):
    """The live profiles around some identifiers.

    Attributes:
        heads: Profile id → head. owners: Identifier key → profile id, for all identifiers of these heads.
        is_complete: False where a bound was reached, and more could be read.
    """

    heads: dict[str, Head]
    owners: dict[str, str]
    is_complete: bool

    def attached(self, key: str) -> Attached | None:
        owner = self.owners.get(key)
        return None if owner is None else self.heads[owner].identifiers[key]


def explain(store: GraphStore, left: str, right: str, rules: IdentityRules, *, now_ms: int) -> dict[str, Any]:
    """Say why two identifiers are together, or why they are not.

    Returns:
        `verdict`: `together`, `parted` (by a decision), `was_linked` (by links that were taken back) or `never_linked`.
        `path`: the chain of links from left to right, with those that were taken back where the two are apart.
        `parted`: the decisions that keep them apart. `obstacle`: the rule that would keep new evidence from joining
        them, or null. `is_complete`: whether all that is remembered was read.

    Raises:
        ProfileNotFound: An identifier is nobody's.
        VersionConflict, Unavailable: The graph could not be read in one piece.
    """
    around = _read_around(store, (left, right), _linked_once)
    mine, other = (_owner(around, key, side) for key, side in ((left, "left"), (right, "right")))
    parted = [] if mine is other else _parted(mine, other)
    heads = [mine] if mine is other else list(around.heads.values())
    held = {link: None for head in heads for link in head.links}
    gone = {} if mine is other else {each.link: each for head in heads for each in head.retracted}
    chain = path([*held, *(link for link in gone if link not in held)], left, right) or ()
    verdict = "parted" if parted else "was_linked" if chain else "never_linked"
    return {
        "verdict": "together" if mine is other else verdict,
        "left": _side(around, left),
        "right": _side(around, right),
        "path": [link_document(around, link, gone.get(link) if link not in held else None) for link in chain],
        "parted": [_parted_document(around, each) for each in parted],
        "obstacle": None if mine is other else _obstacle(around, left, right, rules, now_ms),
        "is_complete": around.is_complete,
    }


def graph_as_of(store: GraphStore, key: str, at: int) -> dict[str, Any]:
    """The identifiers of a profile and the links between them as they were at a time (epoch ms).

    Raises:
        ProfileNotFound: The identifier is nobody's, or nobody's as yet at that time.
        VersionConflict, Unavailable: The graph could not be read in one piece.
    """
    around = _read_around(store, (key,), lambda heads: snapshot(heads, key, at).missing)
    owner = _owner(around, key, "identifier")
    seen = snapshot(list(around.heads.values()), key, at)
    if not seen.identifiers:
        raise ProfileNotFound("profile_unknown_then", "No profile had this identifier at that time")
    return {
        "as_of": at,
        "profile_id": seen.profile_id,
        "profile_id_now": owner.profile_id,
        "identifiers": [_identifier_document(around, each) for each in seen.identifiers],
        "links": [link_document(around, each) for each in seen.links[-LINKS_SHOWN_MAX:]],
        "links_left_out": max(0, len(seen.links) - LINKS_SHOWN_MAX),
        "is_complete": around.is_complete,
    }


def _read_around(
    store: GraphStore, keys: Collection[str], missing_of: Callable[[Collection[Head]], Collection[str]]
) -> Surroundings:
    """Read the profiles of some identifiers, then of those that are missing, round by round."""
    for _ in range(LINK_ATTEMPTS_MAX):
        around = _read_rounds(store, keys, missing_of)
        if around is not None:
            return around
    raise VersionConflict("Other writers kept changing the same profiles; ask again")


def _read_rounds(
    store: GraphStore, keys: Collection[str], missing_of: Callable[[Collection[Head]], Collection[str]]
) -> Surroundings | None:
    """As `_read_around`; None where somebody wrote between two reads."""
    heads: dict[str, Head] = {}
    owners: dict[str, str] = {}
    asked: set[str] = set()
    wanted = set(keys)
    for _ in range(ROUNDS_MAX):
        read, found = read_graph(store, wanted)
        asked |= wanted
        for key, profile_id in found.items():
            head = live_head(read, profile_id)
            if head is None or key not in head.identifiers:
                return None
            heads[head.profile_id] = head
            owners |= dict.fromkeys(head.identifiers, head.profile_id)
        wanted = set(missing_of(list(heads.values()))) - asked - owners.keys()
        if not wanted or len(heads) > HEADS_MAX:
            break
    return Surroundings(heads, owners, not wanted)


def _linked_once(heads: Collection[Head]) -> set[str]:
    """The identifiers that retracted links name."""
    return {key for head in heads for each in head.retracted for key in each.link.pair}


def _owner(around: Surroundings, key: str, side: str) -> Head:
    if key not in around.owners:
        raise ProfileNotFound("profile_not_found", "No profile has this identifier", pointer=f"?{side}")
    return around.heads[around.owners[key]]


def _parted(mine: Head, other: Head) -> list[Parted]:
    """The decisions that keep two profiles apart, each pair once."""
    pairs = {each: None for head in (mine, other) for each in head.parted}
    return [
        each
        for each in pairs
        if any(
            one.identifiers.keys() & {each.left} and two.identifiers.keys() & {each.right}
            for one, two in ((mine, other), (other, mine))
        )
    ]


def _obstacle(around: Surroundings, left: str, right: str, rules: IdentityRules, now_ms: int) -> str | None:
    """The rule that an event which named both would meet."""
    graph = IdentityGraph(around.heads, around.owners, rules)
    try:
        joined = graph.join(Link(left, right, now_ms, "", "", "event", now_ms))
    except GraphIncomplete:
        return None
    return joined if isinstance(joined, str) else None


def _side(around: Surroundings, key: str) -> dict[str, Any]:
    return _identifier_document(around, key) | {"profile_id": around.owners[key]}


def _identifier_document(around: Surroundings, key: str) -> dict[str, Any]:
    """An identifier with its value as far as a head that was read knows it."""
    attached = around.attached(key)
    document: dict[str, Any] = {"type": key.partition(":")[0], "key": key}
    if attached is not None:
        document |= {"value": attached.identifier.value, "first_seen_at": attached.at}
    return document


def link_document(around: Surroundings, link: Link, gone: Retracted | None = None) -> dict[str, Any]:
    """A link with its event; of one that was taken back also when and by whose word. Times in epoch ms."""
    document: dict[str, Any] = {
        "left": _identifier_document(around, link.left),
        "right": _identifier_document(around, link.right),
        "source": link.source,
        "message_id": link.message_id,
        "at": link.at,
        "received_at": link.received_at,
        "why": link.why,
        "probability": link.probability,
    }
    return document if gone is None else document | {"retracted": {"at": gone.at, "by": gone.why}}


def _parted_document(around: Surroundings, parted: Parted) -> dict[str, Any]:
    return {
        "left": _identifier_document(around, parted.left),
        "right": _identifier_document(around, parted.right),
        "at": parted.at,
        "decision_id": parted.decision,
    }
