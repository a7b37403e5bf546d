"""What a boto3 call asks of IAM: actions and resources, derived from its parameters."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One action on one resource; a call may make several."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()
    is_pattern: bool = False  # the call does not name its resource fully; `resource` has wildcards for what is missing


class _Call(NamedTuple):
    service: str
    operation: str
    params: Parameters
    region: str
    account: str

    @property
    def action(self) -> str:
        prefix = "dynamodb" if self.service == "dynamodbstreams" else self.service
        return _ACTIONS.get((self.service, self.operation), f"{prefix}:{self.operation}")

    def arn(self, resource: str, service: str = "") -> str:
        """The ARN of `resource`, which may be one already."""
        if resource.startswith("arn:"):
            return resource
        return f"arn:aws:{service or self.service}:{self.region}:{self.account}:{resource}"


def requests_of(service: str, operation: str, params: Parameters, *, region: str, account: str) -> list[Request]:
    """The requests of one call; a service that is not known here asks for its action on `*`."""
    call = _Call(service, operation, params, region, account)
    return list(_SERVICES.get(service, _on_everything)(call))


def _on_everything(call: _Call) -> Iterator[Request]:
    yield Request(call.action, "*")


def _athena(call: _Call) -> Iterator[Request]:
    group = call.params.get("WorkGroup")  # a query that runs is known by its id alone
    yield Request(call.action, call.arn(f"workgroup/{group or '*'}"), is_pattern=group is None)


def _dynamodb(call: _Call) -> Iterator[Request]:
    params = call.params
    if call.operation in ("TransactWriteItems", "TransactGetItems"):
        for item in params["TransactItems"]:
            for kind, body in item.items():
                yield Request(_TRANSACTION_ACTIONS[kind], _table(call, body["TableName"]))
    elif call.operation in ("BatchGetItem", "BatchWriteItem"):
        for name in params["RequestItems"]:
            yield Request(call.action, _table(call, name))
    elif "TableName" in params:
        index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
        yield Request(call.action, _table(call, params["TableName"]) + index)
    else:
        yield Request(call.action, params.get("ResourceArn", "*"))


def _table(call: _Call, name: str) -> str:
    return call.arn(name if name.startswith("arn:") else f"table/{name}", "dynamodb")


def _dynamodb_streams(call: _Call) -> Iterator[Request]:
    iterator = call.params.get("ShardIterator", "")  # begins with the ARN of its stream
    yield Request(call.action, call.params.get("StreamArn") or iterator.split("|")[0] or "*")


def _kinesis(call: _Call) -> Iterator[Request]:
    if call.params.get("StreamARN"):
        yield Request(call.action, call.params["StreamARN"])
    elif call.params.get("StreamName"):
        yield Request(call.action, call.arn(f"stream/{call.params['StreamName']}"))
    else:
        yield Request(call.action, call.arn("stream/*"), is_pattern="ShardIterator" in call.params)


def _s3(call: _Call) -> Iterator[Request]:
    params = call.params
    bucket = f"arn:aws:s3:::{params.get('Bucket', '')}"
    if "Bucket" not in params:
        yield Request(call.action, "*")
    elif call.operation == "DeleteObjects":
        for identifier in params["Delete"]["Objects"]:
            yield Request("s3:DeleteObject", f"{bucket}/{identifier['Key']}")
    elif call.action == "s3:ListBucket":
        yield Request(call.action, bucket, (("s3:prefix", params.get("Prefix", "")),))
    elif "Key" in params:
        yield Request(call.action, f"{bucket}/{params['Key']}")
    else:
        yield Request(call.action, bucket)


def _sqs(call: _Call) -> Iterator[Request]:
    name = call.params.get("QueueName") or call.params.get("QueueUrl", "*").rsplit("/", 1)[-1]
    yield Request(call.action, call.arn(name))


def _events(call: _Call) -> Iterator[Request]:
    if call.operation != "PutEvents":
        yield Request(call.action, "*")
        return
    for entry in call.params["Entries"]:
        bus = entry.get("EventBusName") or "default"
        context = (("events:source", entry.get("Source", "")), ("events:detail-type", entry.get("DetailType", "")))
        yield Request(call.action, call.arn(bus if bus.startswith("arn:") else f"event-bus/{bus}"), context)


def _secrets(call: _Call) -> Iterator[Request]:
    name = call.params.get("SecretId")
    if name is None or name.startswith("arn:"):
        yield Request(call.action, name or "*")
    else:  # an ARN ends with six characters that only the service knows
        yield Request(call.action, call.arn(f"secret:{name}-??????"), is_pattern=True)


def _ssm(call: _Call) -> Iterator[Request]:
    names = call.params.get("Names") or [call.params.get("Name") or call.params.get("Path") or "*"]
    for name in names:
        yield Request(call.action, call.arn(name if name.startswith("arn:") else f"parameter/{name.lstrip('/')}"))


_SERVICES: Mapping[str, Callable[[_Call], Iterator[Request]]] = {
    "athena": _athena,
    "dynamodb": _dynamodb,
    "dynamodbstreams": _dynamodb_streams,
    "events": _events,
    "kinesis": _kinesis,
    "s3": _s3,
    "secretsmanager": _secrets,
    "sqs": _sqs,
    "ssm": _ssm,
}
_TRANSACTION_ACTIONS: Mapping[str, str] = {
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Delete": "dynamodb:DeleteItem",
    "Get": "dynamodb:GetItem",
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
}
_ACTIONS: Mapping[tuple[str, str], str] = {  # where the action is not called like the operation
    ("s3", "CompleteMultipartUpload"): "s3:PutObject",
    ("s3", "CreateMultipartUpload"): "s3:PutObject",
    ("s3", "HeadBucket"): "s3:ListBucket",
    ("s3", "HeadObject"): "s3:GetObject",
    ("s3", "ListBuckets"): "s3:ListAllMyBuckets",
    ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "UploadPart"): "s3:PutObject",
    ("sqs", "ChangeMessageVisibilityBatch"): "sqs:ChangeMessageVisibility",
    ("sqs", "DeleteMessageBatch"): "sqs:DeleteMessage",
    ("sqs", "SendMessageBatch"): "sqs:SendMessage",
}
