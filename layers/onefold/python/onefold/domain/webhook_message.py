"""What the readers of providers' webhooks share: careful looks into foreign JSON, and messages of the tracking API."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

Json = dict[str, Any]
AMOUNT_CHARACTERS_MAX: Final = 40  # longer texts are no sums of money


def table(value: object) -> Json:
    """The object itself, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def tables(value: object) -> list[Json]:
    """The objects of a list; none where it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """A text or whole number as text, trimmed; empty for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else ""


def amount(value: object) -> Decimal | None:
    """A sum as a decimal, from text or number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    written = repr(value) if isinstance(value, float) else str(value).strip()
    try:
        number = Decimal(written) if len(written) <= AMOUNT_CHARACTERS_MAX else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def present(fields: Mapping[str, object]) -> Json:
    """The fields without those that say nothing: None, empty texts, empty lists and objects."""
    return {name: value for name, value in fields.items() if value is not None and value not in ("", [], {})}


def person(identifiers: Iterable[tuple[str, object]], *, user_id: object = None, anonymous_id: object = None) -> Json:
    """Name a person where the tracking API looks for it.

    Args:
        identifiers: (type, value); `email` and `phone` are our own types, others such as `stripe_customer` become
            external ids that begin with their type.
        user_id: Of the shop itself.
        anonymous_id: Of a browser.
    """
    external = [
        {"type": kind, "id": text(value), "collection": "users", "encoding": "none"}
        for kind, value in identifiers
        if text(value)
    ]
    return present(
        {
            "userId": text(user_id),
            "anonymousId": text(anonymous_id),
            "context": {"externalIds": external} if external else None,
        }
    )


def track(event: str, properties: Mapping[str, object], **fields: object) -> Json:
    """A track message."""
    return {"type": "track", "event": event, "properties": dict(properties), **present(fields)}


def identify(traits: Mapping[str, object], **fields: object) -> Json:
    """An identify message."""
    return {"type": "identify", "traits": present(traits), **present(fields)}
