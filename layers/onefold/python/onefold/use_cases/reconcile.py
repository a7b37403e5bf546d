"""Reconcile: hold the live tables against what the history makes, tell what differs, and repair it."""

from collections.abc import Iterable

from onefold.domain.decision import Decision
from onefold.domain.head import Head
from onefold.use_cases.decide import DecisionStore
from onefold.use_cases.reconcile_fragments import Run, find_extra_fragments, reconcile_fragments
from onefold.use_cases.reconcile_graph import (
    compare_graphs,
    find_stray_identities,
    reconcile_heads,
    replay_history,
)


def reconcile(run: Run, store: DecisionStore, decisions: Iterable[Decision], only: Head | None = None) -> None:
    """Compare everything, or one profile, and repair what can be repaired, if that is wanted.

    Safe to stop anywhere and to run again, and beside the running system: each write is conditional on what was read.
    Who owns an identifier comes first, since it says where a fragment belongs; then links; then fragments.

    Args:
        run: Where everything is; its report tells what was found.
        store: An empty graph, in which the history is replayed.
        decisions: Those that were carried out.
        only: The live head of one profile.

    Raises:
        Unavailable: A store did not answer.
    """
    naming = set(only.identifiers) if only else None
    reconcile_heads(run, [only] if only else None)
    shown = replay_history(run, store, decisions, naming)
    compare_graphs(run, store, shown if naming is None else shown & naming)
    reconcile_fragments(run, naming)
    if only is None:
        find_stray_identities(run)
        find_extra_fragments(run)
