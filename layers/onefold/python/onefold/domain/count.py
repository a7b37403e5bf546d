"""Counts: how often a kind of event happened, and when first and last."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

OTHER: Final = "other"  # what has no count of its own
# Segment's names; always counted apart, so that what is said of mail is exact.
MAIL_EVENTS: Final = {
    "delivered": "track:Email Delivered",
    "opened": "track:Email Opened",
    "clicked": "track:Email Link Clicked",
    "bounced": "track:Email Bounced",
    "spam": "track:Email Marked as Spam",
    "unsubscribed": "track:Unsubscribed",
}
ALWAYS_COUNTED: Final = frozenset(
    [*MAIL_EVENTS.values(), OTHER, "identify:", "page:", "screen:", "group:", "alias:"]
)  # fmt: skip


class Count(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How often a kind of event happened, and when first and last (epoch ms)."""

    times: int
    first_at: int
    last_at: int

    def plus(self, other: "Count") -> "Count":
        return Count(self.times + other.times, min(self.first_at, other.first_at), max(self.last_at, other.last_at))


def merge_counts(into: dict[str, Count], more: Mapping[str, Count]) -> None:
    """Add the counts of other events."""
    for name, count in more.items():
        known = into.get(name)
        into[name] = count if known is None else known.plus(count)


def counts_document(counts: Mapping[str, Count]) -> dict[str, Any]:
    """`kind:name` → count, sorted; the name is given for track events only."""
    return {name: _document(counts[name]) for name in sorted(counts)}


def mail_document(counts: Mapping[str, Count]) -> dict[str, Any]:
    """E-mail engagement; None for what never happened."""
    return {word: _document(counts[name]) if name in counts else None for word, name in MAIL_EVENTS.items()}


def _document(count: Count) -> dict[str, int]:
    return {"times": count.times, "first_at": count.first_at, "last_at": count.last_at}
