"""Logs, metrics and traces, decided once: Powertools' logger behind an allow-list, one EMF line an invocation."""

# Powertools costs 7 to 12 ms of CPU to import beside boto3, which brings most of what it needs (45 ms without). Its
# package imports logging and metrics whatever one asks for, so there is no smaller piece to import.
# Traces are Lambda's own: active tracing records every invocation, and each log line carries the trace id. The X-Ray
# SDK inside the process would add a segment per AWS call for a heavier start, so it is left out.

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, wraps
from time import perf_counter
from types import TracebackType
from typing import Any, Final, TextIO

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from onefold.domain.errors import OnefoldError, Rejected
from onefold.edge.config import ObservabilityConfig

# Every key that may leave the process in a log. Values are counts, durations, slugs and names of our own making; a key
# for an identifier, a trait, a payload or a header must never be added.
LOG_KEYS: Final = frozenset(
    [
        "level", "location", "message", "timestamp", "service", "environment", "xray_trace_id", "correlation_id",
        "exception_name", "stack_trace", "withheld_keys",
        "duration_ms", "accepted", "refused", "repeated", "suppressed", "spooled", "stitched", "archived",
        "quarantined", "created", "merged", "entered", "exited", "published", "delivered", "failed", "skipped",
        "evaluated", "drained",
        "records", "events", "batches", "attempts", "bytes", "route", "status", "reason", "problem", "source",
        "audience", "destination", "definition", "component", "shard", "sequence", "object_key", "fragments",
        "profiles", "limits", "detail",
    ]
)  # fmt: skip

# Every metric, named by its outcome; the alarms and the dashboard use these names.
METRICS: Final = frozenset(
    [
        "EventsAccepted", "EventsRefused", "EventsRepeated", "EventsSuppressed", "EventsSpooled", "EventsDrained",
        "RequestsRefused", "EventsStitched", "EventsArchived", "EventsQuarantined", "ProfilesCreated", "ProfilesMerged",
        "LimitsReached", "ProfileCapsReached", "AudienceEntered", "AudienceExited", "Deliveries", "DeliveriesFailed",
        "ProfilesServed", "DecisionsMade", "RecordsFailed", "Defects", "MessagesTraced", "EntriesReplayed",
    ]
)  # fmt: skip


class AllowListFormatter(LambdaPowertoolsFormatter):
    """JSON lines of allowed keys only. Of an error its type and place are kept; its text only where it is ours."""

    def format(self, record: Any) -> str:
        """Format without the traceback's text: Python prints values there, and they may be a person's."""
        exc_info = record.exc_info
        record.exc_info = None
        try:
            if exc_info and exc_info[0] is not None:
                record.exception_name = exc_info[0].__name__
                record.stack_trace = _frames(exc_info[2])
                if isinstance(exc_info[1], OnefoldError):
                    record.detail = str(exc_info[1])
            return super().format(record)
        finally:
            record.exc_info = exc_info

    def serialize(self, log: Any) -> str:
        """Drop what is not allowed, and name what was dropped."""
        allowed = {key: value for key, value in log.items() if key in LOG_KEYS}
        withheld = sorted(set(log) - LOG_KEYS - {"exception", "exception_notes"})
        return super().serialize(allowed | {"withheld_keys": withheld} if withheld else allowed)


class CurrentStdout(logging.StreamHandler[TextIO]):
    """Writes to whatever standard output is when it writes, and not to what it was when the logger was made."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stdout
        super().emit(record)


def _frames(traceback: TracebackType | None) -> list[str]:
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(f"{os.path.basename(code.co_filename)}:{traceback.tb_lineno} {code.co_name}")  # noqa: PTH119
        traceback = traceback.tb_next
    return frames


_Counts = dict[str, float]
Handler = Callable[[Any, Any], Any]
CALLER: Final = 3  # stack frames from the logger up to the line that logs


class Observability:
    """What a handler logs and counts with. Costs nothing until it is used; reads the environment at first use."""

    def __init__(self, function: str) -> None:
        self._function = function
        # A sandbox runs one invocation at a time, but the local runtime runs several side by side.
        self._counts: ContextVar[_Counts | None] = ContextVar(f"{function}_counts", default=None)
        self._source: ContextVar[str] = ContextVar(f"{function}_source", default="")

    @cached_property
    def _config(self) -> ObservabilityConfig:
        return ObservabilityConfig.from_env(os.environ)

    @cached_property
    def logger(self) -> Logger:
        return Logger(
            service=self._function,
            level=self._config.log_level,
            logger_handler=CurrentStdout(),
            logger_formatter=AllowListFormatter(
                environment=self._config.environment, utc=True, use_rfc3339=True, serialize_stacktrace=False
            ),
        )

    def info(self, message: str, **keys: Any) -> None:
        """Log one constant phrase; what varies goes in keys of `LOG_KEYS`."""
        self.logger.info(message, stacklevel=CALLER, **keys)

    def warning(self, message: str, **keys: Any) -> None:
        """Log what somebody may want to look at."""
        self.logger.warning(message, stacklevel=CALLER, **keys)

    def error(self, message: str, error: BaseException | None = None, **keys: Any) -> None:
        """Log what somebody should act on."""
        self.logger.error(message, exc_info=error, stacklevel=CALLER, **keys)

    def count(self, metric: str, value: float = 1) -> None:
        """Add to one metric of this invocation; zero is not written.

        Raises:
            ValueError: The metric is not in `METRICS`, so no alarm and no page would know it.
        """
        if metric not in METRICS:
            raise ValueError(f"Add {metric} to METRICS, with its line in the runbook")
        counts = self._counts.get()
        if counts is not None and value:
            counts[metric] = counts.get(metric, 0) + value

    def of_source(self, source: str) -> None:
        """Give this invocation's metrics the dimension `source`: a declared source's name, never free text."""
        self._source.set(source)

    def invocation(self, handle: Handler) -> Handler:
        """Wrap a handler of records: an error that leaves it is logged once, and raised so that Lambda tries again."""

        @wraps(handle)
        def observed(event: Any, context: Any) -> Any:
            with self._counting():
                try:
                    return handle(event, context)
                except Exception as error:
                    self._failed(error)
                    raise

        return observed

    def request(self, refuse: Callable[[Any, Exception], Any]) -> Callable[[Handler], Handler]:
        """Wrap a handler of HTTP requests: an error that leaves it is logged once, and answered by `refuse`."""

        def decorate(handle: Handler) -> Handler:
            @wraps(handle)
            def observed(event: Any, context: Any) -> Any:
                with self._counting():
                    try:
                        return handle(event, context)
                    except Exception as error:  # noqa: BLE001 - the outermost edge: a client gets an answer to everything
                        self._failed(error)
                        return refuse(event, error)

            return observed

        return decorate

    def _failed(self, error: Exception) -> None:
        if isinstance(error, Rejected):
            self.count("RequestsRefused")
            self.info("request refused", reason=error.reason)
        elif isinstance(error, OnefoldError):
            self.logger.warning("dependency unavailable", exc_info=error)
        else:
            self.count("Defects")
            self.error("invocation failed", error)

    @contextmanager
    def _counting(self) -> Iterator[None]:
        counts: _Counts = {}
        token, source_token = self._counts.set(counts), self._source.set("")
        try:
            yield
        finally:
            source = self._source.get()
            self._counts.reset(token)
            self._source.reset(source_token)
            if counts:
                self._flush(counts, source)

    def _flush(self, counts: _Counts, source: str) -> None:
        metrics = EphemeralMetrics(namespace=self._config.powertools_metrics_namespace, service=self._function)
        metrics.add_dimension("environment", self._config.environment)
        if source:  # a second set, so that alarms see the sum and dashboards the sources
            metrics.add_dimensions(service=self._function, environment=self._config.environment, source=source)
        for name, value in counts.items():
            metrics.add_metric(name, MetricUnit.Count, value)
        metrics.flush_metrics()


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Give a function that tells the milliseconds since the start, to a tenth."""
    started = perf_counter()
    yield lambda: round((perf_counter() - started) * 1_000, 1)
