"""Evaluate all: bring the memberships of profiles up to date to which nothing has happened."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from onefold.domain.errors import VersionConflict
from onefold.domain.event import FragmentKey
from onefold.domain.head import Head
from onefold.use_cases.evaluate import CurrentAudience, HeadStore, evaluate
from onefold.use_cases.rebuild import Progress, silently
from onefold.use_cases.reconcile_fragments import chunks
from onefold.use_cases.stitch import FragmentStore

PROFILES_AT_ONCE: Final = 50
ATTEMPTS_MAX: Final = 5


def evaluate_all(
    profiles: Iterable[Head],
    audiences: Sequence[CurrentAudience],
    heads: HeadStore,
    fragments: FragmentStore,
    *,
    now_ms: int,
    progress: Progress = silently,
) -> Mapping[str, int]:
    """Evaluate profiles with the audiences as they are defined now; redirects among them are passed over.

    Returns:
        Counts: `profiles`, `entered`, `exited`.

    Raises:
        VersionConflict: Others kept writing the same profiles. What is done is done; run it again.
        Unavailable: A store did not answer; likewise.
    """
    counts: Counter[str] = Counter()
    live = (head for head in profiles if not head.merged_into and head.identifiers)
    for batch in chunks(live, PROFILES_AT_ONCE):
        # Each by an identifier of its own: whoever owns it by then is evaluated.
        keys = {FragmentKey("", next(iter(head.identifiers))) for head in batch}
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                counts.update(evaluate(keys, audiences, heads, fragments, now_ms=now_ms))
                break
            except VersionConflict:
                if attempt == ATTEMPTS_MAX:
                    raise
        progress("profiles evaluated", len(batch))
    return counts
