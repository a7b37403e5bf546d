"""What a text is told that names no identifier."""

import pytest

from onefold.domain.errors import IdentifierInvalid
from onefold.domain.identity_rules import parse_identifier


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("email:", "The value cannot be an email address: it is empty"),
        ("email:' '", "The value cannot be an email address: it is empty"),
        ("email:ada", "The value cannot be an email address: it is malformed"),
        (
            "email:Ada@Example.org",
            (
                "The value cannot be an email address: its domain is blocked;"
                " documentation and test domains never identify anybody"
            ),
        ),
        (
            "email:noreply@shop.co",
            "The value cannot be an email address: it is blocked; placeholders never identify anybody",
        ),
        ("user_id:null", "The value cannot be a user_id: it is blocked; placeholders never identify anybody"),
        (f"external_id:{'ab' * 251}", "The value cannot be an external_id: it is longer than 500 characters"),
        ("anonymous_id:", "The value cannot be an anonymous_id: it is empty"),
        ("phone:12", "The value cannot be a phone number: it is malformed"),
        (
            "phone:+1111111",
            "The value cannot be a phone number: it is blocked; placeholders never identify anybody",
        ),
    ],
)
def test_an_unusable_value_is_told_why(text: str, detail: str) -> None:
    with pytest.raises(IdentifierInvalid) as refused:
        parse_identifier(text)

    assert (refused.value.reason, refused.value.detail) == ("identifier_unusable", detail)
