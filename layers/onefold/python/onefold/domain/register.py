"""Registers: one observed value each, where the newest by event time wins whatever the order of arrival."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from onefold.domain.event import Event

NESTING_MAX: Final = 64
_DOUBLE_MAX: Final = 10**308


class Register(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A value with its provenance. A value of None says that the fact was taken back.

    Attributes:
        at: Event time, Unix epoch ms. received_at: likewise, when it reached us.
        value: Anything JSON can say.
    """

    at: int
    received_at: int
    source: str
    message_id: str
    value: Any

    @property
    def stamp(self) -> tuple[int, int, str, str]:
        return (self.at, self.received_at, self.source, self.message_id)


def observed(event: Event, value: Any) -> Register:  # noqa: ANN401 - JSON has no narrower type
    return Register(event.at, event.received_at, event.source, event.message_id, _storable(value))


def _storable(value: Any, level: int = 0) -> Any:  # noqa: ANN401 - likewise
    """The value as the store's format can hold it.

    Integers beyond 64 bits become the doubles nearest to them, and what is nested deeper than NESTING_MAX is left out:
    collect lets neither through, but history may have come another way.
    """
    kind = type(value)
    if kind is int and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < _DOUBLE_MAX else None
    if kind is dict or kind is list:
        if level > NESTING_MAX:
            return None
        if kind is list:
            return [_storable(inner, level + 1) for inner in value]
        return {name: _storable(inner, level + 1) for name, inner in value.items()}
    return value


def newer(left: Register, right: Register) -> Register:
    """The later of two; commutes, associates and is idempotent.

    Two messages that share a stamp but not a value are a source's mistake; the larger JSON text wins, so that every
    reader picks the same one.
    """
    if left.at != right.at:
        return left if left.at > right.at else right
    if left.stamp != right.stamp:
        return left if left.stamp > right.stamp else right
    return max(left, right, key=_text)


def _text(register: Register) -> bytes:
    return msgspec.json.encode(register.value, order="deterministic")


def merge_registers(into: dict[str, Register], more: Mapping[str, Register]) -> None:
    for name, register in more.items():
        known = into.get(name)
        into[name] = register if known is None else newer(known, register)
