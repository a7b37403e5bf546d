"""RudderStack's merge call: two identifiers of one person, said in so many words."""

from collections.abc import Mapping
from typing import Any, Final

from onefold.domain.errors import EventInvalid
from onefold.domain.identity_rules import IdentityRules

MERGE: Final = "merge"
# How RudderStack's documentation names the types that are ours under another name.
TYPE_BY_NAME: Final[Mapping[str, str]] = {
    "userId": "user_id",
    "userID": "user_id",
    "anonymousId": "anonymous_id",
    "mobile": "phone",
    "deviceId": "device_id",
}

Claim = tuple[str, object, str]  # as in message_identifiers


def merge_claims(merge_properties: object, rules: IdentityRules) -> tuple[list[Claim], list[Claim]]:
    """What a merge says of its one side and of its other.

    Raises:
        EventInvalid: There are not exactly two, each with a type and a value.
    """
    sides = merge_properties if isinstance(merge_properties, list) else []
    claims = [_claim(side, rules) for side in sides if isinstance(side, dict) and isinstance(side.get("type"), str)]
    if len(sides) != 2 or len(claims) != 2:  # noqa: PLR2004 - a merge has two sides
        detail = "Send two objects with type and value in mergeProperties"
        raise EventInvalid("merge_incomplete", detail, pointer="#/mergeProperties")
    return [claims[0]], [claims[1]]


def _claim(side: Mapping[str, Any], rules: IdentityRules) -> Claim:
    name = side["type"]
    known = TYPE_BY_NAME.get(name, name)
    return (known, side.get("value"), "") if known in rules.types else ("external_id", side.get("value"), f"{name}:")
