"""What reconcile finds: each drift with its place and what became of it, and the profiles that it touches."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

DRIFTS_KEPT_MAX: Final = 10_000  # one by one; beyond that they only count

# Of fragments:
#   missing        the history has it, the table has not
#   facts          they differ, and no order of the events explains it: something was counted twice, or not at all
#   outdated       an older version of the fold made it
#   beyond_bounds  it differs in what depends on the order of events once a bound was reached
#   newer          a newer version of the fold made it
#   lake_incomplete  it has more events than were archived
#   extra          nothing was archived of it
# Of heads and identities:
#   unlisted       a fragment is not in the profile that owns its base; misplaced: it is in one that does not
#   disowned       an identifier of a profile that does not lead to it; contested: to another one that has it, too
#   stray          an identifier that leads to no profile that has it
#   unowned        an identifier of the history that is nobody's; left_out: because a rule was decided so
#   evidence       a link whose event was never archived
#   clusters       the history, in its order, brings other identifiers together
DriftKind = Literal[
    "missing", "facts", "outdated", "beyond_bounds", "newer", "lake_incomplete", "extra", "unlisted", "misplaced",
    "disowned", "contested", "stray", "unowned", "left_out", "evidence", "clusters",
]  # fmt: skip
REPAIRABLE: Final = frozenset(["missing", "facts", "outdated", "unlisted", "misplaced", "disowned", "unowned"])
# `found`: would be repaired. `skipped`: somebody else wrote first; run it again. `reported`: nothing to be forced.
Outcome = Literal["found", "repaired", "skipped", "reported"]


class Drift(msgspec.Struct, frozen=True):
    """One difference between the live tables and the history.

    Attributes:
        place: The fragment's key, the identifier's key, or the message (source/message id).
        profile_id: Whose it is; empty where it is nobody's.
        fields: Of the profile's document, those that are wrong by it.
    """

    kind: DriftKind
    place: str
    profile_id: str = ""
    fields: tuple[str, ...] = ()
    outcome: Outcome = "reported"


@dataclass
class Report:
    """What was compared and what was found.

    Attributes:
        compared: What was looked at → how many: `fragments`, `heads`, `identities`, `messages`.
        waiting: What could not be judged yet → how many: `lake_behind`, the archive has not come as far as the table;
            `in_flight`, the table may not have come as far as the archive.
        found: (kind, outcome) → how many.
    """

    compared: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    found: Counter[tuple[DriftKind, Outcome]] = field(default_factory=Counter)
    drifts: list[Drift] = field(default_factory=list)

    def add(self, drift: Drift) -> None:
        self.found[drift.kind, drift.outcome] += 1
        if len(self.drifts) < DRIFTS_KEPT_MAX:
            self.drifts.append(drift)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left that a repair could change."""
        return not any(outcome in {"found", "skipped"} for _, outcome in self.found)

    def document(self) -> dict[str, Any]:
        """All of it, with the drifts gathered by profile."""
        profiles: dict[str, list[Drift]] = {}
        for drift in self.drifts:
            profiles.setdefault(drift.profile_id, []).append(drift)
        return {
            "compared": dict(self.compared),
            "waiting": dict(self.waiting),
            "drift": [
                {"kind": kind, "outcome": outcome, "count": count}
                for (kind, outcome), count in sorted(self.found.items())
            ],
            "profiles": [
                {
                    "profile_id": profile_id or None,
                    "fields": sorted({name for each in drifts for name in each.fields}),
                    "drifts": [{"kind": each.kind, "place": each.place, "outcome": each.outcome} for each in drifts],
                }
                for profile_id, drifts in sorted(profiles.items())
            ],
            "is_cut": self.found.total() > len(self.drifts),
        }
