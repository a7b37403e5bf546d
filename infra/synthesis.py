"""Synthesizes the stacks from a program, once for each state of their sources."""

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.bundling import REPOSITORY

SOURCES = ("app.py", "cdk.json", "requirements.lock", "infra", "functions", "layers")
NOT_SOURCES = frozenset({REPOSITORY / "infra" / "local"})  # it reads templates and has no part in making them
STAMP = "synthesized-from"
SYNTHESIS_TIMEOUT_S = 900
REASON_LENGTH_MAX = 600


class SynthesisError(RuntimeError):
    """The stacks could not be synthesized; the text is one line."""


def synthesize(environment: str, *, output: Path, bundle: bool) -> Path:
    """Return `output` as the cloud assembly of `environment`, made anew only if a source has changed.

    The app runs in a process of its own, so that CDK's Node does not stay around.

    Args:
        environment: dev, staging or prod.
        output: Folder of the assembly. It is replaced whole, so a reader never finds half of one.
        bundle: Build the layers of third-party packages; otherwise placeholders stand in for them.

    Raises:
        SynthesisError: The app failed; its own words, in one line.

    Cost: 10 ms when nothing changed, else some 7 s, and minutes more when layers have to be downloaded.
    """
    output = output.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    with _locked(output.with_name(f"{output.name}.lock")):
        digest = _digest(environment, bundle=bundle)
        stamp = output / STAMP
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
            return output
        unfinished = output.with_name(f"{output.name}.{os.getpid()}")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            _run_app(environment, unfinished, bundle=bundle)
            (unfinished / STAMP).write_text(digest, encoding="utf-8")
            shutil.rmtree(output, ignore_errors=True)
            unfinished.rename(output)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return output


def _run_app(environment: str, output: Path, *, bundle: bool) -> None:
    command = [sys.executable, "app.py", "--output", str(output)]
    command += ["-c", f"environment={environment}", "-c", f"bundle={str(bundle).lower()}"]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    try:
        subprocess.run(
            command,
            cwd=REPOSITORY,
            env=variables,
            check=True,
            capture_output=True,
            text=True,
            timeout=SYNTHESIS_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise SynthesisError(f"the stacks of {environment} were not there after {SYNTHESIS_TIMEOUT_S} s") from None
    except subprocess.CalledProcessError as error:
        reason = _reason([*str(error.stdout).splitlines(), *str(error.stderr).splitlines()])
        raise SynthesisError(f"the stacks of {environment} cannot be made: {reason}") from None


def _reason(output: Sequence[str]) -> str:
    """Pick the line that says what is wrong: ours, or the validation's, or the last one of a trace."""
    lines = [line.strip() for line in output if line.strip()]
    for prefix in ("error: ", "ERROR "):
        for line in lines:
            if line.startswith(prefix):
                return line.removeprefix(prefix)[:REASON_LENGTH_MAX]
    return (lines[-1] if lines else "no reason given")[:REASON_LENGTH_MAX]


def _digest(environment: str, *, bundle: bool) -> str:
    """Hash everything that the templates and their assets are made from."""
    digest = hashlib.sha256()
    versions = [importlib.metadata.version(name) for name in ("aws-cdk-lib", "constructs")]
    place = [os.environ.get(name, "") for name in ("CDK_DEFAULT_ACCOUNT", "CDK_DEFAULT_REGION")]
    digest.update(repr((environment, bundle, versions, place)).encode())
    for path in _source_files():
        digest.update(f"\0{path.relative_to(REPOSITORY)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _source_files() -> Iterator[Path]:
    for source in SOURCES:
        root = REPOSITORY / source
        if root.is_file():
            yield root
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(
                name for name in folders if name != "__pycache__" and Path(folder) / name not in NOT_SOURCES
            )
            yield from (Path(folder) / name for name in sorted(files))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes, so that two that start at once synthesize once."""
    with path.open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
