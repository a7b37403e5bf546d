"""Identity resolution: which profile an event belongs to, and which profiles it shows to be one person.

The rules, in the order of an event's life: identifiers join strongest first, each with the profile that owns it, as
long as the union keeps every limit; what would break one is left out and the event goes on without it. The oldest
profile survives and the others become redirects. A device seen with two persons is shared: by default its anonymous
events leave the first owner and become a profile of their own.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from onefold.domain.event import Event, FragmentKey
from onefold.domain.head import (
    FRAGMENTS_MAX,
    MERGES_MAX,
    PARTED_MAX,
    RETRACTED_MAX,
    Attached,
    Founding,
    Head,
    Link,
    Parted,
    profile_id_for,
)
from onefold.domain.identifier import ACCOUNT, Identifier
from onefold.domain.identity_rules import DEFAULT_RULES, USER_TYPE, IdentityRules
from onefold.domain.parting import without_device
from onefold.domain.union import CAPS, RIVAL_CHARACTERS, Union

REDIRECTS_MAX: Final = MERGES_MAX + 1
Value = TypeVar("Value")


class LimitReached(msgspec.Struct, frozen=True):
    """An identifier that was left out, of which type, and which limit, cap or decision kept it out.

    Attributes:
        source, message_id: The event that showed it. at: When that was received, epoch ms.
    """

    profile_id: str
    identifier_type: str
    limit: str
    source: str = ""
    message_id: str = ""
    at: int = 0

    @property
    def kind(self) -> str:
        """What it is called on the bus."""
        return "Limit Reached"

    @property
    def is_cap(self) -> bool:
        """Whether a profile has reached its size: no ordinary person's, so that somebody should look."""
        return self.limit in CAPS


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
        checks: Profile id → version of heads that stay as they are, but whose state decided what was left out.
        unowned: Keys of identifiers that were left out and belonged to nobody; they still must.
    """

    heads: tuple[Head, ...]
    identities: dict[str, IdentityChange]
    checks: dict[str, int] = {}
    unowned: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.heads) + len(self.identities) + len(self.checks) + len(self.unowned)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write; then nothing needs to be checked either."""
        return not self.heads and not self.identities


class GraphIncomplete(Exception):  # noqa: N818 - not an error: a request to read again
    """The part of the graph that was read does not hang together: somebody wrote between two reads."""


class IdentityGraph:
    """The part of the identity graph that a batch of events touches, read once, changed in memory, written together.

    Applying a batch's events here one by one gives what applying them one by one to the store would give.
    """

    def __init__(
        self, heads: Mapping[str, Head], owners: Mapping[str, str], rules: IdentityRules = DEFAULT_RULES
    ) -> None:
        """Take what was read.

        Args:
            heads: Profile id → head, with every redirect's target.
            owners: Identifier key → profile id as stored; identifiers that nobody owns are absent.
            rules: Those in force.
        """
        self._read_heads, self._read_owners, self._rules = heads, owners, rules
        self._heads, self._owners = dict(heads), dict(owners)
        self._consulted: set[str] = set()
        self._unowned: dict[str, None] = {}

    def changes(self) -> GraphChanges:
        heads = [head for head in self._heads.values() if self._read_heads.get(head.profile_id) is not head]
        identities = {
            key: IdentityChange(owner, self._read_owners.get(key))
            for key, owner in self._owners.items()
            if self._read_owners.get(key) != owner
        }
        changed = {head.profile_id for head in heads}
        checks = {key: self._read_heads[key].version for key in self._read_heads if key in self._consulted - changed}
        unowned = tuple(key for key in self._unowned if key not in identities)
        return GraphChanges(tuple(heads), identities, checks, unowned)

    def owner(self, key: str) -> Head | None:
        """The live profile that owns an identifier.

        Raises:
            GraphIncomplete: The identifier's profile was not read, or does not list it; or a profile lists it that is
                said not to own it.
        """
        profile_id = self._owners.get(key)
        if profile_id is None:
            if any(key in head.identifiers for head in self._read_heads.values()):
                raise GraphIncomplete
            return None
        for _ in range(REDIRECTS_MAX):
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
        union = Union(self, event, self._rules)
        for identifier in event.identifiers:
            union.try_to_join(identifier)
        for identifier in self._former_identity(event):
            if not union.attached.get(identifier.key):
                union.try_to_join(identifier, "alias")
        is_new = not union.heads
        self._consulted |= union.consulted
        self._unowned.update(dict.fromkeys(union.unowned))
        survivor = self._settle(union, str(fragment))
        self._part_contested_devices(union, survivor.profile_id)
        self._note_rivals(union)
        return Attachment(
            survivor.profile_id,
            self._settled(union, fragment),
            tuple(head.profile_id for head in union.heads if head.profile_id != survivor.profile_id),
            is_new,
            tuple(
                LimitReached(survivor.profile_id, *finding, event.source, event.message_id, event.received_at)
                for finding in union.findings
            ),
        )

    def join(self, link: Link) -> Attachment | str:
        """Bring two known identifiers together on evidence that is no event's.

        Returns:
            The attachment, or the rule that forbids it.

        Raises:
            GraphIncomplete: As above.
        """
        left, right = self.owner(link.left), self.owner(link.right)
        if left is None or right is None:
            raise GraphIncomplete
        pair = sorted(
            (left.identifiers[link.left].identifier, right.identifiers[link.right].identifier),
            key=lambda each: each.strength,
        )
        event = Event(link.message_id, "alias", "", link.source, tuple(pair), link.at, link.received_at)
        union = Union(self, event, self._rules)
        union.try_to_join(pair[0])
        broken = union.try_to_join(pair[1], link.why)
        if broken:
            return broken
        survivor = self._settle(union, "", probability=link.probability)
        merged = tuple(head.profile_id for head in union.heads if head.profile_id != survivor.profile_id)
        return Attachment(survivor.profile_id, union.attached, merged)

    def _former_identity(self, event: Event) -> Iterable[Identifier]:
        """Of an alias's candidates those that are known, else the first."""
        known = [candidate for candidate in event.previous if self.owner(candidate.key)]
        return known or event.previous[:1]

    def _settle(self, union: Union, fragment: str, *, probability: float = 1.0) -> Head:
        """Let the oldest profile of the union take everything; the others become redirects."""
        event, founder = union.event, union.event.identifiers[0]
        if union.heads:
            survivor, *losers = sorted(union.heads, key=lambda head: head.age)
        else:
            survivor, losers = _founded(event, founder), []
        identifiers, foundings = dict(survivor.identifiers), dict(survivor.foundings)
        fragments = dict.fromkeys([*survivor.fragments, *(key for head in losers for key in head.fragments)])
        for head in losers:
            identifiers.update(head.identifiers)
            foundings.update(head.foundings)
            self._redirect(head, survivor.profile_id)
        for identifier in union.newcomers:
            identifiers[identifier.key] = Attached(identifier, event.at)
            self._owners[identifier.key] = survivor.profile_id
        if fragment and len(fragments) < FRAGMENTS_MAX:
            fragments[fragment] = None
        elif fragment and fragment not in fragments:
            union.findings.append((founder.type, "fragments"))
        links = [msgspec.structs.replace(link, probability=probability) for link in union.links()]
        grown = msgspec.structs.replace(
            survivor,
            identifiers=identifiers,
            foundings=foundings,
            links=(*survivor.links, *(link for head in losers for link in head.links), *links),
            fragments=tuple(fragments),
            retracted=_last(RETRACTED_MAX, [each for head in (survivor, *losers) for each in head.retracted]),
            parted=_still_parted([survivor, *losers], identifiers),
        )
        if grown != survivor or survivor.profile_id not in self._heads:
            self._heads[survivor.profile_id] = grown
        return self._heads[survivor.profile_id]

    def _redirect(self, loser: Head, survivor_id: str) -> None:
        """Let a profile lead to another one, and with it what came to lead to it in this batch."""
        self._heads[loser.profile_id] = Head(
            loser.profile_id, loser.founded_at, merged_into=survivor_id, version=loser.version
        )
        for profile_id in loser.foundings:
            former = self._heads.get(profile_id)
            is_new = former is not None and self._read_heads.get(profile_id) is not former
            if former is not None and is_new and former.merged_into == loser.profile_id:
                self._heads[profile_id] = msgspec.structs.replace(former, merged_into=survivor_id)

    def _settled(self, union: Union, fragment: FragmentKey) -> dict[str, bool]:
        """What the fragment may remember. Where the last person has the device, each login must be seen."""
        if self._rules.shared_devices != "last" or not fragment.person:
            return union.attached
        devices = {each.key for each in union.event.identifiers if each.is_device}
        return {key: joined for key, joined in union.attached.items() if key not in devices}

    def _part_contested_devices(self, union: Union, survivor_id: str) -> None:
        """Take a device that two persons use, with its anonymous events, out of its first owner's profile."""
        event = union.event
        for device in event.identifiers:
            owner = self.owner(device.key) if device.key in union.contested else None
            # An alias of the same event may have shown both persons to be one.
            is_settled = owner is None or owner.is_shared_device or owner.profile_id == survivor_id
            if owner is None or is_settled or self._rules.shared_devices == "first":
                continue
            anonymous = str(FragmentKey(device.key, ""))
            fragments = (anonymous,) if anonymous in owner.fragments else ()
            at = owner.identifiers[device.key].at
            if self._rules.shared_devices == "separate":
                shared_id = profile_id_for(device.key, shared=True)
                self._heads[shared_id] = Head(
                    shared_id,
                    at,
                    identifiers={device.key: Attached(device, at)},
                    fragments=fragments,
                    kind="shared_device",
                    foundings={shared_id: Founding(device.key, at, event.received_at)},
                    split_from=owner.profile_id,
                )
                self._owners[device.key] = shared_id
            elif event.at < at or not self._hand_over(device, fragments, union, survivor_id):
                continue
            self._heads[owner.profile_id] = without_device(owner, device, fragments, event.received_at)

    def _hand_over(self, device: Identifier, fragments: tuple[str, ...], union: Union, survivor_id: str) -> bool:
        """Give a device to the person who was seen on it last, if there is room for it."""
        survivor, event = self._heads[survivor_id], union.event
        devices = [each for each in survivor.identifiers.values() if each.identifier.type == device.type]
        if (
            len(devices) >= self._rules.type_of(device.type).limit
            or len(survivor.identifiers) >= self._rules.identifiers_max
            or len(survivor.fragments) + len(fragments) > FRAGMENTS_MAX
        ):
            return False
        link = Link(
            event.identifiers[0].key, device.key, event.at, event.source, event.message_id, "event", event.received_at
        )
        self._heads[survivor_id] = msgspec.structs.replace(
            survivor,
            identifiers={**survivor.identifiers, device.key: Attached(device, event.at)},
            links=(*survivor.links, link),
            fragments=tuple(dict.fromkeys([*survivor.fragments, *fragments])),
        )
        self._owners[device.key] = survivor_id
        return True

    def _note_rivals(self, union: Union) -> None:
        """Remember with whose user id a value was seen that belongs to somebody else, until it links no more."""
        first = union.event.identifiers[0]
        if first.type != USER_TYPE:
            return
        rival = first.key.rpartition(":")[2][:RIVAL_CHARACTERS]
        for key in union.met:
            owner = self.owner(key)
            if owner is None or first.key in owner.identifiers:
                continue
            attached = owner.identifiers[key]
            if rival in attached.rivals or len(attached.rivals) > self._rules.generic_users:
                continue
            met = msgspec.structs.replace(attached, rivals=tuple(sorted((*attached.rivals, rival))))
            self._heads[owner.profile_id] = msgspec.structs.replace(owner, identifiers={**owner.identifiers, key: met})


def _founded(event: Event, founder: Identifier) -> Head:
    profile_id = profile_id_for(founder.key)
    return Head(
        profile_id,
        event.at,
        kind="account" if founder.role == ACCOUNT else "person",
        foundings={profile_id: Founding(founder.key, event.at, event.received_at)},
    )


def _still_parted(heads: Iterable[Head], together: Mapping[str, Attached]) -> tuple[Parted, ...]:
    """Pairs that are still apart; what explicit evidence has brought together is so no more."""
    parted = {
        each: None for head in heads for each in head.parted if not (each.left in together and each.right in together)
    }
    return _last(PARTED_MAX, parted)


def _last(count: int, values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(values)[-count:]
