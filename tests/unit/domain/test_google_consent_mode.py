import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.domain.google_consent_mode import GCD_TYPES, read_gcd, read_gcs

# Letter → (default, update), as those who have watched Google's tags describe them.
LETTERS = {
    "l": (None, None), "p": (False, None), "q": (False, False), "t": (True, None), "r": (False, True),
    "m": (None, False), "n": (None, True), "u": (True, False), "v": (True, True),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("G111", {"ad_storage": True, "analytics_storage": True}),
        ("G100", {"ad_storage": False, "analytics_storage": False}),
        ("G101", {"ad_storage": False, "analytics_storage": True}),
        ("G1-1", {"analytics_storage": True}),
        ("G1--", {}),
        ("G1111", None),
        ("G211", None),
        ("", None),
    ],
)
def test_gcs_tells_of_two_types(text: str, expected: dict[str, bool] | None) -> None:
    assert read_gcs(text) == expected


@given(st.lists(st.sampled_from(sorted(LETTERS)), min_size=4, max_size=4), st.sampled_from(["5", "7", ""]))
def test_gcd_tells_the_update_of_each_type_or_else_its_default(letters: list[str], end: str) -> None:
    expected = {}
    for name, letter in zip(GCD_TYPES, letters, strict=True):
        default, update = LETTERS[letter]
        if (default if update is None else update) is not None:
            expected[name] = default if update is None else update

    assert read_gcd("11" + "1".join(letters) + end) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("11l1l1l1l1", {}),
        ("13r3r3r2r5l1", dict.fromkeys(GCD_TYPES, True)),  # with more than four, as seen since 2024
        ("11p1t1p1t5", {name: index % 2 == 1 for index, name in enumerate(GCD_TYPES)}),
        ("11p1t1p", None),
        ("pppp", None),
        ("", None),
    ],
)
def test_gcd_as_it_was_seen(text: str, expected: dict[str, bool] | None) -> None:
    assert read_gcd(text) == expected
