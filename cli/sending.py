"""The command `send`: a file's way to the collector, with progress and a summary."""

from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cli.apply import write_key_of
from cli.deployment import find_deployment
from cli.rows import RowCounter, count_rows, read_messages
from cli.send import Sender, SendingStoppedError, Sent
from onefold.domain.mapping import RowMapping

REASONS_SHOWN_MAX: Final = 20


def send_file(
    console: Console,
    path: Path,
    mapping: RowMapping | None,
    *,
    source: str,
    skip: int,
    connections: int,
    env: str,
    as_json: bool,
) -> int:
    """Send a file.

    Returns:
        The exit code: 1 where messages were refused, else 0.

    Raises:
        CommandError: The file cannot be read, or sending was given up; the text says how to go on.
    """
    deployment = find_deployment(env)
    sender = Sender(deployment.description.collector_url, write_key_of(deployment, source), connections=connections)
    rows = RowCounter()
    messages = islice(read_messages(path, mapping, rows), skip, None)
    with _progress(console, disabled=as_json) as progress:
        task = progress.add_task(path.name, total=count_rows(path), said="")
        try:
            sent = sender.send(messages, lambda now: progress.update(task, completed=rows.read, said=_said(now)))
        except SendingStoppedError as error:
            hint = f"; {skip + error.sent.done:,} messages are through, go on with --skip {skip + error.sent.done}"
            raise SendingStoppedError(f"{error}{hint}", error.sent) from error
        progress.update(task, completed=rows.read)
    if as_json:
        print(msgspec.json.encode(sent).decode())
    else:
        _show(console, sent, path)
    return 1 if sent.refused else 0


def _progress(console: Console, *, disabled: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=disabled,
        transient=True,
    )


def _said(sent: Sent) -> str:
    return f"{sent.accepted:,} accepted, {sent.refused:,} refused"


def _show(console: Console, sent: Sent, path: Path) -> None:
    outcome = f"{sent.accepted:,} messages accepted, {sent.refused:,} refused, {sent.repeated:,} repeats dropped"
    way = f"{sent.batches:,} requests, {sent.bytes_sent / 1e6:.1f} MB compressed, {sent.retries:,} retries"
    console.print(f"{path.name}: {outcome} ({way})")
    for reason, count in sent.reasons.most_common(REASONS_SHOWN_MAX):
        console.print(f"  {count:,} {reason}: {sent.details[reason]}")
    if sent.refused:
        console.print('The refused messages are kept: onefold query "SELECT * FROM quarantine"')
