import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.domain.enrichment import Enricher
from onefold.domain.geography import location_of
from onefold.domain.network_address import Address
from onefold.domain.source import InternalTraffic, Source
from onefold.domain.user_agent import USER_AGENT_CHARACTERS_MAX, UserAgent, device_mark, device_type

BERLIN = {
    "country": {"iso_code": "DE", "names": {"en": "Germany"}},
    "subdivisions": [{"names": {"en": "Land Berlin"}}],
    "city": {"names": {"en": "Berlin", "de": "Berlin"}},
    "location": {"latitude": 52.5, "longitude": 13.4},
}
WEB = Source("web", "key-of-web", kind="browser", hosts=("shop.example",))


def locate(address: Address) -> Mapping[str, Any] | None:
    return BERLIN if str(address) == "203.0.113.7" else None


def read_user_agent(text: str) -> UserAgent:
    if "bot" in text:
        return UserAgent(robot="Somebot")
    return UserAgent("Safari", "17.5", "iOS", "17") if text.startswith("Mozilla") else UserAgent()


def enriched(
    context: dict[str, Any], source: Source = WEB, *, known: bool = True
) -> tuple[dict[str, Any], list[str], str]:
    context, violations = copy.deepcopy(context), list[str]()
    enricher = Enricher(source, read_user_agent, locate) if known else Enricher(source)
    robot = enricher.enrich(context, violations)
    return context, violations, robot


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("truncate", {"ip": "203.0.113.0"}), ("drop", {}), ("keep", {"ip": "203.0.113.7"})],
)
def test_the_address_is_kept_as_the_source_says_and_the_place_is_looked_up_before(
    policy: Any, expected: dict[str, str]
) -> None:
    source = Source("web", "key-of-web", ip=policy)

    context, violations, _ = enriched({"ip": "203.0.113.7"}, source)

    assert context == {**expected, "location": {"country": "DE", "region": "Land Berlin", "city": "Berlin"}}
    assert violations == []


@pytest.mark.parametrize("ip", ["nowhere", 5, ["203.0.113.7"], {"a": 1}])
def test_what_is_no_address_is_taken_out_and_said(ip: object) -> None:
    assert enriched({"ip": ip}) == ({}, ["ip_unreadable"], "")


@pytest.mark.parametrize("ip", [None, ""])
def test_an_absent_address_is_no_fault(ip: object) -> None:
    assert enriched({"ip": ip}) == ({}, [], "")


def test_nothing_is_added_where_there_is_nothing_to_know() -> None:
    context = {"locale": "de-DE", "page": {"url": "https://shop.example/p/1", "referrer": ""}, "library": {"name": "x"}}

    assert enriched(context) == (context, [], "")
    assert enriched({}) == ({}, [], "")
    assert enriched({"ip": "198.51.100.1", "userAgent": "Mozilla"}, known=False)[0] == {
        "ip": "198.51.100.0",
        "userAgent": "Mozilla",
    }


def test_a_visit_gets_its_campaign_its_click_and_its_kind() -> None:
    page = {"url": "https://shop.example/p?utm_source=news&utm_medium=cpc&gclid=G#x", "referrer": "https://google.de/"}

    assert enriched({"page": page})[0] == {
        "page": page,
        "campaign": {"source": "news", "medium": "cpc"},
        "clickIds": {"gclid": "G"},
        "referrer": {"type": "paid", "name": "Google"},
    }


def test_the_search_stands_in_for_an_address_without_a_query() -> None:
    page = {"url": "https://shop.example/p", "search": "?utm_source=news&utm_medium=email"}

    assert enriched({"page": page})[0]["campaign"] == {"source": "news", "medium": "email"}
    assert enriched({"page": page})[0]["referrer"] == {"type": "email"}


def test_nothing_that_a_sender_wrote_is_replaced() -> None:
    said = {
        "userAgent": "Mozilla",
        "browser": {"name": "mine"},
        "os": {"name": "mine"},
        "device": {"id": "d-1"},
        "campaign": {"name": "mine"},
        "clickIds": {"gclid": "mine"},
        "referrer": {"type": "mine"},
        "location": {"city": "mine"},
        "page": {"url": "https://shop.example/?utm_source=x&gclid=y", "referrer": "https://google.de/"},
    }

    context, _, _ = enriched(said | {"ip": "203.0.113.7"})

    assert context == said | {"ip": "203.0.113.0"}


def test_a_robot_is_named_and_internal_traffic_marked() -> None:
    internal = InternalTraffic(networks=("198.51.100.0/24", "2001:db8::/32"), hosts=("staging.shop.example",))
    source = Source("web", "key-of-web", internal=internal)

    assert enriched({"userAgent": "a bot"})[2] == "Somebot"
    assert enriched({"userAgent": "a bot"})[0]["traffic"] == {"bot": "Somebot"}
    for context in (
        {"ip": "198.51.100.3"},
        {"ip": "2001:db8::3"},
        {"page": {"url": "https://staging.shop.example/x"}},
        {"page": {"url": "https://a.staging.shop.example/x"}},
    ):
        assert enriched(context, source)[0]["traffic"] == {"internal": True}
    for context in ({"ip": "203.0.113.7"}, {"page": {"url": "https://shop.example/staging"}}):
        assert "traffic" not in enriched(context, source)[0]


def test_a_user_agent_beyond_reason_is_not_parsed() -> None:
    text = "Mozilla bot" + "x" * USER_AGENT_CHARACTERS_MAX

    assert enriched({"userAgent": text}) == ({"userAgent": text}, [], "")


@pytest.mark.parametrize(
    ("system", "text", "expected"),
    [
        ("iOS", "iPhone Mobile", "mobile"),
        ("iOS", "iPad Mobile", "tablet"),
        ("Android", "Android 14; Mobile", "mobile"),
        ("Android", "Android 14", "tablet"),
        ("Mac OS X", "", "desktop"),
        ("Tizen", "SMART-TV", "television"),
        ("", "Mobile", ""),
    ],
)
def test_the_kind_of_device(system: str, text: str, expected: str) -> None:
    assert device_type(UserAgent(system=system), device_mark(text)) == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({}, {}),
        ({"country": {"iso_code": "DE"}}, {"country": "DE"}),
        ({"registered_country": {"iso_code": "FR"}}, {"country": "FR"}),
        ({"country": "DE", "city": [], "subdivisions": {}, "location": None}, {}),
        ({"city": {"names": {"de": "München"}}, "subdivisions": []}, {}),
    ],
)
def test_a_record_of_another_form_gives_what_it_has(record: dict[str, Any], expected: dict[str, str]) -> None:
    assert location_of(record) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
contexts = st.dictionaries(
    st.sampled_from(["ip", "userAgent", "page", "campaign", "clickIds", "referrer", "traffic", "device", "locale"]),
    json_values
    | st.sampled_from(["203.0.113.7", "Mozilla", "a bot"])
    | st.fixed_dictionaries(
        {"url": st.just("https://shop.example/?gclid=1&utm_source=2") | json_values, "referrer": json_values}
    ),
)


@given(contexts, st.sampled_from(["truncate", "drop", "keep"]))
def test_a_context_of_any_shape_is_enriched_and_loses_nothing_but_its_address(context: dict[str, Any], ip: Any) -> None:
    source = Source("web", "key-of-web", ip=ip, internal=InternalTraffic(networks=("10.0.0.0/8",), hosts=("a.b",)))

    found, _, _ = enriched(context, source)

    for name, value in context.items():
        if name not in {"ip", "traffic"} and value:
            assert found[name] == value
    assert ip != "drop" or "ip" not in found
    assert enriched(context, source)[0] == found
