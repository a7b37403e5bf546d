"""The deployment's secret, under which identifiers are hashed."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from onefold.domain.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


def load_deployment_secret(client: "SecretsManagerClient", secret_arn: str) -> bytes:
    """Fetch the secret. It never changes, for every stored key hangs on it: keep it for the sandbox's life.

    Raises:
        Unavailable: Secrets Manager does not answer, or does not let this function read it.
    """
    try:
        return client.get_secret_value(SecretId=secret_arn)["SecretString"].encode()
    except (ClientError, BotoCoreError) as error:
        raise Unavailable("The deployment's secret cannot be read") from error
