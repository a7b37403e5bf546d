import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.domain.campaign import QUERY_CHARACTERS_MAX, is_paid, query_of, read_campaign


@pytest.mark.parametrize(
    ("query", "campaign", "clicks"),
    [
        ("", {}, {}),
        ("q=tea&page=2", {}, {}),
        (
            "utm_source=news&utm_medium=email&utm_campaign=autumn&utm_term=tea%20pot&utm_content=a&utm_id=7",
            {"source": "news", "medium": "email", "name": "autumn", "term": "tea pot", "content": "a", "id": "7"},
            {},
        ),
        ("UTM_Source=News", {"source": "News"}, {}),
        ("utm_source=a&utm_source=b", {"source": "a"}, {}),
        ("gclid=abc", {"source": "google"}, {"gclid": "abc"}),
        ("a=1&fbclid=F&utm_source=insta", {"source": "insta"}, {"fbclid": "F"}),
        ("msclkid=M&ttclid=T", {"source": "microsoft"}, {"msclkid": "M", "ttclid": "T"}),
        ("ScCid=S", {"source": "snapchat"}, {"sccid": "S"}),
        ("epik=E&li_fat_id=L", {"source": "pinterest"}, {"epik": "E", "li_fat_id": "L"}),
        ("gclid=", {}, {}),
        ("product_id=5", {}, {}),
        ("utm_source=a%00b", {"source": "ab"}, {}),
        ("utm_source=%ff", {"source": "\ufffd"}, {}),
        ("utm_source=a&" + "b=1&" * 500, {}, {}),
        ("utm_source=" + "a" * QUERY_CHARACTERS_MAX, {}, {}),
    ],
)
def test_a_query_tells_its_campaign(query: str, campaign: dict[str, str], clicks: dict[str, str]) -> None:
    assert read_campaign(query) == (campaign, clicks)


@pytest.mark.parametrize(
    ("url", "query"),
    [("https://a/b?c=1#d", "c=1"), ("https://a/b#c?d", ""), ("", ""), ("?a=1", "a=1"), ("/p?a=b?c", "a=b?c")],
)
def test_the_query_lies_between_the_mark_and_the_fragment(url: str, query: str) -> None:
    assert query_of(url) == query


def test_facebook_marks_links_that_nobody_paid_for() -> None:
    assert is_paid({"gclid": "x", "fbclid": "y"})
    assert not is_paid({"fbclid": "y"})


@given(st.text(alphabet="utm_sorcegli=&%01abö?#;") | st.text())
def test_any_query_gives_texts_without_nul(query: str) -> None:
    for fields in read_campaign(query):
        assert all("\0" not in value for value in fields.values())
