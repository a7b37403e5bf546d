"""An import: what is known of one file on its way in, kept beside it, and where to go on."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from onefold.domain.mapping import RowMapping

State = Literal["importing", "done", "failed", "repeated"]

REFUSED_ROWS_SHOWN_MAX: Final = 1_000
FINAL: Final = frozenset(["done", "failed", "repeated"])


class Place(msgspec.Struct, frozen=True):
    """Where reading goes on.

    Attributes:
        at: Byte of the text, row group of a Parquet file, or part of a file whose rows were brought together.
        line: Of the row there, from 1.
    """

    at: int = 0
    line: int = 0


class FileFacts(msgspec.Struct, frozen=True):
    """What one reading of the whole file told.

    Attributes:
        digest: BLAKE2b of its bytes; two files with one digest are the same file.
        size: In bytes as it lies there. plain_size: inflated.
        encoding, delimiter, newline: Of texts; empty for Parquet, of which `row_count` is known.
    """

    digest: str
    size: int
    plain_size: int = 0
    format: Literal["csv", "jsonl", "parquet"] = "csv"
    compressed: bool = False
    encoding: str = ""
    delimiter: str = ""
    newline: str = ""
    row_count: int = 0


class RefusedRow(msgspec.Struct, frozen=True, array_like=True):
    """One row that went to quarantine."""

    line: int
    reason: str
    detail: str


class Counts(msgspec.Struct, frozen=True):
    """What became of the rows read so far.

    Attributes:
        rows: Read, in their first reading.
        messages: Made of them. Of these `accepted` are events on the stream, `repeated` were in one batch twice.
        suppressed: Messages of which nothing is kept, for want of consent.
        refused: Rows in quarantine. unmatched: rows that fit no event of the mapping.
        reasons: Slug → rows in quarantine.
    """

    rows: int = 0
    messages: int = 0
    accepted: int = 0
    repeated: int = 0
    refused: int = 0
    unmatched: int = 0
    suppressed: int = 0
    reasons: dict[str, int] = {}

    def plus(self, other: "Counts") -> "Counts":
        reasons = dict(self.reasons)
        for reason, number in other.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + number
        return Counts(
            self.rows + other.rows,
            self.messages + other.messages,
            self.accepted + other.accepted,
            self.repeated + other.repeated,
            self.refused + other.refused,
            self.unmatched + other.unmatched,
            self.suppressed + other.suppressed,
            reasons,
        )


class Import(msgspec.Struct, frozen=True):
    """The summary of one import, and its checkpoint.

    Attributes:
        file: Its name below the mapping's folder.
        request: What S3 calls the writing of this object; the same file dropped again is another request.
        version: Of the object, so that a file that is replaced meanwhile is noticed.
        spans: Of a file whose rows are brought together first: how many spans have been dealt out; `parts` how many
            parts there are, 0 for other files.
        dealt: Whether all rows have been dealt out.
        refused_rows: The first REFUSED_ROWS_SHOWN_MAX.
        reason, detail: Why it failed, or of what it is a repetition.
        runs: Invocations that worked on it.
    """

    file: str
    mapping: str
    request: str
    version: str
    state: State
    started_at: int
    updated_at: int
    rules: RowMapping
    source: str
    facts: FileFacts
    mapping_version: int = 0
    place: Place = Place()
    parts: int = 0
    spans: int = 0
    dealt: bool = False
    counts: Counts = Counts()
    refused_rows: tuple[RefusedRow, ...] = ()
    reason: str = ""
    detail: str = ""
    runs: int = 1
    finished_at: int | None = None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def work_name(self) -> str:
        """Under which what is kept on the way belongs to this import alone."""
        return f"{self.mapping}/{self.facts.digest}-{self.started_at}"

    @property
    def share_done(self) -> float:
        """From 0 to 1, roughly."""
        if self.is_final:
            return 1.0
        if self.parts and self.dealt:
            return 0.5 + self.place.at / self.parts / 2
        read = self.counts.rows / self.facts.row_count if self.facts.row_count else 0.0
        if not self.facts.row_count:
            read = self.place.at / max(1, self.facts.plain_size)
        return min(1.0, read) / (2 if self.parts else 1)


class Claim(msgspec.Struct, frozen=True):
    """Which file has brought certain contents, and whether it is through."""

    file: str
    is_done: bool = False


def advanced(
    known: Import,
    place: Place,
    now: int,
    *,
    counts: Counts = Counts(),  # noqa: B008 - frozen
    refused: tuple[RefusedRow, ...] = (),
    changes: Mapping[str, object] | None = None,
) -> Import:
    """The import after one more batch of rows."""
    room = REFUSED_ROWS_SHOWN_MAX - len(known.refused_rows)
    return msgspec.structs.replace(
        known,
        place=place,
        updated_at=now,
        counts=known.counts.plus(counts),
        refused_rows=known.refused_rows + refused[: max(0, room)],
        **(changes or {}),
    )
