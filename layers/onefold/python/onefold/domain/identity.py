"""Identity resolution: which profile an event belongs to, and which profiles it shows to be one person.

The rules, in the order of an event's life: identifiers join strongest first, each with the profile that owns it, as
long as the union keeps every limit; what would break one is left out and the event goes on without it. The oldest
profile survives and the others become redirects. A device seen with two persons is shared: its anonymous events leave
the first owner and become a profile of their own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from onefold.domain.event import Event, FragmentKey
from onefold.domain.head import (
    FRAGMENTS_MAX,
    IDENTIFIER_CHARACTERS_MAX,
    IDENTIFIERS_MAX,
    MERGES_MAX,
    Attached,
    Head,
    Link,
    profile_id_for,
)
from onefold.domain.identifier import DEFAULT_TYPES, Identifier

IDENTIFIERS_PER_EVENT_MAX: Final = 20
SHARED_DEVICE: Final = "shared_device"


class LimitReached(msgspec.Struct, frozen=True):
    """An identifier that was left out, and of which type's limit or which cap."""

    profile_id: str
    identifier_type: str
    limit: str


class Attachment(msgspec.Struct, frozen=True):
    """Where an event belongs.

    Attributes:
        attached: Identifier key → True where it is in the profile, False where it was left out.
        merged: Ids of the profiles that became redirects to this one.
        is_new: Whether this event founded the profile.
    """

    profile_id: str
    attached: dict[str, bool]
    merged: tuple[str, ...] = ()
    is_new: bool = False
    findings: tuple[LimitReached, ...] = ()


class IdentityChange(msgspec.Struct, frozen=True):
    """An identifier's new owner, and the one that it must still have (None: nobody)."""

    profile_id: str
    expected: str | None


class GraphChanges(msgspec.Struct, frozen=True):
    """What must be written together or not at all.

    Attributes:
        heads: Each with the version that was read; the write stores version + 1.
        identities: Identifier key → change.
    """

    heads: tuple[Head, ...]
    identities: dict[str, IdentityChange]

    def __len__(self) -> int:
        return len(self.heads) + len(self.identities)


class GraphIncomplete(Exception):  # noqa: N818 - not an error: a request to read again
    """The part of the graph that was read does not hang together: somebody wrote between two reads."""


class IdentityGraph:
    """The part of the identity graph that a batch of events touches, read once, changed in memory, written together.

    Applying a batch's events here one by one gives what applying them one by one to the store would give.
    """

    def __init__(self, heads: Mapping[str, Head], owners: Mapping[str, str]) -> None:
        """Take what was read.

        Args:
            heads: Profile id → head, with every redirect's target.
            owners: Identifier key → profile id as stored; identifiers that nobody owns are absent.
        """
        self._read_heads, self._read_owners = heads, owners
        self._heads, self._owners = dict(heads), dict(owners)

    def changes(self) -> GraphChanges:
        heads = [head for head in self._heads.values() if self._read_heads.get(head.profile_id) is not head]
        identities = {
            key: IdentityChange(owner, self._read_owners.get(key))
            for key, owner in self._owners.items()
            if self._read_owners.get(key) != owner
        }
        return GraphChanges(tuple(heads), identities)

    def owner(self, key: str) -> Head | None:
        """The live profile that owns an identifier.

        Raises:
            GraphIncomplete: The identifier's profile was not read, or does not list it.
        """
        profile_id = self._owners.get(key)
        if profile_id is None:
            return None
        for _ in range(MERGES_MAX + 1):
            head = self._heads.get(profile_id)
            if head is None:
                raise GraphIncomplete
            if not head.merged_into:
                if key not in head.identifiers:
                    raise GraphIncomplete
                return head
            profile_id = head.merged_into
        raise GraphIncomplete

    def add(self, event: Event, fragment: FragmentKey) -> Attachment:
        """Attach an event's identifiers and its fragment.

        Raises:
            GraphIncomplete: The part that was read is not enough; read again.
        """
        union = _Union(self, event)
        for identifier in event.identifiers:
            union.try_to_join(identifier)
        for identifier in self._former_identity(event):
            union.join_by_alias(identifier)
        is_new = not union.heads
        survivor = self._settle(union, fragment)
        self._part_shared_devices(union, event)
        return Attachment(
            survivor.profile_id,
            union.attached,
            tuple(head.profile_id for head in union.heads if head.profile_id != survivor.profile_id),
            is_new,
            tuple(LimitReached(survivor.profile_id, *finding) for finding in union.findings),
        )

    def _former_identity(self, event: Event) -> Iterable[Identifier]:
        """Of an alias's candidates those that are known, else the first."""
        known = [candidate for candidate in event.previous if self.owner(candidate.key)]
        return known or event.previous[:1]

    def _settle(self, union: "_Union", fragment: FragmentKey) -> Head:
        """Let the oldest profile of the union take everything; the others become redirects."""
        event, founder = union.event, union.event.identifiers[0]
        if union.heads:
            survivor, *losers = sorted(union.heads, key=lambda head: head.age)
        else:
            survivor, losers = Head(profile_id_for(founder.key), event.at), []
        identifiers = dict(survivor.identifiers)
        fragments = dict.fromkeys([*survivor.fragments, *(key for head in losers for key in head.fragments)])
        for head in losers:
            identifiers.update(head.identifiers)
            self._heads[head.profile_id] = Head(
                head.profile_id, head.founded_at, merged_into=survivor.profile_id, version=head.version
            )
        for identifier in union.newcomers:
            identifiers[identifier.key] = Attached(identifier, event.at)
            self._owners[identifier.key] = survivor.profile_id
        if len(fragments) < FRAGMENTS_MAX:
            fragments[str(fragment)] = None
        elif str(fragment) not in fragments:
            union.findings.append((founder.type, "fragments"))
        grown = msgspec.structs.replace(
            survivor,
            identifiers=identifiers,
            links=(*survivor.links, *(link for head in losers for link in head.links), *union.links()),
            fragments=tuple(fragments),
            merges=survivor.merges + sum(1 + head.merges for head in losers),
        )
        if grown != survivor or survivor.profile_id not in self._heads:
            self._heads[survivor.profile_id] = grown
        return self._heads[survivor.profile_id]

    def _part_shared_devices(self, union: "_Union", event: Event) -> None:
        """Take a device that two persons use, with its anonymous events, out of its first owner's profile."""
        for device in event.identifiers:
            owner = self.owner(device.key) if device.key in union.shared_devices else None
            if owner is None or owner.is_shared_device:
                continue
            anonymous = str(FragmentKey(device.key, ""))
            attached = owner.identifiers[device.key]
            shared = Head(
                profile_id_for(device.key, shared=True),
                attached.at,
                identifiers={device.key: attached},
                fragments=(anonymous,) if anonymous in owner.fragments else (),
                is_shared_device=True,
            )
            self._heads[shared.profile_id] = shared
            self._owners[device.key] = shared.profile_id
            self._heads[owner.profile_id] = msgspec.structs.replace(
                owner,
                identifiers={key: kept for key, kept in owner.identifiers.items() if key != device.key},
                fragments=tuple(key for key in owner.fragments if key != anonymous),
            )


class _Union:
    """The profiles and new identifiers that one event brings together, grown while every limit holds."""

    def __init__(self, graph: IdentityGraph, event: Event) -> None:
        self.event = event
        self.heads: list[Head] = []
        self.newcomers: list[Identifier] = []
        self.attached: dict[str, bool] = {}
        self.shared_devices: set[str] = set()
        self.findings: list[tuple[str, str]] = []
        self._graph = graph
        self._joining: list[tuple[Identifier, str]] = []  # what this event links anew, and why

    def try_to_join(self, identifier: Identifier) -> None:
        owner = self._graph.owner(identifier.key)
        is_first = not self.attached
        broken = None if is_first else self._broken_limit(identifier, owner)
        if broken is None:
            self._join(identifier, owner, "event")
            return
        self._leave_out(identifier, broken)
        if identifier.is_device and owner is not None and self._is_of_another_person(owner):
            self.shared_devices.add(identifier.key)

    def join_by_alias(self, identifier: Identifier) -> None:
        """An alias is explicit and may exceed a type's limit, no other; it says so in its evidence."""
        if self.attached.get(identifier.key):
            return
        owner = self._graph.owner(identifier.key)
        broken = self._broken_bound(identifier, owner)
        if broken is None:
            self.shared_devices.discard(identifier.key)
            self._join(identifier, owner, "alias")
            return
        self._leave_out(identifier, broken)

    def links(self) -> list[Link]:
        """Evidence for what is new here: each joining identifier beside the event's strongest."""
        event = self.event
        first = event.identifiers[0]
        return [
            Link(first.key, identifier.key, event.at, event.source, event.message_id, why)
            for identifier, why in self._joining
            if identifier.key != first.key
        ]

    def _join(self, identifier: Identifier, owner: Head | None, why: str) -> None:
        self.attached[identifier.key] = True
        if owner is None:
            self.newcomers.append(identifier)
            self._joining.append((identifier, why))
        elif all(head.profile_id != owner.profile_id for head in self.heads):
            if self.attached.keys() - {identifier.key}:
                self._joining.append((identifier, why))
            self.heads.append(owner)

    def _leave_out(self, identifier: Identifier, broken: str) -> None:
        self.attached[identifier.key] = False
        if broken != SHARED_DEVICE:
            self.findings.append((identifier.type, broken))

    def _broken_limit(self, identifier: Identifier, owner: Head | None) -> str | None:
        """The limit or cap that taking this identifier in would break, or None."""
        return self._broken_bound(identifier, owner) or self._broken_type(self._joining_with(identifier, owner))

    def _joining_with(self, identifier: Identifier, owner: Head | None) -> Mapping[str, Attached]:
        """The identifiers that come along with this one."""
        if owner is None:
            return {identifier.key: Attached(identifier, self.event.at)}
        return {} if any(head.profile_id == owner.profile_id for head in self.heads) else owner.identifiers

    def _broken_bound(self, identifier: Identifier, owner: Head | None) -> str | None:
        """What no evidence may exceed: a shared device is nobody's, and a profile has a size."""
        if owner is not None and any(head.profile_id == owner.profile_id for head in self.heads):
            return None
        if (owner is not None and owner.is_shared_device) or any(head.is_shared_device for head in self.heads):
            return SHARED_DEVICE
        if len(self.attached) >= IDENTIFIERS_PER_EVENT_MAX:
            return "identifiers_per_event"
        return self._broken_cap(identifier, owner)

    def _broken_cap(self, identifier: Identifier, owner: Head | None) -> str | None:
        """Which of a head's bounds the union would break; a head that outgrew its item would stop its stream."""
        heads = self.heads if owner is None else [*self.heads, owner]
        if sum(head.merges for head in heads) + max(0, len(heads) - 1) > MERGES_MAX:
            return "merges"
        values = [attached.identifier.value for head in heads for attached in head.identifiers.values()]
        values += [newcomer.value for newcomer in self.newcomers]
        if owner is None:
            values.append(identifier.value)
        if len(values) > IDENTIFIERS_MAX or sum(map(len, values)) > IDENTIFIER_CHARACTERS_MAX:
            return "identifiers"
        return "fragments" if owner and sum(len(head.fragments) for head in heads) > FRAGMENTS_MAX else None

    def _broken_type(self, joining: Mapping[str, Attached]) -> str | None:
        counts = Counter(attached.identifier.type for attached in joining.values())
        together = Counter(identifier.type for identifier in self.newcomers)
        for head in self.heads:
            together.update(attached.identifier.type for attached in head.identifiers.values())
        broken = [kind for kind, count in counts.items() if count + together[kind] > DEFAULT_TYPES[kind].limit]
        return min(broken, key=lambda kind: DEFAULT_TYPES[kind].priority, default=None)

    def _is_of_another_person(self, owner: Head) -> bool:
        """Whether both sides name a person; only then does a clash make the device a shared one."""
        mine = any(
            not identifier.is_device and self.attached.get(identifier.key) for identifier in self.event.identifiers
        )
        return mine and any(not attached.identifier.is_device for attached in owner.identifiers.values())
