"""Runs handlers in this process, each in a sandbox of its own, and counts what they do."""

import json
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import boto3
import botocore.session

from infra.local.assembly import TemplateError
from infra.local.metrics import MetricSink
from infra.local.sandboxes import Handler, Sandbox
from infra.local.template import FunctionSpec

CURRENT_FUNCTION: ContextVar[str | None] = ContextVar("current_function", default=None)
SANDBOXES_MAX = 4  # of a function; they share one interpreter lock, so more of them only help a handler that waits
SANDBOX_WAIT_S = 0.5  # before another sandbox is started for a function whose sandboxes are all busy
LOG_LINES_MAX = 10_000


class FunctionError(Exception):
    """The handler raised, took too long, or could not be loaded; `payload` is what Lambda would return."""

    def __init__(self, error_type: str, message: str, stack_trace: list[str] | None = None) -> None:
        super().__init__(f"{error_type}: {message}")
        self.payload = {"errorMessage": message, "errorType": error_type, "stackTrace": stack_trace or []}


@dataclass(slots=True)
class FunctionStatistics:
    """What a function did since the start; CPU is that of the handler's own thread, cold starts included."""

    invocations: int = 0
    errors: int = 0
    records: int = 0
    cpu_s: float = 0.0


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


class _Function:
    """One function: its sandboxes, log and statistics."""

    def __init__(self, spec: FunctionSpec, *, region: str, metrics: MetricSink) -> None:
        self.spec = spec
        self.statistics = FunctionStatistics()
        self.logs: deque[str] = deque(maxlen=LOG_LINES_MAX)
        self._region = region
        self._metrics = metrics
        self._idle: list[tuple[Sandbox, Handler]] = []
        self._started = 0
        self._changed = threading.Condition()

    def run(self, event: Any, records: int) -> Any:
        """Invoke in an idle sandbox, or in a new one.

        A thread cannot be killed: a handler that takes longer than its timeout runs on, and fails when it ends.
        """
        sandbox, handle = self._take() or self._cold_start()
        began, cpu_began, failed = time.monotonic(), time.thread_time(), True
        try:
            result = _call(handle, event, LambdaContext(self.spec))
            failed = time.monotonic() - began > self.spec.timeout_s
        except FunctionError as error:
            self.log(f"[ERROR] {error}\n{''.join(error.payload['stackTrace'])}")
            raise
        finally:
            with self._changed:
                self._idle.append((sandbox, handle))
                self._changed.notify()
            self._count(records=records, failed=failed, cpu_s=time.thread_time() - cpu_began)
        if failed:
            self.log(f"[ERROR] Task timed out after {self.spec.timeout_s} seconds")
            raise FunctionError("Sandbox.Timedout", f"Task timed out after {self.spec.timeout_s} seconds")
        return result

    def _count(self, *, records: int, failed: bool, cpu_s: float) -> None:
        with self._changed:
            self.statistics.invocations += 1
            self.statistics.records += records
            self.statistics.errors += failed
            self.statistics.cpu_s += cpu_s

    def log(self, line: str) -> None:
        if not self._metrics.take(line):
            self.logs.append(line)

    def close(self) -> None:
        for sandbox, _ in self._idle:
            sandbox.close()
        self._idle.clear()

    def _take(self) -> tuple[Sandbox, Handler] | None:
        """An idle sandbox, or None when the caller shall start one."""
        until = time.monotonic() + SANDBOX_WAIT_S
        with self._changed:
            while not self._idle:
                if self._started == 0 or (self._started < SANDBOXES_MAX and time.monotonic() >= until):
                    self._started += 1
                    return None
                self._changed.wait(SANDBOX_WAIT_S)
            return self._idle.pop()

    def _cold_start(self) -> tuple[Sandbox, Handler]:
        spec, cpu_began = self.spec, time.thread_time()
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
            handle = sandbox.load(spec.handler)
        except Exception as error:
            with self._changed:
                self._started -= 1
            self._count(records=0, failed=True, cpu_s=time.thread_time() - cpu_began)
            failure = _function_error("Runtime.ImportModuleError", error)
            self.log(f"[ERROR] {failure}\n{''.join(failure.payload['stackTrace'])}")
            raise failure from error
        with self._changed:
            self.statistics.cpu_s += time.thread_time() - cpu_began
        return sandbox, handle

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

    def invoke(self, name: str, event: Any, *, records: int = 0, principal: str | None = None) -> Any:
        """Run the handler with `event` in this thread.

        Args:
            name: The function.
            event: JSON values; the handler may change them.
            records: How many records the event holds, for the statistics.
            principal: The service that invokes, if the function's resource policy has to allow it.

        Raises:
            FunctionError: The handler failed, took longer than its timeout, or may not be invoked by that service.
        """
        if principal and self._callers is not None and principal not in self._callers.get(name, ()):
            raise FunctionError("AccessDeniedException", f"no AWS::Lambda::Permission lets {principal} invoke {name}")
        with self._lock:
            self.started += 1
            self.in_flight += 1
        token = CURRENT_FUNCTION.set(name)
        try:
            return self._by_name[name].run(event, records)
        finally:
            CURRENT_FUNCTION.reset(token)
            with self._lock:
                self.in_flight -= 1

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
