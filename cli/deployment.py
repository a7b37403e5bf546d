"""A deployment as commands see it: where its parts are, and how to speak to them; the same for local and AWS."""

import os
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import boto3
import httpx
import msgspec
from botocore.config import Config
from botocore.exceptions import ClientError

from cli.problems import CommandError, UsageError

REPOSITORY: Final = Path(__file__).resolve().parent.parent
LOCAL: Final = "local"
LOCAL_ENVIRONMENT: Final = "dev"  # what the local instance is a deployment of
ENVIRONMENTS: Final = (LOCAL, "dev", "staging", "prod")
TIMEOUT_S: Final = 30
DUMMY_KEY: Final = "local"


class Description(msgspec.Struct, frozen=True):
    """What a deployment says of itself in its one parameter."""

    environment: str
    region: str
    collector_url: str
    api_url: str
    token_url: str
    user_pool_id: str
    user_pool_client_id: str
    stream_name: str
    lake_bucket: str
    spool_bucket: str
    bus_name: str
    deployment_secret_arn: str
    glue_database: str
    workgroup: str
    tables: dict[str, str]
    functions: dict[str, str]
    deliveries_dlq_url: str
    key_arn: str
    webhook_secrets_prefix: str


class Instance(msgspec.Struct, frozen=True):
    """A local instance that runs now, as it recorded itself.

    Attributes:
        waiting: Function → records and messages that wait for it, a second ago at most.
    """

    pid: int
    region: str
    collector: str
    api: str
    aws_endpoint: str
    token: str
    waiting: dict[str, int] = {}


def instance_path() -> Path:
    """Where the running local instance is recorded; ONEFOLD_HOME moves it, so that several can run."""
    return Path(os.environ.get("ONEFOLD_HOME", REPOSITORY / ".onefold")) / "local.json"


def record_instance(instance: Instance) -> None:
    """Write the record, so that a reader finds the old or the new one."""
    path = instance_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{instance.pid}")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(msgspec.json.encode(instance))
    unfinished.replace(path)


def forget_instance(pid: int) -> None:
    """Remove the record, unless another instance has taken the place."""
    instance = _read_instance()
    if instance is not None and instance.pid == pid:
        instance_path().unlink(missing_ok=True)


def running_instance() -> Instance:
    """The local instance that runs.

    Raises:
        CommandError: None does.
    """
    instance = _read_instance()
    if instance is None or not _is_alive(instance.pid):
        raise CommandError("No local instance is running: start one with `onefold up`, or name a deployment with --env")
    return instance


def _read_instance() -> Instance | None:
    try:
        return msgspec.json.decode(instance_path().read_bytes(), type=Instance)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True)
class Deployment:
    """A described deployment and a session that reaches it; close it when done."""

    description: Description
    session: boto3.Session
    endpoint_url: str | None = None
    instance: Instance | None = None  # the local one that this is
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients have no common type
        if service not in self._clients:
            self._clients[service] = aws_client(self.session, service, self.endpoint_url)
        return self._clients[service]

    def close(self) -> None:
        """End all connections."""
        for client in self._clients.values():
            client.close()
        self.http.close()

    @cached_property
    def http(self) -> httpx.Client:
        """One client for all requests: a new one reads the machine's certificates first, which takes longer."""
        return httpx.Client(timeout=TIMEOUT_S)

    @cached_property
    def token(self) -> str:
        """A bearer token for the profile API: the running instance's own, or what Cognito gives the client."""
        if self.instance is not None:
            return self.instance.token
        about = self.description
        client = self.client("cognito-idp").describe_user_pool_client(
            UserPoolId=about.user_pool_id, ClientId=about.user_pool_client_id
        )["UserPoolClient"]
        credentials = b64encode(f"{about.user_pool_client_id}:{client['ClientSecret']}".encode()).decode()
        answer = self.http.post(
            about.token_url,
            data={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {credentials}"},
        )
        if answer.status_code != httpx.codes.OK:
            raise CommandError(f"{about.token_url} gave no token: HTTP {answer.status_code}")
        return str(answer.json()["access_token"])


def aws_client(session: boto3.Session, service: str, endpoint_url: str | None) -> Any:  # noqa: ANN401 - likewise
    # DynamoDB's account-based host names cannot be sent to another endpoint.
    config = Config(account_id_endpoint_mode="disabled", connect_timeout=TIMEOUT_S, retries={"mode": "standard"})
    return session.client(service, endpoint_url=endpoint_url, config=config)  # type: ignore[call-overload]


def local_session(region: str) -> boto3.Session:
    return boto3.Session(aws_access_key_id=DUMMY_KEY, aws_secret_access_key=DUMMY_KEY, region_name=region)


def find_deployment(environment: str) -> Deployment:
    """Find what `--env` names.

    Raises:
        UsageError: There is no such environment.
        CommandError: No local instance runs, or the environment is not deployed in this account and region.
    """
    if environment not in ENVIRONMENTS:
        raise UsageError(f'Unknown environment "{environment}": use --env {"|".join(ENVIRONMENTS)}')
    if environment == LOCAL:
        instance = running_instance()
        session = local_session(instance.region)
        description = read_description(session, LOCAL_ENVIRONMENT, instance.aws_endpoint)
        return Deployment(description, session, instance.aws_endpoint, instance)
    session = boto3.Session()
    if session.region_name is None:
        raise CommandError("No AWS region is chosen: set AWS_REGION or AWS_PROFILE")
    return Deployment(read_description(session, environment, None), session)


def read_description(session: boto3.Session, environment: str, endpoint_url: str | None) -> Description:
    name = f"/onefold/{environment}/deployment"
    try:
        with closing(aws_client(session, "ssm", endpoint_url)) as ssm:
            parameter = ssm.get_parameter(Name=name)["Parameter"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        place = f"the account's region {session.region_name}"
        raise CommandError(
            f"{place} has no parameter {name}: deploy {environment} there first, or choose another AWS_REGION"
        ) from error
    try:
        return msgspec.json.decode(parameter["Value"], type=Description)
    except msgspec.MsgspecError as error:
        raise CommandError(f"The parameter {name} cannot be read ({error}): deploy {environment} anew") from error
