"""Reconcile the fragments: each is what the history makes of its events, and in the profile that owns its base."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol, TypeVar

import msgspec

from onefold.domain.drift import compare_fragments, events_of
from onefold.domain.errors import VersionConflict
from onefold.domain.event import FragmentKey
from onefold.domain.fragment import Fragment, StoredFragment
from onefold.domain.head import FRAGMENTS_MAX, Head
from onefold.domain.identity_rules import IdentityRules
from onefold.domain.profile import join_fragments, profile_document
from onefold.use_cases.decide import DecisionStore
from onefold.use_cases.drift_report import REPAIRABLE, Drift, DriftKind, Outcome, Report
from onefold.use_cases.evaluate import HeadStore
from onefold.use_cases.linking import live_head, read_graph
from onefold.use_cases.rebuild import History, Progress, RebuiltFragment, rebuild_fragments, silently
from onefold.use_cases.stitch import FragmentStore

Element = TypeVar("Element")
FRAGMENTS_AT_ONCE: Final = 100


class LiveGraph(HeadStore, DecisionStore, Protocol):
    """The graph as linking, deciding and evaluating use it."""


class Tables(Protocol):
    """The live tables from their first item to their last, page by page; what changes meanwhile may be seen or not."""

    def fragment_keys(self) -> Iterator[Collection[str]]: ...

    def heads(self) -> Iterator[Sequence[Head]]:
        """Redirects included."""

    def identities(self) -> Iterator[Mapping[str, str]]:
        """Identifier key → profile id."""


class Scope(msgspec.Struct, frozen=True):
    """What is to be done.

    Attributes:
        repair: Whether to write, or only to look.
        settled_before: What was received later (epoch ms) may still be under way to the table.
        rules: The identity rules in force.
    """

    repair: bool
    settled_before: int
    rules: IdentityRules


@dataclass
class Run:
    """One reconciliation: the live stores, the history, what is to be done, and what has been found.

    Attributes:
        unsettled: Identifiers whose owner is in question; what else is wrong with them follows from that.
    """

    fragments: FragmentStore
    graph: LiveGraph
    tables: Tables
    history: History
    scope: Scope
    progress: Progress = silently
    report: Report = field(default_factory=Report)
    unsettled: set[str] = field(default_factory=set)

    def note(
        self, kind: DriftKind, place: str, owner: Head | None = None, fields: Iterable[str] = (), *, done: bool = False
    ) -> None:
        """Report a drift; `done` tells whether it was repaired, where that was wanted."""
        outcome: Outcome = "reported"
        if kind in REPAIRABLE:
            outcome = "found" if not self.scope.repair else "repaired" if done else "skipped"
        self.report.add(Drift(kind, place, owner.profile_id if owner else "", tuple(sorted(fields)), outcome))

    def write_head(self, head: Head) -> bool:
        """Store a head if a repair is wanted and nobody else has written it since; tells whether it was."""
        if not self.scope.repair:
            return False
        try:
            self.graph.write(head)
        except VersionConflict:
            return False
        return True


def chunks(elements: Iterable[Element], size: int) -> Iterator[list[Element]]:
    remaining = iter(elements)
    while chunk := list(islice(remaining, size)):
        yield chunk


def owners_of(run: Run, keys: Collection[str]) -> dict[str, Head]:
    """Identifier key → the live profile that it leads to, for those that lead to one."""
    heads, owners = read_graph(run.graph, keys)
    found = {key: live_head(heads, profile_id) for key, profile_id in owners.items()}
    return {key: head for key, head in found.items() if head is not None}


def reconcile_fragments(run: Run, bases: Collection[str] | None = None) -> None:
    """Compare each fragment of the history, or those of some bases, with the live one, and its place in a profile."""
    rebuilt = rebuild_fragments(run.history, silently, bases)
    for batch in chunks(rebuilt, FRAGMENTS_AT_ONCE):
        live = run.fragments.load([each.key for each in batch])
        owners = owners_of(run, {FragmentKey.parse(each.key).base for each in batch})
        wrong = [(each, kind) for each in batch if (kind := _judge(run, live.get(each.key), each)) is not None]
        fields = {each.key: _changed_fields(run, owners, each) for each, _ in wrong}
        forced = [(each, kind) for each, kind in wrong if kind in REPAIRABLE]
        refused: Mapping[str, object] = {}
        if run.scope.repair and forced:
            refused = run.fragments.write([_repaired(live.get(each.key), each) for each, _ in forced])
        for each, kind in wrong:
            head = owners.get(FragmentKey.parse(each.key).base)
            run.note(kind, each.key, head, fields[each.key], done=each.key not in refused)
        listed = [each.key for each in batch if each.key in live or any(each is one for one, _ in forced)]
        _list_fragments(run, listed, owners)
        run.report.compared["fragments"] += len(batch)
        run.progress("fragments compared", len(batch))


def _judge(run: Run, live: StoredFragment | None, rebuilt: RebuiltFragment) -> DriftKind | None:
    """What is wrong with a fragment, if anything can be said about it yet."""
    is_settled = rebuilt.arrived_at <= run.scope.settled_before
    if live is None:
        if rebuilt.is_empty or is_settled:
            return None if rebuilt.is_empty else "missing"
        run.report.waiting["in_flight"] += 1
        return None
    if int(live.cursor or 0) > int(rebuilt.cursor):
        run.report.waiting["lake_behind"] += 1
        return None
    difference = compare_fragments(live.fragment, rebuilt.fragment)
    if difference is None:
        return None
    if difference.kind == "newer":
        return "newer"
    if events_of(live.fragment.facts) + live.fragment.repeats > rebuilt.deliveries:
        return "lake_incomplete"
    if int(live.cursor or 0) < int(rebuilt.cursor) and not is_settled:
        run.report.waiting["in_flight"] += 1
        return None
    return difference.kind


def _repaired(live: StoredFragment | None, rebuilt: RebuiltFragment) -> StoredFragment:
    """The rebuilt state under the version that was read; what linking has settled stays."""
    if live is None:
        return StoredFragment(rebuilt.key, rebuilt.fragment, rebuilt.cursor)
    fragment = msgspec.structs.replace(rebuilt.fragment, known=live.fragment.known)
    return StoredFragment(rebuilt.key, fragment, rebuilt.cursor, live.version)


def _changed_fields(run: Run, owners: Mapping[str, Head], rebuilt: RebuiltFragment) -> set[str]:
    """Fields of the profile's document that the rebuilt fragment would change."""
    head = owners.get(FragmentKey.parse(rebuilt.key).base)
    if head is None:
        return set()
    listed = {*head.fragments, rebuilt.key}
    parts = {key: stored.fragment for key, stored in run.fragments.load(listed).items()}
    return document_difference((head, parts), (head, {**parts, rebuilt.key: rebuilt.fragment}))


def document_difference(
    before: tuple[Head, Mapping[str, Fragment]], after: tuple[Head, Mapping[str, Fragment]]
) -> set[str]:
    """Fields in which two documents of a profile differ, each made of a head and its fragments by key."""
    left, right = (profile_document(join_fragments(head, parts.values())) for head, parts in (before, after))
    return {name for name in left if left[name] != right[name]}


def _list_fragments(run: Run, keys: Collection[str], owners: Mapping[str, Head]) -> None:
    """Bring fragments into the profiles that own their bases."""
    unlisted: dict[str, list[str]] = {}
    for key in keys:
        head = owners.get(FragmentKey.parse(key).base)
        if head is not None and key not in head.fragments:
            unlisted.setdefault(head.profile_id, []).append(key)
    if not unlisted:
        return
    # What was read may be of two moments: somebody may be merging these very profiles.
    again = owners_of(run, {FragmentKey.parse(key).base for each in unlisted.values() for key in each})
    heads = {head.profile_id: head for head in again.values()}
    for profile_id, each in unlisted.items():
        head = heads.get(profile_id)
        if head is None:
            continue
        missing = [key for key in each if key not in head.fragments]
        room = max(0, FRAGMENTS_MAX - len(head.fragments))
        for key in missing[room:]:
            run.note("left_out", key, head)
        missing = missing[:room]
        grown = msgspec.structs.replace(head, fragments=(*head.fragments, *missing))
        stored = {key: stored.fragment for key, stored in run.fragments.load(grown.fragments).items()}
        before = {key: stored[key] for key in head.fragments if key in stored}
        fields = document_difference((head, before), (grown, stored))
        done = bool(missing) and run.write_head(grown)
        for key in missing:
            run.note("unlisted", key, head, fields, done=done)


def find_extra_fragments(run: Run) -> None:
    """Report live fragments of which nothing was archived, unless they are too young for it."""
    for keys in run.tables.fragment_keys():
        unknown = run.history.unknown_fragments(keys)
        stored = run.fragments.load(unknown) if unknown else {}
        owners = owners_of(run, {FragmentKey.parse(key).base for key in stored}) if stored else {}
        for key, each in stored.items():
            last_at = max((count.last_at for count in each.fragment.facts.counts.values()), default=0)
            if last_at > min(run.scope.settled_before, run.history.newest_at):
                run.report.waiting["lake_behind"] += 1
            else:
                run.note("extra", key, owners.get(FragmentKey.parse(key).base))
        run.progress("live fragments looked up", len(keys))
