"""EventBridge's pattern language, as far as rules here use it."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

_MISSING = object()
_NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Whether `event` (JSON values) has, for each key of `pattern`, a value that one of the listed conditions takes.

    Where the event holds a list, one matching element is enough, be it a value or an object.

    Raises:
        ValueError: The pattern has a comparison that is not known here.
    """
    if isinstance(event, list):
        return any(matches(pattern, element) for element in event)
    for key, wanted in pattern.items():
        value = event.get(key, _MISSING) if isinstance(event, Mapping) else _MISSING
        if isinstance(wanted, Mapping):
            if not matches(wanted, {} if value is _MISSING else value):
                return False
        else:
            values = value if isinstance(value, list) else [value]
            if not any(_condition(condition, values) for condition in wanted):
                return False
    return True


def _condition(condition: Any, values: list[Any]) -> bool:
    if not isinstance(condition, Mapping):
        return any(_equal(condition, value) for value in values)
    ((comparison, argument),) = condition.items()
    present = [value for value in values if value is not _MISSING]
    if comparison == "exists":
        return bool(argument) == any(not isinstance(value, Mapping) for value in present)
    return any(_compare(comparison, argument, value) for value in present)


def _equal(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    return bool(wanted == value)


def _compare(comparison: str, argument: Any, value: Any) -> bool:
    if comparison == "anything-but" and not isinstance(argument, Mapping):
        return not any(_equal(one, value) for one in (argument if isinstance(argument, list) else [argument]))
    if comparison == "numeric":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        pairs = zip(argument[::2], argument[1::2], strict=True)
        return is_number and all(_NUMERIC[sign](value, bound) for sign, bound in pairs)
    ends = {"prefix": str.startswith, "suffix": str.endswith}.get(comparison)
    if ends is None or not isinstance(argument, str):
        raise ValueError(f"event pattern: the local runtime does not know {{{comparison!r}: {argument!r}}}")
    return isinstance(value, str) and ends(value, argument)
