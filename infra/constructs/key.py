"""The one customer key: encrypts tables, stream, buckets, queues, logs, secret and topic."""

from collections.abc import Sequence

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

READ_ACTIONS = ("kms:Decrypt",)
WRITE_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")


class DeploymentKey(Construct):
    """Permissions live on the roles, never in the key's policy: it would name roles of other stacks, a cycle."""

    def __init__(self, scope: Construct, construct_id: str, *, removal_policy: RemovalPolicy) -> None:
        super().__init__(scope, construct_id)
        self.key = kms.Key(
            self,
            "Key",
            description="onefold: everything at rest",
            enable_key_rotation=True,
            pending_window=Duration.days(30),
            removal_policy=removal_policy,
        )
        self._allow_services()

    @property
    def arn(self) -> str:
        return self.key.key_arn

    def grant_read(self, grantee: iam.IGrantable, *, through: str) -> None:
        """Decrypt what the service `through` (e.g. `sqs`) keeps under this key."""
        self._grant(grantee, READ_ACTIONS, through)

    def grant_write(self, grantee: iam.IGrantable, *, through: str) -> None:
        """Encrypt what is handed to the service `through`; it decrypts its own data key, hence both actions."""
        self._grant(grantee, WRITE_ACTIONS, through)

    def _grant(self, grantee: iam.IGrantable, actions: Sequence[str], through: str) -> None:
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(
                actions=list(actions),
                resources=[self.arn],
                conditions={"StringEquals": {"kms:ViaService": f"{through}.{Aws.REGION}.amazonaws.com"}},
            )
        )

    def _allow_services(self) -> None:
        """Let the services that act for nobody's role use the key, for this account's resources alone."""
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="LogGroups",
                principals=[iam.ServicePrincipal(f"logs.{Aws.REGION}.amazonaws.com")],
                actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
                resources=["*"],
                conditions={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": (
                            f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:*"
                        )
                    }
                },
            )
        )
        # EventBridge encrypts the bus and puts into queues; CloudWatch publishes alarms to the topic.
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="EventsAndAlarms",
                principals=[
                    iam.ServicePrincipal("events.amazonaws.com"),
                    iam.ServicePrincipal("cloudwatch.amazonaws.com"),
                ],
                actions=["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
