"""The deployment's secret: identifier keys and the signatures of webhooks derive from it."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.constructs.acknowledgement import acknowledge
from infra.constructs.foundation import Foundation, removal_policy

SECRET_LENGTH = 64


class DeploymentSecret(Construct):
    """Generated once and kept: another secret would give every identifier another key."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation, *, removable: bool) -> None:
        super().__init__(scope, construct_id)
        self._key = foundation.key
        self.secret = secretsmanager.Secret(
            self,
            "Secret",
            description="onefold: identifier keys and webhook signatures derive from this value",
            encryption_key=foundation.key.key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=SECRET_LENGTH, exclude_punctuation=True
            ),
            removal_policy=removal_policy(foundation.environment, removable=removable),
        )
        acknowledge(
            self.secret,
            "AwsSolutions-SMG4",
            "Rotation would change every identifier key and so separate every profile from its history.",
        )

    @property
    def arn(self) -> str:
        return self.secret.secret_arn

    def grant_read(self, grantee: iam.IGrantable) -> None:
        """Fetch the value. Not `Secret.grant_read`: that names the role in the key's policy, a cycle of stacks."""
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[self.arn])
        )
        self._key.grant_read(grantee, through="secretsmanager")
