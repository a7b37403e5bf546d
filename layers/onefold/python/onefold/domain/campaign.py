"""The campaign that brought a visit, from the address of the page where it began."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

VALUE_CHARACTERS_MAX: Final = 500
QUERY_FIELDS_MAX: Final = 200
QUERY_CHARACTERS_MAX: Final = 8_000

# UTM parameter → field of Segment's `context.campaign`.
UTM_FIELDS: Final = {
    "utm_campaign": "name",
    "utm_source": "source",
    "utm_medium": "medium",
    "utm_term": "term",
    "utm_content": "content",
    "utm_id": "id",
}
# Parameter that an advertising network appends → the network, and whether it is only there behind an advertisement.
CLICK_IDS: Final = {
    "gclid": ("google", True),
    "gbraid": ("google", True),
    "wbraid": ("google", True),
    "dclid": ("google", True),
    "msclkid": ("microsoft", True),
    "ttclid": ("tiktok", True),
    "fbclid": ("facebook", False),  # Facebook appends it to every link
    "twclid": ("x", True),
    "li_fat_id": ("linkedin", True),
    "epik": ("pinterest", True),
    "sccid": ("snapchat", True),
    "rdt_cid": ("reddit", True),
    "yclid": ("yandex", True),
}


def query_of(url: str) -> str:
    """The query of an address, without the mark before it and the fragment behind it."""
    return url.partition("#")[0].partition("?")[2]


def has_click_id(query: str) -> bool:
    """Whether a query may have a click's id. All of their parameters but one end alike."""
    return "id=" in query or "epik=" in query or "ID=" in query


def read_campaign(query: str) -> tuple[dict[str, str], dict[str, str]]:
    """Read a page's query.

    Returns:
        The fields of a campaign, and the click ids by their parameters; both empty for a query that names none. The
        first of several values counts. A query that is absurdly long is not read.
    """
    if not query or len(query) > QUERY_CHARACTERS_MAX or not ("utm_" in query.lower() or has_click_id(query)):
        return {}, {}
    try:
        pairs = parse_qsl(query, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        return {}, {}
    campaign: dict[str, str] = {}
    clicks: dict[str, str] = {}
    for parameter, written in pairs:
        name, value = parameter.lower(), written.replace("\0", "")[:VALUE_CHARACTERS_MAX]
        if name in UTM_FIELDS:
            campaign.setdefault(UTM_FIELDS[name], value)
        elif name in CLICK_IDS:
            clicks.setdefault(name, value)
    if clicks and "source" not in campaign:
        campaign["source"] = CLICK_IDS[next(iter(clicks))][0]
    return campaign, clicks


def is_paid(clicks: Mapping[str, str]) -> bool:
    return any(CLICK_IDS[name][1] for name in clicks)
