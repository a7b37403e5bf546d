import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.adapters.user_agents import read_user_agent
from onefold.domain.user_agent import UserAgent

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CHROME, UserAgent("Chrome", "126.0", "Windows", "10")),
        (
            IPHONE,
            UserAgent("Mobile Safari", "17.5", "iOS", "17.5"),
        ),
        ("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0", UserAgent("Firefox", "128.0", "Linux")),
        ("", UserAgent()),
        ("Browser/1.0", UserAgent()),
        ("analytics-python/2.4.0", UserAgent()),
    ],
)
def test_what_is_recognised(text: str, expected: UserAgent) -> None:
    assert read_user_agent(text) == expected


@pytest.mark.parametrize(
    ("text", "robot"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot"),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +x@example.org)", "ClaudeBot"),
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "FacebookBot"),
        (CHROME.replace("Chrome/", "HeadlessChrome/"), "HeadlessChrome"),
        ("my-own-crawler", "my-own-crawler"),
        (CHROME, ""),
        ("WhatsApp/2.23.20.0 A", "WhatsApp"),
        ("Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)", "Yahoo! Slurp"),
        (f"{CHROME} Sogou MetaSr 1.0", ""),
        (f"{CHROME} DaumBrowser/1", ""),
        ("python-requests/2.32", ""),  # servers track for persons
        ("Python-urllib/3.11", ""),
        ("Java/11.0.2", ""),
        ("Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36", ""),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", ""),
    ],
)
def test_robots_and_what_only_looks_like_one(text: str, robot: str) -> None:
    assert read_user_agent(text).robot == robot


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(read_user_agent(text), UserAgent)
