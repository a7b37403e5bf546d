"""Watch, refuse or shorten every boto3 client call of this process."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from botocore.client import BaseClient
from botocore.exceptions import ClientError

Parameters = dict[str, Any]
Guard = Callable[[str, str, Parameters], None]
Observer = Callable[[str, str, Parameters, dict[str, Any]], None]
Shortcut = Callable[[Any, str, str, Parameters], dict[str, Any] | None]
Remove = Callable[[], None]
Callback = TypeVar("Callback", Guard, Observer, Shortcut)

_guards: list[Guard] = []
_observers: list[Observer] = []
_shortcuts: list[Shortcut] = []


def guard(callback: Guard) -> Remove:
    """Call `callback(service, operation, params)` before every request; what it raises is what the caller gets.

    `service` is boto3's name ("dynamodb"), `operation` the API's ("PutItem"), `params` are as the caller gave them: a
    `boto3.resource` passes Python values where a client passes typed ones. Runs in the thread of the call.
    """
    return _register(_guards, callback)


def observe(callback: Observer) -> Remove:
    """Call `callback(service, operation, params, response)` after every request that was answered.

    A refusal by the service is an answer too: its `response` has a key "Error". What a guard refused is not seen.
    """
    return _register(_observers, callback)


def shortcut(callback: Shortcut) -> Remove:
    """Ask `callback(client, service, operation, params)` for the answer first; None sends the request the long way."""
    return _register(_shortcuts, callback)


def _register(callbacks: list[Callback], callback: Callback) -> Remove:
    _install()
    callbacks.append(callback)

    def remove() -> None:
        if callback in callbacks:
            callbacks.remove(callback)

    return remove


def _install() -> None:
    base: Any = BaseClient  # its stubs do not show what is private
    if getattr(base._make_api_call, "is_watched", False):
        return
    send = base._make_api_call

    @wraps(send)
    def make_api_call(client: Any, operation: str, params: Parameters) -> Any:
        service = client.meta.service_model.service_name
        for check in tuple(_guards):
            check(service, operation, params)
        try:
            response = _shortened(client, service, operation, params)
            if response is None:
                response = send(client, operation, params)
        except ClientError as error:
            _report(service, operation, params, dict(error.response))
            raise
        _report(service, operation, params, response)
        return response

    make_api_call.is_watched = True  # type: ignore[attr-defined]
    base._make_api_call = make_api_call


def _shortened(client: Any, service: str, operation: str, params: Parameters) -> dict[str, Any] | None:
    for ask in tuple(_shortcuts):
        response = ask(client, service, operation, params)
        if response is not None:
            return response
    return None


def _report(service: str, operation: str, params: Parameters, response: dict[str, Any]) -> None:
    for watch in tuple(_observers):
        watch(service, operation, params, response)
