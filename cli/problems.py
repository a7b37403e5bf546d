"""What the command line says when something is wrong: one line with the place and the remedy."""

from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from onefold.domain.errors import OnefoldError

ERRORS = Console(stderr=True, highlight=False, soft_wrap=True)


class CommandError(Exception):
    """The command cannot be carried out; the text is what its user reads.

    Attributes:
        exit_code: 1: it went wrong. 2: it was asked for wrongly.
    """

    def __init__(self, text: str, *, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class UsageError(CommandError):
    """An argument that cannot be meant: a missing file, an unknown name."""

    def __init__(self, text: str) -> None:
        super().__init__(text, exit_code=2)


EXPECTED = (CommandError, OnefoldError, ClientError, BotoCoreError, httpx.HTTPError, OSError)


def explain(error: Exception) -> str:
    """The one line for an error that a user can do something about."""
    if isinstance(error, ClientError):
        return _explain_aws(error)
    if isinstance(error, BotoCoreError):
        return f"AWS: {error}. Check AWS_PROFILE and AWS_REGION, or leave out --env to use the local instance."
    if isinstance(error, httpx.HTTPError):
        place = str(error.request.url) if _has_request(error) else "the server"
        return f"{place}: {error or type(error).__name__}. Is it running?"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _explain_aws(error: ClientError) -> str:
    details: dict[str, Any] = dict(error.response.get("Error", {}))
    return f"AWS {error.operation_name}: {details.get('Code', '')}: {details.get('Message', '')}"


def _has_request(error: httpx.HTTPError) -> bool:
    try:
        return error.request is not None
    except RuntimeError:
        return False


def report(error: Exception) -> int:
    """Print an expected error and give the exit code."""
    text = " ".join(explain(error).split())
    ERRORS.print(f"[red]error:[/] {text.replace('[', chr(92) + '[')}")
    return getattr(error, "exit_code", 1)
