"""What every stack stands on: the environment, the encryption key, and the rule for removing data."""

from dataclasses import dataclass

from aws_cdk import RemovalPolicy

from infra.constructs.key import DeploymentKey
from infra.environments import Environment


@dataclass(frozen=True, slots=True)
class Foundation:
    """Handed to each stack and to each construct that needs the environment or the key.

    Attributes:
        environment: The settings of this deployment.
        key: Encrypts everything at rest.
        bundle: Whether third-party layers are built or stood in for.
    """

    environment: Environment
    key: DeploymentKey
    bundle: bool


def removal_policy(environment: Environment, *, removable: bool) -> RemovalPolicy:
    """Return DESTROY only when both keys are turned: the construct's flag and the environment's."""
    return RemovalPolicy.DESTROY if removable and environment.data_is_disposable else RemovalPolicy.RETAIN
