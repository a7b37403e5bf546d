"""Checks CSV files strictly before anything of them is used: no value is guessed, moved or dropped."""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from cli.problems import CommandError

DELIMITERS: Final = ",;\t|"
LINE_BYTES_MAX: Final = 16_000_000


@dataclass(frozen=True, slots=True)
class CsvHeader:
    """The first line of a file: its delimiter and the names of its columns."""

    delimiter: str
    columns: tuple[str, ...]


def read_header(path: Path) -> CsvHeader:
    """Read the first line; the delimiter is whichever splits it into the most names.

    Raises:
        CommandError: The file is empty, not in UTF-8, or has two columns of one name.
    """
    with _opened(path) as file:
        return _header(path, file)


def count_csv_rows(path: Path) -> int:
    """Count the rows, reading all of them.

    Raises:
        CommandError: The file is not in UTF-8, or a row has not as many values as the header; with the line.
    """
    with _opened(path) as file:
        header = _header(path, file)
        file.seek(0)
        reader = csv.reader(file, delimiter=header.delimiter, strict=True)
        next(reader)
        width, count, line = len(header.columns), 0, reader.line_num + 1
        try:
            for row in reader:
                if row and len(row) != width:
                    values = "1 value" if len(row) == 1 else f"{len(row)} values"
                    raise CommandError(f"{path}:{line}: {values}, the header has {width}; nothing was sent")
                count += bool(row) or width == 1  # an empty line is a row only where there is one column
                line = reader.line_num + 1
        except csv.Error as error:
            raise CommandError(f"{path}:{line}: {error}; nothing was sent") from error
    return count


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    csv.field_size_limit(LINE_BYTES_MAX)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: not a text in UTF-8; convert it first, for instance with iconv") from error


def _header(path: Path, file: TextIO) -> CsvHeader:
    def names(delimiter: str) -> list[str]:
        file.seek(0)
        try:
            return next(csv.reader(file, delimiter=delimiter, strict=True), [])
        except csv.Error:
            return []

    delimiter = max(DELIMITERS, key=lambda each: len(names(each)))
    found = [name or f"column{index}" for index, name in enumerate(names(delimiter))]
    if not found:
        raise CommandError(f"{path}:1: no header; the first line must name the columns")
    # DuckDB's names do not differ by case alone.
    repeated = [name for name, count in Counter(map(str.lower, found)).items() if count > 1]
    if repeated:
        raise CommandError(f"{path}:1: two columns are called {repeated[0]}; rename one")
    return CsvHeader(delimiter, tuple(found))
