"""The event sources that a deployment's mappings name, and where their failed batches go."""

from collections.abc import Iterator

from botocore.exceptions import ClientError
from moto.dynamodb.models import dynamodb_backends
from moto.kinesis.models import kinesis_backends
from moto.sqs.models import sqs_backends

from infra.local.assembly import TemplateError
from infra.local.event_records import KinesisLog, Log, TableLog
from infra.local.event_sources import Delivering, EventSourceMapping, StreamSource
from infra.local.permissions import Permissions
from infra.local.queue_source import QueueSource
from infra.local.template import Deployment


def read_sources(deployment: Deployment, delivering: Delivering) -> Iterator[StreamSource | QueueSource]:
    """One source for each shard or queue of each enabled mapping; none runs yet.

    Raises:
        TemplateError: A mapping names a function, or a kind of source, that is not there.
    """
    account, region = deployment.assembly.account, deployment.assembly.region
    functions = deployment.functions
    for properties in deployment.event_source_mappings:
        if not properties.get("Enabled", True):
            continue
        spec = functions[delivering.invoker.name_of(properties["FunctionName"])]
        mapping = EventSourceMapping.parse(properties, function=spec.name, function_arn=spec.arn)
        if ":sqs:" in mapping.source_arn:
            yield QueueSource(mapping, sqs_backends[account][region], delivering)
            continue
        for log in _logs_of(mapping, deployment, spec.role_arn):
            yield StreamSource(mapping, log, delivering)


def _logs_of(mapping: EventSourceMapping, deployment: Deployment, role_arn: str) -> Iterator[Log]:
    account, region = deployment.assembly.account, deployment.assembly.region
    if ":kinesis:" in mapping.source_arn:
        stream = kinesis_backends[account][region].streams[mapping.source_arn.rpartition("/")[2]]
        for shard in stream.shards.values():
            yield KinesisLog(shard, stream_arn=mapping.source_arn, role_arn=role_arn)
    elif ":dynamodb:" in mapping.source_arn:
        table = dynamodb_backends[account][region].tables[mapping.source_arn.split("/")[1]]
        if table.stream_shard is None:
            raise TemplateError(f"{mapping.function}: the table {table.name} has no stream")
        yield TableLog(table.stream_shard, stream_arn=mapping.source_arn)
    else:
        raise TemplateError(f"{mapping.function}: the local runtime cannot poll {mapping.source_arn}")


def check_polling(deployment: Deployment, permissions: Permissions) -> None:
    """Check that each function's role may read the source of its mapping, as Lambda does when a mapping is created.

    Raises:
        TemplateError: One may not; the text names the action.
    """
    roles = {reference: spec.role_arn for spec in deployment.functions.values() for reference in (spec.name, spec.arn)}
    for properties in deployment.event_source_mappings:
        source_arn: str = properties["EventSourceArn"]
        kind = source_arn.split(":")[2]
        service, parameter, operations = _POLLING.get(kind, ("", "", ()))
        source = source_arn.rpartition(":")[2] if kind == "sqs" else source_arn
        for operation in operations:
            try:
                permissions.check(roles[properties["FunctionName"]], service, operation, {parameter: source})
            except ClientError as error:
                text = error.response["Error"]["Message"]
                raise TemplateError(f"{properties['FunctionName']} cannot read its event source: {text}") from error


_POLLING = {  # service of an ARN -> boto3's service, parameter that names the source, operations
    "kinesis": ("kinesis", "StreamARN", ("DescribeStream", "ListShards", "GetShardIterator", "GetRecords")),
    "dynamodb": ("dynamodbstreams", "StreamArn", ("DescribeStream", "GetShardIterator")),
    "sqs": ("sqs", "QueueUrl", ("GetQueueAttributes", "ReceiveMessage", "DeleteMessage")),
}
