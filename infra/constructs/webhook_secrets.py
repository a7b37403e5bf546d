"""Where the signing secrets of webhooks are kept: parameters that the command line writes, one for a source."""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.acknowledgement import acknowledge
from infra.constructs.foundation import Foundation
from infra.constructs.function import OnefoldFunction


class WebhookSecrets(Construct):
    """Names below one prefix, under the deployment's key. Standard parameters: they cost nothing to keep."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation) -> None:
        super().__init__(scope, construct_id)
        self._key = foundation.key
        self.prefix = f"/onefold/{foundation.environment.name}/webhooks/"

    def grant_read(self, function: OnefoldFunction) -> None:
        """Fetch the secret of each source."""
        arn = Stack.of(self).format_arn(
            service="ssm",
            resource="parameter",
            resource_name=f"{self.prefix.strip('/')}/*",
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )
        function.role.add_to_principal_policy(iam.PolicyStatement(actions=["ssm:GetParameter"], resources=[arn]))
        self._key.grant_read(function, through="ssm")
        seen = "arn:<AWS::Partition>:ssm:<AWS::Region>:<AWS::AccountId>:parameter"
        acknowledge(
            function.role,
            f"AwsSolutions-IAM5[Resource::{seen}{self.prefix}*]",
            "Sources are declared while the deployment runs, and each has a parameter of its own.",
        )
