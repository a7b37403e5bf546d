"""Rule: carry out what somebody asks to be decided, or show what it would do without writing anything."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from onefold.domain.decision import Decision, DecisionRecord
from onefold.domain.errors import Rejected
from onefold.domain.head import Head
from onefold.domain.identity import GraphChanges
from onefold.domain.identity_rules import IdentityRules
from onefold.use_cases.decide import DecisionStore, decide
from onefold.use_cases.linking import live_head, read_heads

PARTS_SHOWN_MAX: Final = 100


def rule(store: DecisionStore, decision: Decision, rules: IdentityRules) -> DecisionRecord:
    """Carry out a decision, once for each id.

    Raises:
        Rejected: The rules forbid it, or its id is that of another decision.
        ProfileNotFound, Unavailable: As `decide` does.
    """
    record = decide(store, decision, rules)
    if _asked(record.decision) != _asked(decision):
        raise Rejected("decision_id_taken", "Another decision has this id: send a new one with an id of its own")
    return record


def rehearse(store: DecisionStore, decision: Decision, rules: IdentityRules) -> dict[str, Any]:
    """What a decision would do now: it is carried out on a copy of what it touches.

    Raises:
        Rejected, ProfileNotFound, Unavailable: As carrying it out would.
    """
    stage = Rehearsal(store)
    record = rule(stage, decision, rules)
    return record_document(record) | {
        "dry_run": True,
        "profiles_before": _profiles(read_heads(store, record.before), record.before),
        "profiles_after": _profiles(read_heads(stage, record.after), record.after),
        "profiles_left_out": max(0, max(len(record.before), len(record.after)) - PARTS_SHOWN_MAX),
    }


class Rehearsal:
    """A store that keeps what is written to itself, over one that is only read."""

    def __init__(self, store: DecisionStore) -> None:
        self._store = store
        self._heads: dict[str, Head] = {}
        self._owners: dict[str, str] = {}

    def owners(self, keys: Collection[str]) -> dict[str, str]:
        return self._store.owners(keys) | {key: self._owners[key] for key in keys if key in self._owners}

    def heads(self, profile_ids: Collection[str]) -> dict[str, Head]:
        return self._store.heads(profile_ids) | {each: self._heads[each] for each in profile_ids if each in self._heads}

    def decision(self, decision_id: str) -> DecisionRecord | None:
        return self._store.decision(decision_id)

    def commit(self, changes: GraphChanges, record: DecisionRecord | None = None) -> None:  # noqa: ARG002 - no trace
        """Keep all changes; nobody else writes here, so none of them can be refused."""
        self._heads |= {
            head.profile_id: msgspec.structs.replace(head, version=head.version + 1) for head in changes.heads
        }
        self._owners |= {key: change.profile_id for key, change in changes.identities.items()}


def record_document(record: DecisionRecord) -> dict[str, Any]:
    """A decision as its readers see it; identifiers by their keys, times in epoch ms."""
    decision = record.decision
    document: dict[str, Any] = {
        "decision_id": decision.decision_id,
        "action": decision.action,
        "at": decision.at,
        "by": decision.by,
        "reason": decision.reason,
        "left": decision.left,
        "right": decision.right or None,
        "before": list(record.before),
        "after": list(record.after),
        "retracted": record.retracted,
        "rules_version": record.rules_version,
    }
    if decision.messages:
        document["messages"] = [{"source": source, "message_id": each} for source, each in decision.messages]
    if decision.action == "link":
        document |= {"why": decision.why, "probability": decision.probability}
    return document


def _asked(decision: Decision) -> Decision:
    """What was asked, whoever asked it when and in which words."""
    return msgspec.structs.replace(decision, at=0, by="", reason="")


def _profiles(heads: Mapping[str, Head], profile_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Of each profile what it would have, without any value."""
    shown = []
    for profile_id in list(profile_ids)[:PARTS_SHOWN_MAX]:
        head = live_head(heads, profile_id)
        if head is not None:
            types = Counter(each.identifier.type for each in head.identifiers.values())
            shown.append(
                {
                    "profile_id": head.profile_id,
                    "identifiers": dict(sorted(types.items())),
                    "fragments": len(head.fragments),
                    "audiences": sorted(head.memberships),
                }
            )
    return shown
