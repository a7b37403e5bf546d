"""Decide: carry out what a person rules about identities, as one change of the graph with its record."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from onefold.domain.decision import Decision, DecisionRecord
from onefold.domain.errors import ProfileNotFound, Rejected, VersionConflict
from onefold.domain.head import PARTED_MAX, RETRACTED_MAX, Head, Link
from onefold.domain.identity import Attachment, GraphChanges, GraphIncomplete, IdentityChange, IdentityGraph
from onefold.domain.identity_rules import DEFAULT_RULES, IdentityRules
from onefold.domain.parting import Ruling, detach, renamed, retract, split
from onefold.use_cases.linking import LINK_ATTEMPTS_MAX, GraphStore, live_head, read_graph, read_heads

CHANGES_MAX: Final = 90  # of the 100 items of a transaction, with room for the record
PARTS_PER_COMMIT: Final = 40


class DecisionStore(GraphStore, Protocol):
    def decision(self, decision_id: str) -> DecisionRecord | None:
        """The record of a decision that was carried out."""

    def commit(self, changes: GraphChanges, record: DecisionRecord | None = None) -> None:
        """Write all changes and the record, or nothing.

        Raises:
            VersionConflict: Somebody else changed one of them since it was read, or the decision is recorded already.
            Unavailable: Throttled or unreachable.
        """


def decide(store: DecisionStore, decision: Decision, rules: IdentityRules = DEFAULT_RULES) -> DecisionRecord:
    """Carry out a decision, once for each id.

    Raises:
        ProfileNotFound: An identifier is nobody's.
        Rejected: The identity rules forbid it, with the rule as the reason.
        VersionConflict: Others kept writing the same profiles.
        Unavailable: A store did not answer; the same decision may be sent again and goes on where it stopped.
    """
    conflict: Exception | None = None
    for _ in range(LINK_ATTEMPTS_MAX):
        known = store.decision(decision.decision_id)
        if known is not None:
            return known
        try:
            if decision.action in {"link", "allow"}:
                return _join(store, decision, rules)
            return _part(store, decision, rules)
        except (VersionConflict, GraphIncomplete) as error:
            conflict = error
    raise VersionConflict("Other writers kept changing the same profiles; send the decision again") from conflict


def _join(store: DecisionStore, decision: Decision, rules: IdentityRules) -> DecisionRecord:
    heads, owners = read_graph(store, {decision.left, decision.right})
    graph = IdentityGraph(heads, owners, rules)
    before = [_owner(graph, key) for key in (decision.left, decision.right)]
    ids = tuple(dict.fromkeys(head.profile_id for head in before))
    if decision.action == "allow":
        allowed = {head.profile_id: _allowed(head, decision) for head in before}
        changed = tuple(head for head in allowed.values() if head not in before)
        same = {head.profile_id: head.version for head in before if head in allowed.values()}
        record = DecisionRecord(decision, ids, ids, rules_version=rules.version)
        store.commit(GraphChanges(changed, {}, same), record)
        return record
    if decision.why == "probabilistic" and decision.probability < rules.probability_min:
        raise Rejected("probability_too_low", f"A probabilistic link joins from {rules.probability_min} on")
    link = Link(
        decision.left, decision.right, decision.at, "decision", decision.decision_id, decision.why, decision.at,
        decision.probability,
    )  # fmt: skip
    joined = graph.join(link)
    if not isinstance(joined, Attachment):
        raise Rejected("link_forbidden", f"The identity rules forbid it: {joined}")
    record = DecisionRecord(decision, ids, (joined.profile_id,), rules_version=rules.version)
    store.commit(graph.changes(), record)
    return record


def _owner(graph: IdentityGraph, key: str) -> Head:
    head = graph.owner(key)
    if head is None:
        raise ProfileNotFound("profile_not_found", "No profile has this identifier")
    return head


def _allowed(head: Head, decision: Decision) -> Head:
    pair = {decision.left, decision.right}
    return msgspec.structs.replace(head, parted=tuple(p for p in head.parted if {p.left, p.right} != pair))


def _part(store: DecisionStore, decision: Decision, rules: IdentityRules) -> DecisionRecord:
    keys = {decision.left, decision.right} if decision.action == "split" else {decision.left}
    heads, owners = read_graph(store, keys)
    graph = IdentityGraph(heads, owners, rules)
    before = {head.profile_id: head for head in (_owner(graph, key) for key in sorted(keys))}
    parts = {head.profile_id: _parts(head, decision, rules) for head in before.values()}
    after = [part for each in parts.values() for part in each]
    retracted = {link for head in before.values() for link in head.links} - {
        link for part in after for link in part.links
    }
    head = max(before.values(), key=lambda each: len(parts[each.profile_id]))
    others = [part for profile_id, each in parts.items() if profile_id != head.profile_id for part in each]
    parting = Parting(store, head, parts[head.profile_id], decision)
    record = DecisionRecord(
        decision,
        tuple(before),
        tuple(each.profile_id for each in (*parting.parts, *others)),
        len(retracted),
        rules.version,
    )
    parting.commit(record, others)
    return record


def _parts(head: Head, decision: Decision, rules: IdentityRules) -> list[Head]:
    ruling = Ruling(decision.decision_id, decision.at)
    if decision.action == "split":
        if decision.left == decision.right:
            raise Rejected("split_of_one", "Name two different identifiers")
        return split(head, decision.left, decision.right, ruling, rules)
    if decision.action == "detach":
        return detach(head, decision.left, ruling, rules)
    return retract(head, frozenset(decision.messages), ruling, rules)


class Parting:
    """A profile on its way into parts. Until the last step each of its ids and identifiers leads to a live profile.

    What a part owns by way of another part's id is first made to lead there by its own id, which as yet redirects to
    the whole; only then the part begins to live. So a parting of any size is a row of small transactions, each of which
    leaves the graph whole, and each conditional on the head that the one before wrote.

    The outermost parts leave first, so that what stays still hangs together, and with it the identifier that the
    decision names: who stops in the middle and decides again goes on from there.
    """

    def __init__(self, store: DecisionStore, head: Head, parts: Sequence[Head], decision: Decision) -> None:
        self._store, self._head = store, head
        whole, *others = parts
        ids = {profile_id for part in parts for profile_id in part.foundings}
        self._stored = read_heads(store, ids)
        others = [renamed(part, self._is_taken, Ruling(decision.decision_id, decision.at)) for part in others]
        self.parts = [whole, *others]
        self._decision = decision
        if others:
            self._stored |= read_heads(store, {part.profile_id for part in others} - self._stored.keys())
        self._moves = self._identity_changes() if others else {}
        self._redirects = self._redirect_changes() if others else []

    def commit(self, record: DecisionRecord, others: Sequence[Head]) -> None:
        """Write everything; `others` are heads that the decision changes besides.

        Raises:
            VersionConflict, Unavailable: What was written until then is complete in itself.
        """
        whole, *new = self.parts
        if len(self.parts) + len(self._moves) + len(self._redirects) + len(others) <= CHANGES_MAX:
            new = [self._versioned(part) for part in new]
            redirects = [each for each in self._redirects if each.profile_id not in {part.profile_id for part in new}]
            self._store.commit(GraphChanges((whole, *new, *redirects, *others), self._moves), record)
            return
        self._lead()
        outer, inner = self._outermost_first()
        for start in range(0, len(outer), PARTS_PER_COMMIT):
            leaving = outer[start : start + PARTS_PER_COMMIT]
            self._write(_without(self._head, leaving), [self._versioned(part) for part in leaving])
        last = msgspec.structs.replace(whole, version=self._head.version)
        self._write(last, [*(self._versioned(part) for part in inner), *others], record=record)

    def _outermost_first(self) -> tuple[list[Head], list[Head]]:
        """The parts that may leave one after the other, and those between the whole and what the decision names."""
        whole, *new = self.parts
        place = {key: part.profile_id for part in self.parts for key in part.identifiers}
        neighbours: dict[str, list[str]] = {}
        for link in self._head.links:
            left, right = place[link.left], place[link.right]
            neighbours.setdefault(left, []).append(right)
            neighbours.setdefault(right, []).append(left)
        parents = {whole.profile_id: ""}
        for here in (order := [whole.profile_id]):
            for there in neighbours.get(here, []):
                if there not in parents:
                    parents[there] = here
                    order.append(there)
        between: set[str] = set()
        step = place.get(self._decision.left, "")
        while step:
            between.add(step)
            step = parents[step]
        by_id = {part.profile_id: part for part in new}
        outer = [by_id[each] for each in reversed(order) if each not in between and each in by_id]
        return outer, [part for part in new if part.profile_id in between]

    def _lead(self) -> None:
        """Make every id and identifier lead by way of the part that will own it."""
        waiting: list[Head | tuple[str, IdentityChange]] = [*self._redirects, *self._moves.items()]
        for start in range(0, len(waiting), CHANGES_MAX):
            chunk = waiting[start : start + CHANGES_MAX]
            redirects = [each for each in chunk if isinstance(each, Head)]
            moves = dict(each for each in chunk if not isinstance(each, Head))
            self._write(self._head, redirects, moves)
            for each in redirects:
                self._stored[each.profile_id] = msgspec.structs.replace(each, version=each.version + 1)

    def _write(
        self,
        head: Head,
        others: Sequence[Head],
        moves: Mapping[str, IdentityChange] | None = None,
        record: DecisionRecord | None = None,
    ) -> None:
        self._store.commit(GraphChanges((head, *others), dict(moves or {})), record)
        self._head = msgspec.structs.replace(head, version=head.version + 1)

    def _versioned(self, part: Head) -> Head:
        stored = self._stored.get(part.profile_id)
        return msgspec.structs.replace(part, version=stored.version if stored else 0)

    def _is_taken(self, profile_id: str) -> bool:
        """Whether an id is that of somebody else by now."""
        live = live_head(self._stored, profile_id)
        return profile_id in self._stored and (live is None or live.profile_id != self._head.profile_id)

    def _identity_changes(self) -> dict[str, IdentityChange]:
        owner_of = {key: part for part in self.parts for key in part.identifiers}
        owners = self._store.owners(list(owner_of))
        if owners.keys() != owner_of.keys():
            raise GraphIncomplete
        return {
            key: IdentityChange(part.profile_id, owners[key])
            for key, part in owner_of.items()
            if owners[key] not in part.foundings
        }

    def _redirect_changes(self) -> list[Head]:
        """Redirects to be written: of ids that a part has besides its own, and of new ids until they live."""
        redirects = []
        for part in self.parts:
            for profile_id in (part.profile_id, *part.foundings):
                stored = self._stored.get(profile_id)
                target = self._head.profile_id if profile_id == part.profile_id else part.profile_id
                if profile_id == self._head.profile_id or (stored is not None and stored.merged_into == target):
                    continue
                version, founded_at = (stored.version, stored.founded_at) if stored else (0, part.founded_at)
                redirects.append(Head(profile_id, founded_at, merged_into=target, version=version))
        return list({each.profile_id: each for each in redirects}.values())


def _without(head: Head, leaving: Iterable[Head]) -> Head:
    """What stays for the moment while some parts already live by themselves."""
    keys = {key for part in leaving for key in part.identifiers}
    fragments = {key for part in leaving for key in part.fragments}
    foundings = {profile_id for part in leaving for profile_id in part.foundings}
    retracted = dict.fromkeys([*head.retracted, *(each for part in leaving for each in part.retracted)])
    parted = dict.fromkeys([*head.parted, *(each for part in leaving for each in part.parted)])
    return msgspec.structs.replace(
        head,
        identifiers={key: kept for key, kept in head.identifiers.items() if key not in keys},
        fragments=tuple(key for key in head.fragments if key not in fragments),
        links=tuple(link for link in head.links if link.left not in keys and link.right not in keys),
        foundings={profile_id: each for profile_id, each in head.foundings.items() if profile_id not in foundings},
        retracted=tuple(retracted)[-RETRACTED_MAX:],
        parted=tuple(parted)[-PARTED_MAX:],
    )
