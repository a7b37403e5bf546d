"""The stream that every accepted event is written to before it is acknowledged."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from constructs import Construct

from infra.constructs.acknowledgement import acknowledge
from infra.constructs.foundation import Foundation, removal_policy

KEEP_DAYS = 7


class EventStream(Construct):
    """On demand, so it costs what is sent; seven days to repair a consumer."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation, *, removable: bool) -> None:
        super().__init__(scope, construct_id)
        self._key = foundation.key
        self.stream = kinesis.Stream(
            self,
            "Stream",
            stream_mode=kinesis.StreamMode.ON_DEMAND,
            retention_period=Duration.days(KEEP_DAYS),
            encryption=kinesis.StreamEncryption.KMS,
            encryption_key=foundation.key.key,
            removal_policy=removal_policy(foundation.environment, removable=removable),
        )
        acknowledge(
            self.stream,
            "AwsSolutions-KDS3",
            "The deployment's own key rotates, can be audited and can be taken away, which AWS's key cannot.",
        )

    @property
    def name(self) -> str:
        return self.stream.stream_name

    @property
    def arn(self) -> str:
        return self.stream.stream_arn

    def grant_append(self, grantee: iam.IGrantable) -> None:
        """Write events."""
        self._grant(grantee, "kinesis:PutRecords")
        self._key.grant_write(grantee, through="kinesis")

    def grant_follow(self, grantee: iam.IGrantable) -> None:
        """Read every shard in order."""
        self._grant(
            grantee,
            "kinesis:DescribeStream",
            "kinesis:DescribeStreamSummary",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
        )
        self._key.grant_read(grantee, through="kinesis")

    def _grant(self, grantee: iam.IGrantable, *actions: str) -> None:
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(actions=list(actions), resources=[self.arn])
        )
