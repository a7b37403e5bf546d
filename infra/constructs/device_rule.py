"""The rule of AWS IoT Core that brings what devices publish into a queue."""

from aws_cdk import ArnFormat, Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from constructs import Construct

from infra.constructs.foundation import Foundation
from infra.constructs.work_queue import WorkQueue

SQL_VERSION = "2016-03-23"
# The payload goes on as the bytes that it was: a rule that reads JSON would lose what is none.
SQL = (
    "SELECT topic(2) AS source, clientid() AS client_id, encode(*, 'base64') AS payload, "
    "newuuid() AS message_id, timestamp() AS received_at FROM 'onefold/+/events'"
)


class DeviceRule(Construct):
    """Every message on `onefold/<source>/events`, into the queue; what the queue does not take, to its dead letters."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation, queue: WorkQueue) -> None:
        super().__init__(scope, construct_id)
        # The role has to name the rule, and the rule the role: the name breaks the circle.
        name = f"onefold_{foundation.environment.name}_devices"
        self.role = self._role(name)
        queue.grant_put(self.role)
        self.rule = iot.CfnTopicRule(
            self,
            "Rule",
            rule_name=name,
            topic_rule_payload=iot.CfnTopicRule.TopicRulePayloadProperty(
                description="onefold: what devices publish becomes events",
                sql=SQL,
                aws_iot_sql_version=SQL_VERSION,
                actions=[self._into(queue.queue.queue_url)],
                error_action=self._into(queue.dead_letters.queue_url),
            ),
        )
        # IoT Core may be asked to put a message before the role's policy is there, and would give it up.
        self.rule.node.add_dependency(self.role.node.find_child("DefaultPolicy"))

    def _role(self, rule_name: str) -> iam.Role:
        rule_arn = Stack.of(self).format_arn(
            service="iot", resource="rule", resource_name=rule_name, arn_format=ArnFormat.SLASH_RESOURCE_NAME
        )
        return iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "iot.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnEquals": {"aws:SourceArn": rule_arn},
                },
            ),
            description="onefold: what the rule of devices may do",
        )

    def _into(self, queue_url: str) -> iot.CfnTopicRule.ActionProperty:
        return iot.CfnTopicRule.ActionProperty(
            sqs=iot.CfnTopicRule.SqsActionProperty(queue_url=queue_url, role_arn=self.role.role_arn, use_base64=False)
        )
