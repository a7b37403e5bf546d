"""The bus on which profiles' transitions are published."""

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.foundation import Foundation

EVENT_SOURCE = "onefold"
DETAIL_TYPES = ("Audience Entered", "Audience Exited", "Profile Merged", "Profile Split")


class EventBus(Construct):
    """An own bus, so that its readers see onefold's events and nothing else of the account."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation) -> None:
        super().__init__(scope, construct_id)
        self._key = foundation.key
        # Not the L2 bus: it would write this bus's ARN into the key's policy, which lives in another stack.
        self.bus = events.CfnEventBus(
            self,
            "Bus",
            name=f"onefold-{foundation.environment.name}",  # CloudFormation makes up no name for a bus
            description="onefold: transitions of profiles and audiences",
            kms_key_identifier=foundation.key.arn,
        )

    @property
    def name(self) -> str:
        return self.bus.ref

    @property
    def arn(self) -> str:
        return self.bus.attr_arn

    def grant_publish(self, grantee: iam.IGrantable) -> None:
        """Publish messages."""
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(actions=["events:PutEvents"], resources=[self.arn])
        )
        self._key.grant_write(grantee, through="events")
