"""Fragments: what one person did on one device, folded; never merged with another."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from onefold.domain.event import FINGERPRINT_BYTES, Event, fingerprint
from onefold.domain.facts import NOTHING, Facts, fold

RECENT_MAX: Final = 256
KNOWN_MAX: Final = 200
# Raised where the fold comes to know more than it did, such as a new computed trait. A fragment that grew under an
# older one keeps that version, whatever is folded into it, until a rebuild brings in what it had not looked at.
FOLD_VERSION: Final = 1


class Fragment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of a fragment.

    Attributes:
        known: Identifier key → True where it is attached to the fragment's profile, False where a rule left it out. An
            event that shows only these touches no identity record.
        recent: Fingerprints of the last RECENT_MAX messages, oldest first.
        repeats: Messages that came again and were not counted.
        fold_version: FOLD_VERSION when its first event was folded, or when it was rebuilt.
        rules_version: Of the identity rules under which something was left out; under others it is tried again.
    """

    facts: Facts = NOTHING
    known: dict[str, bool] = {}
    recent: bytes = b""
    repeats: int = 0
    fold_version: int = 1
    rules_version: int = 0


NEW_FRAGMENT: Final = Fragment(fold_version=FOLD_VERSION)


class StoredFragment(msgspec.Struct, frozen=True, gc=False):
    """A fragment as it lies in the store.

    Attributes:
        cursor: Sequence number of the last stream record folded, "" before the first.
        version: 0 where it is not stored yet; each write adds one and is conditional on the one that was read.
    """

    key: str
    fragment: Fragment = NEW_FRAGMENT
    cursor: str = ""
    version: int = 0

    def has_folded(self, sequence: str) -> bool:
        """Whether the record of this sequence number is already in the state. Sequence numbers are decimal texts."""
        return bool(self.cursor) and int(sequence) <= int(self.cursor)


def is_unlinked(fragment: Fragment, event: Event, rules_version: int = 0) -> bool:
    """Whether an event shows an identifier that this fragment has not settled yet, or under other rules only."""
    for identifier in event.identifiers:
        is_attached = fragment.known.get(identifier.key)
        if is_attached is None or (not is_attached and fragment.rules_version != rules_version):
            return True
    return bool(event.previous)


def fold_events(fragment: Fragment, events: Iterable[Event]) -> Fragment:
    """Fold the events that are no repeats of a recent message."""
    recent, fresh, repeats = bytearray(fragment.recent), [], fragment.repeats
    for event in events:
        mark = fingerprint(event)
        if _has(recent, mark):
            repeats += 1
        else:
            fresh.append(event)
            recent += mark
    recent_last = bytes(recent[-RECENT_MAX * FINGERPRINT_BYTES :])
    facts = fold(fragment.facts, fresh)
    return msgspec.structs.replace(fragment, facts=facts, recent=recent_last, repeats=repeats)


def remembers(fragment: Fragment, mark: bytes) -> bool:
    """Whether a message's fingerprint is among the recent ones."""
    return _has(bytearray(fragment.recent), mark)


def _has(recent: bytearray, mark: bytes) -> bool:
    position = recent.find(mark)
    while position >= 0 and position % FINGERPRINT_BYTES:
        position = recent.find(mark, position + 1)
    return position >= 0


def settle(fragment: Fragment, attached: Mapping[str, bool], rules_version: int = 0) -> Fragment:
    """Remember what linking decided of this fragment's identifiers; what other rules left out is open again."""
    is_same = fragment.rules_version == rules_version
    known = {key: was for key, was in fragment.known.items() if was or is_same} | dict(attached)
    if len(known) > KNOWN_MAX:
        known = dict(list(known.items())[-KNOWN_MAX:])
    return msgspec.structs.replace(fragment, known=known, rules_version=rules_version)
