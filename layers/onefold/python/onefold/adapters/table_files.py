"""Tables in files: CSV and JSON Lines, gzip or not, and Parquet, wherever their bytes lie."""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Final, Literal

import msgspec

from onefold.domain.errors import BodyInvalid, MappingInvalid, PayloadTooLarge
from onefold.domain.import_file import FileFacts, Place
from onefold.domain.mapping import FileForm
from onefold.domain.table_text import (
    HEADER_SAMPLE_ROWS,
    Row,
    choose_delimiter,
    column_names,
    csv_rows,
    decoded,
    json_rows,
)
from onefold.domain.text_file import (
    BYTE_ORDER_MARK,
    GZIP_MARK,
    PLAIN_BYTES_MAX,
    Census,
    Encoding,
    Line,
    inflate,
    skip_bytes,
    split_lines,
    transcode_utf16,
)
from onefold.use_cases.import_ports import StoredFile, Table

CHUNK_BYTES: Final = 1_024 * 1_024
SAMPLE_BYTES: Final = 256 * 1_024
DIGEST_BYTES: Final = 16
FORMATS: Final[dict[str, Literal["csv", "jsonl", "parquet"]]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


class LocalFile:
    """A file on this machine."""

    def __init__(self, path: Path) -> None:
        stat = path.stat()
        self.name, self.size, self.version = path.name, stat.st_size, str(stat.st_mtime_ns)
        self._path = path

    def chunks(self, at: int = 0) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            file.seek(at)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def read(self, at: int, end: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(at)
            return file.read(end - at)


class KnownTableFiles:
    """`TableFiles` for every format that onefold imports."""

    def survey(self, file: StoredFile, form: FileForm) -> FileFacts:
        """Read the whole file once: digest, and of texts encoding, line ends and separator.

        Raises:
            MappingInvalid: Its name has no known ending.
            PayloadTooLarge: It holds more than PLAIN_BYTES_MAX.
            BodyInvalid: It is no gzip file, or a damaged one.
        """
        kind = format_of(file.name)
        digest = blake2b(digest_size=DIGEST_BYTES)

        def digested() -> Iterator[bytes]:
            for chunk in file.chunks():
                digest.update(chunk)
                yield chunk

        if file.size > PLAIN_BYTES_MAX:
            raise _too_large()
        if kind == "parquet":
            for _ in digested():
                pass
            return self._parquet_facts(file, digest.hexdigest())
        chunks = digested()
        first = next(chunks, b"")
        compressed = first.startswith(GZIP_MARK)
        whole = chain([first], chunks)
        census = Census()
        for chunk in inflate(whole) if compressed else whole:
            census.feed(chunk)
            if census.size > PLAIN_BYTES_MAX:
                raise _too_large()
        encoding: Encoding = form.encoding or census.encoding
        facts = FileFacts(
            digest=digest.hexdigest(),
            size=file.size,
            plain_size=census.size,
            format=kind,
            compressed=compressed,
            encoding=encoding,
            newline=census.newline.decode(),
        )
        return facts if kind == "jsonl" else _with_delimiter(file, facts, form)

    def open(self, file: StoredFile, facts: FileFacts, form: FileForm) -> Table:
        """Make its rows readable.

        Raises:
            MappingInvalid: It has no usable header.
            BodyInvalid: It is damaged.
        """
        if facts.format == "parquet":
            from onefold.adapters.parquet_rows import ParquetTable  # 100 ms that most imports can spare

            return ParquetTable(file)
        return _JsonTable(file, facts) if facts.format == "jsonl" else _CsvTable(file, facts, form)

    @staticmethod
    def _parquet_facts(file: StoredFile, digest: str) -> FileFacts:
        from onefold.adapters.parquet_rows import ParquetTable

        table = ParquetTable(file)
        return FileFacts(digest, file.size, table.plain_size, "parquet", row_count=table.row_count)


def format_of(name: str) -> Literal["csv", "jsonl", "parquet"]:
    """The format by a file's name.

    Raises:
        MappingInvalid: It has no known ending.
    """
    plain = name.lower().removesuffix(".gz")
    known = next((kind for ending, kind in FORMATS.items() if plain.endswith(ending)), None)
    if known is None or (known == "parquet" and name.lower().endswith(".gz")):
        endings = ", ".join(FORMATS)
        raise MappingInvalid("format_unknown", f"The name must end in one of {endings}; texts may be gzipped (.gz)")
    return known


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge("file_too_large", f"A file may hold {PLAIN_BYTES_MAX // 1_024**3} GiB; cut it into several")


def _text(file: StoredFile, facts: FileFacts, at: int = 0) -> Iterator[bytes]:
    """The text from an offset on. What is compressed or in UTF-16 can only be read from its beginning."""
    if not facts.compressed and facts.encoding != "utf-16":
        return file.chunks(at)
    chunks = file.chunks()
    if facts.compressed:
        chunks = inflate(chunks)
    if facts.encoding == "utf-16":
        chunks = transcode_utf16(chunks)
    return skip_bytes(chunks, at)


def _lines(file: StoredFile, facts: FileFacts, place: Place) -> Iterator[Line]:
    return split_lines(_text(file, facts, place.at), facts.newline.encode(), at=place.at, number=max(1, place.line))


def _body(file: StoredFile, facts: FileFacts) -> Iterator[Line]:
    """The lines from the first, which may have a byte order mark in front."""
    lines = _lines(file, facts, Place())
    first = next(lines, None)
    if first is not None:
        yield first._replace(raw=first.raw.removeprefix(BYTE_ORDER_MARK))
        yield from lines


def _text_encoding(facts: FileFacts) -> Encoding:
    return "cp1252" if facts.encoding == "cp1252" else "utf-16" if facts.encoding == "utf-16" else "utf-8"


def _with_delimiter(file: StoredFile, facts: FileFacts, form: FileForm) -> FileFacts:
    delimiter = form.delimiter
    if delimiter is None:
        sample: list[str] = []
        size = 0
        for line in _body(file, facts):
            sample.append(decoded_leniently(line.raw, _text_encoding(facts)))
            size += line.length
            if len(sample) == HEADER_SAMPLE_ROWS or size > SAMPLE_BYTES:
                break
        delimiter = choose_delimiter(sample)
    return msgspec.structs.replace(facts, delimiter=delimiter)


def decoded_leniently(raw: bytes, encoding: Encoding) -> str:
    return raw.decode("cp1252" if encoding == "cp1252" else "utf-8", errors="replace")


class _CsvTable:
    def __init__(self, file: StoredFile, facts: FileFacts, form: FileForm) -> None:
        self._file, self._facts, self._form = file, facts, form
        first = next(_body(file, facts), None)
        try:
            text = "" if first is None else decoded(first.raw, _text_encoding(facts))
        except UnicodeDecodeError as error:
            raise BodyInvalid("text_not_readable", f"The first line is not text in {facts.encoding}") from error
        self.columns = column_names(text, facts.delimiter, header=form.header)

    def rows(self, place: Place) -> Iterator[Row]:
        if place.at:
            lines = _lines(self._file, self._facts, place)
        else:
            lines = _body(self._file, self._facts)
            if self._form.header:
                next(lines, None)
        return csv_rows(lines, self.columns, self._facts.delimiter, _text_encoding(self._facts))


class _JsonTable:
    columns = None

    def __init__(self, file: StoredFile, facts: FileFacts) -> None:
        self._file, self._facts = file, facts

    def rows(self, place: Place) -> Iterator[Row]:
        lines = _lines(self._file, self._facts, place) if place.at else _body(self._file, self._facts)
        return json_rows(lines)
