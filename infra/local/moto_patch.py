"""How moto is patched: replacements are declared beside their reason and put in place together."""

from collections.abc import Callable, Mapping
from functools import wraps
from threading import RLock
from typing import Any

# One lock per service: moto has none of its own. Held by whoever reads or changes a service's insides.
LOCKS: Mapping[str, RLock] = {service: RLock() for service in ("dynamodb", "kinesis", "s3", "sqs")}

_replacements: list[tuple[type, str, Callable[..., Any]]] = []


def replaces(owner: type, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare that the function below stands in for `owner.name`; the original is its first argument."""

    def declare(replacement: Callable[..., Any]) -> Callable[..., Any]:
        _replacements.append((owner, name, replacement))
        return replacement

    return declare


def locks(service: str, owner: type, *names: str) -> None:
    """Declare that these methods run under the lock of `service`."""

    def locked(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with LOCKS[service]:
            return original(*args, **kwargs)

    _replacements.extend((owner, name, locked) for name in names)


def apply() -> None:
    """Put every declared replacement in place, once."""
    while _replacements:
        owner, name, replacement = _replacements.pop(0)
        original: Any = getattr(owner, name)
        if isinstance(original, property):
            setattr(owner, name, property(_bound(replacement, original.__get__)))
        else:
            setattr(owner, name, _bound(replacement, original))


def _bound(replacement: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def method(*args: Any, **kwargs: Any) -> Any:
        return replacement(original, *args, **kwargs)

    return method
