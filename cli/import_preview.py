"""`onefold import --preview`: what a file is, a mapping for it, its first messages, and what would be refused."""

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import yaml

from cli.importing import declared_mapping
from onefold.adapters.phone_numbers import read_e164
from onefold.adapters.table_files import KnownTableFiles, LocalFile
from onefold.domain.cell import iso
from onefold.domain.column_look import look_at
from onefold.domain.errors import MappingInvalid
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.import_file import Counts, FileFacts, Import, Place, RefusedRow
from onefold.domain.mapping import CONTENT, MADE_COLUMNS, ROW, FileForm, RowMapping, mapped_columns, parse_mapping
from onefold.domain.mapping_proposal import Proposal, propose_mapping
from onefold.domain.row_message import RowInvalid, RowMapper, encode_message
from onefold.domain.source import Source
from onefold.domain.table_text import Row
from onefold.use_cases.collect import Collector, EventLog, KeyedBatch, Sources, Spool
from onefold.use_cases.import_batch import Batch, Way, content_id
from onefold.use_cases.import_files import check_columns

SAMPLE_ROWS: Final = 5_000
MESSAGES_SHOWN: Final = 3
REFUSED_SHOWN: Final = 10


def preview_file(path: Path, mapping: Path | None) -> int:
    """Print a mapping — the one given, or a proposed one — with what it makes of the file's beginning, as comments.

    Returns:
        1 where rows would be refused, else 0.

    Raises:
        Rejected: The file cannot be read, or has not the columns of the mapping.
        UsageError: The mapping is faulty.
    """
    declared = declared_mapping(mapping) if mapping else None
    files, file = KnownTableFiles(), LocalFile(path)
    form = declared.file if declared else FileForm()
    facts = files.survey(file, form)
    if declared is None and facts.format == "csv" and not _has_header(file, facts):
        form = FileForm(header=False)
    table = files.open(file, facts, form)
    rows = list(islice(table.rows(Place()), SAMPLE_ROWS))
    lines = [f"# {path.name}: {_described(facts)}"]
    if declared is None:
        sample = [row.values for row in rows if row.fault is None]
        columns = table.columns or tuple(dict.fromkeys(name for values in sample for name in values))
        proposal = propose_mapping(_slug(path), sample, columns)
        if not form.header:
            proposal.document["file"] = {"header": False}
        rules = parse_mapping(proposal.document)
        lines += _proposed(path, proposal, len(rows))
    else:
        rules = declared
    check_columns(rules, table)
    shown, refused, counts = _tried(rules, facts, rows)
    lines += ["# The first messages:", *(f"#   {text}" for text in shown)]
    numbers = f"{counts.messages:,} messages, {counts.refused:,} rows refused, {counts.unmatched:,} fit no event"
    lines.append(f"# Of the first {counts.rows:,} rows: {numbers}.")
    lines += [f"#   line {row.line}: {row.reason}: {row.detail}" for row in refused[:REFUSED_SHOWN]]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if counts.refused else 0


def _proposed(path: Path, proposal: Proposal, rows: int) -> list[str]:
    text = yaml.safe_dump(proposal.document, sort_keys=False, allow_unicode=True, width=120)
    return [
        f"# Proposed from the first {rows:,} rows, which look like {proposal.kind}. Read it, correct it, keep it as",
        f"# definitions/mappings/{_slug(path)}.yaml; then onefold import {path.name} --mapping that file.",
        *(f"# - {note}" for note in proposal.notes),
        text.rstrip(),
    ]


def _tried(rules: RowMapping, facts: FileFacts, rows: Sequence[Row]) -> tuple[list[str], list[RefusedRow], Counts]:
    """The first messages as JSON, and what the whole way would make of these rows, but for plans and sources."""
    now = time.time_ns() // 1_000_000
    mapper = RowMapper(rules, now=iso(datetime.now(UTC)))
    known = Import("", "", "", "", "importing", now, now, rules, "", facts)
    way = Way(_Nowhere(), Source("preview", "preview-key", kind="import"), _collector, lambda: now, time.sleep)
    shown: list[str] = []
    refused: list[RefusedRow] = []
    counts = Counts()
    batch = Batch(known, mapper)
    for members in _groups(mapper, _made(rules, facts, rows)):
        if len(shown) < MESSAGES_SHOWN and not members[0].fault:
            with suppress(RowInvalid):
                messages = mapper.messages([row.values for row in members], {})
                shown += [encode_message(each).decode() for each in messages]
        batch.add(members)
        if batch.is_full:
            counts, refused = _sent(batch, way, counts, refused)
            batch = Batch(known, mapper)
    counts, refused = _sent(batch, way, counts, refused)
    return shown[:MESSAGES_SHOWN], refused, counts


def _sent(batch: Batch, way: Way, counts: Counts, refused: list[RefusedRow]) -> tuple[Counts, list[RefusedRow]]:
    more, rows = batch.send(way)
    return counts.plus(more), [*refused, *rows]


class _Nowhere:
    """A stream that takes everything, and keeps nothing."""

    def append(self, batches: Sequence[KeyedBatch]) -> list[KeyedBatch]:
        del batches
        return []


def _collector(sources: Sources, log: EventLog, spool: Spool) -> Collector:
    return Collector(sources=sources, log=log, spool=spool, hasher=IdentifierHasher(bytes(32)), phone=read_e164)


def _made(rules: RowMapping, facts: FileFacts, rows: Sequence[Row]) -> Iterator[Row]:
    wanted = MADE_COLUMNS & mapped_columns(rules)
    for row in rows:
        if wanted and not row.fault:
            content = content_id(row)
            row.values.update({CONTENT: content, ROW: f"{facts.digest[:16]}/{row.line}"})
        yield row


def _groups(mapper: RowMapper, rows: Iterator[Row]) -> list[list[Row]]:
    groups: dict[object, list[Row]] = {}
    for row in rows:
        key = mapper.group_key(row.values) if not row.fault else ()
        groups.setdefault(key or ("", row.line), []).append(row)
    return list(groups.values())


def _described(facts: FileFacts) -> str:
    told = ["gzip" if facts.compressed else "", facts.format, facts.encoding]
    told += [f"separator {facts.delimiter!r}"] if facts.delimiter else []
    told += [f"{facts.row_count:,} rows"] if facts.row_count else []
    return ", ".join([*filter(None, told), f"{facts.size:,} bytes"])


def _has_header(file: LocalFile, facts: FileFacts) -> bool:
    """Whether the first line looks like names: all there, all different, and none a number, a time or an address."""
    try:
        table = KnownTableFiles().open(file, facts, FileForm())
    except MappingInvalid as error:
        return error.reason != "header_ambiguous"
    cells = [{"cell": name} for name in table.columns or ()]
    looks = {look_at([cell], ["cell"])[0][0].look for cell in cells}
    return looks <= {"text"} or not looks


def _slug(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz").rpartition(".")[0]
    return re.sub(r"[^a-z0-9_]+", "_", name).strip("_") or "file"
