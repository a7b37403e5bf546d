"""Evaluate: join the fragments of each changed profile and keep its memberships true to the audiences' definitions."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from onefold.domain.audience import Audience, is_member
from onefold.domain.event import FragmentKey
from onefold.domain.facts import Facts
from onefold.domain.head import Head, Membership
from onefold.domain.profile import join_fragments
from onefold.use_cases.linking import GraphStore, profile_heads
from onefold.use_cases.stitch import FragmentStore


class HeadStore(GraphStore, Protocol):
    def write(self, head: Head) -> None:
        """Store as `version + 1` if the stored version is still `version`.

        Raises:
            VersionConflict: Somebody else wrote first.
            Unavailable: Throttled or unreachable.
        """


class CurrentAudience(msgspec.Struct, frozen=True):
    """An audience with the version of its definition."""

    audience: Audience
    version: int


def evaluate(
    changed: Collection[FragmentKey],
    audiences: Sequence[CurrentAudience],
    heads: HeadStore,
    fragments: FragmentStore,
    *,
    now_ms: int,
) -> Mapping[str, int]:
    """Bring the memberships of every profile that owns one of these fragments up to date.

    A head is read before its fragments and written under the version read, so of two evaluations that overlap the one
    that saw less loses and comes again.

    Returns:
        Counts: `profiles`, `entered`, `exited`.

    Raises:
        VersionConflict, Unavailable: Some profiles may be done, which is harmless; the batch must be delivered again.
    """
    counts: Counter[str] = Counter()
    if not changed:
        return counts
    live = profile_heads(heads, changed)
    stored = fragments.load(list({key for head in live.values() for key in head.fragments}))
    for head in live.values():
        counts["profiles"] += 1
        profile = join_fragments(head, (stored[key].fragment for key in head.fragments if key in stored))
        memberships = _memberships(head, audiences, profile.facts, now_ms)
        if memberships.keys() != head.memberships.keys():
            heads.write(msgspec.structs.replace(head, memberships=memberships))
            counts["entered"] += len(memberships.keys() - head.memberships.keys())
            counts["exited"] += len(head.memberships.keys() - memberships.keys())
    return counts


def _memberships(head: Head, audiences: Sequence[CurrentAudience], facts: Facts, now_ms: int) -> dict[str, Membership]:
    """Audience → membership; one that goes on keeps its beginning. Audiences are of persons."""
    if head.kind != "person":
        return {}
    return {
        each.audience.name: head.memberships.get(each.audience.name, Membership(now_ms, each.version))
        for each in audiences
        if is_member(each.audience, facts)
    }
