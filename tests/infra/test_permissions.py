"""Who may do what: one readable table, compared with every action of every role."""

import re
from collections import defaultdict

from tests.infra.assembly import Assembly, listed

READ_TABLES = {"Key via dynamodb": {"kms:Decrypt"}}
WRITE_TABLES = {"Key via dynamodb": {"kms:Decrypt", "kms:GenerateDataKey"}}
WRITE_OBJECTS = {"Key via s3": {"kms:Decrypt", "kms:GenerateDataKey"}}
READ_OBJECTS = {"Key via s3": {"kms:Decrypt"}}
READ_SECRET = {
    "DeploymentSecret": {"secretsmanager:GetSecretValue"},
    "Key via secretsmanager": {"kms:Decrypt"},
}
APPEND_EVENTS = {
    "EventsStream": {"kinesis:PutRecords"},
    "Key via kinesis": {"kms:Decrypt", "kms:GenerateDataKey"},
}
FOLLOW_EVENTS = {
    "EventsStream": {
        "kinesis:DescribeStream",
        "kinesis:DescribeStreamSummary",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
    },
    "Key via kinesis": {"kms:Decrypt"},
}
FOLLOW_TABLE = {
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
}
SET_ASIDE = {"SpoolBucket/aws/lambda/*": {"s3:PutObject"}, "SpoolBucket": {"s3:ListBucket"}, **WRITE_OBJECTS}
ASK_LAKE = {
    "arn:{AWS::Partition}:athena:{AWS::Region}:{AWS::AccountId}:workgroup/onefold_*": {
        "athena:StartQueryExecution",
        "athena:GetQueryExecution",
        "athena:GetQueryResults",
        "athena:StopQueryExecution",
    },
    **{
        f"arn:{{AWS::Partition}}:glue:{{AWS::Region}}:{{AWS::AccountId}}:{name}": {"glue:GetDatabase", "glue:GetTable"}
        for name in ("catalog", "database/onefold_*", "table/onefold_*/raw_events")
    },
    "LakeBucket": {"s3:ListBucket", "s3:GetBucketLocation"},
    "LakeBucket/raw/*": {"s3:GetObject"},
    "LakeBucket/athena-results/*": {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"},
    **WRITE_OBJECTS,
}
CONSUME = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}

EXPECTED = {
    "collect": {
        **APPEND_EVENTS,
        "SpoolBucket/spool/*": {"s3:PutObject"},
        **WRITE_OBJECTS,
        "DefinitionsTable": {"dynamodb:Query"},
        **READ_TABLES,
        **READ_SECRET,
    },
    "drain": {
        **APPEND_EVENTS,
        "SpoolBucket/spool/*": {"s3:GetObject", "s3:DeleteObject"},
        **READ_OBJECTS,
        "SpooledQueue": CONSUME,
        "Key via sqs": {"kms:Decrypt"},
    },
    "stitch": {
        **FOLLOW_EVENTS,
        "FragmentsTable": {"dynamodb:BatchGetItem", "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"},
        "IdentitiesTable": {"dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:ConditionCheckItem"},
        "HeadsTable": {"dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:ConditionCheckItem"},
        "TimelineTable": {"dynamodb:BatchWriteItem"},
        "DefinitionsTable": {"dynamodb:Query"},
        **WRITE_TABLES,
        "LakeBucket/quarantine/*": {"s3:PutObject"},
        "Bus": {"events:PutEvents"},
        **SET_ASIDE,
    },
    "archive": {
        **FOLLOW_EVENTS,
        "LakeBucket/raw/*": {"s3:PutObject"},
        "LakeBucket/quarantine/*": {"s3:PutObject"},
        **SET_ASIDE,
    },
    "evaluate": {
        "FragmentsTable.StreamArn": FOLLOW_TABLE,
        "HeadsTable.StreamArn": FOLLOW_TABLE,
        "FragmentsTable": {"dynamodb:BatchGetItem"},
        "IdentitiesTable": {"dynamodb:BatchGetItem"},
        "HeadsTable": {"dynamodb:BatchGetItem", "dynamodb:PutItem"},
        "DefinitionsTable": {"dynamodb:Query"},
        **WRITE_TABLES,
        **SET_ASIDE,
    },
    "activate": {
        "HeadsTable.StreamArn": FOLLOW_TABLE,
        **READ_TABLES,
        "Bus": {"events:PutEvents"},
        "Key via events": {"kms:Decrypt", "kms:GenerateDataKey"},
        **SET_ASIDE,
    },
    "deliver": {
        "DefinitionsTable": {"dynamodb:Query"},
        **READ_TABLES,
        **READ_SECRET,
        "DeliveriesQueue": CONSUME,
        "Key via sqs": {"kms:Decrypt"},
    },
    "resolve": {
        "IdentitiesTable": {"dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:ConditionCheckItem"},
        "HeadsTable": {"dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:ConditionCheckItem"},
        "DecisionsTable": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"},
        "DefinitionsTable": {"dynamodb:Query"},
        **WRITE_TABLES,
        **READ_SECRET,
        **ASK_LAKE,
    },
    "serve": {
        "FragmentsTable": {"dynamodb:BatchGetItem"},
        "IdentitiesTable": {"dynamodb:BatchGetItem"},
        "HeadsTable": {"dynamodb:BatchGetItem"},
        "TimelineTable": {"dynamodb:Query"},
        "DefinitionsTable": {"dynamodb:Query"},
        **READ_TABLES,
        **READ_SECRET,
    },
}

JOB = "onefold: what the job "  # tests/infra/test_jobs.py has theirs
# Every function writes its log and its traces. X-Ray's two actions know no resource: that is the one `*` there is.
LOG_ACTIONS = {"logs:CreateLogStream", "logs:PutLogEvents"}
TRACE_ACTIONS = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def test_each_function_may_do_exactly_what_the_table_says(prod: Assembly) -> None:
    shared = {verb: {f"{verb.capitalize()}Log": LOG_ACTIONS, "*": TRACE_ACTIONS} for verb in EXPECTED}

    assert {verb: _actions_by_resource(prod, verb) for verb in prod.functions()} == {
        verb: {**EXPECTED[verb], **shared[verb]} for verb in EXPECTED
    }


def test_permissions_are_the_same_in_every_environment(assemblies: dict[str, Assembly]) -> None:
    dev, staging, prod = (
        {verb: _actions_by_resource(assembly, verb) for verb in assembly.functions()}
        for assembly in assemblies.values()
    )

    assert dev == staging == prod


def test_roles_have_no_managed_and_no_inline_policies_beside_the_table(prod: Assembly) -> None:
    roles = [role for role in prod.resources("AWS::IAM::Role") if not role.properties["Description"].startswith(JOB)]

    assert len(roles) == len(EXPECTED)
    for role in roles:
        assert not {"ManagedPolicyArns", "Policies"} & set(role.properties)
        (statement,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_each_role_belongs_to_one_function_and_each_policy_to_one_role(prod: Assembly) -> None:
    roles = [function.properties["Role"]["Fn::GetAtt"][0] for function in prod.functions().values()]

    assert len(set(roles)) == len(roles)
    assert all(len(policy.properties["Roles"]) == 1 for policy in prod.resources("AWS::IAM::Policy"))


def test_only_the_gateway_may_invoke_a_function_and_only_for_its_own_api(prod: Assembly) -> None:
    permissions = list(prod.resources("AWS::Lambda::Permission"))

    assert permissions
    for permission in permissions:
        assert permission.properties["Principal"] == "apigateway.amazonaws.com"
        assert "execute-api" in prod.readable(permission.properties["SourceArn"])


def _actions_by_resource(assembly: Assembly, verb: str) -> dict[str, set[str]]:
    actions: defaultdict[str, set[str]] = defaultdict(set)
    for statement in assembly.statements(verb):
        assert statement["Effect"] == "Allow"
        via = statement.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService")
        suffix = f" via {assembly.readable(via).split('.')[0]}" if via else ""
        for resource in listed(statement["Resource"]):
            # Workgroup and database are named after their environment.
            name = re.sub(r"onefold_(dev|staging|prod)\b", "onefold_*", assembly.readable(resource))
            actions[name + suffix] |= set(listed(statement["Action"]))
    return dict(actions)
