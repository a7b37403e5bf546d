"""Who may do what: one readable table, compared with every action of every role."""

import re
from collections import defaultdict

from tests.infra.assembly import Assembly, construct_of, listed

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
CONSUME = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
PLACE = "{AWS::Region}:{AWS::AccountId}"
GLUE = f"arn:{{AWS::Partition}}:glue:{PLACE}"
# Questions to the lake; Athena asks with the rights of who asks it.
ASK = {
    f"arn:{{AWS::Partition}}:athena:{PLACE}:workgroup/onefold_*": {
        "athena:GetQueryExecution",
        "athena:GetQueryResults",
        "athena:StartQueryExecution",
        "athena:StopQueryExecution",
    },
    f"{GLUE}:catalog": {"glue:GetDatabase", "glue:GetTable"},
    f"{GLUE}:database/onefold_*": {"glue:GetDatabase", "glue:GetTable"},
    "LakeBucket": {"s3:GetBucketLocation", "s3:ListBucket"},
    "LakeBucket/athena-results/*": {
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
    },
    **WRITE_OBJECTS,
}
ASK_QUARANTINE = {
    **ASK,
    "LakeBucket/quarantine/*": {"s3:GetObject"},
    f"{GLUE}:table/onefold_*/quarantine": {"glue:GetTable"},
}
ASK_HISTORY = {
    **ASK,
    "LakeBucket/raw/*": {"s3:GetObject"},
    f"{GLUE}:table/onefold_*/raw_events": {"glue:GetTable"},
}

EXPECTED = {
    "collect": {
        **APPEND_EVENTS,
        "SpoolBucket/spool/*": {"s3:PutObject"},
        **WRITE_OBJECTS,
        "DefinitionsTable": {"dynamodb:Query"},
        **READ_TABLES,
        **READ_SECRET,
    },
    "receive": {
        **APPEND_EVENTS,
        "SpoolBucket/spool/*": {"s3:PutObject"},
        **WRITE_OBJECTS,
        "DefinitionsTable": {"dynamodb:Query"},
        **READ_TABLES,
        **READ_SECRET,
        f"arn:{{AWS::Partition}}:ssm:{PLACE}:parameter/onefold/prod/webhooks/*": {"ssm:GetParameter"},
        "Key via ssm": {"kms:Decrypt"},
        "DevicesQueue": CONSUME,
        "Key via sqs": {"kms:Decrypt"},
    },
    "drain": {
        **APPEND_EVENTS,
        "SpoolBucket/spool/*": {"s3:GetObject", "s3:DeleteObject"},
        **READ_OBJECTS,
        "SpooledQueue": CONSUME,
        "Key via sqs": {"kms:Decrypt"},
    },
    "inspect": {
        "FragmentsTable": {"dynamodb:BatchGetItem"},
        "IdentitiesTable": {"dynamodb:BatchGetItem"},
        "HeadsTable": {"dynamodb:BatchGetItem"},
        "TimelineTable": {"dynamodb:Query"},
        **READ_TABLES,
        **ASK_QUARANTINE,
        **ASK_HISTORY,
    },
    "replay": {
        **ASK_QUARANTINE,
        "LakeBucket/quarantine/replays/*": {"s3:PutObject"},
        **APPEND_EVENTS,
        "SpoolBucket/spool/*": {"s3:PutObject"},
        "DefinitionsTable": {"dynamodb:Query"},
        **READ_TABLES,
        **READ_SECRET,
    },
    "import_files": {
        **APPEND_EVENTS,
        "SpoolBucket": {"s3:ListBucket"},
        "SpoolBucket/imports/inbox/*": {"s3:GetObject"},
        "SpoolBucket/imports/summaries/*": {"s3:GetObject", "s3:PutObject"},
        "SpoolBucket/imports/claims/*": {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"},
        "SpoolBucket/imports/parts/*": {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"},
        **WRITE_OBJECTS,
        "DefinitionsTable": {"dynamodb:Query"},
        **READ_TABLES,
        **READ_SECRET,
        "ImportsQueue": CONSUME | {"sqs:SendMessage"},
        "Key via sqs": {"kms:Decrypt", "kms:GenerateDataKey"},
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
        "Key via events": {"kms:Decrypt", "kms:GenerateDataKey"},
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
        **ASK_HISTORY,
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
    shared = {verb: {f"{construct_of(verb)}Log": LOG_ACTIONS, "*": TRACE_ACTIONS} for verb in EXPECTED}

    assert {verb: _actions_by_resource(prod, verb) for verb in prod.functions()} == {
        verb: {**EXPECTED[verb], **shared[verb]} for verb in EXPECTED
    }


def test_permissions_are_the_same_in_every_environment(assemblies: dict[str, Assembly]) -> None:
    dev, staging, prod = (
        {verb: _without_name(_actions_by_resource(assembly, verb), name) for verb in assembly.functions()}
        for name, assembly in assemblies.items()
    )

    assert dev == staging == prod


def test_roles_have_no_managed_and_no_inline_policies_beside_the_table(prod: Assembly) -> None:
    roles = {role.name: role for role in prod.resources("AWS::IAM::Role")}
    assert all(not {"ManagedPolicyArns", "Policies"} & set(role.properties) for role in roles.values())

    roles.pop("DeviceRuleRole")
    of_functions = [role for role in roles.values() if not role.properties["Description"].startswith(JOB)]
    assert len(of_functions) == len(EXPECTED)
    for role in of_functions:
        (statement,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_the_rule_of_devices_may_fill_its_queues_and_nobody_else_may_take_its_role(prod: Assembly) -> None:
    role = prod.named("DeviceRuleRole", "AWS::IAM::Role")
    rule = prod.named("DeviceRule", "AWS::IoT::TopicRule").properties
    (policy,) = (
        policy.properties["PolicyDocument"]["Statement"]
        for policy in prod.resources("AWS::IAM::Policy")
        if policy.properties["Roles"] == [{"Ref": role.logical_id}]
    )
    (trust,) = role.properties["AssumeRolePolicyDocument"]["Statement"]

    allowed = {prod.readable(resource): each["Action"] for each in policy for resource in listed(each["Resource"])}
    assert allowed == {
        "DevicesQueue": "sqs:SendMessage",
        "DevicesDeadLetters": "sqs:SendMessage",
        "Key": ["kms:Decrypt", "kms:GenerateDataKey"],
    }
    assert trust["Principal"] == {"Service": "iot.amazonaws.com"}
    assert prod.readable(trust["Condition"]["StringEquals"]["aws:SourceAccount"]) == "{AWS::AccountId}"
    source = prod.readable(trust["Condition"]["ArnEquals"]["aws:SourceArn"])
    assert source == f"arn:{{AWS::Partition}}:iot:{PLACE}:rule/{rule['RuleName']}"


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


def _without_name(actions: dict[str, set[str]], environment: str) -> dict[str, set[str]]:
    """Resources that bear the environment's name, under a name that all have in common."""
    named = re.compile(rf"(?<=onefold[_/]){environment}\b")
    return {named.sub("environment", resource): allowed for resource, allowed in actions.items()}


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
