"""Resource types that the local runtime can create; an unknown one stops it with its name."""

import json
import secrets
import string
from collections.abc import Callable, Mapping
from typing import Any

from infra.local.resources_creation import Created, Creation, UnknownResourceType, text
from infra.local.resources_rows import ROWS

_RETENTION_H_DEFAULT = 24
_SECRET_LENGTH_DEFAULT = 32


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
        "give it a row in infra/local/resources_rows.py"
    )


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
    if "VersioningConfiguration" in properties:
        versioning = properties["VersioningConfiguration"]
        creation.call("s3", "PutBucketVersioning", {"Bucket": name, "VersioningConfiguration": versioning})
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
    replicas = creation.properties.get("Replicas", [])  # of a global table; here there is one region
    here: dict[str, Any] = next((replica for replica in replicas if replica["Region"] == creation.region), {})
    properties = {**_untagged(creation), **{key: value for key, value in here.items() if key != "SSESpecification"}}
    properties.setdefault("TableName", creation.name())
    if "StreamSpecification" in properties:
        properties["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    encryption = {**properties.pop("SSESpecification", {}), **here.get("SSESpecification", {})}
    if encryption:
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
    suffix = ".fifo" if creation.properties.get("FifoQueue") else ""
    name = creation.properties.get("QueueName") or creation.name(80 - len(suffix)) + suffix
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
    if "GenerateStringKey" not in wish:
        return generated
    return json.dumps({**json.loads(wish["SecretStringTemplate"]), wish["GenerateStringKey"]: generated})


def _function(creation: Creation) -> Created:
    name = creation.properties.get("FunctionName") or creation.name()
    return Created(name, {"Arn": creation.arn("lambda", f"function:{name}")})


def _rule(creation: Creation) -> Created:
    name = creation.properties.get("Name") or creation.name()
    bus = creation.properties.get("EventBusName", "default").rsplit("/", 1)[-1]
    path = name if bus == "default" else f"{bus}/{name}"
    return Created(path.replace("/", "|"), {"Arn": creation.arn("events", f"rule/{path}")})


def _role(creation: Creation) -> Created:
    name = creation.properties.get("RoleName") or creation.name()
    path = creation.properties.get("Path", "/")
    attributes = {"Arn": creation.arn("iam", f"role{path}{name}", global_=True), "RoleId": f"AROA{creation.logical_id}"}
    return Created(name, attributes)


def _policy(creation: Creation) -> Created:
    name = creation.properties.get("PolicyName") or creation.properties.get("ManagedPolicyName") or creation.name()
    if creation.type == "AWS::IAM::Policy":
        return Created(creation.logical_id, {"Id": creation.logical_id})
    arn = creation.arn("iam", f"policy/{name}", global_=True)
    return Created(arn, {"PolicyArn": arn})


def _untagged(creation: Creation) -> dict[str, Any]:
    return {key: value for key, value in creation.properties.items() if key not in ("Tags", "UserPoolTags")}


# Types that take more than one call, or whose identifiers follow no simple pattern. APIs, functions, rules, roles and
# policies stay out of moto: the local runtime routes, invokes and authorizes by itself, from what the template says.
CREATORS: Mapping[str, Callable[[Creation], Created]] = {
    "AWS::ApiGatewayV2::Api": _http_api,
    "AWS::DynamoDB::GlobalTable": _table,
    "AWS::DynamoDB::Table": _table,
    "AWS::Events::Rule": _rule,
    "AWS::IAM::ManagedPolicy": _policy,
    "AWS::IAM::Policy": _policy,
    "AWS::IAM::Role": _role,
    "AWS::KMS::Key": _key,
    "AWS::Kinesis::Stream": _stream,
    "AWS::Lambda::Function": _function,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _queue_policy,
    "AWS::SecretsManager::Secret": _secret,
}
