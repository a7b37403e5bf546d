"""What all AWS requests share: which failures pass by themselves, pauses, and requests side by side."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Final, TypeVar

from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from onefold.domain.errors import Unavailable

Argument = TypeVar("Argument")
Result = TypeVar("Result")

ATTEMPTS_MAX: Final = 8
PAUSE_S: Final = 0.02
PAUSE_S_MAX: Final = 1.0
CONCURRENCY_MAX: Final = 16

PASSING: Final = frozenset(
    [
        "InternalException", "InternalFailure", "InternalServerError", "LimitExceededException",
        "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestTimeout", "ServiceUnavailable",
        "SlowDown", "ThrottledException", "Throttling", "ThrottlingException", "TooManyRequestsException",
        "TransactionInProgressException",
    ]
)  # fmt: skip


def client_config() -> Config:
    """Connections for requests side by side, and time-outs short enough that a batch can try again."""
    return Config(
        max_pool_connections=CONCURRENCY_MAX,
        connect_timeout=2,
        read_timeout=10,
        retries={"mode": "standard", "total_max_attempts": 4},
    )


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def passing_failures(service: str) -> Iterator[None]:
    """Turn throttles, server errors and lost connections into Unavailable; everything else is a defect and flies."""
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if error_code(error) in PASSING or status >= 500:  # noqa: PLR2004 - HTTP's server errors
            raise Unavailable(f"{service} is throttling or failing; the batch will be retried") from error
        raise
    except (HTTPClientError, NoConnection) as error:
        raise Unavailable(f"{service} cannot be reached; the batch will be retried") from error


def pause_before(attempt: int) -> None:
    """Sleep before attempt 1, 2, …: a random part of a span that doubles, so that rivals do not meet again."""
    time.sleep(random.uniform(0, min(PAUSE_S_MAX, PAUSE_S * 2**attempt)))  # noqa: S311 - jitter, no secret


def side_by_side(call: Callable[[Argument], Result], arguments: Iterable[Argument]) -> list[Result]:
    """Call for each argument, CONCURRENCY_MAX at a time, each in a copy of this context; results in their order.

    Raises:
        Exception: The first call's that failed, after all have ended.
    """
    todo = list(arguments)
    if len(todo) <= 1:
        return [call(argument) for argument in todo]
    with ThreadPoolExecutor(min(CONCURRENCY_MAX, len(todo))) as pool:
        futures = [pool.submit(copy_context().run, call, argument) for argument in todo]
    return [future.result() for future in futures]
