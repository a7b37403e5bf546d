"""Import files: the rows of a file become events, in bounded memory, in as many runs as it takes, once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import msgspec

from onefold.domain.cell import iso
from onefold.domain.errors import MappingInvalid, Rejected, VersionConflict
from onefold.domain.import_file import Claim, Counts, FileFacts, Import, Place, RefusedRow, advanced
from onefold.domain.mapping import CONTENT, MADE_COLUMNS, ROW, RowMapping, key_columns, mapped_columns
from onefold.domain.row_message import RowMapper
from onefold.domain.source import Source
from onefold.domain.table_text import Row
from onefold.use_cases.import_batch import Batch, Way, content_id
from onefold.use_cases.import_parts import deal, groups, part_count
from onefold.use_cases.import_ports import ImportStore, StoredFile, Table, TableFiles

INBOX: Final = "imports/inbox/"
SPARSE_SAMPLE_ROWS: Final = 1_000
_END: Final = Place(-1)


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A file was written.

    Attributes:
        key: `imports/inbox/<mapping>/<file>`.
        request: Distinguishes this writing from others of the same key.
    """

    key: str
    request: str

    @property
    def mapping(self) -> str:
        return self.key.removeprefix(INBOX).partition("/")[0]

    @property
    def file(self) -> str:
        return self.key.removeprefix(INBOX).partition("/")[2]


@dataclass(frozen=True, slots=True)
class Importer:
    """The use case with what it needs.

    Attributes:
        find_mapping: Name → the mapping and its version; None where none is declared.
        find_source: Name → a declared source that is enabled; None where there is none.
        way: Source → how its rows reach the stream.
        out_of_time: Whether this run shall end soon.
    """

    store: ImportStore
    files: TableFiles
    find_mapping: Callable[[str], tuple[RowMapping, int] | None]
    find_source: Callable[[str], Source | None]
    way: Callable[[Source], Way]
    now_ms: Callable[[], int]
    out_of_time: Callable[[], bool]

    def run(self, request: ImportRequest) -> Import | None:
        """Begin an import, or go on with it.

        Returns:
            Its summary as far as it came; with state `importing` it wants another run. None where there is nothing to
            do: the file is gone, or another run works on it.

        Raises:
            Unavailable: What it needs does not answer; run it again.
        """
        if request.key.endswith("/"):  # what consoles make for a folder
            return None
        known, tag = self.store.load(request.mapping, request.file)
        if known is not None and known.request == request.request and known.is_final:
            return known
        file = self.store.open(request.key)
        if file is None:
            return None
        try:
            if known is None or known.request != request.request:
                known = self._begin(request, file, known)
            else:
                known = msgspec.structs.replace(known, runs=known.runs + 1)
            tag = self.store.save(known, tag)
            return known if known.is_final else self._go_on(known, tag, file)
        except VersionConflict:
            return None

    def _begin(self, request: ImportRequest, file: StoredFile, before: Import | None) -> Import:
        now = self.now_ms()
        begun = Import(
            file=request.file,
            mapping=request.mapping,
            request=request.request,
            version=file.version,
            state="importing",
            started_at=now,
            updated_at=now,
            rules=RowMapping(""),
            source="",
            facts=FileFacts("", file.size),
        )
        try:
            rules, version = self._rules(request)
            facts = self.files.survey(file, rules.file)
            check_columns(rules, self.files.open(file, facts, rules.file))
        except Rejected as error:
            return _ended(begun, "failed", now, error.reason, error.detail)
        begun = msgspec.structs.replace(
            begun,
            rules=rules,
            mapping_version=version,
            source=rules.source,
            facts=facts,
            parts=part_count(facts.plain_size) if rules.group_by else 0,
        )
        return self._claimed(begun, before, is_forced=self.store.is_forced(request.key))

    def _rules(self, request: ImportRequest) -> tuple[RowMapping, int]:
        if not request.file:
            raise MappingInvalid("mapping_missing", f"Put files below {INBOX}<mapping>/")
        found = self.find_mapping(request.mapping)
        if found is None:
            text = f"No usable mapping {request.mapping} is declared: apply it, and bring the file again"
            raise MappingInvalid("mapping_missing", text)
        source = found[0].source
        if self.find_source(source) is None:
            named = f"Its source {source} is not declared" if source else "The mapping names no `source`"
            raise MappingInvalid("source_missing", f"{named}: apply one, and bring the file again")
        return found

    def _claimed(self, begun: Import, before: Import | None, *, is_forced: bool) -> Import:
        """The import with its file's contents taken, or what says that they were imported before."""
        digest = begun.facts.digest
        claim = self.store.claim(begun.mapping, digest, begun.file)
        if claim is None:
            return begun
        is_known = claim.file == begun.file and before is not None and before.facts.digest == digest
        if is_known and before is not None:
            # What it told so far stays to be read, and where it stands stays where it goes on.
            before = msgspec.structs.replace(before, request=begun.request, version=begun.version)
            if before.state == "importing":
                return before
        if is_forced or (claim.file == begun.file and not claim.is_done):
            self.store.settle(begun.mapping, digest, Claim(begun.file))
            return begun
        if is_known and before is not None:
            begun = before
        tense = "was imported" if claim.is_done else "is being imported"
        detail = f"The same content {tense} as {begun.mapping}/{claim.file}; --force imports it again"
        return _ended(begun, "repeated", self.now_ms(), "file_repeated", detail)

    def _go_on(self, known: Import, tag: str, file: StoredFile) -> Import:
        run: _Run | None = None
        try:
            source = self.find_source(known.source)
            if source is None:
                raise MappingInvalid("source_missing", f"The source {known.source} is no longer declared")
            if file.version != known.version:
                raise MappingInvalid("file_changed", "The file was replaced while it was imported")
            table = self.files.open(file, known.facts, known.rules.file)
            run = _Run(self, known, tag, table, self.way(source))
            return run.work()
        except Rejected as error:
            if run is not None:
                known, tag = run.known, run.tag
            failed = _ended(known, "failed", self.now_ms(), error.reason, error.detail)
            self.store.save(failed, tag)
            self.store.release(known.mapping, known.facts.digest)
            return failed


def _ended(known: Import, state: str, now: int, reason: str = "", detail: str = "") -> Import:
    return msgspec.structs.replace(known, state=state, finished_at=now, updated_at=now, reason=reason, detail=detail)


def check_columns(rules: RowMapping, table: Table) -> None:
    """See that the file has what the mapping reads.

    Where each row has columns of its own, those that name the row and its person must be in one of the first.

    Raises:
        MappingInvalid: A column is missing (`column_missing`).
    """
    if table.columns is None:
        columns = {name for row in islice(table.rows(Place()), SPARSE_SAMPLE_ROWS) for name in row.values}
        missing = key_columns(rules) - MADE_COLUMNS - columns
    else:
        columns = set(table.columns)
        missing = mapped_columns(rules) - MADE_COLUMNS - columns
    if missing:
        names, others = ", ".join(sorted(missing)), ", ".join(sorted(columns))
        raise MappingInvalid("column_missing", f"There is no column {names}; the file has {others}")


class _Run:
    """One run over a part of a file.

    Attributes:
        known: As it was kept last, under `tag`.
    """

    def __init__(self, importer: Importer, known: Import, tag: str, table: Table, way: Way) -> None:
        self.known, self.tag = known, tag
        self._importer, self._table, self._way = importer, table, way
        started = datetime.fromtimestamp(known.started_at / 1_000, UTC)
        self._mapper = RowMapper(known.rules, now=iso(started))
        self._made = MADE_COLUMNS & mapped_columns(known.rules)

    def work(self) -> Import:
        """Send rows until they are all through, or the time is."""
        if not self.known.parts:
            return self._send(([row], place) for row, place in self._rows())
        while not self.known.dealt:
            self._deal()
            if self._importer.out_of_time() and not self.known.dealt:
                return self.known
        return self._send(groups(self.known, lambda row: self._mapper.group_key(row.values), self._importer.store))

    def _deal(self) -> None:
        """Put one more span of rows into their parts."""
        known = self.known
        dealt = deal(self._rows(), known, lambda row: self._mapper.group_key(row.values), self._importer.store)
        batch = Batch(known, self._mapper)
        for row, fault in dealt.refused:
            batch.refuse([row], fault)
        batch.rows = dealt.rows
        counts, refused = batch.send(self._way)
        is_end = dealt.place == _END or not dealt.rows
        changes: dict[str, object] = {"spans": known.spans + 1, "dealt": is_end}
        self._keep(Place() if is_end else dealt.place, counts, refused, changes)

    def _rows(self) -> Iterator[tuple[Row, Place]]:
        """Each row from the present place on, with the place behind it."""
        if self.known.place == _END:
            return
        rows = self._table.rows(self.known.place)
        row = next(rows, None)
        while row is not None:
            after = next(rows, None)
            yield self._named(row), _END if after is None else Place(after.at, after.line)
            row = after

    def _named(self, row: Row) -> Row:
        """Give a row the columns that the mapping has of it beside its own."""
        if self._made and not row.fault:
            if CONTENT in self._made:
                row.values[CONTENT] = content_id(row)
            if ROW in self._made:
                row.values[ROW] = f"{self.known.facts.digest[:16]}/{row.line}"
        return row

    def _send(self, messages: Iterator[tuple[list[Row], Place]]) -> Import:
        batch, last = Batch(self.known, self._mapper), self.known.place
        for rows, place in messages:
            batch.add(rows)
            last = place
            if batch.is_full:
                self._flush(batch, place)
                batch = Batch(self.known, self._mapper)
                if self._importer.out_of_time():
                    return self.known
        if batch.rows:
            self._flush(batch, last)
        return self._finish()

    def _flush(self, batch: Batch, place: Place) -> None:
        if self.known.parts:
            batch.rows = 0  # they were counted when they were dealt out
        counts, refused = batch.send(self._way)
        self._keep(place, counts, refused)

    def _finish(self) -> Import:
        known, store = self.known, self._importer.store
        if known.counts.accepted:
            store.settle(known.mapping, known.facts.digest, Claim(known.file, is_done=True))
        else:
            store.release(known.mapping, known.facts.digest)  # nothing came of it, so a better mapping may try
        if known.parts:
            store.drop_parts(known.work_name, known.parts, known.spans)
        self.known = _ended(known, "done", self._importer.now_ms())
        self.tag = store.save(self.known, self.tag)
        return self.known

    def _keep(
        self,
        place: Place,
        counts: Counts,
        refused: tuple[RefusedRow, ...],
        changes: dict[str, object] | None = None,
    ) -> None:
        known = advanced(self.known, place, self._importer.now_ms(), counts=counts, refused=refused, changes=changes)
        self.tag = self._importer.store.save(known, self.tag)
        self.known = known
