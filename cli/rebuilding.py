"""Rebuilds profiles from the lake on this machine, and reconciles the live tables with what comes out."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from cli.apply import definition_table
from cli.deployment import find_deployment
from cli.event_history import DuckDbHistory
from cli.identity_desk import Desk, desk_of, now_ms
from cli.problems import CommandError, UsageError
from onefold.adapters.compression import pack
from onefold.adapters.dynamodb_fragments import DynamoDbFragments
from onefold.adapters.dynamodb_scans import DynamoDbScans
from onefold.adapters.memory_graph import MemoryGraph
from onefold.adapters.s3_lake_files import S3LakeFiles
from onefold.domain.head import Head
from onefold.use_cases.drift_report import Report
from onefold.use_cases.evaluate_all import evaluate_all
from onefold.use_cases.evaluate_inputs import DEFINITION_KIND as AUDIENCE_KIND
from onefold.use_cases.evaluate_inputs import current_audiences
from onefold.use_cases.linking import live_head, read_graph
from onefold.use_cases.rebuild import Progress, all_decisions, in_order_of_time, rebuild_fragments, replay, silently
from onefold.use_cases.reconcile import reconcile
from onefold.use_cases.reconcile_fragments import Run, Scope, chunks

GRACE_S: Final = 900  # what AWS may need between a client's request and the table, when all is well
ROWS_AT_ONCE: Final = 1_000

FRAGMENTS: Final = pa.schema(
    [
        ("fragment_key", pa.string()),
        ("state", pa.binary()),
        ("cursor", pa.string()),
        ("deliveries", pa.int64()),
        ("arrived_at", pa.int64()),
    ]
)
HEADS: Final = pa.schema([("profile_id", pa.string()), ("body", pa.binary()), ("merged_into", pa.string())])
IDENTITIES: Final = pa.schema([("identifier_key", pa.string()), ("profile_id", pa.string())])


def rebuild_into(console: Console, env: str, out: Path | None, *, is_quiet: bool) -> dict[str, Any]:
    """Rebuild everything; write it as Parquet files into a folder, or only count.

    Raises:
        UsageError: The folder holds something.
        CommandError: The lake has no events.
    """
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: name a folder that is empty or not there yet")
    began = time.monotonic()
    desk = desk_of(find_deployment(env))
    with closing(desk.deployment), _shown(console, is_quiet=is_quiet) as progress, _history(desk, progress) as history:
        graph, counts = MemoryGraph(), {"fragments": 0, "bytes": 0}
        steps = in_order_of_time(history.candidates(desk.rules), all_decisions(desk.log, now_ms=now_ms()))
        replayed = replay(steps, graph, desk.rules, progress)
        with _writer(out, "fragments", FRAGMENTS) as write:
            for batch in chunks(rebuild_fragments(history, progress), ROWS_AT_ONCE):
                states = [pack(each.fragment) for each in batch]
                counts["fragments"] += len(batch)
                counts["bytes"] += sum(map(len, states))
                write(
                    {
                        "fragment_key": [each.key for each in batch],
                        "state": states,
                        "cursor": [each.cursor for each in batch],
                        "deliveries": [each.deliveries for each in batch],
                        "arrived_at": [each.arrived_at for each in batch],
                    }
                )
        _write_graph(out, graph)
        live = len(graph.live_heads())
        return {
            "events": history.events - history.repeats,
            "repeats": history.repeats,
            **counts,
            "identifiers": len(graph.identities),
            "profiles": live,
            "redirects": len(graph.stored_heads) - live,
            "decisions": replayed.get("decisions", 0),
            "decisions_passed_over": replayed.get("passed_over", 0),
            "seconds": round(time.monotonic() - began, 1),
        }


def reconcile_tables(
    console: Console,
    env: str,
    profile: str,
    grace_s: int | None,
    *,
    repair: bool,
    memberships: bool,
    is_quiet: bool,
) -> tuple[dict[str, Any], bool]:
    """Compare the live tables with the lake, and repair and evaluate them if that is wanted.

    Only to evaluate, the lake is not looked at.

    Returns:
        The report, and whether nothing is left that a repair could change.

    Raises:
        UsageError: The text names no identifier.
        CommandError: The lake has no events, or nobody has this identifier.
    """
    began = time.monotonic()
    desk = desk_of(find_deployment(env))
    report, evaluated = Report(), {}
    with closing(desk.deployment), _shown(console, is_quiet=is_quiet) as progress:
        only = _head_of(desk, profile) if profile else None
        fragments, scans = _stores(desk)
        if repair or not memberships:
            if grace_s is None:
                grace_s = 0 if desk.deployment.instance is not None else GRACE_S
            scope = Scope(repair, now_ms() - grace_s * 1_000, desk.rules)
            with _history(desk, progress) as history:
                run = Run(fragments, desk.graph_store, scans, history, scope, progress, report)
                reconcile(run, MemoryGraph(), all_decisions(desk.log, now_ms=now_ms()), only)
        if memberships:
            everyone = (head for page in scans.heads() for head in page)
            audiences = current_audiences(definition_table(desk.deployment).load_current(AUDIENCE_KIND))
            evaluated = dict(
                evaluate_all(
                    [only] if only else everyone,
                    audiences,
                    desk.graph_store,
                    fragments,
                    now_ms=now_ms(),
                    progress=progress,
                )
            )
    document = report.document() | {"evaluated": evaluated, "seconds": round(time.monotonic() - began, 1)}
    return document, report.is_clean


def _stores(desk: Desk) -> tuple[DynamoDbFragments, DynamoDbScans]:
    tables, dynamodb = desk.deployment.description.tables, desk.deployment.client("dynamodb")
    scans = DynamoDbScans(dynamodb, tables["fragments"], tables["identities"], tables["heads"])
    return DynamoDbFragments(dynamodb, tables["fragments"]), scans


def _head_of(desk: Desk, identifier: str) -> Head:
    key = desk.key(identifier)
    heads, owners = read_graph(desk.graph_store, [key])
    head = live_head(heads, owners[key]) if key in owners else None
    if head is None:
        raise CommandError("No profile has this identifier; leave out --profile to look for what was lost")
    return head


@contextmanager
def _history(desk: Desk, progress: Progress) -> Iterator[DuckDbHistory]:
    """The lake's events, for as long as they are needed."""
    with tempfile.TemporaryDirectory(prefix="onefold-history-") as name:
        lake, work = Path(name) / "lake", Path(name) / "work"
        work.mkdir()
        files = S3LakeFiles(desk.deployment.client("s3"), desk.deployment.description.lake_bucket)
        files.fetch(lake, lambda count: progress("files of the lake read", count))
        with closing(DuckDbHistory(lake, work, desk.rules)) as history:
            if not history.events:
                raise CommandError("The lake has no events yet; archive writes them within a minute of their arrival")
            yield history


@contextmanager
def _writer(out: Path | None, name: str, schema: pa.Schema) -> Iterator[Callable[[dict[str, Any]], None]]:
    """How to add rows, column by column, to a file of the folder; without a folder nothing is written."""
    if out is None:
        yield lambda _columns: None
        return
    out.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(out / f"{name}.parquet", schema, compression="zstd") as writer:
        yield lambda columns: writer.write_table(pa.table(columns, schema=schema))


def _write_graph(out: Path | None, graph: MemoryGraph) -> None:
    with _writer(out, "heads", HEADS) as write:
        for heads in chunks(graph.stored_heads.values(), ROWS_AT_ONCE):
            write(
                {
                    "profile_id": [head.profile_id for head in heads],
                    "body": [pack(head) for head in heads],
                    "merged_into": [head.merged_into or None for head in heads],
                }
            )
    with _writer(out, "identities", IDENTITIES) as write:
        for owned in chunks(graph.identities.items(), ROWS_AT_ONCE):
            write({"identifier_key": [key for key, _ in owned], "profile_id": [owner for _, owner in owned]})


@contextmanager
def _shown(console: Console, *, is_quiet: bool) -> Iterator[Progress]:
    """Show what is being done and how far it has come."""
    if is_quiet or not console.is_terminal:
        yield silently
        return
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} {task.description}"), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with ProgressBar(*columns, console=console, transient=True) as bar:

        def show(what: str, count: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=None)
            bar.advance(tasks[what], count)

        yield show
