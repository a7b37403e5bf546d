"""What roles may do, case by case, and where their policies come from."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local import calls, moto_direct
from infra.local.assembly import TemplateError
from infra.local.permissions import Decision, Permissions, decide, policies_by_role
from infra.local.template import Resource
from tests.unit.infra.local.conftest import Clients

ROLE = "arn:aws:iam::123456789012:role/stitch"
HERE = "eu-central-1:123456789012"
HEADS = f"arn:aws:dynamodb:{HERE}:table/heads"
SECRET = f"arn:aws:secretsmanager:{HERE}:secret:deployment-AbCdEf"
BUS = f"arn:aws:events:{HERE}:event-bus/onefold"
POLICY: dict[str, Any] = {
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "dynamodb:BatchGetItem",
                "dynamodb:PutItem",
                "dynamodb:ConditionCheckItem",
                "dynamodb:Query",
                "dynamodb:PartiQLInsert",
                "dynamodb:PartiQLUpdate",
            ],
            "Resource": [HEADS, f"{HEADS}/index/by_review"],
        },
        {"Effect": "Allow", "Action": "dynamodb:BatchWriteItem", "Resource": f"arn:aws:dynamodb:{HERE}:table/timeline"},
        {"Effect": "Allow", "Action": "dynamodb:Get*", "Resource": f"{HEADS}/stream/*"},
        {"Effect": "Allow", "Action": "kinesis:PutRecords", "Resource": f"arn:aws:kinesis:{HERE}:stream/events"},
        {
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": ["arn:aws:s3:::lake/raw/*", "arn:aws:s3:::lake/tmp/?"],
        },
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::spool/spool/*"},
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::spool",
            "Condition": {"StringLike": {"s3:prefix": "spool/*"}},
        },
        {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::lake/raw/secret/*"},
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": f"arn:aws:sqs:{HERE}:deliveries"},
        {
            "Effect": "Allow",
            "Action": "events:PutEvents",
            "Resource": BUS,
            "Condition": {"StringEquals": {"events:source": ["onefold", "onefold.test"]}},
        },
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": SECRET},
        {"Effect": "Allow", "Action": "ssm:GetParameter*", "Resource": f"arn:aws:ssm:{HERE}:parameter/onefold/*"},
        {"Effect": "Allow", "Action": "athena:*Query*", "Resource": f"arn:aws:athena:{HERE}:workgroup/onefold"},
        {"Effect": "Allow", "NotAction": ["*"], "Resource": "*"},
        {"Effect": "Allow", "Action": "polly:*", "NotResource": "arn:*"},
    ]
}


def statements(*texts: str) -> dict[str, Any]:
    return {"Statements": [{"Statement": text} for text in texts]}


def write(kind: str, table: str) -> dict[str, Any]:
    return {"TransactItems": [{"Put": {"TableName": "heads"}}, {kind: {"TableName": table}}]}


def entry(**fields: str) -> dict[str, Any]:
    return {
        "Entries": [{"Source": "onefold", "EventBusName": BUS}, {"Source": "onefold", "EventBusName": BUS, **fields}]
    }


ALLOWED: list[tuple[str, str, Mapping[str, Any]]] = [
    ("dynamodb", "PutItem", {"TableName": "heads"}),
    ("dynamodb", "PutItem", {"TableName": HEADS}),
    ("dynamodb", "BatchGetItem", {"RequestItems": {"heads": {"Keys": []}}}),
    ("dynamodb", "BatchWriteItem", {"RequestItems": {"timeline": []}}),
    ("dynamodb", "TransactWriteItems", write("ConditionCheck", "heads")),
    (
        "dynamodb",
        "BatchExecuteStatement",
        statements('UPDATE "heads" SET a = ? WHERE b = ?', "insert into heads VALUE"),
    ),
    ("dynamodb", "Query", {"TableName": "heads", "IndexName": "by_review"}),
    ("dynamodbstreams", "GetShardIterator", {"StreamArn": f"{HEADS}/stream/2026"}),
    ("dynamodbstreams", "GetRecords", {"ShardIterator": f"{HEADS}/stream/2026|1|abc"}),
    ("kinesis", "PutRecords", {"StreamName": "events"}),
    ("kinesis", "PutRecords", {"StreamARN": f"arn:aws:kinesis:{HERE}:stream/events"}),
    ("s3", "PutObject", {"Bucket": "lake", "Key": "raw/dt=2026-01-01/a.parquet"}),
    ("s3", "CreateMultipartUpload", {"Bucket": "lake", "Key": "raw/large.parquet"}),
    ("s3", "HeadObject", {"Bucket": "spool", "Key": "spool/a"}),
    ("s3", "DeleteObjects", {"Bucket": "spool", "Delete": {"Objects": [{"Key": "spool/a"}, {"Key": "spool/b"}]}}),
    ("s3", "ListObjectsV2", {"Bucket": "spool", "Prefix": "spool/2026"}),
    ("sqs", "SendMessageBatch", {"QueueUrl": "https://sqs.eu-central-1.amazonaws.com/123456789012/deliveries"}),
    ("events", "PutEvents", entry()),
    ("secretsmanager", "GetSecretValue", {"SecretId": SECRET}),
    ("secretsmanager", "GetSecretValue", {"SecretId": "deployment"}),
    ("ssm", "GetParameter", {"Name": "/onefold/dev/deployment"}),
    ("ssm", "GetParameters", {"Names": ["/onefold/a", "/onefold/b"]}),
    ("athena", "StartQueryExecution", {"QueryString": "SELECT 1", "WorkGroup": "onefold"}),
    ("athena", "GetQueryResults", {"QueryExecutionId": "q-1"}),
    ("polly", "ListLexicons", {}),
]
REFUSED: list[tuple[str, str, Mapping[str, Any], str]] = [
    ("dynamodb", "PutItem", {"TableName": "identities"}, "dynamodb:PutItem"),
    ("dynamodb", "GetItem", {"TableName": "heads"}, "dynamodb:GetItem"),
    ("dynamodb", "DeleteTable", {"TableName": "heads"}, "dynamodb:DeleteTable"),
    ("dynamodb", "ListTables", {}, "dynamodb:ListTables"),
    ("dynamodb", "BatchGetItem", {"RequestItems": {"heads": {}, "identities": {}}}, "dynamodb:BatchGetItem"),
    ("dynamodb", "BatchWriteItem", {"RequestItems": {"timeline": [], "heads": []}}, "dynamodb:BatchWriteItem"),
    ("dynamodb", "TransactWriteItems", write("Put", "identities"), "dynamodb:PutItem"),
    ("dynamodb", "BatchExecuteStatement", statements('INSERT INTO "others" VALUE'), "dynamodb:PartiQLInsert"),
    ("dynamodb", "BatchExecuteStatement", statements("DELETE FROM heads WHERE a = ?"), "dynamodb:PartiQLDelete"),
    ("dynamodb", "BatchExecuteStatement", statements('SELECT * FROM "heads"."by_review"'), "dynamodb:PartiQLSelect"),
    ("dynamodb", "BatchExecuteStatement", statements("VALUES 1"), "dynamodb:PartiQL*"),
    ("dynamodb", "TransactWriteItems", write("Update", "heads"), "dynamodb:UpdateItem"),
    ("dynamodb", "Query", {"TableName": "heads", "IndexName": "by_name"}, "dynamodb:Query"),
    ("kinesis", "PutRecords", {"StreamName": "events2"}, "kinesis:PutRecords"),
    ("kinesis", "PutRecord", {"StreamName": "events"}, "kinesis:PutRecord"),
    ("s3", "PutObject", {"Bucket": "lake", "Key": "quarantine/a"}, "s3:PutObject"),
    ("s3", "PutObject", {"Bucket": "lake", "Key": "raw/secret/a"}, "s3:PutObject"),
    ("s3", "PutObject", {"Bucket": "lake", "Key": "tmp/ab"}, "s3:PutObject"),
    ("s3", "GetObject", {"Bucket": "lake", "Key": "raw/a"}, "s3:GetObject"),
    ("s3", "ListObjectsV2", {"Bucket": "spool"}, "s3:ListBucket"),
    ("s3", "ListObjectsV2", {"Bucket": "lake", "Prefix": "spool/"}, "s3:ListBucket"),
    ("s3", "DeleteObjects", {"Bucket": "spool", "Delete": {"Objects": [{"Key": "aws/a"}]}}, "s3:DeleteObject"),
    ("sqs", "SendMessage", {"QueueUrl": "https://sqs/123456789012/others"}, "sqs:SendMessage"),
    ("sqs", "ReceiveMessage", {"QueueUrl": "https://sqs/123456789012/deliveries"}, "sqs:ReceiveMessage"),
    ("events", "PutEvents", entry(EventBusName="default"), "events:PutEvents"),
    ("events", "PutEvents", entry(Source="elsewhere"), "events:PutEvents"),
    ("secretsmanager", "GetSecretValue", {"SecretId": "other"}, "secretsmanager:GetSecretValue"),
    ("secretsmanager", "PutSecretValue", {"SecretId": SECRET}, "secretsmanager:PutSecretValue"),
    ("ssm", "GetParameters", {"Names": ["/onefold/a", "/other"]}, "ssm:GetParameters"),
    ("athena", "StartQueryExecution", {"QueryString": "SELECT 1", "WorkGroup": "others"}, "athena:StartQueryExecution"),
    ("athena", "StartQueryExecution", {"QueryString": "SELECT 1"}, "athena:StartQueryExecution"),
    ("athena", "ListWorkGroups", {}, "athena:ListWorkGroups"),
    ("translate", "TranslateText", {}, "translate:TranslateText"),
]


@pytest.mark.parametrize(("service", "operation", "params"), ALLOWED)
def test_what_the_role_allows_passes(service: str, operation: str, params: Mapping[str, Any]) -> None:
    permissions = Permissions({ROLE: [POLICY]})

    permissions.check(ROLE, service, operation, params)

    assert permissions.denied == []


@pytest.mark.parametrize(("service", "operation", "params", "action"), REFUSED)
def test_what_the_role_does_not_allow_is_refused(
    service: str, operation: str, params: Mapping[str, Any], action: str
) -> None:
    permissions = Permissions({ROLE: [POLICY]})

    with pytest.raises(ClientError) as caught:
        permissions.check(ROLE, service, operation, params)

    error = caught.value.response["Error"]
    assert error["Code"] == ("AccessDenied" if service == "s3" else "AccessDeniedException")
    ((role, refused_action, resource),) = permissions.denied
    assert (role, refused_action) == (ROLE, action)
    assert f"is not authorized to perform: {action} on resource: {resource} because" in error["Message"]


def test_a_role_without_policies_may_do_nothing() -> None:
    with pytest.raises(ClientError):
        Permissions({}).check(ROLE, "dynamodb", "PutItem", {"TableName": "heads"})


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({"StringEquals": {"k": "a"}}, {"K": "a"}, True),
        ({"StringEquals": {"k": "a"}}, {}, False),
        ({"StringEqualsIfExists": {"k": "a"}}, {}, True),
        ({"StringNotEquals": {"k": "a"}}, {"k": "b"}, True),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "b"}, False),
        ({"StringNotEquals": {"k": "a"}}, {}, True),
        ({"StringNotLike": {"k": "a*"}}, {"k": "abc"}, False),
        ({"ArnLike": {"k": "arn:aws:s3:::*"}}, {"k": "arn:aws:s3:::lake"}, True),
        ({"Bool": {"k": True}}, {"k": "true"}, True),
        ({"Bool": {"k": "false"}}, {"k": "true"}, False),
        ({"StringEquals": {"k": "a", "l": "b"}}, {"k": "a", "l": "c"}, False),
    ],
)
def test_conditions(condition: dict[str, Any], context: dict[str, Any], *, holds: bool) -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}

    decision = decide([{"Statement": statement}], "s3:GetObject", "arn:aws:s3:::lake/a", context)

    assert decision is (Decision.ALLOWED if holds else Decision.UNMENTIONED)


def test_an_unknown_condition_operator_is_not_passed_over() -> None:
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}

    with pytest.raises(NotImplementedError, match="IpAddress"):
        decide([{"Statement": [statement]}], "s3:GetObject", "arn:aws:s3:::lake/a", {})


def test_policies_are_collected_from_the_role_and_what_is_attached() -> None:
    def policy(action: str) -> dict[str, Any]:
        return {"Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}

    def resource(type_: str, ref: str, properties: dict[str, Any], **attributes: str) -> Resource:
        return Resource("Stack", ref, type_, properties, ref, attributes)

    resources = [
        resource("AWS::IAM::Role", "stitch", {"Policies": [{"PolicyDocument": policy("a:Inline")}]}, Arn=ROLE),
        resource("AWS::IAM::Role", "bare", {}, Arn="arn:bare"),
        resource("AWS::IAM::Policy", "p", {"PolicyDocument": policy("a:Attached"), "Roles": ["stitch"]}),
    ]

    documents = policies_by_role(resources)

    assert documents["arn:bare"] == []
    for action in ("a:Inline", "a:Attached"):
        assert decide(documents[ROLE], action, "*", {}) is Decision.ALLOWED
    managed = resource("AWS::IAM::Role", "odd", {"ManagedPolicyArns": ["arn:aws:iam::aws:policy/None"]}, Arn="arn:odd")
    with pytest.raises(TemplateError, match=r"Stack\.odd: write the managed policies' statements into the role"):
        policies_by_role([managed])


@pytest.fixture(params=["long way", "direct"])
def guarded(request: pytest.FixtureRequest) -> Iterator[Permissions]:
    permissions = Permissions({ROLE: [POLICY]})
    if request.param == "direct":
        moto_direct.install()
    remove = calls.guard(lambda service, operation, params: permissions.check(ROLE, service, operation, params))
    yield permissions
    remove()
    moto_direct.remove()


def test_a_refused_call_writes_nothing(dynamodb: Any, clients: Clients, guarded: Permissions) -> None:
    item = {"fragment_key": {"S": "f"}, "sequence": {"S": "1"}}
    dynamodb.put_item(TableName="heads", Item={"profile_id": {"S": "p"}})

    with pytest.raises(dynamodb.exceptions.ClientError, match="AccessDeniedException"):
        dynamodb.put_item(TableName="timeline", Item=item)

    found = dynamodb.query(
        TableName="heads", KeyConditionExpression="profile_id = :p", ExpressionAttributeValues={":p": {"S": "p"}}
    )
    assert found["Count"] == 1
    assert guarded.denied == [(ROLE, "dynamodb:PutItem", f"arn:aws:dynamodb:{HERE}:table/timeline")]
