"""Fragments: what one person did on one device, folded; never merged with another."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from onefold.domain.event import FINGERPRINT_BYTES, Event, fingerprint
from onefold.domain.facts import NOTHING, Facts, fold

RECENT_MAX: Final = 256
KNOWN_MAX: Final = 200


class Fragment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of a fragment.

    Attributes:
        known: Identifier key → True where it is attached to the fragment's profile, False where a rule left it out. An
            event that shows only these touches no identity record.
        recent: Fingerprints of the last RECENT_MAX messages, oldest first.
        repeats: Messages that came again and were not counted.
    """

    facts: Facts = NOTHING
    known: dict[str, bool] = {}
    recent: bytes = b""
    repeats: int = 0


NEW_FRAGMENT: Final = Fragment()


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


def is_unlinked(fragment: Fragment, event: Event) -> bool:
    """Whether an event shows an identifier that this fragment has not settled yet."""
    for identifier in event.identifiers:
        if identifier.key not in fragment.known:
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
    return Fragment(fold(fragment.facts, fresh), fragment.known, recent_last, repeats)


def remembers(fragment: Fragment, mark: bytes) -> bool:
    """Whether a message's fingerprint is among the recent ones."""
    return _has(bytearray(fragment.recent), mark)


def _has(recent: bytearray, mark: bytes) -> bool:
    position = recent.find(mark)
    while position >= 0 and position % FINGERPRINT_BYTES:
        position = recent.find(mark, position + 1)
    return position >= 0


def settle(fragment: Fragment, attached: Mapping[str, bool]) -> Fragment:
    """Remember what linking decided of this fragment's identifiers."""
    known = {**fragment.known, **attached}
    if len(known) > KNOWN_MAX:
        known = dict(list(known.items())[-KNOWN_MAX:])
    return msgspec.structs.replace(fragment, known=known)
