"""Link: read the part of the identity graph that some events touch, apply the rules, write what changed as one."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from onefold.domain.errors import VersionConflict
from onefold.domain.event import Event, FragmentKey
from onefold.domain.head import Head
from onefold.domain.identity import Attachment, GraphChanges, GraphIncomplete, IdentityGraph
from onefold.domain.identity_rules import DEFAULT_RULES, IdentityRules

LINK_ATTEMPTS_MAX: Final = 8
CANDIDATES_PER_COMMIT: Final = 25
CHANGES_PER_COMMIT: Final = 40  # a transaction takes 100 items; one more event adds at most three an identifier


class GraphStore(Protocol):
    """Where identities and heads are kept. Every read sees all writes that were acknowledged before it."""

    def owners(self, keys: Collection[str]) -> dict[str, str]:
        """Identifier key → profile id, for those that are owned."""

    def heads(self, profile_ids: Collection[str]) -> dict[str, Head]:
        """Profile id → head, for those that exist, redirects included as they are."""

    def commit(self, changes: GraphChanges) -> None:
        """Write all changes or none.

        Raises:
            VersionConflict: Somebody else changed one of them since it was read.
            Unavailable: Throttled or unreachable.
        """


class Candidate(msgspec.Struct, frozen=True):
    """An event that shows an identifier which its fragment has not settled."""

    fragment: FragmentKey
    event: Event


def read_graph(store: GraphStore, keys: Collection[str]) -> tuple[dict[str, Head], dict[str, str]]:
    """Read the owners of identifiers, their heads, and what those redirect to."""
    owners = store.owners(keys)
    return read_heads(store, set(owners.values())), owners


def read_heads(store: GraphStore, profile_ids: Collection[str]) -> dict[str, Head]:
    """Read heads and what they redirect to; a head that is not there is asked for once."""
    heads: dict[str, Head] = {}
    asked: set[str] = set()
    missing = set(profile_ids)
    while missing:
        heads.update(store.heads(missing))
        asked |= missing
        missing = {head.merged_into for head in heads.values() if head.merged_into} - asked
    return heads


def live_head(heads: Mapping[str, Head], profile_id: str) -> Head | None:
    """The head that a profile id stands for after all redirects; None where one of them was not read."""
    head = heads.get(profile_id)
    while head is not None and head.merged_into:
        head = heads.get(head.merged_into)
    return head


def link(store: GraphStore, candidates: Sequence[Candidate], rules: IdentityRules = DEFAULT_RULES) -> list[Attachment]:
    """Attach events to profiles, in their order, as if one by one.

    Returns:
        One attachment a candidate.

    Raises:
        VersionConflict: Others kept writing the same profiles LINK_ATTEMPTS_MAX times in a row.
        Unavailable: The store did not answer.

    Cost: for each CANDIDATES_PER_COMMIT events a batched read of identities, one of heads, and one transaction.
    """
    attachments: list[Attachment] = []
    attempts = 0
    span = CANDIDATES_PER_COMMIT
    while len(attachments) < len(candidates):
        remaining = candidates[len(attachments) : len(attachments) + span]
        try:
            attachments.extend(_link_once(store, remaining, rules))
            attempts, span = 0, CANDIDATES_PER_COMMIT
        except (VersionConflict, GraphIncomplete) as conflict:
            attempts += 1
            if attempts >= LINK_ATTEMPTS_MAX:
                raise VersionConflict(
                    "Other writers kept changing the same profiles; the batch will be retried"
                ) from conflict
            span = max(1, len(remaining) // 2)
    return attachments


def _link_once(store: GraphStore, candidates: Sequence[Candidate], rules: IdentityRules) -> list[Attachment]:
    """Attach as many of the candidates as one transaction takes, at least one."""
    heads, owners = read_graph(store, _keys(candidates))
    graph = IdentityGraph(heads, owners, rules)
    attachments: list[Attachment] = []
    for candidate in candidates:
        attachments.append(graph.add(candidate.event, candidate.fragment))
        if len(graph.changes()) >= CHANGES_PER_COMMIT:
            break
    changes = graph.changes()
    if not changes.is_empty:
        store.commit(changes)
    return attachments


def _keys(candidates: Sequence[Candidate]) -> set[str]:
    return {
        identifier.key
        for candidate in candidates
        for identifier in (*candidate.event.identifiers, *candidate.event.previous)
    }


def profile_heads(store: GraphStore, fragments: Collection[FragmentKey]) -> Mapping[str, Head]:
    """The live heads that fragments belong to, by profile id: each follows its base identifier."""
    heads, owners = read_graph(store, {fragment.base for fragment in fragments})
    found = (live_head(heads, profile_id) for profile_id in owners.values())
    return {head.profile_id: head for head in found if head is not None}
