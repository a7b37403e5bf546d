"""Resource types that one API call creates, or none: a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.local.resources_creation import Created, Creation


@dataclass(frozen=True, slots=True)
class Row:
    """How to create a type, and what Ref and Fn::GetAtt give.

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
    constant: dict[str, Any] = field(default_factory=dict)

    def create(self, creation: Creation) -> Created:
        properties = {key: value for key, value in creation.properties.items() if key != "Tags"}
        properties |= self.constant
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
_EVENTS = "arn:aws:events:{region}:{account}"
_LAMBDA = "arn:aws:lambda:{region}:{account}"
_ALIAS_ARN = _LAMBDA + ":function:{p[FunctionName]}:{p[Name]}"
_LAYER_ARN = _LAMBDA + ":layer:{p[LayerName]}:1"
_VERSION_ARN = _LAMBDA + ":function:{p[FunctionName]}:1"
_SCHEDULE_ARN = "arn:aws:scheduler:{region}:{account}:schedule/default/{p[Name]}"
_USER_POOL_PROVIDER = "cognito-idp.{region}.amazonaws.com/{got[UserPool][Id]}"

ROWS: Mapping[str, Row] = {
    "AWS::ApiGatewayV2::Authorizer": Row("{id}", {"AuthorizerId": "{id}"}),
    "AWS::ApiGatewayV2::Integration": Row("{id}", {"IntegrationId": "{id}"}),
    "AWS::ApiGatewayV2::Route": Row("{id}", {"RouteId": "{id}"}),
    "AWS::ApiGatewayV2::Stage": Row("{p[StageName]}"),
    "AWS::Athena::NamedQuery": Row(
        "{got[NamedQueryId]}", {"NamedQueryId": "{got[NamedQueryId]}"}, "athena", "CreateNamedQuery", "Name"
    ),
    "AWS::Athena::WorkGroup": Row(
        "{sent[Name]}", {}, "athena", "CreateWorkGroup", rename={"WorkGroupConfiguration": "Configuration"}
    ),
    "AWS::CDK::Metadata": Row("{logical_id}"),
    "AWS::CloudWatch::Alarm": Row("{p[AlarmName]}", {"Arn": _ALARM_ARN}, name="AlarmName"),
    "AWS::CloudWatch::CompositeAlarm": Row("{p[AlarmName]}", {"Arn": _ALARM_ARN}, name="AlarmName"),
    "AWS::CloudWatch::Dashboard": Row("{p[DashboardName]}", name="DashboardName"),
    "AWS::Cognito::UserPool": Row(
        "{got[UserPool][Id]}",
        {
            "Arn": "{got[UserPool][Arn]}",
            "ProviderName": _USER_POOL_PROVIDER,
            "ProviderURL": f"https://{_USER_POOL_PROVIDER}",
            "UserPoolId": "{got[UserPool][Id]}",
        },
        "cognito-idp",
        "CreateUserPool",
        "UserPoolName",
        {"UserPoolName": "PoolName"},
    ),
    "AWS::Cognito::UserPoolClient": Row(
        "{got[UserPoolClient][ClientId]}",
        {"ClientId": "{got[UserPoolClient][ClientId]}", "Name": "{sent[ClientName]}"},
        "cognito-idp",
        "CreateUserPoolClient",
        "ClientName",
    ),
    "AWS::Cognito::UserPoolDomain": Row("{sent[Domain]}", {}, "cognito-idp", "CreateUserPoolDomain"),
    "AWS::Cognito::UserPoolGroup": Row("{sent[GroupName]}", {}, "cognito-idp", "CreateGroup"),
    "AWS::Cognito::UserPoolResourceServer": Row("{sent[Identifier]}", {}, "cognito-idp", "CreateResourceServer"),
    "AWS::Events::ApiDestination": Row("{p[Name]}", {"Arn": _EVENTS + ":api-destination/{p[Name]}/local"}, name="Name"),
    "AWS::Events::Archive": Row("{p[ArchiveName]}", {"Arn": _EVENTS + ":archive/{p[ArchiveName]}"}, name="ArchiveName"),
    "AWS::Events::Connection": Row("{p[Name]}", {"Arn": _EVENTS + ":connection/{p[Name]}/local"}, name="Name"),
    "AWS::Events::EventBus": Row(
        "{sent[Name]}", {"Arn": "{got[EventBusArn]}", "Name": "{sent[Name]}"}, "events", "CreateEventBus"
    ),
    "AWS::Events::EventBusPolicy": Row("{logical_id}"),
    "AWS::Glue::Database": Row("{sent[DatabaseInput][Name]}", {}, "glue", "CreateDatabase"),
    "AWS::Glue::Job": Row("{got[Name]}", {}, "glue", "CreateJob", "Name"),
    "AWS::Glue::SecurityConfiguration": Row("{sent[Name]}", {}, "glue", "CreateSecurityConfiguration", "Name"),
    "AWS::Glue::Table": Row("{sent[TableInput][Name]}", {}, "glue", "CreateTable"),
    "AWS::KMS::Alias": Row("{sent[AliasName]}", {}, "kms", "CreateAlias"),
    "AWS::Kinesis::StreamConsumer": Row(
        "{got[Consumer][ConsumerARN]}",
        {"ConsumerARN": "{got[Consumer][ConsumerARN]}"},
        "kinesis",
        "RegisterStreamConsumer",
    ),
    "AWS::Lambda::Alias": Row(_ALIAS_ARN, {"AliasArn": _ALIAS_ARN}),
    "AWS::Lambda::EventInvokeConfig": Row("{logical_id}"),
    "AWS::Lambda::EventSourceMapping": Row(
        "{name}", {"Id": "{name}", "EventSourceMappingArn": _LAMBDA + ":event-source-mapping:{name}"}
    ),
    "AWS::Lambda::LayerVersion": Row(_LAYER_ARN, {"LayerVersionArn": _LAYER_ARN}, name="LayerName"),
    "AWS::Lambda::Permission": Row("{logical_id}"),
    "AWS::Lambda::Version": Row(_VERSION_ARN, {"Version": "1", "FunctionArn": _VERSION_ARN}),
    "AWS::Logs::LogGroup": Row(
        "{p[LogGroupName]}",
        {"Arn": "arn:aws:logs:{region}:{account}:log-group:{p[LogGroupName]}:*"},
        name="LogGroupName",
    ),
    "AWS::Logs::MetricFilter": Row("{p[FilterName]}", name="FilterName"),
    "AWS::Logs::QueryDefinition": Row("{logical_id}", {"QueryDefinitionId": "{logical_id}"}),
    "AWS::Logs::ResourcePolicy": Row("{logical_id}"),
    "AWS::SNS::Subscription": Row("{p[TopicArn]}:{logical_id}"),
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
        "{sent[Name]}",
        {"Type": "{sent[Type]}", "Value": "{sent[Value]}"},
        "ssm",
        "PutParameter",
        "Name",
        constant={"Overwrite": True},
    ),
    "AWS::Scheduler::Schedule": Row("{p[Name]}", {"Arn": _SCHEDULE_ARN}, name="Name"),
    "AWS::Scheduler::ScheduleGroup": Row(
        "{p[Name]}", {"Arn": "arn:aws:scheduler:{region}:{account}:schedule-group/{p[Name]}"}, name="Name"
    ),
    "Custom::S3AutoDeleteObjects": Row("{logical_id}"),
}
