"""At rest under the deployment's key, on the way under TLS, and never public."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.infra.assembly import Assembly, listed

KEY_OF: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "AWS::DynamoDB::Table": lambda properties: properties["SSESpecification"]["KMSMasterKeyId"],
    "AWS::Kinesis::Stream": lambda properties: properties["StreamEncryption"]["KeyId"],
    "AWS::SQS::Queue": lambda properties: properties["KmsMasterKeyId"],
    "AWS::SNS::Topic": lambda properties: properties["KmsMasterKeyId"],
    "AWS::Logs::LogGroup": lambda properties: properties["KmsKeyId"],
    "AWS::SecretsManager::Secret": lambda properties: properties["KmsKeyId"],
    "AWS::Events::EventBus": lambda properties: properties["KmsKeyIdentifier"],
}
POLICY_OF = {
    "AWS::S3::BucketPolicy": 3,
    "AWS::SQS::QueuePolicy": 8,
    "AWS::SNS::TopicPolicy": 1,
}


@pytest.mark.parametrize("kind", KEY_OF)
def test_the_deployments_key_encrypts(prod: Assembly, kind: str) -> None:
    resources = list(prod.resources(kind))

    assert resources
    for resource in resources:
        assert prod.readable(KEY_OF[kind](resource.properties)) == "Key", resource.name


def test_buckets_are_encrypted_and_closed(prod: Assembly) -> None:
    buckets = {bucket.name: bucket.properties for bucket in prod.resources("AWS::S3::Bucket")}

    assert set(buckets) == {"LakeBucket", "SpoolBucket", "AccessLogBucket"}
    for name, properties in buckets.items():
        (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        algorithm = rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"]
        assert algorithm == ("AES256" if name == "AccessLogBucket" else "aws:kms")
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert ("LoggingConfiguration" in properties) == (name != "AccessLogBucket")


@pytest.mark.parametrize("kind", POLICY_OF)
def test_plain_http_is_refused(prod: Assembly, kind: str) -> None:
    policies = list(prod.resources(kind))

    assert len(policies) == POLICY_OF[kind]
    for policy in policies:
        statements = policy.properties["PolicyDocument"]["Statement"]
        refusals = [statement for statement in statements if statement["Effect"] == "Deny"]
        assert [refusal["Condition"] for refusal in refusals] == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_services_use_the_key_for_this_account_alone(prod: Assembly) -> None:
    policy = prod.named("Key", "AWS::KMS::Key").properties["KeyPolicy"]["Statement"]
    for_services = [statement for statement in policy if "Service" in statement["Principal"]]

    assert {service for statement in for_services for service in map(prod.readable, _services(statement))} == {
        "logs.{AWS::Region}.amazonaws.com",
        "events.amazonaws.com",
        "cloudwatch.amazonaws.com",
    }
    for statement in for_services:
        condition = "".join(
            prod.readable(value) for values in statement["Condition"].values() for value in values.values()
        )
        assert "{AWS::AccountId}" in condition


def test_the_key_rotates_and_the_secret_is_generated(prod: Assembly) -> None:
    key = prod.named("Key", "AWS::KMS::Key").properties
    secret = prod.named("DeploymentSecret", "AWS::SecretsManager::Secret").properties

    assert key["EnableKeyRotation"] is True
    assert secret["GenerateSecretString"] == {"PasswordLength": 64, "ExcludePunctuation": True}
    assert "SecretString" not in secret


def _services(statement: Mapping[str, Any]) -> list[Any]:
    return listed(statement["Principal"]["Service"])
