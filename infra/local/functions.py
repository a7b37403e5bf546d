"""Runs handlers in this process, each in a sandbox of its own, and counts what they do."""

import json
import math
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import boto3
import botocore.session

from infra.local.metrics import MetricSink
from infra.local.resources_creation import TemplateError
from infra.local.sandboxes import Handler, Sandbox
from infra.local.template import FunctionSpec

CURRENT_FUNCTION: ContextVar[str | None] = ContextVar("current_function", default=None)
SANDBOXES_MAX = 4  # of a function; they share one interpreter lock, so more of them only help a handler that waits
SANDBOX_WAIT_S = 0.5  # before another sandbox is started for a function whose sandboxes are all busy
THROTTLE_WAIT_S = 1.0  # for a function that has used up its reserved concurrency
LOG_LINES_MAX = 10_000


class FunctionError(Exception):
    """The handler raised, timed out, or could not be loaded; `payload` is what Lambda would return."""

    def __init__(self, error_type: str, message: str, stack_trace: list[str] | None = None) -> None:
        super().__init__(f"{error_type}: {message}")
        self.payload = {"errorMessage": message, "errorType": error_type, "stackTrace": stack_trace or []}


class Throttled(Exception):  # noqa: N818 -- Lambda's own word
    """No concurrency was left; nothing ran."""


@dataclass(slots=True)
class FunctionStatistics:
    """What a function did since the start; CPU is that of the handler's own thread, cold starts included."""

    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    timeouts: int = 0
    records: int = 0
    cold_starts: int = 0
    cpu_s: float = 0.0
    duration_s: float = 0.0


class LambdaContext:
    """The second argument of a handler."""

    identity = None
    client_context = None
    function_version = "$LATEST"

    def __init__(self, spec: FunctionSpec) -> None:
        self.function_name = spec.name
        self.invoked_function_arn = spec.arn
        self.memory_limit_in_mb = str(spec.memory_mb)
        self.aws_request_id = str(uuid.uuid4())
        self.log_group_name = f"/aws/lambda/{spec.name}"
        self.log_stream_name = "local"
        self._deadline = time.monotonic() + spec.timeout_s

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))


@dataclass(slots=True, eq=False)
class _Running:
    function: "_Function"
    deadline: float
    patience_ends: float
    on_late: Callable[[], None] | None
    reported: bool = False


@dataclass(slots=True)
class _Loaded:
    sandbox: Sandbox
    handle: Handler
    broken: bool = False  # after a timeout Lambda starts another sandbox


class _Function:
    """The sandboxes of one function."""

    def __init__(self, spec: FunctionSpec, *, region: str, metrics: MetricSink) -> None:
        self.spec = spec
        self.statistics = FunctionStatistics()
        self.logs: deque[str] = deque(maxlen=LOG_LINES_MAX)
        self._region = region
        self._metrics = metrics
        self._idle: list[_Loaded] = []
        self._started = 0
        self._changed = threading.Condition()
        reserved = spec.reserved_concurrency
        self._limit = SANDBOXES_MAX if reserved is None else min(reserved, SANDBOXES_MAX)

    @contextmanager
    def sandbox(self) -> Iterator[_Loaded]:
        """A sandbox for one invocation; one that did not survive it is replaced at the next."""
        loaded = self._take() or self._cold_start()
        try:
            yield loaded
        finally:
            with self._changed:
                if loaded.broken:
                    self._started -= 1
                    loaded.sandbox.close()
                else:
                    self._idle.append(loaded)
                self._changed.notify()

    def count(self, *, records: int, failed: bool, spent: tuple[float, float]) -> None:
        """Add one invocation; `spent` is wall and CPU time in seconds."""
        with self._changed:
            self.statistics.invocations += 1
            self.statistics.records += records
            self.statistics.errors += failed
            self.statistics.duration_s += spent[0]
            self.statistics.cpu_s += spent[1]

    def log(self, line: str) -> None:
        if not self._metrics.take(line):
            self.logs.append(line)

    def close(self) -> None:
        for loaded in self._idle:
            loaded.sandbox.close()
        self._idle.clear()

    def _take(self) -> _Loaded | None:
        """An idle sandbox, or None when the caller shall start one."""
        since = time.monotonic()
        with self._changed:
            while not self._idle:
                waited_s = time.monotonic() - since
                if self._started < self._limit and (self._started == 0 or waited_s >= SANDBOX_WAIT_S):
                    self._started += 1
                    return None
                if self.spec.reserved_concurrency is not None and waited_s >= min(THROTTLE_WAIT_S, self._limit):
                    self.statistics.throttles += 1
                    raise Throttled(f"{self.spec.name} has no concurrency left")
                self._changed.wait(SANDBOX_WAIT_S)
            return self._idle.pop()

    def _cold_start(self) -> _Loaded:
        spec = self.spec
        began, cpu_began = time.monotonic(), time.thread_time()
        try:
            if spec.asset is None or not spec.asset.is_dir():
                raise ImportError(f"the code of {spec.name} is not a folder of the assembly")  # noqa: TRY301
            sandbox = Sandbox(
                f"lambda{uuid.uuid4().hex}",
                spec.asset,
                environment=self._environment(),
                session=boto3_session(self._region),
                log=self.log,
            )
            loaded = _Loaded(sandbox, sandbox.load(spec.handler))
        except Exception as error:
            with self._changed:
                self._started -= 1
            self.count(records=0, failed=True, spent=(0, 0))
            failure = _function_error("Runtime.ImportModuleError", error)
            self.log(f"[ERROR] {failure}\n{''.join(failure.payload['stackTrace'])}")
            raise failure from error
        with self._changed:
            self.statistics.cold_starts += 1
            self.statistics.duration_s += time.monotonic() - began
            self.statistics.cpu_s += time.thread_time() - cpu_began
        return loaded

    def _environment(self) -> dict[str, str]:
        """What Lambda sets, and the template's variables; no LAMBDA_TASK_ROOT, which would start X-Ray's client."""
        spec = self.spec
        return {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_DEFAULT_REGION": self._region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": spec.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "AWS_REGION": self._region,
            "AWS_SECRET_ACCESS_KEY": "local",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "_HANDLER": spec.handler,
            **spec.environment,
        }


class Invoker:
    """Invokes the functions of a deployment by name; any thread may call it."""

    def __init__(
        self,
        functions: Mapping[str, FunctionSpec],
        *,
        region: str,
        metrics: MetricSink,
        callers: Mapping[str, Container[str]] | None = None,
    ) -> None:
        """Args: callers: function -> services that its resource policy lets invoke it; None lets every service."""
        self._callers = callers
        self.started = 0
        self.in_flight = 0
        self._by_name = {name: _Function(spec, region=region, metrics=metrics) for name, spec in functions.items()}
        self._running: set[_Running] = set()
        self._lock = threading.Lock()

    @property
    def statistics(self) -> dict[str, FunctionStatistics]:
        return {name: function.statistics for name, function in self._by_name.items()}

    @property
    def logs(self) -> dict[str, deque[str]]:
        return {name: function.logs for name, function in self._by_name.items()}

    def name_of(self, reference: str) -> str:
        """The function that a name, an ARN or an API Gateway invocation URI means.

        Raises:
            TemplateError: The deployment has no such function.
        """
        name = reference.rpartition(":function:")[2].removesuffix("/invocations").partition(":")[0]
        if name not in self._by_name:
            raise TemplateError(f"{reference} is not a function of these stacks")
        return name

    def invoke(
        self,
        name: str,
        event: Any,
        *,
        records: int = 0,
        principal: str | None = None,
        patience_s: float = math.inf,
        on_late: Callable[[], None] | None = None,
    ) -> Any:
        """Run the handler with `event` in this thread.

        Args:
            name: The function.
            event: JSON values; the handler may change them.
            records: How many records the event holds, for the statistics.
            principal: The service that invokes, if the function's resource policy has to allow it.
            patience_s: How long the caller waits at most.
            on_late: Called once, from another thread, when the caller's patience or the function's timeout is over. A
                thread cannot be killed, so the handler runs on.

        Raises:
            FunctionError: The handler failed, ran longer than its timeout, or may not be invoked by that service.
            Throttled: The reserved concurrency is used up.
        """
        if principal and self._callers is not None and principal not in self._callers.get(name, ()):
            raise FunctionError("AccessDeniedException", f"no AWS::Lambda::Permission lets {principal} invoke {name}")
        function = self._by_name[name]
        with self._lock:
            self.started += 1
            self.in_flight += 1
        token = CURRENT_FUNCTION.set(name)
        try:
            with function.sandbox() as loaded:
                now, timeout_s = time.monotonic(), function.spec.timeout_s
                ends = now + min(patience_s, timeout_s)
                return self._run(loaded, event, records, _Running(function, now + timeout_s, ends, on_late))
        finally:
            CURRENT_FUNCTION.reset(token)
            with self._lock:
                self.in_flight -= 1

    def _run(self, loaded: _Loaded, event: Any, records: int, running: _Running) -> Any:
        function = running.function
        began, cpu_began = time.monotonic(), time.thread_time()
        failed = True
        self._running.add(running)
        try:
            result = _call(loaded.handle, event, LambdaContext(function.spec))
            failed = False
        except FunctionError as error:
            function.log(f"[ERROR] {error}\n{''.join(error.payload['stackTrace'])}")
            raise
        finally:
            self._running.discard(running)
            loaded.broken = time.monotonic() > running.deadline
            if loaded.broken:
                self._report_timeout(running)
            spent = (time.monotonic() - began, time.thread_time() - cpu_began)
            function.count(records=records, failed=failed or loaded.broken, spent=spent)
        if loaded.broken:
            raise FunctionError("Sandbox.Timedout", f"Task timed out after {function.spec.timeout_s} seconds")
        return result

    def check_deadlines(self) -> None:
        """Report the invocations whose time is up; called every fraction of a second."""
        now = time.monotonic()
        for running in tuple(self._running):
            if now > running.patience_ends and running.on_late is not None:
                on_late, running.on_late = running.on_late, None
                on_late()
            if now > running.deadline:
                self._report_timeout(running)

    def _report_timeout(self, running: _Running) -> None:
        with self._lock:
            reported, running.reported = running.reported, True
        if not reported:
            running.function.statistics.timeouts += 1
            running.function.log(f"[ERROR] Task timed out after {running.function.spec.timeout_s} seconds")

    def close(self) -> None:
        for function in self._by_name.values():
            function.close()


def _call(handle: Handler, event: Any, context: LambdaContext) -> Any:
    try:
        result = handle(event, context)
    except Exception as error:
        raise _function_error(type(error).__name__, error) from error
    except SystemExit as error:
        raise FunctionError("Runtime.ExitError", f"the handler called sys.exit({error.code})") from error
    try:
        json.dumps(result)
    except (TypeError, ValueError) as error:
        raise _function_error("Runtime.MarshalError", error) from error
    return result


def _function_error(error_type: str, error: Exception) -> FunctionError:
    return FunctionError(error_type, str(error), traceback.format_exception(error))


_LOADER = botocore.session.get_session().get_component("data_loader")  # reads each service's description once


def boto3_session(region: str) -> boto3.Session:
    """A session of its own, as one must not be shared by threads, on service descriptions that are."""
    core = botocore.session.get_session()
    core.register_component("data_loader", _LOADER)
    return boto3.Session(botocore_session=core, region_name=region)


@contextmanager
def threads_inherit_function() -> Iterator[None]:
    """Let a thread that a handler starts count as its function: its calls are the function's."""
    start = threading.Thread.start

    def start_inheriting(thread: threading.Thread) -> None:
        name = CURRENT_FUNCTION.get()
        if name is not None:
            run = thread.run

            def run_as_function() -> None:
                CURRENT_FUNCTION.set(name)
                run()

            thread.run = run_as_function  # type: ignore[method-assign]
        start(thread)

    with patch.object(threading.Thread, "start", start_inheriting):
        yield
