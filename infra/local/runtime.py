"""Runs the stacks of a cloud assembly in this process: resources in an embedded moto, functions, routes and events."""

import os
import signal
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

from moto import mock_aws
from moto.sqs.models import sqs_backends

from infra.local import assembly as assemblies
from infra.local import athena, calls, moto_direct
from infra.local.aws_endpoint import PORT_NAME, AwsEndpoint
from infra.local.bus import Bus
from infra.local.event_sources import Delivering, StreamSource
from infra.local.functions import (
    CURRENT_FUNCTION,
    FunctionStatistics,
    Invoker,
    boto3_session,
    threads_inherit_function,
)
from infra.local.http_api import HttpServer, StoppableServer
from infra.local.http_authorizer import issue_token
from infra.local.http_routes import HttpApi
from infra.local.metrics import MetricSink
from infra.local.permissions import Permissions, policies_by_role
from infra.local.queue_source import QueueSource
from infra.local.sources import check_polling, read_sources
from infra.local.state import StateFolder
from infra.local.template import Deployment, Resource
from infra.local.topic_rules import NOT_MQTT, TopicRules

PULSE_S = 0.02
SAVE_EVERY_S = 30
SAVE_SHARE_MAX = 0.05  # of the time, at most, goes into saving
STOP_DRAIN_S = 30
STOP_JOIN_S = 5

OnCall = Callable[[str | None, str, str, dict[str, Any], dict[str, Any]], None]


class LocalRuntime:
    """The stacks of an assembly, running; one at a time in a process.

    Args:
        assembly: The folder that `cdk synth` wrote.
        state: A folder that keeps data between runs; None keeps nothing.
        ports: Port by name of HTTP API, and of the AWS endpoint under "aws"; the others get free ones.
        time_scale: How long batching windows, backoffs and visibility timeouts take here, as a share of the real one.
        enforce_iam: Refuse the calls of a function that its role does not allow.
    """

    _active: "LocalRuntime | None" = None

    def __init__(
        self,
        assembly: Path,
        *,
        state: Path | None = None,
        ports: Mapping[str, int] | None = None,
        time_scale: float = 0.05,
        enforce_iam: bool = True,
    ) -> None:
        self.assembly = assemblies.load(Path(assembly))
        self.calls: Counter[tuple[str | None, str, str]] = Counter()
        self._state_path, self._ports = state, dict(ports or {})
        self._time_scale, self._enforce_iam = time_scale, enforce_iam
        self._session = boto3_session(self.assembly.region)
        self._clients: dict[str, Any] = {}
        self._servers: dict[str, HttpServer] = {}
        self._services: list[StoppableServer | Bus] = []
        self._threads: list[threading.Thread] = []
        self._sources: list[StreamSource | QueueSource] = []
        self._closing = threading.Event()
        self._cleanup = ExitStack()
        self._stopping = threading.RLock()
        self._saving = threading.Lock()
        self._lock = threading.Lock()
        self._changes = 0
        self._state: StateFolder | None = None
        self._permissions: Permissions | None = None
        self.deployment: Deployment
        self.invoker: Invoker
        self._bus: Bus
        self._topic_rules: TopicRules
        self._metrics: MetricSink

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Deploy, restore and run.

        Raises:
            AssemblyError: The assembly or the state cannot be used; one line says why.
            PortInUse: A port of `ports` is taken.
        """
        if LocalRuntime._active is not None:
            raise RuntimeError("a local runtime already runs in this process: stop it first")
        LocalRuntime._active = self
        try:
            self._start()
        except BaseException:
            self._stop_everything()
            raise

    def _start(self) -> None:
        region, account = self.assembly.region, self.assembly.account
        self._cleanup.enter_context(_aws_environment(region))
        self._cleanup.enter_context(_embedded_aws())
        if self._state_path is not None:
            self._state = StateFolder(self._state_path, region=region, account=account)
            self._cleanup.callback(self._state.close)
        self._cleanup.enter_context(threads_inherit_function())
        self.deployment = Deployment(self.assembly, self.client, api_endpoint=self._listen)
        self.deployment.deploy()
        resources, functions = self.deployment.resources, self.deployment.functions
        self._metrics = MetricSink(self.client("cloudwatch").put_metric_data)
        callers = _callers(resources) if self._enforce_iam else None
        self.invoker = Invoker(functions, region=region, metrics=self._metrics, callers=callers)
        self._cleanup.callback(self.invoker.close)
        self._bus = Bus(resources, self.invoker, self._send, region, account, self._time_scale)
        self._topic_rules = TopicRules(resources, self._check_sender, self._send, region, account)
        delivering = Delivering(self.invoker, self._time_scale, self.client("s3").put_object, self._closing)
        self._sources = list(read_sources(self.deployment, delivering))
        if self._state is not None:
            self._state.restore()
        self._guard({name: spec.role_arn for name, spec in functions.items()})
        self._cleanup.callback(calls.observe(self._count_call))
        self._cleanup.enter_context(self._bus.listening())
        self._cleanup.enter_context(self._topic_rules.listening())
        endpoint = AwsEndpoint(self._note_change, self._ports.get(PORT_NAME, 0))
        self.endpoint_url = endpoint.url
        self._services += [self._bus, endpoint]
        self._run(endpoint, resources)

    def _run(self, endpoint: AwsEndpoint, resources: Iterable[Resource]) -> None:
        """Start every thread."""
        works = [threading.Thread(target=work, name=work.__name__) for work in (self._pulse, self._keep_state)]
        self._threads = [*works, *(thread for source in self._sources for thread in source.threads)]
        for thread in self._threads:
            thread.daemon = True  # a handler that never ends shall not keep the process
            thread.start()
        self._bus.start()
        for api in (resource for resource in resources if resource.type == "AWS::ApiGatewayV2::Api"):
            http_api = HttpApi(api, resources, self.invoker, account=self.assembly.account)
            self._servers[http_api.name].serve(http_api)
        endpoint.start("aws")

    def stop(self) -> None:
        """Stop taking requests, deliver what is under way, save, and end; a second call does nothing.

        Ctrl-C meanwhile is ignored: what is under way ends within STOP_DRAIN_S.
        """
        with self._stopping, _interrupts_ignored():
            if LocalRuntime._active is not self:
                return
            for server in self._servers.values():
                server.close()
            self.drain(STOP_DRAIN_S)
            self._closing.set()
            try:
                self._save()
            finally:
                self._stop_everything()

    def _stop_everything(self) -> None:
        """End every thread; only one that runs a handler that does not end is left behind."""
        self._closing.set()
        for service in self._services:
            service.close()
        for source in self._sources:
            source.wake(flushing=True)
        threads = [thread for service in self._services for thread in service.threads] + self._threads
        deadline = time.monotonic() + STOP_JOIN_S
        for thread in threads:
            thread.join(timeout=max(0, deadline - time.monotonic()))
        self._cleanup.close()
        LocalRuntime._active = None

    def client(self, service: str) -> Any:
        """A boto3 client on the embedded AWS that may do everything."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(service)  # type: ignore[call-overload]
            return self._clients[service]

    @property
    def api_urls(self) -> dict[str, str]:
        return {name: server.url for name, server in self._servers.items()}

    @property
    def statistics(self) -> dict[str, FunctionStatistics]:
        return self.invoker.statistics

    @property
    def logs(self) -> dict[str, deque[str]]:
        """The newest lines that each function printed, without its metrics."""
        return self.invoker.logs

    @property
    def denied(self) -> list[tuple[str, str, str]]:
        """Function, action and resource of each call that was refused."""
        names = {spec.role_arn: name for name, spec in self.deployment.functions.items()}
        refused = self._permissions.denied if self._permissions else []
        return [(names.get(role, role), action, resource) for role, action, resource in refused]

    def token(self, scopes: Iterable[str]) -> str:
        """An access token with these scopes, as the JWT authorizers' user pool issues it.

        Raises:
            LookupError: No route of the deployment has a JWT authorizer.
        """
        apis = (server.api for server in self._servers.values() if server.api is not None)
        authorizer = next((route.authorizer for api in apis for route in api.routes if route.authorizer), None)
        if authorizer is None:
            raise LookupError("no HTTP API of these stacks has a JWT authorizer")
        return issue_token(authorizer, scopes, account=self.assembly.account, region=self.assembly.region)

    def on_call(self, callback: OnCall) -> None:
        """Call `callback(function, service, operation, params, response)` after each AWS request of this process.

        `function` is None for requests from outside the functions.
        """
        observer = calls.observe(lambda *call: callback(CURRENT_FUNCTION.get(), *call))
        self._cleanup.callback(observer)

    def publish(self, topic: str, payload: bytes, *, client_id: str = NOT_MQTT) -> None:
        """Publish on a topic of AWS IoT Core, as an MQTT client with this id does."""
        self._topic_rules.publish(topic, payload, client_id=client_id)

    def advance(self, seconds: float) -> None:
        """Move the clock of the schedules on; what becomes due is invoked."""
        self._bus.advance(seconds)

    def drain(self, timeout_s: float = 60) -> bool:
        """Wait until every stream, queue and bus is delivered, nothing is in flight; batching windows end at once."""
        deadline = time.monotonic() + timeout_s
        for source in self._sources:
            source.wake(flushing=True)
        try:
            while True:
                for source in self._sources:
                    source.poll()
                if self._is_quiet():
                    return True
                if time.monotonic() >= deadline:
                    return False
                time.sleep(PULSE_S / 4)
        finally:
            for source in self._sources:
                source.wake(flushing=False)
            self._metrics.flush()

    def lag(self) -> dict[str, int]:
        """Records that each function's streams and queues hold for it, delivered ones excluded."""
        lag: dict[str, int] = defaultdict(int)
        for source in self._sources:
            lag[source.mapping.function] += source.pending
        return dict(lag)

    def _is_quiet(self) -> bool:
        """Whether nothing is under way: work that begins while this looks changes the count of invocations."""
        started = self.invoker.started
        if self.invoker.in_flight or any(server.in_flight for server in self._servers.values()):
            return False
        if self._bus.pending or any(source.pending for source in self._sources):
            return False
        return started == self.invoker.started and not self.invoker.in_flight

    def _listen(self, name: str) -> str:
        """Take the port of an HTTP API; it answers once everything runs."""
        server = self._servers[name] = HttpServer(name, self._ports.get(name, 0))
        self._services.append(server)
        return server.url

    def _guard(self, role_by_function: Mapping[str, str]) -> None:
        if not self._enforce_iam:
            return
        permissions = self._permissions = Permissions(
            policies_by_role(self.deployment.resources), region=self.assembly.region, account=self.assembly.account
        )
        check_polling(self.deployment, permissions)

        def check(service: str, operation: str, params: dict[str, Any]) -> None:
            function = CURRENT_FUNCTION.get()
            if function is not None:
                permissions.check(role_by_function[function], service, operation, params)

        self._cleanup.callback(calls.guard(check))

    def _check_sender(self, role_arn: str, queue_url: str) -> None:
        if self._permissions is not None:
            self._permissions.check(role_arn, "sqs", "SendMessage", {"QueueUrl": queue_url})

    def _count_call(self, service: str, operation: str, _params: Any, _response: Any) -> None:
        with self._lock:
            self.calls[CURRENT_FUNCTION.get(), service, operation] += 1
        if not operation.startswith(("Get", "List", "Describe", "Head", "BatchGet", "Query", "Scan")):
            self._changes += 1

    def _note_change(self) -> None:
        self._changes += 1

    def _send(self, queue_arn: str, body: str) -> None:
        backend = sqs_backends[self.assembly.account][self.assembly.region]
        backend.send_message(queue_name=queue_arn.rpartition(":")[2], message_body=body)

    def _pulse(self) -> None:
        """Look for new records, and at the clock; the only thread that wakes while nothing happens."""
        beat = 0
        while not self._closing.wait(PULSE_S):
            beat += 1
            for source in self._sources:
                source.poll()
            if beat % 50 == 0:
                self._metrics.flush()
                self._bus.fire_schedules()

    def _keep_state(self) -> None:
        wait_s, saved = float(SAVE_EVERY_S), self._changes
        while self._state is not None and not self._closing.wait(wait_s):
            if self._changes != saved:
                changes, began = self._changes, time.monotonic()
                try:
                    self._save()
                    saved = changes
                except OSError as error:  # such as a full disk: the next time may do
                    sys.stderr.write(f"{self._state_path} was not saved ({error}): trying again\n")
                wait_s = max(SAVE_EVERY_S, (time.monotonic() - began) / SAVE_SHARE_MAX)

    def _save(self) -> None:
        with self._saving:
            if self._state is not None:
                self._state.save(source for source in self._sources if isinstance(source, StreamSource))


def _callers(resources: Iterable[Resource]) -> dict[str, set[str]]:
    """The services that each function's resource policy lets invoke it."""
    callers: dict[str, set[str]] = defaultdict(set)
    for resource in resources:
        if resource.type == "AWS::Lambda::Permission":
            name = resource.properties["FunctionName"].rpartition(":function:")[2]
            callers[name].add(resource.properties["Principal"])
    return callers


@contextmanager
def _aws_environment(region: str) -> Iterator[None]:
    """What boto3 reads; moto does not know the addresses that hold an account's id."""
    variables = {"AWS_DEFAULT_REGION": region, "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"}
    with patch.dict(os.environ, variables):
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
            os.environ.pop(name, None)
        yield


@contextmanager
def _embedded_aws() -> Iterator[None]:
    with mock_aws():
        moto_direct.install()
        athena.install()
        try:
            yield
        finally:
            moto_direct.remove()
            athena.remove()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    before = None
    with suppress(ValueError):  # only the main thread has signal handlers
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
