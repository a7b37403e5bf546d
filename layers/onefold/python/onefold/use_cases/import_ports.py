"""What an import needs of the world around it."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from onefold.domain.import_file import Claim, FileFacts, Import, Place
from onefold.domain.mapping import FileForm
from onefold.domain.table_text import Row


class StoredFile(Protocol):
    """The bytes of one file that does not change under the reader.

    Attributes:
        version: Another one where the file was written again.
    """

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def version(self) -> str: ...

    def chunks(self, at: int = 0) -> Iterator[bytes]:
        """The bytes from an offset on, a megabyte at a time or so.

        Raises:
            MappingInvalid: The file was replaced meanwhile (`file_changed`).
            Unavailable: It cannot be read now.
        """

    def read(self, at: int, end: int) -> bytes:
        """The bytes from one offset up to another, which is within the file.

        Raises:
            MappingInvalid, Unavailable: As `chunks`.
        """


class Table(Protocol):
    """A file's rows.

    Attributes:
        columns: None where each row has its own.
    """

    @property
    def columns(self) -> tuple[str, ...] | None: ...

    def rows(self, place: Place) -> Iterator[Row]:
        """The rows from a place on; the beginning is `Place()`.

        Raises:
            Rejected: The file is damaged from there on.
            Unavailable: It cannot be read now.
        """


class TableFiles(Protocol):
    """Knows the formats."""

    def survey(self, file: StoredFile, form: FileForm) -> FileFacts:
        """Read the whole file once.

        Raises:
            Rejected: It is none of the formats, or too large.
        """

    def open(self, file: StoredFile, facts: FileFacts, form: FileForm) -> Table:
        """Make its rows readable.

        Raises:
            Rejected: It has no usable header, or is damaged.
        """


class ImportStore(Protocol):
    """The files, and what is kept beside them."""

    def open(self, key: str) -> StoredFile | None:
        """The file under a key; None where it is gone."""

    def is_forced(self, key: str) -> bool:
        """Whether the file shall be imported even if it was before."""

    def load(self, mapping: str, file: str) -> tuple[Import | None, str]:
        """The summary of a file, and the tag to replace it by; (None, "") where there is none."""

    def save(self, summary: Import, tag: str) -> str:
        """Replace the summary that has this tag, or write the first one; gives the new tag.

        Raises:
            VersionConflict: Another run has replaced it.
        """

    def claim(self, mapping: str, digest: str, file: str) -> Claim | None:
        """Take a file's contents for one name; None where they were free, else who has them, which stays so."""

    def settle(self, mapping: str, digest: str, claim: Claim) -> None:
        """Write down who has the contents, whoever had them before."""

    def release(self, mapping: str, digest: str) -> None:
        """Give the contents free again."""

    def put_parts(self, work: str, span: int, rows: Mapping[int, bytes]) -> None:
        """Keep a span's rows by the part that they belong to; the same again overwrites."""

    def load_part(self, work: str, part: int, spans: int) -> list[bytes]:
        """What was kept of one part, in the order of the spans."""

    def drop_parts(self, work: str, parts: int, spans: int) -> None:
        """Forget them all."""
