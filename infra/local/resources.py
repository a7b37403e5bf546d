"""Resource types that the local runtime can create; an unknown one stops it with its name."""

import hashlib
import json
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from infra.local.assembly import TemplateError

_RETENTION_H_DEFAULT = 24
_SECRET_LENGTH_DEFAULT = 32


class UnknownResourceType(TemplateError):  # noqa: N818 - reads as what it tells
    """A resource type that the local runtime has no row for."""


@dataclass(frozen=True, slots=True)
class Creation:
    """One resource that is about to be created."""

    stack: str
    logical_id: str
    type: str
    properties: Mapping[str, Any]  # resolved
    region: str
    account: str
    clients: Callable[[str], Any]  # service -> boto3 client
    api_endpoint: Callable[[str], str]  # name of an HTTP API -> where it answers

    def name(self, length_max: int = 64) -> str:
        """The physical name where the template gives none: a function of stack and logical id, so it is found again."""
        digest = self.digest(8)
        return f"{self.stack}-{self.logical_id}"[: length_max - len(digest) - 1] + f"-{digest}"

    def digest(self, length: int) -> str:
        return hashlib.sha256(f"{self.stack}/{self.logical_id}".encode()).hexdigest()[:length]

    def arn(self, service: str, resource: str, *, global_: bool = False) -> str:
        return f"arn:aws:{service}:{'' if global_ else self.region}:{self.account}:{resource}"

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """Call `operation` with what its input shape knows of `parameters`; returns what was sent and the answer."""
        client = self.clients(service)
        sent = fit(client.meta.service_model.operation_model(operation).input_shape, dict(parameters))
        return sent, client._make_api_call(operation, sent)


@dataclass(frozen=True, slots=True)
class Created:
    """What Ref and Fn::GetAtt give for a resource."""

    ref: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


def fit(shape: Shape, value: Any) -> Any:
    """A CloudFormation value in the form of a botocore input shape.

    Members are matched without regard to case, unknown ones are left out, scalars get the type of the shape, and a
    document becomes JSON text where the API takes text.
    """
    if isinstance(shape, StructureShape):
        members = {name.lower(): (name, member) for name, member in shape.members.items()}
        known = ((members[key.lower()], inner) for key, inner in value.items() if key.lower() in members)
        return {name: fit(member, inner) for (name, member), inner in known}
    if isinstance(shape, ListShape):
        return [fit(shape.member, inner) for inner in (value if isinstance(value, list) else [value])]
    if isinstance(shape, MapShape):
        return {key: fit(shape.value, inner) for key, inner in value.items()}
    if shape.type_name in ("integer", "long"):
        return int(value)
    if shape.type_name in ("float", "double"):
        return float(value)
    if shape.type_name == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    return text(value) if shape.type_name == "string" else value


def text(value: Any) -> str:
    """A value as the API takes it where it takes only text."""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def create(creation: Creation) -> Created:
    """Create one resource.

    Raises:
        UnknownResourceType: There is neither a row nor a function for its type.
    """
    if creation.type in CREATORS:
        return CREATORS[creation.type](creation)
    if creation.type in ROWS:
        return ROWS[creation.type].create(creation)
    raise UnknownResourceType(
        f"{creation.stack}.{creation.logical_id}: the local runtime does not know {creation.type}; "
        "give it a row in infra/local/resources.py"
    )


@dataclass(frozen=True, slots=True)
class Row:
    """How to create a type with one call or none, and what Ref and Fn::GetAtt give.

    `ref` and `attributes` are format strings over: `sent` and `got` (the call's input and answer), `p` (properties),
    `name` (physical name), `id` (ten digits and letters), `logical_id`, `region`, `account`. Without `operation`
    nothing is created: the local runtime reads the type from the template, or it has no effect on a laptop.
    """

    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    service: str = ""
    operation: str = ""
    name: str = ""  # the property that holds the physical name, made up if the template has none
    rename: Mapping[str, str] = field(default_factory=dict)  # property -> the API's name for it

    def create(self, creation: Creation) -> Created:
        properties = _untagged(creation)
        if self.name:
            properties.setdefault(self.name, creation.name())
        sent: dict[str, Any] = {}
        got: dict[str, Any] = {}
        if self.operation:
            renamed = {self.rename.get(key, key): value for key, value in properties.items()}
            sent, got = creation.call(self.service, self.operation, renamed)
        facts = {
            "sent": sent,
            "got": got,
            "p": properties,
            "name": creation.name(),
            "id": creation.digest(10),
            "logical_id": creation.logical_id,
            "region": creation.region,
            "account": creation.account,
        }
        attributes = {key: template.format_map(facts) for key, template in self.attributes.items()}
        return Created(self.ref.format_map(facts), attributes)


_ALARM_ARN = "arn:aws:cloudwatch:{region}:{account}:alarm:{p[AlarmName]}"
_LAYER_ARN = "arn:aws:lambda:{region}:{account}:layer:{p[LayerName]}:1"
_LOGS_ARN = "arn:aws:logs:{region}:{account}:log-group:{p[LogGroupName]}:*"

ROWS: Mapping[str, Row] = {
    "AWS::ApiGatewayV2::Authorizer": Row("{id}"),
    "AWS::ApiGatewayV2::Integration": Row("{id}"),
    "AWS::ApiGatewayV2::Route": Row("{id}"),
    "AWS::ApiGatewayV2::Stage": Row("{p[StageName]}"),
    "AWS::Athena::NamedQuery": Row("{got[NamedQueryId]}", {}, "athena", "CreateNamedQuery", "Name"),
    "AWS::Athena::WorkGroup": Row(
        "{sent[Name]}", {}, "athena", "CreateWorkGroup", rename={"WorkGroupConfiguration": "Configuration"}
    ),
    "AWS::CDK::Metadata": Row("{logical_id}"),
    "AWS::CloudWatch::Alarm": Row("{p[AlarmName]}", {"Arn": _ALARM_ARN}, name="AlarmName"),
    "AWS::CloudWatch::Dashboard": Row("{p[DashboardName]}", name="DashboardName"),
    "AWS::Cognito::UserPool": Row(
        "{got[UserPool][Id]}",
        {"Arn": "{got[UserPool][Arn]}"},
        "cognito-idp",
        "CreateUserPool",
        "UserPoolName",
        {"UserPoolName": "PoolName"},
    ),
    "AWS::Cognito::UserPoolClient": Row(
        "{got[UserPoolClient][ClientId]}", {}, "cognito-idp", "CreateUserPoolClient", "ClientName"
    ),
    "AWS::Cognito::UserPoolDomain": Row("{sent[Domain]}", {}, "cognito-idp", "CreateUserPoolDomain"),
    "AWS::Cognito::UserPoolResourceServer": Row("{sent[Identifier]}", {}, "cognito-idp", "CreateResourceServer"),
    "AWS::Events::EventBus": Row(
        "{sent[Name]}", {"Arn": "{got[EventBusArn]}", "Name": "{sent[Name]}"}, "events", "CreateEventBus"
    ),
    "AWS::Glue::Database": Row("{sent[DatabaseInput][Name]}", {}, "glue", "CreateDatabase"),
    "AWS::Glue::Job": Row("{p[Name]}"),  # is started by hand, and needs Spark
    "AWS::Glue::SecurityConfiguration": Row("{p[Name]}"),
    "AWS::Glue::Table": Row("{sent[TableInput][Name]}", {}, "glue", "CreateTable"),
    "AWS::IAM::Policy": Row("{logical_id}"),
    "AWS::Lambda::EventSourceMapping": Row("{name}", {"Id": "{name}"}),
    "AWS::Lambda::LayerVersion": Row(_LAYER_ARN, {"LayerVersionArn": _LAYER_ARN}, name="LayerName"),
    "AWS::Lambda::Permission": Row("{logical_id}"),
    "AWS::Logs::LogGroup": Row("{p[LogGroupName]}", {"Arn": _LOGS_ARN}, name="LogGroupName"),
    "AWS::SNS::Topic": Row(
        "{got[TopicArn]}",
        {"TopicArn": "{got[TopicArn]}", "TopicName": "{sent[Name]}"},
        "sns",
        "CreateTopic",
        "TopicName",
        {"TopicName": "Name"},
    ),
    "AWS::SNS::TopicPolicy": Row("{logical_id}"),
    "AWS::SSM::Parameter": Row(
        "{sent[Name]}", {"Type": "{sent[Type]}", "Value": "{sent[Value]}"}, "ssm", "PutParameter", "Name"
    ),
}


def _http_api(creation: Creation) -> Created:
    identifier = creation.digest(10)
    return Created(identifier, {"ApiId": identifier, "ApiEndpoint": creation.api_endpoint(creation.properties["Name"])})


def _bucket(creation: Creation) -> Created:
    properties = creation.properties
    name = properties.get("BucketName") or creation.name(63).lower()
    location = {} if creation.region == "us-east-1" else {"LocationConstraint": creation.region}
    creation.call(
        "s3", "CreateBucket", {"Bucket": name, **({"CreateBucketConfiguration": location} if location else {})}
    )
    attributes = {
        "Arn": f"arn:aws:s3:::{name}",
        "DomainName": f"{name}.s3.amazonaws.com",
        "RegionalDomainName": f"{name}.s3.{creation.region}.amazonaws.com",
    }
    return Created(name, attributes)


def _bucket_policy(creation: Creation) -> Created:
    policy = {"Bucket": creation.properties["Bucket"], "Policy": creation.properties["PolicyDocument"]}
    creation.call("s3", "PutBucketPolicy", policy)
    return Created(creation.logical_id)


def _key(creation: Creation) -> Created:
    properties = {key: value for key, value in _untagged(creation).items() if key != "KeyPolicy"}
    _, got = creation.call("kms", "CreateKey", {**properties, "Policy": creation.properties["KeyPolicy"]})
    key = got["KeyMetadata"]
    if creation.properties.get("EnableKeyRotation"):
        creation.call("kms", "EnableKeyRotation", {"KeyId": key["KeyId"]})
    return Created(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})


def _table(creation: Creation) -> Created:
    properties = _untagged(creation)
    properties.setdefault("TableName", creation.name())
    if "StreamSpecification" in properties:
        properties["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    if "SSESpecification" in properties:
        encryption = dict(properties["SSESpecification"])
        properties["SSESpecification"] = {"Enabled": encryption.pop("SSEEnabled", True), **encryption}
    sent, got = creation.call("dynamodb", "CreateTable", properties)
    name = {"TableName": sent["TableName"]}
    if "TimeToLiveSpecification" in properties:
        expiry = {"TimeToLiveSpecification": properties["TimeToLiveSpecification"]}
        creation.call("dynamodb", "UpdateTimeToLive", {**name, **expiry})
    if "PointInTimeRecoverySpecification" in properties:
        recovery = {"PointInTimeRecoverySpecification": properties["PointInTimeRecoverySpecification"]}
        creation.call("dynamodb", "UpdateContinuousBackups", {**name, **recovery})
    table = got["TableDescription"]
    attributes = {"Arn": table["TableArn"], "StreamArn": table.get("LatestStreamArn", "")}
    return Created(sent["TableName"], attributes)


def _stream(creation: Creation) -> Created:
    name = {"StreamName": creation.properties.get("Name") or creation.name(128)}
    creation.call("kinesis", "CreateStream", {**_untagged(creation), **name})
    retention_h = int(creation.properties.get("RetentionPeriodHours", _RETENTION_H_DEFAULT))
    if retention_h > _RETENTION_H_DEFAULT:
        creation.call("kinesis", "IncreaseStreamRetentionPeriod", {**name, "RetentionPeriodHours": retention_h})
    return Created(name["StreamName"], {"Arn": creation.arn("kinesis", f"stream/{name['StreamName']}")})


def _queue(creation: Creation) -> Created:
    if creation.properties.get("FifoQueue"):
        raise ValueError("the local runtime has no FIFO queues")
    name = creation.properties.get("QueueName") or creation.name(80)
    attributes = {key: text(value) for key, value in _untagged(creation).items() if key != "QueueName"}
    _, got = creation.call("sqs", "CreateQueue", {"QueueName": name, "Attributes": attributes})
    return Created(got["QueueUrl"], {"Arn": creation.arn("sqs", name), "QueueName": name, "QueueUrl": got["QueueUrl"]})


def _queue_policy(creation: Creation) -> Created:
    policy = {"Policy": text(creation.properties["PolicyDocument"])}
    for queue_url in creation.properties["Queues"]:
        creation.call("sqs", "SetQueueAttributes", {"QueueUrl": queue_url, "Attributes": policy})
    return Created(creation.logical_id)


def _secret(creation: Creation) -> Created:
    value = creation.properties.get("SecretString", "")
    if "GenerateSecretString" in creation.properties:
        value = _generated_secret(creation.properties["GenerateSecretString"])
    name = creation.properties.get("Name") or creation.name()
    _, got = creation.call("secretsmanager", "CreateSecret", {"Name": name, "SecretString": value})
    return Created(got["ARN"], {"Id": got["ARN"], "Arn": got["ARN"]})


def _generated_secret(wish: Mapping[str, Any]) -> str:
    alphabet = string.ascii_letters + string.digits
    if not wish.get("ExcludePunctuation"):
        alphabet += string.punctuation
    alphabet = "".join(set(alphabet) - set(wish.get("ExcludeCharacters", "")))
    length = int(wish.get("PasswordLength", _SECRET_LENGTH_DEFAULT))
    generated = "".join(secrets.choice(alphabet) for _ in range(length))
    if "GenerateStringKey" in wish:
        raise ValueError("the local runtime does not know GenerateStringKey")
    return generated


def _function(creation: Creation) -> Created:
    name = creation.properties.get("FunctionName") or creation.name()
    return Created(name, {"Arn": creation.arn("lambda", f"function:{name}")})


def _rule(creation: Creation) -> Created:
    name = creation.properties.get("Name") or creation.name()
    bus = creation.properties.get("EventBusName", "default").rsplit("/", 1)[-1]
    path = name if bus == "default" else f"{bus}/{name}"
    return Created(path.replace("/", "|"), {"Arn": creation.arn("events", f"rule/{path}")})


def _topic_rule(creation: Creation) -> Created:
    name = creation.properties.get("RuleName") or creation.name(128).replace("-", "_")
    return Created(name, {"Arn": creation.arn("iot", f"rule/{name}")})


def _role(creation: Creation) -> Created:
    name = creation.properties.get("RoleName") or creation.name()
    path = creation.properties.get("Path", "/")
    attributes = {"Arn": creation.arn("iam", f"role{path}{name}", global_=True), "RoleId": f"AROA{creation.logical_id}"}
    return Created(name, attributes)


def _untagged(creation: Creation) -> dict[str, Any]:
    return {key: value for key, value in creation.properties.items() if key not in ("Tags", "UserPoolTags")}


# Types that take more than one call, or whose identifiers follow no simple pattern. APIs, functions, rules, roles and
# policies stay out of moto: the local runtime routes, invokes and authorizes by itself, from what the template says.
CREATORS: Mapping[str, Callable[[Creation], Created]] = {
    "AWS::ApiGatewayV2::Api": _http_api,
    "AWS::DynamoDB::Table": _table,
    "AWS::Events::Rule": _rule,
    "AWS::IAM::Role": _role,
    "AWS::IoT::TopicRule": _topic_rule,
    "AWS::KMS::Key": _key,
    "AWS::Kinesis::Stream": _stream,
    "AWS::Lambda::Function": _function,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _queue_policy,
    "AWS::SecretsManager::Secret": _secret,
}
