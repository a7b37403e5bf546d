"""Preview: what other identity rules would make of the same events, as a comparison of two partitions."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from onefold.domain.event import Event, fragment_key
from onefold.domain.identifier import REFERENCE, Identifier, IdentifierHasher
from onefold.domain.identity import IdentityGraph
from onefold.domain.identity_rules import ACCOUNT_TYPE, IdentityRules

EXAMPLES_MAX: Final = 10
KEYS_SHOWN_MAX: Final = 20

Named = tuple[str, str]  # type and value of an identifier, as the lake has them


class Sighting(msgspec.Struct, frozen=True):
    """Identifiers that events named together, with the times (epoch ms) of the first of these events."""

    identifiers: tuple[Named, ...]
    at: int
    received_at: int


class Replay:
    """Sightings under one set of rules, from an empty graph.

    Attributes:
        limits: (identifier type, limit) → how often it kept something out.
    """

    def __init__(self, rules: IdentityRules, hasher: IdentifierHasher) -> None:
        self.limits: Counter[tuple[str, str]] = Counter()
        self._rules, self._hasher = rules, hasher
        self._graph = IdentityGraph({}, {}, rules)
        self._read: dict[Named, Identifier | None] = {}
        self._sightings = 0

    def add(self, sighting: Sighting) -> None:
        """Let the rules see what the next event named."""
        known = {each for named in sighting.identifiers if (each := self.identifier(named)) is not None}
        strongest_first = tuple(sorted(known, key=lambda each: each.strength))
        if not strongest_first or strongest_first[0].role == REFERENCE:
            return
        self._sightings += 1
        event = Event(str(self._sightings), "track", "", "lake", strongest_first, sighting.at, sighting.received_at)
        fragment = fragment_key(event)
        if fragment is not None:
            attachment = self._graph.add(event, fragment)
            self.limits.update((each.identifier_type, each.limit) for each in attachment.findings)

    def identifier(self, named: Named) -> Identifier | None:
        """What the rules make of an identifier; None where they block it."""
        if named not in self._read:
            kind, value = named
            usable = None if kind == ACCOUNT_TYPE else self._rules.type_of(kind).normalise(value)
            self._read[named] = None if usable is None else self._rules.identifier(self._hasher, kind, usable)
        return self._read[named]

    def profile_of(self, named: Named) -> str | None:
        """The profile that has an identifier; None where it is blocked, or was left out by every profile."""
        identifier = self.identifier(named)
        head = None if identifier is None else self._graph.owner(identifier.key)
        return None if head is None else head.profile_id

    @property
    def seen(self) -> Collection[Named]:
        return self._read.keys()


class Change(msgspec.Struct, frozen=True):
    """One profile of one partition, and the several of the other that it corresponds to."""

    profile_id: str
    others: tuple[str, ...]
    identifiers: tuple[Named, ...]


class Difference(msgspec.Struct, frozen=True):
    """How two partitions of the same identifiers differ.

    Attributes:
        merges: New profiles that hold identifiers of several old ones, the largest first.
        splits: Old profiles whose identifiers come to several new ones, likewise.
        vanished, appeared: Profiles without a counterpart: all that identified them is blocked in the other.
    """

    before: int
    after: int
    merges: tuple[Change, ...]
    splits: tuple[Change, ...]
    vanished: int
    appeared: int


def compare(old: Mapping[Named, str | None], new: Mapping[Named, str | None]) -> Difference:
    """Compare two partitions: identifier → profile id, or None where it is in no profile. Both name the same ones."""
    before, after = _groups(old), _groups(new)
    return Difference(
        len(before),
        len(after),
        _changes(after, old),
        _changes(before, new),
        sum(all(new[each] is None for each in group) for group in before.values()),
        sum(all(old[each] is None for each in group) for group in after.values()),
    )


def _groups(profile_of: Mapping[Named, str | None]) -> dict[str, list[Named]]:
    groups: dict[str, list[Named]] = {}
    for named, profile_id in profile_of.items():
        if profile_id is not None:
            groups.setdefault(profile_id, []).append(named)
    return groups


def _changes(groups: Mapping[str, list[Named]], other: Mapping[Named, str | None]) -> tuple[Change, ...]:
    found = []
    for profile_id, group in groups.items():
        others = {there for each in group if (there := other[each]) is not None}
        if len(others) > 1:
            found.append(Change(profile_id, tuple(sorted(others)), tuple(sorted(group))))
    return tuple(sorted(found, key=lambda each: (-len(each.others), each.profile_id)))


def preview_document(old: Replay, new: Replay, label: Callable[[Named], str]) -> dict[str, Any]:
    """What the new rules would change, in counts, and examples in which `label` stands for an identifier."""
    names = sorted({*old.seen, *new.seen})
    difference = compare({each: old.profile_of(each) for each in names}, {each: new.profile_of(each) for each in names})
    blocked = [each for each in names if old.identifier(each) is not None and new.identifier(each) is None]
    unblocked = [each for each in names if old.identifier(each) is None and new.identifier(each) is not None]
    return {
        "identifiers": len(names),
        "profiles": {"before": difference.before, "after": difference.after},
        "merges": _changes_document(difference.merges, label, one="becomes", several="profile_ids"),
        "splits": _changes_document(difference.splits, label, one="profile_id", several="become"),
        "vanished": difference.vanished,
        "appeared": difference.appeared,
        "blocked": _names_document(blocked, label),
        "unblocked": _names_document(unblocked, label),
        "limits": [
            {
                "identifier_type": kind,
                "limit": limit,
                "before": old.limits[kind, limit],
                "after": new.limits[kind, limit],
            }
            for kind, limit in sorted({*old.limits, *new.limits})
        ],
    }


def _changes_document(
    changes: Collection[Change], label: Callable[[Named], str], *, one: str, several: str
) -> dict[str, Any]:
    examples = [
        {
            one: each.profile_id,
            several: list(each.others[:KEYS_SHOWN_MAX]),
            "profiles": len(each.others),
            "identifier_types": _by_type(each.identifiers),
            "identifiers": [label(named) for named in each.identifiers[:KEYS_SHOWN_MAX]],
        }
        for each in list(changes)[:EXAMPLES_MAX]
    ]
    return {
        "groups": len(changes),
        "profiles": len({other for each in changes for other in each.others}),
        "examples": examples,
    }


def _names_document(names: Collection[Named], label: Callable[[Named], str]) -> dict[str, Any]:
    examples = [label(named) for named in list(names)[:KEYS_SHOWN_MAX]]
    return {"identifiers": len(names), "identifier_types": _by_type(names), "examples": examples}


def _by_type(names: Iterable[Named]) -> dict[str, int]:
    return dict(sorted(Counter(kind for kind, _ in names).items()))
