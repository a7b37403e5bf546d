"""What an import stands on, in memory: the store, files, and a stream that can break."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

import msgspec
import yaml

from onefold.adapters.phone_numbers import read_e164
from onefold.adapters.table_files import KnownTableFiles
from onefold.domain.errors import VersionConflict
from onefold.domain.event import Event, Refusal
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.import_file import Claim, Import
from onefold.domain.mapping import RowMapping, parse_mapping
from onefold.domain.source import Source
from onefold.use_cases.collect import Collector, EventLog, Sources, Spool
from onefold.use_cases.import_batch import Way
from onefold.use_cases.import_files import INBOX, Importer, ImportRequest
from tests.fakes.collecting import MemoryEventLog
from tests.fakes.events import NOON_MS, SECRET

SOURCE = Source("files", "key-of-files", kind="import")
CHUNK_BYTES = 7_001  # no multiple of any line


@dataclass
class MemoryFile:
    """A file that counts how much of it was read."""

    name: str
    content: bytes
    version: str = "1"
    bytes_read: int = 0

    @property
    def size(self) -> int:
        return len(self.content)

    def chunks(self, at: int = 0) -> Iterator[bytes]:
        for begun in range(at, len(self.content), CHUNK_BYTES):
            yield self.read(begun, min(begun + CHUNK_BYTES, len(self.content)))

    def read(self, at: int, end: int) -> bytes:
        self.bytes_read += end - at
        return self.content[at:end]


class MemoryImportStore:
    """An import store that gives way to the one who was first."""

    def __init__(self) -> None:
        self.files: dict[str, MemoryFile] = {}
        self.forced: set[str] = set()
        self.claims: dict[tuple[str, str], Claim] = {}
        self.parts: dict[tuple[str, int, int], bytes] = {}
        self.summaries: dict[tuple[str, str], tuple[bytes, str]] = {}
        self._tags = count(1)

    def open(self, key: str) -> MemoryFile | None:
        return self.files.get(key)

    def is_forced(self, key: str) -> bool:
        return key in self.forced

    def load(self, mapping: str, file: str) -> tuple[Import | None, str]:
        body, tag = self.summaries.get((mapping, file), (b"", ""))
        return (msgspec.json.decode(body, type=Import) if body else None), tag

    def save(self, summary: Import, tag: str) -> str:
        key = (summary.mapping, summary.file)
        if self.summaries.get(key, (b"", ""))[1] != tag:
            raise VersionConflict("somebody was faster")
        new = f"tag-{next(self._tags)}"
        self.summaries[key] = (msgspec.json.encode(summary), new)
        return new

    def claim(self, mapping: str, digest: str, file: str) -> Claim | None:
        known = self.claims.get((mapping, digest))
        if known is None:
            self.claims[mapping, digest] = Claim(file)
        return known

    def settle(self, mapping: str, digest: str, claim: Claim) -> None:
        self.claims[mapping, digest] = claim

    def release(self, mapping: str, digest: str) -> None:
        self.claims.pop((mapping, digest), None)

    def put_parts(self, work: str, span: int, rows: Mapping[int, bytes]) -> None:
        for part, packed in rows.items():
            self.parts[work, part, span] = packed

    def load_part(self, work: str, part: int, spans: int) -> list[bytes]:
        return [self.parts[work, part, span] for span in range(spans) if (work, part, span) in self.parts]

    def drop_parts(self, work: str, parts: int, spans: int) -> None:
        for part in range(parts):
            for span in range(spans):
                self.parts.pop((work, part, span), None)


@dataclass
class Workshop:
    """An importer with everything in memory."""

    mapping: RowMapping
    store: MemoryImportStore = field(default_factory=MemoryImportStore)
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    source: Source | None = SOURCE
    runs_end_at_once: bool = False
    _requests: Iterator[int] = field(default_factory=lambda: count(1))

    def importer(self, **changes: Callable[..., object]) -> Importer:
        def way(source: Source) -> Way:
            return Way(self.log, source, collector, lambda: NOON_MS, lambda _: None)

        wired = {
            "store": self.store,
            "files": KnownTableFiles(),
            "find_mapping": lambda name: (self.mapping, 3) if name == "table" else None,
            "find_source": lambda name: self.source if self.source and name == self.source.name else None,
            "way": way,
            "now_ms": lambda: NOON_MS,
            "out_of_time": lambda: self.runs_end_at_once,
        }
        return Importer(**(wired | changes))  # type: ignore[arg-type]

    def drop(self, name: str, content: bytes, *, force: bool = False) -> ImportRequest:
        """Put a file into the inbox, as whoever has one does."""
        request = ImportRequest(f"{INBOX}table/{name}", f"sequencer-{next(self._requests)}")
        self.store.files[request.key] = MemoryFile(name, content, version=request.request)
        (self.store.forced.add if force else self.store.forced.discard)(request.key)
        return request

    def run(self, name: str, content: bytes, *, force: bool = False) -> Import:
        """Drop a file and import it to its end."""
        return self.finish(self.drop(name, content, force=force))

    def finish(self, request: ImportRequest, runs_max: int = 1_000) -> Import:
        for _ in range(runs_max):
            known = self.importer().run(request)
            assert known is not None
            if known.is_final:
                return known
        raise AssertionError(f"The import did not end in {runs_max} runs")

    @property
    def events(self) -> list[Event]:
        return [event for _, batch in self.log.batches for event in batch.events]

    @property
    def refusals(self) -> list[Refusal]:
        return [refusal for _, batch in self.log.batches for refusal in batch.refusals]


def collector(sources: Sources, log: EventLog, spool: Spool) -> Collector:
    return Collector(sources=sources, log=log, spool=spool, hasher=IdentifierHasher(SECRET), phone=read_e164)


def workshop(text: str, **settings: object) -> Workshop:
    """A workshop for the mapping in a YAML text."""
    return Workshop(parse_mapping(yaml.safe_load(text)), **settings)  # type: ignore[arg-type]
