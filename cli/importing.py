"""The command `import`: brings a file and its mapping to the deployment, and shows what becomes of it."""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.apply import apply_declared
from cli.definitions import Declared, read_mapping
from cli.deployment import Deployment
from cli.problems import CommandError, UsageError
from onefold.adapters.s3_imports import FORCE, SUMMARIES
from onefold.adapters.table_files import format_of
from onefold.domain.errors import Rejected
from onefold.domain.import_file import Import
from onefold.domain.mapping import DEFINITION_KIND, RowMapping
from onefold.use_cases.import_files import INBOX

LOOK_EVERY_S: Final = 0.5
BEGINS_WITHIN_S: Final = 180  # S3's notification, the queue and a cold start take seconds
ROWS_SHOWN_MAX: Final = 20


def check_file(path: Path) -> None:
    """Refuse what cannot be imported, before anything is sent.

    Raises:
        UsageError: There is no such file, or its name has no known ending.
    """
    if not path.is_file():
        raise UsageError(f"{path}: {'is a folder; name a file in it' if path.is_dir() else 'no such file'}")
    try:
        format_of(path.name)
    except Rejected as error:
        raise UsageError(f"{path}: {error.detail}") from error


def declared_mapping(path: Path) -> RowMapping:
    """The mapping in a file.

    Raises:
        UsageError: It is faulty, or names no source.
    """
    mapping = read_mapping(path)
    if not mapping.source:
        raise UsageError(f"{path}: say with `source:` which declared source its records belong to")
    return mapping


def import_file(
    console: Console, deployment: Deployment, path: Path, mapping: Path, *, force: bool, wait: bool
) -> Import | None:
    """Apply the mapping, bring the file, and follow the import to its end.

    Returns:
        The summary; None where it was not waited for.

    Raises:
        CommandError: It did not begin.
    """
    name = mapping.stem
    apply_declared(deployment, [Declared(f"{DEFINITION_KIND}/{name}", mapping, declared_mapping(mapping))])
    s3, bucket = deployment.client("s3"), deployment.description.spool_bucket
    before = load_summary(deployment, name, path.name)
    with _progress(console) as progress:
        task = progress.add_task(f"{path.name}: upload", total=path.stat().st_size, said="")
        s3.upload_file(
            str(path),
            bucket,
            f"{INBOX}{name}/{path.name}",
            ExtraArgs={"Metadata": {FORCE: "true"}} if force else {},
            Callback=lambda count: progress.advance(task, count),
        )
        if not wait:
            return None
        progress.update(task, description=f"{path.name}: import", total=1.0, completed=0.0)
        known = None
        for known in _followed(deployment, name, path.name, before):
            progress.update(task, completed=known.share_done, said=_said(known))
        return known


def _followed(deployment: Deployment, mapping: str, file: str, before: Import | None) -> Iterator[Import]:
    """The summary again and again, until it is final."""
    until = time.monotonic() + BEGINS_WITHIN_S
    while True:
        known = load_summary(deployment, mapping, file)
        if known is not None and (before is None or known.request != before.request):
            yield known
            if known.is_final:
                return
        elif time.monotonic() > until:
            text = "is uploaded, but no import began: look at the queue and the log of import_files"
            raise CommandError(f"{mapping}/{file} {text}")
        time.sleep(LOOK_EVERY_S)


def load_summary(deployment: Deployment, mapping: str, file: str) -> Import | None:
    """The summary of one import; None where there is none."""
    s3, bucket = deployment.client("s3"), deployment.description.spool_bucket
    try:
        body = s3.get_object(Bucket=bucket, Key=f"{SUMMARIES}{mapping}/{file}.json")["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    return msgspec.json.decode(body, type=Import)


def load_summaries(deployment: Deployment, within: str = "") -> list[Import]:
    """All summaries, or those whose `<mapping>/<file>` begins so, the newest first."""
    s3, bucket = deployment.client("s3"), deployment.description.spool_bucket
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{SUMMARIES}{within}")
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    bodies = (s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)
    found = [msgspec.json.decode(body, type=Import) for body in bodies]
    return sorted(found, key=lambda each: each.started_at, reverse=True)


def summary_document(known: Import) -> dict[str, Any]:
    """What a program reads: everything but the rules, which are the mapping's."""
    document: dict[str, Any] = msgspec.to_builtins(known)
    del document["rules"]
    refused = document.pop("refused_rows")
    document["refused_rows"] = [dict(zip(("line", "reason", "detail"), row, strict=True)) for row in refused]
    return document


def show_summary(console: Console, known: Import) -> None:
    """Print one import with the first of its refused rows."""
    console.print(f"{known.mapping}/{known.file}: {known.state}, {_said(known)}", markup=False, soft_wrap=True)
    if known.detail:
        console.print(f"  {known.detail}", markup=False, soft_wrap=True)
    facts = known.facts
    if facts.digest:
        told = [facts.format, facts.encoding, f"separator {facts.delimiter!r}" if facts.delimiter else ""]
        gzip = "gzip, " if facts.compressed else ""
        about = f"{gzip}{', '.join(filter(None, told))}, {facts.size:,} bytes, source {known.source}"
        console.print(f"  {about}", markup=False, soft_wrap=True)
    for row in known.refused_rows[:ROWS_SHOWN_MAX]:
        console.print(f"  line {row.line}: {row.reason}: {row.detail}", markup=False, soft_wrap=True)
    if known.counts.refused > ROWS_SHOWN_MAX:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in known.counts.reasons.items())
        console.print(f"  … {known.counts.refused:,} in all: {reasons}", markup=False)
    if known.counts.refused:
        console.print(
            "The refused rows are kept: onefold query "
            "\"SELECT detail, body FROM quarantine WHERE component = 'import_files'\"",
            markup=False,
            soft_wrap=True,
        )


def show_summaries(console: Console, summaries: Iterable[Import]) -> None:
    """Print a table of imports."""
    table = Table(box=None, pad_edge=False)
    for name in ("import", "state", "began", "rows", "events", "refused", "unmatched", "done"):
        is_text = name in {"import", "state", "began"}
        table.add_column(name, justify="left" if is_text else "right", overflow="fold", no_wrap=name != "import")
    for each in summaries:
        counts = each.counts
        began = datetime.fromtimestamp(each.started_at / 1_000, UTC).strftime("%Y-%m-%d %H:%M")
        numbers = (counts.rows, counts.accepted, counts.refused, counts.unmatched)
        row = (f"{each.mapping}/{each.file}", each.state, began, *(f"{number:,}" for number in numbers))
        table.add_row(*row, "" if each.state == "failed" else f"{each.share_done:.0%}")
    console.print(table)


def exit_code(known: Import) -> int:
    """1 where rows were refused or the import failed, else 0."""
    return 1 if known.state == "failed" or (known.counts.refused and known.state == "done") else 0


def _said(known: Import) -> str:
    counts = known.counts
    said = [f"{counts.rows:,} rows", f"{counts.accepted:,} events", f"{counts.refused:,} rows refused"]
    said += [f"{counts.unmatched:,} rows fit no event"] if counts.unmatched else []
    said += [f"{counts.repeated:,} repeats"] if counts.repeated else []
    said += [f"{counts.suppressed:,} not kept for want of consent"] if counts.suppressed else []
    return ", ".join(said)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[said]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
