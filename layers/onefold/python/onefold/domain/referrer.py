"""Where a visit came from: search, social network, mail, assistant, own page, advertisement, or another page."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qs

from onefold.domain.campaign import query_of

TERM_CHARACTERS_MAX: Final = 200
KNOWN_MAX: Final = 4_096  # visits that a process remembers

# Suffixes of hosts; `google.` stands for every country's.
SEARCH: Final[Mapping[str, tuple[str, str]]] = {  # → name, and the parameter with the words, which few still send
    "google.": ("Google", "q"),
    "com.google.android.googlequicksearchbox": ("Google", "q"),
    "bing.com": ("Bing", "q"),
    "duckduckgo.com": ("DuckDuckGo", "q"),
    "yahoo.": ("Yahoo", "p"),
    "search.yahoo.com": ("Yahoo", "p"),
    "yandex.": ("Yandex", "text"),
    "ya.ru": ("Yandex", "text"),
    "baidu.com": ("Baidu", "wd"),
    "ecosia.org": ("Ecosia", "q"),
    "qwant.com": ("Qwant", "q"),
    "startpage.com": ("Startpage", "query"),
    "search.brave.com": ("Brave", "q"),
    "naver.com": ("Naver", "query"),
    "seznam.cz": ("Seznam", "q"),
    "sogou.com": ("Sogou", "query"),
    "ask.com": ("Ask", "q"),
    "aol.com": ("AOL", "q"),
    "kagi.com": ("Kagi", "q"),
    "metager.de": ("MetaGer", "eingabe"),
}
SOCIAL: Final[Mapping[str, str]] = {
    "facebook.com": "Facebook", "fb.com": "Facebook", "fb.me": "Facebook", "messenger.com": "Messenger",
    "instagram.com": "Instagram", "threads.net": "Threads", "threads.com": "Threads", "twitter.com": "X", "x.com": "X",
    "t.co": "X", "linkedin.com": "LinkedIn", "lnkd.in": "LinkedIn", "pinterest.": "Pinterest", "pin.it": "Pinterest",
    "reddit.com": "Reddit", "tiktok.com": "TikTok", "youtube.com": "YouTube", "youtu.be": "YouTube",
    "snapchat.com": "Snapchat", "vk.com": "VK", "xing.com": "XING", "t.me": "Telegram", "telegram.org": "Telegram",
    "whatsapp.com": "WhatsApp", "wa.me": "WhatsApp", "weibo.com": "Weibo", "tumblr.com": "Tumblr",
    "discord.com": "Discord", "bsky.app": "Bluesky", "mastodon.social": "Mastodon", "quora.com": "Quora",
    "news.ycombinator.com": "Hacker News", "line.me": "LINE", "twitch.tv": "Twitch",
}  # fmt: skip
MAIL: Final[Mapping[str, str]] = {
    "mail.google.com": "Gmail", "outlook.live.com": "Outlook", "outlook.office.com": "Outlook",
    "outlook.office365.com": "Outlook", "mail.yahoo.com": "Yahoo Mail", "mail.aol.com": "AOL Mail",
    "mail.proton.me": "Proton Mail", "deref-gmx.net": "GMX", "gmx.net": "GMX", "gmx.com": "GMX",
    "deref-web.de": "WEB.DE", "web.de": "WEB.DE", "mail.ru": "Mail.ru", "mail.yandex.ru": "Yandex Mail",
    "icloud.com": "iCloud Mail",
    "mail.zoho.com": "Zoho Mail", "fastmail.com": "Fastmail", "com.google.android.gm": "Gmail",
}  # fmt: skip
ASSISTANTS: Final[Mapping[str, str]] = {
    "chatgpt.com": "ChatGPT", "chat.openai.com": "ChatGPT", "perplexity.ai": "Perplexity", "claude.ai": "Claude",
    "gemini.google.com": "Gemini", "copilot.microsoft.com": "Copilot", "chat.mistral.ai": "Le Chat",
    "deepseek.com": "DeepSeek", "grok.com": "Grok",
}  # fmt: skip

_MAIL_MEDIUM: Final = re.compile(r"e-?mail|newsletter", re.IGNORECASE)
_PAID_MEDIUM: Final = re.compile(
    r"cpc|cpm|cpa|cpv|ppc|sem|display|banner|retargeting|remarketing|.*paid.*|.*\bads?", re.IGNORECASE
)
_SOCIAL_MEDIUM: Final = re.compile(r".*social.*", re.IGNORECASE)


def host_of(url: str) -> str:
    """A URL's host in lower case, without a leading `www.`; empty where there is none, as in `$direct`."""
    _, separator, rest = url.partition("://")
    if not separator:
        return ""
    # By hand: urlsplit takes ten times as long, and this is done for every event of a page.
    authority = rest.partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
    host = authority.partition("]")[0].removeprefix("[") if authority[:1] == "[" else authority.partition(":")[0]
    return host.lower().removeprefix("www.")


def is_below(host: str, parents: tuple[str, ...]) -> bool:
    """Whether a host is one of `parents`, or below it."""
    return any(host == parent or host.endswith(f".{parent}") for parent in parents)


@lru_cache(maxsize=KNOWN_MAX)
def classify_visit(
    referrer: str, page_host: str, own_hosts: tuple[str, ...], *, medium: str, is_paid_click: bool
) -> dict[str, str]:
    """Say what kind of place a visit came from.

    Args:
        referrer: A URL; empty or `$direct` where the browser tells none.
        page_host: Of the page that was visited.
        own_hosts: Of the source, and all below them.
        medium: The campaign's.
        is_paid_click: Whether the page's address has the id of a click on an advertisement.

    Returns:
        `type` (internal, paid, email, assistant, search, social or referral) and, where known, `name` and `term`;
        nothing for a visit that names neither a page nor a campaign. Not to be changed: it is remembered.
    """
    host = host_of(referrer)
    if host and (host == page_host or is_below(host, own_hosts)):
        return {"type": "internal"}
    known = _known_place(host, referrer) if host else {}
    if is_paid_click or _PAID_MEDIUM.fullmatch(medium):
        return {**known, "type": "paid"}
    if _MAIL_MEDIUM.fullmatch(medium):
        return {**known, "type": "email"}
    if known:
        return known
    if _SOCIAL_MEDIUM.fullmatch(medium):
        return {"type": "social"}
    return {"type": "referral", "name": host} if host else {}


def _known_place(host: str, referrer: str) -> dict[str, str]:
    for kind, names in (("email", MAIL), ("assistant", ASSISTANTS), ("social", SOCIAL)):
        suffix = _suffix(host, names)
        if suffix:
            return {"type": kind, "name": names[suffix]}
    suffix = _suffix(host, SEARCH)
    if not suffix:
        return {}
    name, parameter = SEARCH[suffix]
    words = parse_qs(query_of(referrer)).get(parameter)
    term = words[0].replace("\0", "")[:TERM_CHARACTERS_MAX] if words else ""
    return {"type": "search", "name": name, **({"term": term} if term else {})}


def _suffix(host: str, places: Mapping[str, object]) -> str:
    """The entry that a host is, or is below; an entry that ends in a dot stands for every ending."""
    labels = host.split(".")
    for start in range(len(labels)):
        candidate = ".".join(labels[start:])
        if candidate in places:
            return candidate
        # google.de and google.co.uk, but not google.example.com: an ending has at most two short labels.
        endings = labels[start + 1 :]
        stem = f"{labels[start]}."
        if stem in places and 0 < len(endings) <= 2 and all(len(label) <= 3 for label in endings):  # noqa: PLR2004
            return stem
    return ""
