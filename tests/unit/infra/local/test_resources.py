"""One template with every type that the stacks use: what was created answers through its own API."""

from pathlib import Path
from typing import Any

import pytest
from moto.moto_api._internal.models import moto_api_backend

from infra.local import assembly
from infra.local.template import Deployment, Resource
from tests.unit.infra.local.assemblies import write_assembly
from tests.unit.infra.local.conftest import Clients

ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
ANYONE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
TAGS = [{"Key": "application", "Value": "onefold"}]


def arn(logical_id: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


PROPERTIES: dict[str, tuple[str, dict[str, Any]]] = {
    "Key": ("KMS::Key", {"KeyPolicy": ANYONE, "EnableKeyRotation": True, "Tags": TAGS}),
    "Lake": (
        "S3::Bucket",
        {
            "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            "BucketEncryption": {"ServerSideEncryptionConfiguration": []},
            "Tags": TAGS,
        },
    ),
    "LakePolicy": ("S3::BucketPolicy", {"Bucket": {"Ref": "Lake"}, "PolicyDocument": ANYONE}),
    "Table": (
        "DynamoDB::Table",
        {
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
            "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": arn("Key")},
            "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "DeletionProtectionEnabled": True,
            "Tags": TAGS,
        },
    ),
    "Stream": (
        "Kinesis::Stream",
        {
            "RetentionPeriodHours": 168,
            "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
            "StreamEncryption": {"EncryptionType": "KMS", "KeyId": arn("Key")},
        },
    ),
    "Dead": ("SQS::Queue", {"MessageRetentionPeriod": 1209600, "KmsMasterKeyId": arn("Key")}),
    "Queue": (
        "SQS::Queue",
        {"VisibilityTimeout": 360, "RedrivePolicy": {"deadLetterTargetArn": arn("Dead"), "maxReceiveCount": 5}},
    ),
    "QueuePolicy": ("SQS::QueuePolicy", {"Queues": [{"Ref": "Queue"}], "PolicyDocument": ANYONE}),
    "Bus": ("Events::EventBus", {"Name": "bus", "DeadLetterConfig": {"Arn": arn("Dead")}}),
    "Rule": ("Events::Rule", {"EventBusName": {"Ref": "Bus"}, "EventPattern": {"source": ["onefold"]}}),
    "Secret": ("SecretsManager::Secret", {"GenerateSecretString": {}, "KmsKeyId": arn("Key"), "Tags": TAGS}),
    "Parameter": ("SSM::Parameter", {"Name": "/p", "Type": "String", "Value": "v", "Tags": {"application": "onefold"}}),
    "Role": ("IAM::Role", {"AssumeRolePolicyDocument": ANYONE}),
    "Policy": ("IAM::Policy", {"PolicyName": "p", "PolicyDocument": ALL, "Roles": [{"Ref": "Role"}]}),
    "Layer": ("Lambda::LayerVersion", {"Content": {"S3Bucket": "b", "S3Key": "code.zip"}}),
    "Function": (
        "Lambda::Function",
        {"Code": {"S3Key": "code.zip"}, "Role": arn("Role"), "Layers": [{"Ref": "Layer"}], "Handler": "handler.handle"},
    ),
    "Permission": ("Lambda::Permission", {"FunctionName": {"Ref": "Function"}, "Action": "lambda:InvokeFunction"}),
    "Api": ("ApiGatewayV2::Api", {"Name": "collector", "ProtocolType": "HTTP"}),
    "Integration": ("ApiGatewayV2::Integration", {"ApiId": {"Ref": "Api"}, "IntegrationUri": arn("Function")}),
    "Authorizer": ("ApiGatewayV2::Authorizer", {"ApiId": {"Ref": "Api"}, "AuthorizerType": "JWT"}),
    "Route": ("ApiGatewayV2::Route", {"ApiId": {"Ref": "Api"}, "AuthorizerId": {"Ref": "Authorizer"}}),
    "Stage": ("ApiGatewayV2::Stage", {"ApiId": {"Ref": "Api"}, "StageName": "$default"}),
    "Pool": ("Cognito::UserPool", {"UserPoolName": "clients", "UserPoolTags": {"application": "onefold"}}),
    "Server": (
        "Cognito::UserPoolResourceServer",
        {
            "UserPoolId": {"Ref": "Pool"},
            "Identifier": "onefold",
            "Name": "onefold",
            "Scopes": [{"ScopeName": "profiles.read", "ScopeDescription": "Read profiles"}],
        },
    ),
    "Client": (
        "Cognito::UserPoolClient",
        {"UserPoolId": {"Ref": "Pool"}, "AllowedOAuthFlows": ["client_credentials"], "GenerateSecret": True},
    ),
    "Domain": ("Cognito::UserPoolDomain", {"UserPoolId": {"Ref": "Pool"}, "Domain": "onefold-dev"}),
    "WorkGroup": (
        "Athena::WorkGroup",
        {"Name": "wg", "WorkGroupConfiguration": {"BytesScannedCutoffPerQuery": 10_000_000_000}, "Tags": TAGS},
    ),
    "NamedQuery": (
        "Athena::NamedQuery",
        {"Database": "db", "QueryString": "SELECT 1", "WorkGroup": {"Ref": "WorkGroup"}},
    ),
    "Database": ("Glue::Database", {"CatalogId": {"Ref": "AWS::AccountId"}, "DatabaseInput": {"Name": "db"}}),
    "Events": (
        "Glue::Table",
        {
            "CatalogId": {"Ref": "AWS::AccountId"},
            "DatabaseName": {"Ref": "Database"},
            "TableInput": {"Name": "events", "Parameters": {"projection.enabled": True}},
        },
    ),
    "LogGroup": ("Logs::LogGroup", {"RetentionInDays": 30}),
    "Topic": ("SNS::Topic", {"KmsMasterKeyId": arn("Key")}),
    "Alarm": ("CloudWatch::Alarm", {"AlarmActions": [{"Ref": "Topic"}]}),
    "Dashboard": ("CloudWatch::Dashboard", {"DashboardBody": "{}"}),
}
TEMPLATE = {
    "Resources": {
        logical_id: {"Type": f"AWS::{type_}", "Properties": properties}
        for logical_id, (type_, properties) in PROPERTIES.items()
    }
}


def deploy(folder: Path, clients: Clients) -> dict[str, Resource]:
    deployment = Deployment(assembly.load(folder), clients, api_endpoint=lambda name: f"http://127.0.0.1:8080/{name}")
    deployment.deploy()
    return {resource.logical_id: resource for resource in deployment.resources}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_assembly(tmp_path, {"All": TEMPLATE})


def test_stores_are_created_as_declared(folder: Path, clients: Clients) -> None:
    resources = deploy(folder, clients)
    ref = {logical_id: resource.ref for logical_id, resource in resources.items()}

    table = clients("dynamodb").describe_table(TableName=ref["Table"])["Table"]
    assert table["TableArn"] == resources["Table"].attributes["Arn"]
    assert table["LatestStreamArn"] == resources["Table"].attributes["StreamArn"]
    assert table["SSEDescription"]["KMSMasterKeyArn"] == resources["Key"].attributes["Arn"]
    assert table["DeletionProtectionEnabled"] is True
    backups = clients("dynamodb").describe_continuous_backups(TableName=ref["Table"])["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    expiry = clients("dynamodb").describe_time_to_live(TableName=ref["Table"])["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    stream = clients("kinesis").describe_stream_summary(StreamName=ref["Stream"])["StreamDescriptionSummary"]
    assert (stream["RetentionPeriodHours"], stream["StreamARN"]) == (168, resources["Stream"].attributes["Arn"])
    assert ref["Lake"] == ref["Lake"].lower()
    queue = clients("sqs").get_queue_attributes(QueueUrl=ref["Queue"], AttributeNames=["All"])["Attributes"]
    assert (queue["VisibilityTimeout"], queue["QueueArn"]) == ("360", resources["Queue"].attributes["Arn"])
    assert resources["Dead"].attributes["Arn"] in queue["RedrivePolicy"]
    assert clients("kms").get_key_rotation_status(KeyId=ref["Key"])["KeyRotationEnabled"] is True
    assert len(clients("secretsmanager").get_secret_value(SecretId=ref["Secret"])["SecretString"]) == 32


def test_services_are_created_as_declared(folder: Path, clients: Clients) -> None:
    resources = deploy(folder, clients)
    ref = {logical_id: resource.ref for logical_id, resource in resources.items()}

    client = clients("cognito-idp").describe_user_pool_client(UserPoolId=ref["Pool"], ClientId=ref["Client"])
    assert client["UserPoolClient"]["AllowedOAuthFlows"] == ["client_credentials"]
    assert clients("athena").get_named_query(NamedQueryId=ref["NamedQuery"])["NamedQuery"]["WorkGroup"] == "wg"
    group = clients("athena").get_work_group(WorkGroup="wg")["WorkGroup"]["Configuration"]
    assert group["BytesScannedCutoffPerQuery"] == 10_000_000_000
    table = clients("glue").get_table(DatabaseName="db", Name="events")["Table"]
    assert table["Parameters"] == {"projection.enabled": "true"}
    assert clients("events").describe_event_bus(Name="bus")["Arn"] == resources["Bus"].attributes["Arn"]
    assert (
        resources["Rule"]
        .attributes["Arn"]
        .startswith("arn:aws:events:eu-central-1:123456789012:rule/bus/Test-All-Rule")
    )
    assert resources["Api"].attributes["ApiEndpoint"] == "http://127.0.0.1:8080/collector"
    assert resources["Role"].attributes["Arn"] == f"arn:aws:iam::123456789012:role/{ref['Role']}"
    assert resources["Function"].properties["Layers"] == [ref["Layer"]]


def test_a_second_start_gives_the_same_names_and_identifiers(folder: Path, clients: Clients) -> None:
    first = deploy(folder, clients)
    secret = clients("secretsmanager").get_secret_value(SecretId=first["Secret"].ref)["SecretString"]

    moto_api_backend.reset()
    second = deploy(folder, clients)

    assert {name: resource.ref for name, resource in second.items()} == {
        name: resource.ref for name, resource in first.items()
    }
    assert clients("secretsmanager").get_secret_value(SecretId=second["Secret"].ref)["SecretString"] != secret
