"""Parquet files, a row group at a time, wherever their bytes lie. Imported only when such a file is met."""

import io
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from onefold.domain.errors import BodyInvalid
from onefold.domain.import_file import Place
from onefold.domain.table_text import Fault, Row
from onefold.use_cases.import_ports import StoredFile

ROWS_AT_ONCE: Final = 2_000
BUFFER_BYTES: Final = 1_024 * 1_024
ROW_OVERHEAD_BYTES: Final = 64


class ParquetTable:
    """`Table` over a Parquet file. A place is a row group and the number of a row from 1."""

    def __init__(self, file: StoredFile) -> None:
        """Read the file's end.

        Raises:
            BodyInvalid: It is no Parquet file.
        """
        try:
            self._parquet = pq.ParquetFile(pa.PythonFile(_Seekable(file), mode="r"), buffer_size=BUFFER_BYTES)
        except (pa.ArrowException, OSError) as error:
            raise BodyInvalid("parquet_damaged", "The file is no Parquet file, or a damaged one") from error
        self.columns = tuple(self._parquet.schema_arrow.names)
        about = self._parquet.metadata
        self.row_count = int(about.num_rows)
        self._group_rows = [about.row_group(number).num_rows for number in range(about.num_row_groups)]
        texts = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        # Dictionaries hide how much a file holds; this is what its rows take as objects, roughly.
        self.plain_size = int(texts) + self.row_count * (ROW_OVERHEAD_BYTES + 16 * len(self.columns))

    def rows(self, place: Place) -> Iterator[Row]:
        """The rows from a place on.

        Raises:
            BodyInvalid: The file is damaged from there on.
        """
        number = max(1, place.line)
        first = sum(self._group_rows[: place.at]) + 1
        for group in range(place.at, len(self._group_rows)):
            for row in self._group(group, first):
                if row.line >= number:
                    yield row
            first += self._group_rows[group]

    def _group(self, group: int, number: int) -> Iterator[Row]:
        try:
            for batch in self._parquet.iter_batches(ROWS_AT_ONCE, row_groups=[group], use_threads=False):
                for values in _plain(batch).to_pylist():
                    yield _row(group, number, values)
                    number += 1
        except (pa.ArrowException, OSError) as error:
            raise BodyInvalid("parquet_damaged", f"Row group {group} of the file cannot be read") from error


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Nanoseconds, which Python's times do not have, are cut."""
    fields = [
        field.with_type(pa.timestamp("us", field.type.tz)) if pa.types.is_timestamp(field.type) else field
        for field in batch.schema
    ]
    return pa.RecordBatch.from_arrays(
        [
            column.cast(field.type, safe=False) if column.type != field.type else column
            for column, field in zip(batch.columns, fields, strict=True)
        ],
        schema=pa.schema(fields),
    )


def _row(group: int, number: int, values: dict[str, Any]) -> Row:
    try:
        raw = msgspec.json.encode(values)
    except (TypeError, ValueError):
        text = {name: str(value) for name, value in values.items()}
        fault = Fault("value_unreadable", "The row has a value that is neither text, number, time nor a list of such")
        return Row(group, number, msgspec.json.encode(text), {}, fault)
    return Row(group, number, raw, values)


class _Seekable(io.RawIOBase):
    """A stored file as Arrow reads it: at random places, a buffer at a time."""

    def __init__(self, file: StoredFile) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = start + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._file.size if size < 0 else min(self._file.size, self._at + size)
        data = self._file.read(self._at, end) if end > self._at else b""
        self._at += len(data)
        return data
