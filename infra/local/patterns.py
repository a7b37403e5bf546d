"""EventBridge's pattern language, which event-source mappings use for their filters too."""

import ipaddress
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

_MISSING = object()
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
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
        ValueError: The pattern has a comparison that EventBridge does not know.
    """
    if isinstance(event, list):
        return any(matches(pattern, element) for element in event)
    for key, wanted in pattern.items():
        if key == "$or":
            if not any(matches(alternative, event) for alternative in wanted):
                return False
            continue
        value = event.get(key, _MISSING) if isinstance(event, Mapping) else _MISSING
        if isinstance(wanted, Mapping):
            if not matches(wanted, {} if value is _MISSING else value):
                return False
        elif not _any_condition(wanted, value):
            return False
    return True


def _any_condition(conditions: Iterable[Any], value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(_condition(condition, values) for condition in conditions)


def _condition(condition: Any, values: list[Any]) -> bool:
    if not isinstance(condition, Mapping):
        return any(_equal(condition, value) for value in values)
    ((comparison, argument),) = condition.items()
    present = [value for value in values if value is not _MISSING]
    if comparison == "exists":
        return bool(argument) == any(not isinstance(value, Mapping) for value in present)
    if comparison == "anything-but":
        return any(not _excluded(argument, value) for value in present)
    return any(_compare(comparison, argument, value) for value in present)


def _excluded(argument: Any, value: Any) -> bool:
    if isinstance(argument, Mapping):
        ((comparison, inner),) = argument.items()
        return any(_compare(comparison, one, value) for one in (inner if isinstance(inner, list) else [inner]))
    return any(_equal(one, value) for one in (argument if isinstance(argument, list) else [argument]))


def _equal(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    return bool(wanted == value)


def _compare(comparison: str, argument: Any, value: Any) -> bool:
    if comparison == "numeric":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        pairs = zip(argument[::2], argument[1::2], strict=True)
        return is_number and all(_COMPARISONS[sign](value, bound) for sign, bound in pairs)
    if comparison not in _TEXT_COMPARISONS:
        raise ValueError(f"event pattern: {comparison!r} is not a comparison that EventBridge knows")
    return isinstance(value, str) and _TEXT_COMPARISONS[comparison](argument, value)


def _text_or_folded(compare: Callable[[str, str], bool]) -> Callable[[Any, str], bool]:
    def decide(argument: Any, value: str) -> bool:
        if isinstance(argument, Mapping):
            return compare(value.casefold(), argument["equals-ignore-case"].casefold())
        return compare(value, argument)

    return decide


@lru_cache(maxsize=256)
def _wildcard(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\\\*|\\\\|.", pattern, re.DOTALL)
    text = "".join(".*" if part == "*" else re.escape(part[1:] if part in (r"\*", r"\\") else part) for part in parts)
    return re.compile(text, re.DOTALL)


def _in_network(argument: str, value: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(argument, strict=False)
    except ValueError:
        return False


_TEXT_COMPARISONS: Mapping[str, Callable[[Any, str], bool]] = {
    "prefix": _text_or_folded(str.startswith),
    "suffix": _text_or_folded(str.endswith),
    "equals-ignore-case": lambda argument, value: value.casefold() == argument.casefold(),
    "wildcard": lambda argument, value: _wildcard(argument).fullmatch(value) is not None,
    "cidr": _in_network,
}
