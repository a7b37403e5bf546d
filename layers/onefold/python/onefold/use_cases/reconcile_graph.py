"""Reconcile the identity graph: every identifier has one owner, every link its event, and what belongs is together."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from onefold.domain.decision import Decision
from onefold.domain.errors import VersionConflict
from onefold.domain.event import FragmentKey
from onefold.domain.head import Head, Link
from onefold.domain.identity import GraphChanges, IdentityChange
from onefold.use_cases.decide import DecisionStore
from onefold.use_cases.linking import Candidate, GraphStore, link, live_head, read_graph, read_heads
from onefold.use_cases.rebuild import in_order_of_time, replay
from onefold.use_cases.reconcile_fragments import Run, chunks, document_difference, owners_of
from onefold.use_cases.rule import Rehearsal

HEADS_AT_ONCE: Final = 200
IDENTIFIERS_AT_ONCE: Final = 1_000


def reconcile_heads(run: Run, heads: Iterable[Head] | None = None) -> None:
    """Check live profiles, all or some: their identifiers lead to them, their fragments and their links are theirs."""
    everyone = heads if heads is not None else (head for page in run.tables.heads() for head in page)
    for batch in chunks((head for head in everyone if not head.merged_into), HEADS_AT_ONCE):
        _check_identifiers(run, batch)
        _check_fragments(run, batch)
        _check_evidence(run, batch)
        run.report.compared["heads"] += len(batch)
        run.progress("profiles checked", len(batch))


def _check_identifiers(run: Run, batch: Sequence[Head]) -> None:
    keys = {key for head in batch for key in head.identifiers}
    owners = owners_of(run, keys)
    suspects = {
        key
        for head in batch
        for key in head.identifiers
        if key not in owners or owners[key].profile_id != head.profile_id
    }
    if not suspects:
        return
    # What was read may be of several moments; once more, with the heads as they are now.
    fresh = run.graph.heads([head.profile_id for head in batch if suspects & head.identifiers.keys()])
    stored_heads, stored_owners = read_graph(run.graph, suspects)
    for head in fresh.values():
        for key in suspects & head.identifiers.keys():
            leads_to = stored_owners.get(key)
            owner = live_head(stored_heads, leads_to) if leads_to else None
            if owner is not None and owner.profile_id == head.profile_id:
                continue
            run.unsettled.add(key)
            if owner is not None and key in owner.identifiers:
                run.note("contested", key, head)
            else:
                run.note("disowned", key, head, done=_own(run, head.profile_id, key, leads_to))


def _own(run: Run, profile_id: str, key: str, leads_to: str | None) -> bool:
    """Let an identifier lead to the profile that has it, if both are as they were read."""
    if not run.scope.repair:
        return False
    head = run.graph.heads([profile_id]).get(profile_id)
    if head is None or key not in head.identifiers:
        return False
    try:
        run.graph.commit(GraphChanges((head,), {key: IdentityChange(profile_id, leads_to)}))
    except VersionConflict:
        return False
    return True


def _check_fragments(run: Run, batch: Sequence[Head]) -> None:
    bases = {key: FragmentKey.parse(key).base for head in batch for key in head.fragments}
    owners = owners_of(run, set(bases.values()))
    for read in batch:
        astray = [key for key in read.fragments if bases[key] in owners and not _owns(owners[bases[key]], read)]
        if not astray:
            continue
        # A reading of two moments looks like this, too.
        head = run.graph.heads([read.profile_id]).get(read.profile_id)
        again = owners_of(run, {bases[key] for key in astray})
        if head is None or head.merged_into:
            continue
        astray = [
            key for key in astray
            if key in head.fragments and bases[key] in again and not _owns(again[bases[key]], head)
        ]  # fmt: skip
        if astray:
            _move_fragments(run, head, {key: again[bases[key]] for key in astray})


def _owns(owner: Head, head: Head) -> bool:
    return owner.profile_id == head.profile_id


def _move_fragments(run: Run, head: Head, owner_of: Mapping[str, Head]) -> None:
    """Take fragments out of a profile that does not own their bases; into those that do, in the same transaction."""
    rest = msgspec.structs.replace(head, fragments=tuple(key for key in head.fragments if key not in owner_of))
    stored = {key: each.fragment for key, each in run.fragments.load(head.fragments).items()}
    fields = document_difference((head, stored), (rest, {k: v for k, v in stored.items() if k in rest.fragments}))
    grown: dict[str, Head] = {}
    for key, owner in owner_of.items():
        taker = grown.get(owner.profile_id, owner)
        if key not in taker.fragments:
            grown[owner.profile_id] = msgspec.structs.replace(taker, fragments=(*taker.fragments, key))
    done = False
    if run.scope.repair:
        try:
            run.graph.commit(GraphChanges((rest, *grown.values()), {}))
            done = True
        except VersionConflict:
            done = False
    for key, owner in owner_of.items():
        run.note("misplaced", key, head, fields, done=done)
        if owner.profile_id in grown and key in grown[owner.profile_id].fragments and key not in owner.fragments:
            run.note("unlisted", key, owner, done=done)


def _check_evidence(run: Run, batch: Sequence[Head]) -> None:
    told = {
        (link.source, link.message_id): head
        for head in batch
        for link in head.links
        if _is_archived(link) and link.received_at <= run.history.newest_at
    }
    run.report.compared["messages"] += len(told)
    for message in run.history.unknown_messages(told.keys()):
        run.note("evidence", "/".join(message), told[message])


def _is_archived(link: Link) -> bool:
    return link.why in {"event", "alias"}


def find_stray_identities(run: Run) -> None:
    """Report identifiers that lead to no profile that has them."""
    for page in run.tables.identities():
        run.report.compared["identities"] += len(page)
        heads = read_heads(run.graph, set(page.values()))
        suspects = [
            key
            for key, leads_to in page.items()
            if key not in run.unsettled and not _has(live_head(heads, leads_to), key)
        ]
        if suspects:
            owners = owners_of(run, suspects)
            for key in suspects:
                if not _has(owners.get(key), key):
                    run.note("stray", key, owners.get(key))
        run.progress("identifiers checked", len(page))


def _has(head: Head | None, key: str) -> bool:
    return head is not None and key in head.identifiers


def replay_history(
    run: Run, store: DecisionStore, decisions: Iterable[Decision], naming: Collection[str] | None = None
) -> set[str]:
    """Fill an empty graph with what the history says, all of it or the events that name some identifiers.

    Returns:
        The identifiers that were shown, whether or not they came into a profile.
    """
    shown: set[str] = set()

    def looked_at() -> Iterator[Candidate]:
        for candidate in run.history.candidates(run.scope.rules, naming):
            shown.update(each.key for each in (*candidate.event.identifiers, *candidate.event.previous))
            yield candidate

    replay(in_order_of_time(looked_at(), decisions), store, run.scope.rules, run.progress)
    return shown


def compare_graphs(run: Run, rebuilt: GraphStore, identifiers: Collection[str]) -> None:
    """Compare who is together, and link what the history shows and the live graph does not know.

    What another order of the same events decided otherwise is reported and not forced.

    Args:
        run: Where the live graph is.
        rebuilt: The graph that the history makes.
        identifiers: Keys of all that the history shows.
    """
    together: dict[str, set[str]] = {}
    unowned: set[str] = set()
    for keys in chunks(identifiers, IDENTIFIERS_AT_ONCE):
        live_heads, live_owners = read_graph(run.graph, keys)
        heads, owners = read_graph(rebuilt, keys)
        for key in owners.keys() - run.unsettled:
            if key not in live_owners:
                unowned.add(key)
                continue
            live, head = live_head(live_heads, live_owners[key]), live_head(heads, owners[key])
            if live is not None and head is not None:
                together.setdefault(live.profile_id, set()).add(head.profile_id)
        run.progress("identifiers compared", len(keys))
    _report_clusters(run, together)
    if unowned:
        _link_unowned(run, unowned)


def _report_clusters(run: Run, together: Mapping[str, Collection[str]]) -> None:
    """Profiles that are several in the history, and profiles that are one there."""
    live_of: dict[str, set[str]] = {}
    for profile_id, others in together.items():
        for other in others:
            live_of.setdefault(other, set()).add(profile_id)
    for profile_id, others in together.items():
        if len(others) > 1 or any(len(live_of[other]) > 1 for other in others):
            run.note("clusters", profile_id, Head(profile_id, 0))


def _link_unowned(run: Run, unowned: set[str]) -> None:
    """Link the first event that names each identifier that is nobody's, unless a rule has left it out."""
    for candidate in run.history.candidates(run.scope.rules, unowned):
        shown = {each.key for each in (*candidate.event.identifiers, *candidate.event.previous)} & unowned
        if not shown:
            continue
        if candidate.event.received_at > run.scope.settled_before:
            run.report.waiting["in_flight"] += len(shown)
            unowned -= shown
            continue
        unowned -= shown
        left_out = _left_out(run, candidate, shown)
        left_out |= _link(run, candidate, shown - left_out)
        owners = owners_of(run, shown - left_out)
        for key in shown:
            if key in left_out:
                run.note("left_out", key)
            else:
                run.note("unowned", key, owners.get(key), done=key in owners)


def _left_out(run: Run, candidate: Candidate, keys: Collection[str]) -> set[str]:
    """Identifiers that the event's fragment remembers as left out by a rule."""
    stored = run.fragments.load([str(candidate.fragment)]).get(str(candidate.fragment))
    known = stored.fragment.known if stored else {}
    return {key for key in keys if known.get(key) is False}


def _link(run: Run, candidate: Candidate, keys: Collection[str]) -> set[str]:
    """Link an event as stitch would, or try what would come of it; gives those of its identifiers that stay out."""
    if not keys:
        return set()
    store = run.graph if run.scope.repair else Rehearsal(run.graph)
    try:
        (attachment,) = link(store, [candidate], run.scope.rules)
    except VersionConflict:
        return set()
    return {key for key in keys if not attachment.attached.get(key)}
