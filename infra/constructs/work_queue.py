"""A queue between a rule and a function, with its dead-letter queue."""

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.foundation import Foundation

RECEIVE_ATTEMPTS_MAX = 5
KEEP_DAYS = 14


class WorkQueue(Construct):
    """Messages of a rule, for one function.

    Args of the constructor:
        visibility_timeout: At least six times the function's timeout, as Lambda asks for.
    """

    def __init__(
        self, scope: Construct, construct_id: str, foundation: Foundation, *, visibility_timeout: Duration
    ) -> None:
        super().__init__(scope, construct_id)
        self._key = foundation.key
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=foundation.key.key,
            enforce_ssl=True,
            retention_period=Duration.days(KEEP_DAYS),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=foundation.key.key,
            enforce_ssl=True,
            retention_period=Duration.days(KEEP_DAYS),
            visibility_timeout=visibility_timeout,
            dead_letter_queue=sqs.DeadLetterQueue(max_receive_count=RECEIVE_ATTEMPTS_MAX, queue=self.dead_letters),
        )

    @property
    def url(self) -> str:
        return self.queue.queue_url

    @property
    def arn(self) -> str:
        return self.queue.queue_arn

    def add_rule(
        self, construct_id: str, *, pattern: dict[str, Any], description: str, bus_name: str | None = None
    ) -> events.CfnRule:
        """Put what matches `pattern` on the bus (None: the account's default bus) into the queue.

        Not the L2 rule target: it would change the policy of the key, which lives in another stack.
        """
        rule = events.CfnRule(
            self,
            construct_id,
            description=description,
            event_bus_name=bus_name,
            event_pattern=pattern,
            state="ENABLED",
            targets=[
                events.CfnRule.TargetProperty(
                    id="queue",
                    arn=self.arn,
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=self.dead_letters.queue_arn),
                )
            ],
        )
        for queue in (self.queue, self.dead_letters):
            queue.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=construct_id,
                    principals=[iam.ServicePrincipal("events.amazonaws.com")],
                    actions=["sqs:SendMessage"],
                    resources=[queue.queue_arn],
                    conditions={"ArnEquals": {"aws:SourceArn": rule.attr_arn}},
                )
            )
        return rule

    def grant_put(self, grantee: iam.IGrantable) -> None:
        """Put messages into the queue, and among its dead letters what the queue would not take."""
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[self.arn, self.dead_letters.queue_arn])
        )
        self._key.grant_write(grantee, through="sqs")

    def grant_consume(self, grantee: iam.IGrantable) -> None:
        """Receive messages, delete those that are done."""
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], resources=[self.arn]
            )
        )
        self._key.grant_read(grantee, through="sqs")

    def grant_requeue(self, grantee: iam.IGrantable) -> None:
        """Put messages back: work that takes longer than one run."""
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[self.arn])
        )
        self._key.grant_write(grantee, through="sqs")
