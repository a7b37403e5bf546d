from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.domain.referrer import classify_visit, host_of


@pytest.mark.parametrize(
    ("referrer", "expected"),
    [
        ("", {}),
        ("$direct", {}),
        ("https://shop.example/p/1", {"type": "internal"}),
        ("https://www.shop.example/", {"type": "internal"}),
        ("https://pay.shop.example/", {"type": "internal"}),
        ("https://www.google.de/", {"type": "search", "name": "Google"}),
        ("https://www.google.co.uk/search?q=tea+pot", {"type": "search", "name": "Google", "term": "tea pot"}),
        ("https://google.com.evil.example/", {"type": "referral", "name": "google.com.evil.example"}),
        ("https://notgoogle.com/", {"type": "referral", "name": "notgoogle.com"}),
        ("android-app://com.google.android.googlequicksearchbox/", {"type": "search", "name": "Google"}),
        ("https://duckduckgo.com/?q=a", {"type": "search", "name": "DuckDuckGo", "term": "a"}),
        ("https://mail.google.com/mail/u/0/", {"type": "email", "name": "Gmail"}),
        ("https://gemini.google.com/app", {"type": "assistant", "name": "Gemini"}),
        ("https://chatgpt.com/c/1", {"type": "assistant", "name": "ChatGPT"}),
        ("https://l.facebook.com/l.php?u=x", {"type": "social", "name": "Facebook"}),
        ("https://t.co/abc", {"type": "social", "name": "X"}),
        ("https://news.example.org/tea", {"type": "referral", "name": "news.example.org"}),
        ("http://[::1]:80/", {"type": "referral", "name": "::1"}),
        ("http://[", {}),
        ("no url", {}),
    ],
)
def test_a_referrer_has_a_class(referrer: str, expected: dict[str, str]) -> None:
    found = classify_visit(referrer, "shop.example", ("shop.example",), medium="", is_paid_click=False)

    assert found == expected


@pytest.mark.parametrize(
    ("referrer", "medium", "is_paid_click", "expected"),
    [
        ("https://www.google.de/", "", True, {"type": "paid", "name": "Google"}),
        ("", "cpc", False, {"type": "paid"}),
        ("", "Paid-Social", False, {"type": "paid"}),
        ("", "display", False, {"type": "paid"}),
        ("", "e-mail", False, {"type": "email"}),
        ("https://lists.example.org/", "email", False, {"type": "email"}),
        ("", "social", False, {"type": "social"}),
        ("https://t.co/x", "organic_social", False, {"type": "social", "name": "X"}),
        ("", "affiliate", False, {}),
        ("https://blog.example/", "affiliate", False, {"type": "referral", "name": "blog.example"}),
        ("https://shop.example/", "cpc", True, {"type": "internal"}),  # our own page links with somebody's parameters
    ],
)
def test_what_the_link_says_goes_before_where_it_stood(
    referrer: str, medium: str, is_paid_click: bool, expected: dict[str, str]
) -> None:
    found = classify_visit(referrer, "shop.example", (), medium=medium, is_paid_click=is_paid_click)

    assert found == expected


@given(
    st.sampled_from(["http", "https", "android-app"]),
    st.sampled_from(["", "user@", "user:pass@"]),
    st.from_regex(r"[a-zA-Z0-9]{1,8}(\.[a-z]{1,6}){0,3}|\[[0-9a-f:]{2,10}::1\]", fullmatch=True),
    st.sampled_from(["", ":8080"]),
    st.sampled_from(["", "/", "/a/b", "?a=b@c", "#x", "/a?b#c", "/x@y:1"]),
)
def test_the_host_is_the_one_that_the_standard_library_finds(
    scheme: str, user: str, host: str, port: str, rest: str
) -> None:
    url = f"{scheme}://{user}{host}{port}{rest}"
    try:
        expected = (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return

    assert host_of(url) == expected


@given(st.text(), st.text(max_size=10))
def test_any_text_has_a_class_or_none(referrer: str, medium: str) -> None:
    found = classify_visit(referrer, "shop.example", (), medium=medium, is_paid_click=False)

    assert set(found) <= {"type", "name", "term"}
    assert "\0" not in found.get("term", "")
