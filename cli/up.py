"""Runs the stacks on this machine and stays until it is told to stop."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from cli.apply import apply_definitions, write_keys
from cli.deployment import (
    LOCAL_ENVIRONMENT,
    REPOSITORY,
    Deployment,
    Instance,
    forget_instance,
    local_session,
    read_description,
    record_instance,
)
from cli.problems import CommandError

if TYPE_CHECKING:
    from infra.local.runtime import LocalRuntime

ASSEMBLY: Final = REPOSITORY / ".onefold" / "assembly" / LOCAL_ENVIRONMENT
DEFINITIONS: Final = REPOSITORY / "definitions"
ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RECORDED_EVERY_S: Final = 1.0
TOKEN_RENEWED_S: Final = 1_800  # tokens are good for an hour
SCOPES: Final = (
    "onefold/profiles.read",
    "onefold/identity.read",
    "onefold/identity.decide",
    "onefold/events.read",
    "onefold/quarantine.read",
    "onefold/quarantine.replay",
)


@dataclass(frozen=True)
class Running:
    """The local instance, and the deployment that it is."""

    runtime: "LocalRuntime"
    deployment: Deployment
    instance: Instance


def synthesized() -> Path:
    """The cloud assembly of the local environment, made anew if the stacks have changed.

    Raises:
        CommandError: The stacks cannot be synthesized.
    """
    from infra.synthesis import SynthesisError, synthesize

    ASSEMBLY.parent.mkdir(parents=True, exist_ok=True)
    try:
        return synthesize(LOCAL_ENVIRONMENT, output=ASSEMBLY, bundle=False)
    except SynthesisError as error:
        raise CommandError(str(error)) from error


@contextmanager
def running(
    *, port: int | None = None, state: Path | None = None, enforce_iam: bool = True, recorded: bool = True
) -> Iterator[Running]:
    """Run the stacks locally for the duration of the context.

    Args:
        port: Of the collector; the profile API and the AWS endpoint have the next two. None takes free ones.
        state: Folder that keeps the data for the next run.
        enforce_iam: Let each function do only what its role allows.
        recorded: Whether other commands shall find this instance.

    Raises:
        CommandError: A port is taken, or the assembly or the state cannot be used.
    """
    from infra.local.assembly import AssemblyError
    from infra.local.aws_endpoint import PORT_NAME as AWS_PORT
    from infra.local.http_api import PortInUse
    from infra.local.runtime import LocalRuntime

    prefix = f"onefold-{LOCAL_ENVIRONMENT}"
    names = (f"{prefix}-collector", f"{prefix}-api", AWS_PORT)
    ports = {} if port is None else {name: port + place for place, name in enumerate(names)}
    runtime = LocalRuntime(synthesized(), state=state, ports=ports, enforce_iam=enforce_iam)
    try:
        runtime.start()
    except (AssemblyError, PortInUse) as error:
        raise CommandError(str(error)) from error
    try:
        region = runtime.assembly.region
        description = read_description(local_session(region), LOCAL_ENVIRONMENT, runtime.endpoint_url)
        token = runtime.token(SCOPES)
        instance = Instance(
            os.getpid(), region, description.collector_url, description.api_url, runtime.endpoint_url, token
        )
        with closing(Deployment(description, local_session(region), runtime.endpoint_url, instance)) as deployment:
            if recorded:
                record_instance(instance)
            yield Running(runtime, deployment, instance)
    finally:
        forget_instance(os.getpid())
        runtime.stop()


def apply_if_none(deployment: Deployment) -> dict[str, str]:
    """Apply the example workspace unless something was applied before; gives source → write key."""
    keys = write_keys(deployment)
    if not keys:
        apply_definitions(deployment, DEFINITIONS)
        keys = write_keys(deployment)
    return keys


def stay_up(port: int, state: Path | None, announce: Callable[[Instance, Mapping[str, str]], None]) -> None:
    """Run until Ctrl-C, SIGTERM or a closed terminal; `announce` is given instance and source → write key once ready.

    A process that is killed outright (kill -9) loses of `state` what came since the last save (`SAVE_EVERY_S`).
    """
    for number in ENDINGS:  # a shell starts background programs with SIGINT ignored
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, _end)
    with running(port=port, state=state) as instance:
        announce(instance.instance, apply_if_none(instance.deployment))
        with suppress(KeyboardInterrupt):
            _keep_record(instance)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """End as by Ctrl-C, once: a terminal that closes may tell it twice, which shall not cut the saving short."""
    for number in ENDINGS:
        signal.signal(number, lambda *_: None)
    raise KeyboardInterrupt


def _keep_record(running: Running) -> None:
    """Tell other commands what waits, and give them tokens that are still good; ends by Ctrl-C."""
    known, renewed_at = running.instance, time.monotonic()
    while True:
        time.sleep(RECORDED_EVERY_S)
        now = msgspec.structs.replace(known, waiting=running.runtime.lag())
        if time.monotonic() - renewed_at > TOKEN_RENEWED_S:
            now, renewed_at = msgspec.structs.replace(now, token=running.runtime.token(SCOPES)), time.monotonic()
        if now != known:
            record_instance(now)
            known = now
