"""A short way into moto for hot calls: from the boto3 client to moto's handler, without serialization and HTTP.

A call takes it only if it succeeds: what is refused, malformed or unusual goes the long way, which gives the right
error. That is safe because a refused call has changed nothing, and one that then succeeds merely happened later.
"""

import base64
from collections.abc import Mapping
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID, botocore_stubber
from moto.dynamodb.responses import DynamoHandler
from moto.kinesis.responses import KinesisResponse

from infra.local import calls, moto_mended
from infra.local.moto_patch import LOCKS

_METHODS: Mapping[tuple[str, str], str] = {
    ("dynamodb", "BatchExecuteStatement"): "batch_execute_statement",
    ("dynamodb", "BatchGetItem"): "batch_get_item",
    ("dynamodb", "BatchWriteItem"): "batch_write_item",
    ("dynamodb", "GetItem"): "get_item",
    ("dynamodb", "PutItem"): "put_item",
    ("dynamodb", "Query"): "query",
    ("dynamodb", "TransactWriteItems"): "transact_write_items",
    ("kinesis", "PutRecords"): "put_records",
}
_remove: list[calls.Remove] = []


class _LongWayError(Exception):
    """The normal path shall answer this call."""


class _Direct:
    """A moto handler that is given its parameters instead of a request."""

    automated_parameter_parsing = True
    current_account = DEFAULT_ACCOUNT_ID

    def __init__(self, params: dict[str, Any], region: str) -> None:
        self.params = self.body = params
        self.region = region
        self.uri_match: dict[str, Any] = {}


class _DirectDynamo(_Direct, DynamoHandler):
    pass


class _DirectKinesis(_Direct, KinesisResponse):
    pass


def install() -> None:
    """Answer hot calls directly from now on; calling it again changes nothing.

    botocore's events from `before-call` to `response-received`, `before-send` among them, do not happen for them.
    """
    moto_mended.install()
    if not _remove:
        _remove.append(calls.shortcut(_answer))


def remove() -> None:
    """Send every call the long way again."""
    while _remove:
        _remove.pop()()


def _answer(client: Any, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any] | None:
    method = _METHODS.get((service, operation))
    if method is None or not botocore_stubber.enabled or ".amazonaws.com" not in client.meta.endpoint_url:
        return None
    model = client.meta.service_model.operation_model(operation)
    context = {"client_region": client.meta.region_name, "client_config": client.meta.config}
    try:
        given = client._emit_api_params(api_params=dict(params), operation_model=model, context=context)
        handler = _handler(service, model.input_shape, given, client.meta.region_name)
        with LOCKS[service]:
            result = getattr(handler, method)().result
    except Exception:  # noqa: BLE001 - whatever is wrong, the long way says it properly
        return None
    response: dict[str, Any] = {**result, "ResponseMetadata": {"HTTPStatusCode": 200, "RetryAttempts": 0}}
    event = f"after-call.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.emit(event, http_response=None, parsed=response, model=model, context=context)
    return response


def _handler(service: str, shape: Any, params: dict[str, Any], region: str) -> Any:
    """A handler for these parameters, checked as far as botocore would refuse them."""
    if not (params.keys() <= shape.members.keys() and params.keys() >= set(shape.required_members)):
        raise _LongWayError
    if service == "kinesis":
        records = [{**record, "Data": base64.b64encode(record["Data"]).decode()} for record in params["Records"]]
        return _DirectKinesis({**params, "Records": records}, region)
    return _DirectDynamo(_checked(params), region)


def _checked(value: Any) -> Any:
    """A copy of DynamoDB parameters; a typed value whose content has not its type goes the long way."""
    if isinstance(value, dict):
        if len(value) == 1:
            ((kind, content),) = value.items()
            if kind in _CONTENT_TYPES and not isinstance(content, _CONTENT_TYPES[kind]):
                raise _LongWayError
        return {key: _checked(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_checked(inner) for inner in value]
    if isinstance(value, str | bytes | bool | int):
        return value
    raise _LongWayError


# An attribute or table that happens to be called like a type looks wrong and goes the long way, which is right too.
_CONTENT_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "B": bytes,
    "BOOL": bool,
    "L": (list, tuple),
    "M": dict,
    "N": str,
    "NULL": bool,
    "S": str,
    "SS": (list, tuple),
    "NS": (list, tuple),
    "BS": (list, tuple),
}
