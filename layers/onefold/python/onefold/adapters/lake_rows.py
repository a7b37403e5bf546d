"""Rows of the lake's raw zone back into the events that archive made them of."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from onefold.domain.event import Event
from onefold.domain.identifier import PERSON, Identifier
from onefold.domain.identity_rules import DEFAULT_RULES, IdentityRules

# The columns that an event is read from; those that are for queries alone are not among them.
COLUMNS: Final = (
    "message_id", "kind", "name", "source", "identifiers", "at", "received_at", "sent_at", "original_at", "clock",
    "traits", "properties", "context", "consent", "violations", "identifier_priorities", "identifier_roles",
    "previous", "account",
)  # fmt: skip
INSTANTS: Final = ("at", "received_at", "sent_at", "original_at")


def event_of_row(row: Mapping[str, Any], rules: IdentityRules = DEFAULT_RULES) -> Event:
    """Read one row.

    Args:
        row: Column → value, with instants as epoch ms, structs as mappings, maps as pairs or a mapping. Columns that
            came to the lake later may be absent.
        rules: Tell what an identifier is where the row does not.
    """
    return Event(
        row["message_id"],
        row["kind"],
        row["name"] or "",
        row["source"],
        _identifiers(row, rules),
        int(row["at"]),
        int(row["received_at"]),
        _instant(row["sent_at"]),
        _instant(row["original_at"]),
        row["clock"],
        row["traits"].encode(),
        row["properties"].encode(),
        row["context"].encode(),
        {purpose: bool(given) for purpose, given in _pairs(row["consent"])},
        tuple(_elements(row["violations"])),
        tuple(_identifier(each) for each in _elements(row.get("previous"))),
        _identifier(row["account"]) if row.get("account") is not None else None,
    )


def _identifiers(row: Mapping[str, Any], rules: IdentityRules) -> tuple[Identifier, ...]:
    named = _elements(row["identifiers"])
    priorities, roles = _elements(row.get("identifier_priorities")), _elements(row.get("identifier_roles"))
    if len(priorities) == len(roles) == len(named):
        return tuple(
            Identifier(each["type"], each["value"], each["key"], int(priority), int(role))
            for each, priority, role in zip(named, priorities, roles, strict=True)
        )
    kinds = [rules.type_of(each["type"]) for each in named]
    return tuple(
        Identifier(each["type"], each["value"], each["key"], kind.priority, kind.role)
        for each, kind in zip(named, kinds, strict=True)
    )


def _identifier(struct: Mapping[str, Any]) -> Identifier:
    return Identifier(
        struct["type"], struct["value"], struct["key"], int(struct["priority"] or 0), int(struct["role"] or PERSON)
    )


def _instant(value: Any) -> int | None:
    return None if value is None or value != value else int(value)  # noqa: PLR0124 - what pandas has for nothing


def _elements(values: Any) -> list[Any]:
    """A list, an array or nothing, as a list."""
    return [] if values is None else list(values)


def _pairs(values: Any) -> Iterable[tuple[str, bool]]:
    if isinstance(values, Mapping):
        return values.items()
    return _elements(values)
