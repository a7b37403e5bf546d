"""Records why a resource deviates from a rule of cdk-nag or cfn-lint: one sentence for one finding on one resource."""

from aws_cdk import Acknowledgment, CfnResource, Validations
from constructs import Construct


def acknowledge(construct: Construct, rule: str, reason: str) -> None:
    """Accept one finding of cdk-nag, e.g. `AwsSolutions-IAM5[Resource::*]`, on `construct` and what it contains."""
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))


def acknowledge_lint(construct: Construct, rule: str, reason: str) -> None:
    """Accept one finding of cfn-lint, e.g. `W3005`, on the resource that `construct` is made of."""
    resource = construct.node.default_child
    if not isinstance(resource, CfnResource):
        raise TypeError(f"{construct.node.path} is not made of one resource")
    resource.add_metadata("cfn-lint", {"config": {"ignore_checks": [rule]}, "reason": reason})
