from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.domain.consent_rules import purposes_of, refused_purposes, without_person
from onefold.domain.consent_signals import read_signals
from onefold.domain.source import ConsentRules

DENIES_ALL = "CO5VTlWO5VTlWH1AAAENAwCwAAAAAAAAAIAAAAoAAAAA"
ONE_AND_TWO = "COwxsONOwxsONKpAAAENAdCAAMAAAAAAAAAAAAAAAAAA"
MARKETING = ("marketing", "tcf.1", "tcf.2", "ad_user_data", "sale_or_sharing")
RULES = ConsentRules(purposes={"marketing": MARKETING, "statistics": ("C0002",)})


@pytest.mark.parametrize(
    ("context", "expected", "violations"),
    [
        ({}, {}, []),
        ({"gcs": "G101"}, {"ad_storage": False, "analytics_storage": True}, []),
        ({"consent": {"gcs": "G111", "gcd": "11q1t1l1l5"}}, {"ad_storage": False, "analytics_storage": True}, []),
        (
            {"consent": {"googleConsentMode": {"ad_user_data": "granted", "ad_storage": "denied", "x": "granted"}}},
            {"ad_user_data": True, "ad_storage": False},
            [],
        ),
        ({"gpc": True}, {"sale_or_sharing": False}, []),
        ({"consent": {"gpc": "1"}}, {"sale_or_sharing": False}, []),
        ({"gpc": False}, {}, []),
        ({"gpc": {}}, {}, []),
        ({"tcString": "no TC string"}, {}, ["consent_unreadable"]),
        ({"tcf": 5, "gcs": [], "gcd": {"a": 1}}, {}, ["consent_unreadable"] * 2),
        ({"consent": {"googleConsentMode": "granted"}}, {}, ["consent_unreadable"]),
    ],
)
def test_signals_are_read_where_they_stand(
    context: dict[str, Any], expected: dict[str, bool], violations: list[str]
) -> None:
    found: list[str] = []

    assert read_signals(context, found, gpc=False) == expected
    assert found == violations


def test_a_tc_string_becomes_eleven_signals_and_the_browsers_header_one() -> None:
    signals = read_signals({"consent": {"tcString": ONE_AND_TWO}}, [], gpc=True)

    assert signals == {"sale_or_sharing": False} | {f"tcf.{n}": n <= 2 for n in range(1, 12)}


@pytest.mark.parametrize(
    ("stated", "marketing"),
    [
        ({}, None),
        ({"marketing": True}, True),
        ({"marketing": False}, False),
        ({"tcf.1": True, "tcf.2": True}, True),
        ({"tcf.1": True, "tcf.2": False}, False),
        ({"tcf.1": True}, None),  # half a statement of one family
        ({"tcf.1": True, "ad_user_data": True}, True),
        ({"marketing": True, "sale_or_sharing": False}, False),
        ({"C0002": True}, None),
    ],
)
def test_a_purpose_of_several_signals(stated: dict[str, bool], marketing: bool | None) -> None:
    assert purposes_of(RULES, stated).get("marketing") is marketing


def test_a_signal_that_no_purpose_names_stands_for_itself() -> None:
    assert purposes_of(RULES, {"C0002": True, "C0003": False}) == {"statistics": True, "C0003": False}
    assert purposes_of(ConsentRules(), {"tcf.1": True}) == {"tcf.1": True}


@given(st.dictionaries(st.sampled_from([*MARKETING, "C0002", "other"]), st.booleans()))
def test_no_purpose_is_given_against_a_denial(stated: dict[str, bool]) -> None:
    consent = purposes_of(RULES, stated)

    for purpose, signals in RULES.purposes.items():
        denied = any(stated.get(signal) is False for signal in signals)
        assert (consent.get(purpose) is False) == denied
        assert not consent.get(purpose) or any(stated.get(signal) for signal in signals)


@pytest.mark.parametrize(
    ("missing", "consent", "refused"),
    [
        ("denied", {}, ("a", "b")),
        ("denied", {"a": True}, ("b",)),
        ("given", {}, ()),
        ("given", {"a": False}, ("a",)),
        ("denied", {"a": True, "b": True}, ()),
    ],
)
def test_what_is_missing_means_what_the_source_says(
    missing: Any, consent: dict[str, bool], refused: tuple[str]
) -> None:
    assert refused_purposes(ConsentRules(required=("b", "a"), missing=missing), consent) == refused


def test_nothing_of_a_person_is_left() -> None:
    context = {
        "ip": "203.0.113.7", "userAgent": "x", "traits": {"email": "a@b.c"}, "page": {"url": "?e=a@b.c"},
        "device": {"id": "d"}, "externalIds": [], "traffic": {"identifiers": {"userId": "u"}}, "locale": "de",
        "campaign": {"name": "n"},
        "app": {"name": "shop", "version": "1", "installation": "i-1"}, "library": {"name": "x"}, "gcs": "G100",
    }  # fmt: skip
    properties = {
        "email": "a@b.c",
        "price": 5,
        "url": "https://shop.example/p?e=a@b.c#f",
        "search": "?e=a@b.c",
        "referrer": 5,
    }

    assert without_person(context, properties) == (
        {"app": {"name": "shop", "version": "1"}, "library": {"name": "x"}, "gcs": "G100"},
        {"price": 5, "url": "https://shop.example/p", "referrer": 5},
    )
