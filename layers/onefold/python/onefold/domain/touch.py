"""Campaign touches: which campaigns brought a person, one touch a day and campaign, the first and the last of all."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from onefold.domain.json_text import DECODING_ERRORS

CAMPAIGN_FIELDS: Final = ("id", "name", "source", "medium", "term", "content")
CAMPAIGN_TEXT_LENGTH_MAX: Final = 200  # of one field; what is longer is cut
CAMPAIGNS_MAX: Final = 20
TOUCHES_PER_CAMPAIGN_MAX: Final = 20
TOUCHES_SHOWN_MAX: Final = 50
DAY_MS: Final = 86_400_000


class Touches(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of one campaign. Times are epoch ms.

    Attributes:
        days: The earliest touch of each UTC day, oldest first; at most TOUCHES_PER_CAMPAIGN_MAX, the newest ones.
    """

    first_at: int
    last_at: int
    days: tuple[int, ...]


def touch_at(at: int) -> Touches:
    return Touches(at, at, (at,))


class _Context(msgspec.Struct):
    campaign: dict[str, Any] | None = None


_contexts = msgspec.json.Decoder(_Context)


def read_campaign(context: bytes) -> tuple[str, int]:
    """The campaign that a context names, as JSON text with sorted fields, and how many of its fields were cut.

    The text is empty where it names none.
    """
    try:
        campaign = _contexts.decode(context).campaign or {}
    except DECODING_ERRORS:
        return "", 0
    stated = {name: campaign[name] for name in CAMPAIGN_FIELDS if isinstance(campaign.get(name), str)}
    named = {name: text[:CAMPAIGN_TEXT_LENGTH_MAX] for name, text in stated.items() if text}
    cut = sum(len(text) > CAMPAIGN_TEXT_LENGTH_MAX for text in stated.values())
    return (msgspec.json.encode(named, order="sorted").decode() if named else ""), cut


def join_touches(left: Touches, right: Touches) -> Touches:
    """Put what is known of one campaign together; commutes, associates and is idempotent."""
    earliest: dict[int, int] = {}
    for at in (*left.days, *right.days):
        day = at // DAY_MS
        earliest[day] = min(earliest.get(day, at), at)
    newest = sorted(earliest.values())[-TOUCHES_PER_CAMPAIGN_MAX:]
    return Touches(min(left.first_at, right.first_at), max(left.last_at, right.last_at), tuple(newest))


def merge_touches(into: dict[str, Touches], more: Mapping[str, Touches]) -> None:
    for campaign, touches in more.items():
        known = into.get(campaign)
        into[campaign] = touches if known is None else join_touches(known, touches)


def shed_campaigns(campaigns: dict[str, Touches]) -> int:
    """Let go of those that were met longest ago, beyond CAMPAIGNS_MAX; the very first one stays.

    Returns:
        How many touches were let go of.
    """
    if len(campaigns) <= CAMPAIGNS_MAX:
        return 0
    first = _first(campaigns)
    oldest = sorted((touches.last_at, name) for name, touches in campaigns.items() if name != first)
    leaving = [name for _, name in oldest[: len(campaigns) - CAMPAIGNS_MAX]]
    return sum(len(campaigns.pop(name).days) for name in leaving)


def _first(campaigns: Mapping[str, Touches]) -> str:
    return min(campaigns, key=lambda name: (campaigns[name].first_at, name))


def campaigns_document(campaigns: Mapping[str, Touches]) -> dict[str, Any]:
    """First and last touch, and the newest ones of each day and campaign, newest first. Times in epoch ms."""
    if not campaigns:
        return {"first": None, "last": None, "touches": []}
    fields = {name: msgspec.json.decode(name) for name in campaigns}
    first = _first(campaigns)
    last = max(campaigns, key=lambda name: (campaigns[name].last_at, name))
    touches = sorted(((at, name) for name, known in campaigns.items() for at in known.days), reverse=True)
    return {
        "first": {"at": campaigns[first].first_at, **fields[first]},
        "last": {"at": campaigns[last].last_at, **fields[last]},
        "touches": [{"at": at, **fields[name]} for at, name in touches[:TOUCHES_SHOWN_MAX]],
    }
