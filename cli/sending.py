"""The command `send`: a file's way to the collector, with progress and a summary."""

from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cli.apply import write_key_of
from cli.deployment import find_deployment
from cli.problems import ERRORS, CommandError
from cli.rows import RowCounter, count_rows, ignored_columns, read_messages
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
        CommandError: The file cannot be read, nothing in its first batch can be used, or sending was given up; the text
            says how to go on.
    """
    ignored = ignored_columns(path) if mapping is None else []
    if ignored:
        names = ", ".join(ignored)
        ERRORS.print(f"warning: {path}: no fields of a message, and ignored without a --mapping: {names}", markup=False)
    deployment = find_deployment(env)
    sender = Sender(deployment.description.collector_url, write_key_of(deployment, source), connections=connections)
    rows = RowCounter()
    messages = islice(read_messages(path, mapping, rows), skip, None)
    with _progress(console, disabled=as_json or not console.is_terminal) as progress:
        task = progress.add_task(path.name, total=count_rows(path), said="")

        def note(now: Sent) -> None:
            progress.update(task, completed=rows.read, said=_said(now))
            if mapping is None and now.batches == 1 and _is_unusable(now):
                raise CommandError(_unusable_text(path, now))

        try:
            sent = sender.send(messages, note)
        except SendingStoppedError as error:
            if mapping is None and _is_unusable(error.sent):
                raise
            hint = f"; {skip + error.sent.done:,} messages are through, go on with --skip {skip + error.sent.done}"
            raise SendingStoppedError(f"{error}{hint}", error.sent) from error
        progress.update(task, completed=rows.read)
    if as_json:
        print(msgspec.json.encode(sent).decode())
    else:
        _show(console, sent, path)
    return 1 if sent.refused else 0


def _is_unusable(sent: Sent) -> bool:
    return sent.refused == sent.done > 0


def _unusable_text(path: Path, sent: Sent) -> str:
    ((reason, _),) = sent.reasons.most_common(1)
    refused = f"{path}: all of the first {sent.refused:,} messages were refused ({reason}: {sent.details[reason]})"
    return f"{refused}; say with --mapping how rows become messages"


def _progress(console: Console, *, disabled: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
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
    console.print(f"{path.name}: {outcome} ({way})", markup=False)
    for reason, count in sent.reasons.most_common(REASONS_SHOWN_MAX):
        console.print(f"  {count:,} {reason}: {sent.details[reason]}", markup=False)
    if sent.refused:
        console.print('The refused messages are kept: onefold query "SELECT * FROM quarantine"')
