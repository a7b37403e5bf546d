"""A union: the profiles and new identifiers that one event brings together, grown while every rule holds."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from onefold.domain.event import Event
from onefold.domain.head import (
    EXPLICIT,
    FRAGMENTS_MAX,
    IDENTIFIER_CHARACTERS_MAX,
    SPARE_LINKS_MAX,
    Attached,
    Evidence,
    Head,
    Link,
)
from onefold.domain.identifier import REFERENCE, Identifier
from onefold.domain.identity_rules import USER_TYPE, IdentifierType, IdentityRules

IDENTIFIERS_PER_EVENT_MAX: Final = 20
DAY_MS: Final = 24 * 3_600_000
RIVAL_CHARACTERS: Final = 8  # of a key, 48 bits: enough to count a few different ones

# Why an identifier is left out, where that is no finding: the rule did what it is there for.
SHARED_DEVICE: Final = "shared_device"
NOT_LINKING: Final = "not_linking"
EXPECTED: Final = frozenset([SHARED_DEVICE, NOT_LINKING])
# Why an identifier is left out, where that does not tell that two persons use it.
UNTOLD: Final = frozenset(["parted", "generic_value"])
# The bounds of a profile; who reaches one is no ordinary person.
CAPS: Final = frozenset(["merges", "identifiers", "fragments"])


class Owners(Protocol):
    def owner(self, key: str) -> Head | None: ...


class Union:
    """Grows by one identifier after the other, strongest first.

    Attributes:
        heads: The profiles that have joined.
        newcomers: Identifiers that have joined and belonged to nobody.
        attached: Identifier key → whether it joined.
        findings: (identifier type, limit or cap) of what was left out and should not have been there.
        contested: Devices that both the event's person and another one use.
        met: Identifier keys that belong to other persons.
        consulted: Ids of the profiles whose state left something out.
        unowned: Keys of what was left out and belongs to nobody.
    """

    def __init__(self, graph: Owners, event: Event, rules: IdentityRules) -> None:
        self.event = event
        self.heads: list[Head] = []
        self.newcomers: list[Identifier] = []
        self.attached: dict[str, bool] = {}
        self.findings: list[tuple[str, str]] = []
        self.contested: set[str] = set()
        self.met: set[str] = set()
        self.consulted: set[str] = set()
        self.unowned: list[str] = []
        self._graph, self._rules = graph, rules
        self._joined: list[tuple[Identifier, Evidence, bool]] = []  # why, and whether it brought something new

    def try_to_join(self, identifier: Identifier, why: Evidence = "event") -> str | None:
        """Let an identifier join with the profile that owns it, or leave it out; returns the rule that keeps it out."""
        owner = self._graph.owner(identifier.key)
        broken = self._broken_rule(identifier, owner, why) if self.attached else None
        if broken is None:
            self.contested.discard(identifier.key)
            self._join(identifier, owner, why)
            return None
        self.attached[identifier.key] = False
        self.consulted.update(head.profile_id for head in self.heads)
        if owner is None:
            self.unowned.append(identifier.key)
        else:
            self.consulted.add(owner.profile_id)
        if broken not in EXPECTED:
            self.findings.append((identifier.type, broken))
        if owner is not None and broken not in UNTOLD and self._is_of_another_person(owner):
            if identifier.is_device:
                self.contested.add(identifier.key)
            elif identifier.is_person and identifier.type != USER_TYPE:
                self.met.add(identifier.key)
        return broken

    def links(self) -> list[Link]:
        """Evidence for what is not known yet: each joined identifier beside the event's strongest."""
        event, first = self.event, self.event.identifiers[0]
        known = {link.pair for head in self.heads for link in head.links}
        links: list[Link] = []
        spare = SPARE_LINKS_MAX + sum(len(head.identifiers) - len(head.links) for head in self.heads)
        for identifier, why, is_new in self._joined:
            link = Link(first.key, identifier.key, event.at, event.source, event.message_id, why, event.received_at)
            if identifier.key == first.key or (link.pair in known and why not in EXPLICIT):
                continue
            spare -= not is_new
            if (is_new or spare >= 0) and not self._is_repeated(link):
                links.append(link)
        return links

    def _is_repeated(self, link: Link) -> bool:
        """Whether this very evidence is there already; of what a pair's links say beyond that, all counts."""
        return any(
            known.pair == link.pair and (known.source, known.message_id) == (link.source, link.message_id)
            for head in self.heads
            for known in head.links
        )

    def _join(self, identifier: Identifier, owner: Head | None, why: Evidence) -> None:
        is_new = owner is None or not self._has(owner)
        self._joined.append((identifier, why, is_new))
        self.attached[identifier.key] = True
        if owner is None:
            self.newcomers.append(identifier)
        elif is_new:
            self.heads.append(owner)

    def _has(self, owner: Head) -> bool:
        return any(head.profile_id == owner.profile_id for head in self.heads)

    def _broken_rule(self, identifier: Identifier, owner: Head | None, why: Evidence) -> str | None:
        """The rule that taking this identifier in would break, or None. What adds nothing breaks none."""
        if owner is not None and self._has(owner):
            return None
        broken = self._broken_bound(identifier, owner)
        if broken or why in EXPLICIT:
            return broken
        return (
            self._broken_decision(owner)
            or self._broken_trust(identifier, owner)
            or self._broken_limit(identifier, owner)
        )

    def _broken_bound(self, identifier: Identifier, owner: Head | None) -> str | None:
        """What no evidence may exceed: a shared device is nobody's, and a profile has a size."""
        heads = self.heads if owner is None else [*self.heads, owner]
        if any(head.is_shared_device for head in heads):
            return SHARED_DEVICE
        if len(self.attached) >= IDENTIFIERS_PER_EVENT_MAX:
            return "identifiers_per_event"
        if sum(max(1, len(head.foundings)) for head in heads) - 1 > self._rules.merges_max:
            return "merges"
        values = [attached.identifier.value for head in heads for attached in head.identifiers.values()]
        values += [newcomer.value for newcomer in self.newcomers]
        if owner is None:
            values.append(identifier.value)
        if len(values) > self._rules.identifiers_max or sum(map(len, values)) > IDENTIFIER_CHARACTERS_MAX:
            return "identifiers"
        return "fragments" if owner and sum(len(head.fragments) for head in heads) > FRAGMENTS_MAX else None

    def _broken_decision(self, owner: Head | None) -> str | None:
        """Whether somebody has said that the owner is another person than one who has joined."""
        if owner is None:
            return None
        pairs = [(each.left, each.right) for head in (*self.heads, owner) for each in head.parted]
        if not pairs:
            return None
        joined: set[str] = set().union(*(head.identifiers for head in self.heads))
        is_parted = any(
            (left in joined and right in owner.identifiers) or (right in joined and left in owner.identifiers)
            for left, right in pairs
        )
        return "parted" if is_parted else None

    def _broken_trust(self, identifier: Identifier, owner: Head | None) -> str | None:
        """A reference brings nobody together, nor does a value that many users share."""
        if identifier.role == REFERENCE:
            return NOT_LINKING if owner is not None else None
        first = self.event.identifiers[0]
        shared = [(first, self._graph.owner(first.key)), (identifier, owner)]
        return "generic_value" if any(self._is_generic(*each) for each in shared) else None

    def _is_generic(self, identifier: Identifier, owner: Head | None) -> bool:
        if owner is None or not identifier.is_person or identifier.type == USER_TYPE:
            return False
        rivals = owner.identifiers[identifier.key].rivals
        if not rivals:
            return False
        users = sum(each.identifier.type == USER_TYPE for each in owner.identifiers.values())
        return users + len(rivals) > self._rules.generic_users

    def _broken_limit(self, identifier: Identifier, owner: Head | None) -> str | None:
        """The strongest type of which the union would have too many values."""
        joining: Mapping[str, Attached] = (
            owner.identifiers if owner is not None else {identifier.key: Attached(identifier, self.event.at)}
        )
        together = Counter(newcomer.type for newcomer in self.newcomers)
        for head in self.heads:
            together.update(self._counted(head.identifiers.values()))
        counts = Counter(self._counted(joining.values()))
        broken = [kind for kind, count in counts.items() if count + together[kind] > self._rules.type_of(kind).limit]
        return min(broken, key=lambda kind: self._rules.type_of(kind).priority, default=None)

    def _counted(self, attached: Iterable[Attached]) -> list[str]:
        """The types of those that count towards their limit: of some only what is not long known."""
        return [
            each.identifier.type
            for each in attached
            if self._is_recent(self._rules.type_of(each.identifier.type), each.at)
        ]

    def _is_recent(self, kind: IdentifierType, at: int) -> bool:
        return not kind.limit_days or at > self.event.at - kind.limit_days * DAY_MS

    def _is_of_another_person(self, owner: Head) -> bool:
        """Whether both sides name a person; only then does a clash make the device a shared one."""
        mine = any(each.is_person and self.attached.get(each.key) for each in self.event.identifiers)
        return mine and any(each.identifier.is_person for each in owner.identifiers.values())
