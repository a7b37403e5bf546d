"""TC strings, against an encoder that follows the specification's table of fields bit by bit."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.domain.tcf import PURPOSES, read_tc_string

# Field → bits, in the order of the specification's core string.
CORE = {
    "version": 6, "created": 36, "last_updated": 36, "cmp_id": 12, "cmp_version": 12, "consent_screen": 6,
    "consent_language": 12, "vendor_list_version": 12, "tcf_policy_version": 6, "is_service_specific": 1,
    "use_non_standard_texts": 1, "special_feature_opt_ins": 12, "purposes_consent": 24, "purposes_li_transparency": 24,
    "purpose_one_treatment": 1, "publisher_cc": 12, "max_vendor_id": 16, "is_range_encoding": 1,
}  # fmt: skip
EVERYTHING_ELSE = {name: bits for name, bits in CORE.items() if name not in {"version", "purposes_consent"}}


def encode(fields: dict[str, int], vendors: str = "") -> str:
    bits = "".join(f"{fields.get(name, 0):0{width}b}" for name, width in CORE.items()) + vendors
    octets = [int(bits[start : start + 8].ljust(8, "0"), 2) for start in range(0, len(bits), 8)]
    return urlsafe_b64encode(bytes(octets)).decode().rstrip("=")


def purposes_field(consented: set[int]) -> int:
    """The first purpose is the highest bit."""
    return sum(1 << (24 - number) for number in consented)


@given(
    st.sets(st.integers(1, 24)),
    st.fixed_dictionaries({name: st.integers(0, 2**bits - 1) for name, bits in EVERYTHING_ELSE.items()}),
    st.text("01", max_size=80),
    st.lists(st.text("ABCabc019-_", min_size=1, max_size=12), max_size=2),
)
def test_consent_to_each_purpose_is_read_whatever_else_is_in_the_string(
    consented: set[int], rest: dict[str, int], vendors: str, segments: list[str]
) -> None:
    core = encode({**rest, "version": 2, "purposes_consent": purposes_field(consented)}, vendors)

    assert read_tc_string(".".join([core, *segments])) == {n: n in consented for n in range(1, PURPOSES + 1)}


@pytest.mark.parametrize(
    ("text", "consented"),
    [
        # From the documentation of IAB's own libraries.
        ("COtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA", {2, 10}),
        ("CO5VTlWO5VTlWH1AAAENAwCwAIAAAAAAAIAAAAoAAAAA.YAAAAAAAAAA", {1}),
        ("COwxsONOwxsONKpAAAENAdCAAMAAAAAAAAAAAAAAAAAA", {1, 2}),
    ],
)
def test_strings_that_others_have_published(text: str, consented: set[int]) -> None:
    purposes = read_tc_string(text)

    assert purposes is not None
    assert {number for number, given_ in purposes.items() if given_} == consented


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "C",
        "COwxsONOwxsONKp",  # cut short
        "BOEFEAyOEFEAyAHABDENAIgAAAB9vABAASA",  # version 1
        "COwxsONOwxsONKpAAAENAdCAAMAAAAAAAAAAAAAAAAAA!",
        "ÇOwxsONOwxsONKpAAAENAdCAAMAAAAAAAAAAAAAAAAAA",
        "DBABMA~CPXxRfAPXxRfAAfKABENB",  # of the Global Privacy Platform
        "C" * 20_000,
    ],
)
def test_what_is_no_tc_string_is_none(text: str) -> None:
    assert read_tc_string(text) is None


@given(st.text())
def test_no_text_is_too_much(text: str) -> None:
    assert read_tc_string(text) is None or len(text) > 20
