"""Reads JSON Lines, CSV and Parquet files as messages of the tracking API, in bounded memory."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb
import msgspec

from cli.csv_file import LINE_BYTES_MAX, count_csv_rows, read_header
from cli.problems import CommandError, UsageError
from onefold.domain.mapping import MADE_COLUMNS, RowMapping, mapped_columns
from onefold.domain.message import Message
from onefold.domain.row_message import Message as MessageDocument
from onefold.domain.row_message import encode_message, map_rows

T = TypeVar("T")
ROWS_PER_READ: Final = 5_000
MEMORY_LIMIT: Final = "1GB"  # beyond it DuckDB sorts on disk
READERS: Final = {
    # Texts keep their digits; the mapping says what is a number. Nothing is guessed, so that no row is left out.
    ".csv": "read_csv(?, auto_detect = false, header = true, delim = {delimiter}, quote = '\"', escape = '\"', "
    f"columns = {{columns}}, null_padding = false, strict_mode = true, max_line_size = {LINE_BYTES_MAX})",
    ".parquet": "read_parquet(?)",
    ".jsonl": "read_json(?, format = 'newline_delimited')",
    ".ndjson": "read_json(?, format = 'newline_delimited')",
}
JSON_LINES: Final = frozenset([".jsonl", ".ndjson"])
OBJECT_COLUMNS: Final = frozenset(["traits", "properties", "context", "integrations"])
MESSAGE_FIELDS: Final = OBJECT_COLUMNS | frozenset(Message.__struct_encode_fields__)
ID_LENGTH: Final = 32


def check_file(path: Path) -> None:
    """Refuse what cannot be read, before anything is sent.

    Raises:
        UsageError: There is no such file, it is a folder, or its name has no known ending.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    if path.suffix.lower() not in READERS:
        raise UsageError(f"{path}: the name must end in {', '.join(READERS)}")


@dataclass(slots=True)
class RowCounter:
    """How many rows have been read so far."""

    read: int = 0


def read_messages(path: Path, mapping: RowMapping | None = None, rows: RowCounter | None = None) -> Iterator[bytes]:
    """Yield a file's messages as JSON, each with a `messageId` that is the same every time the file is read.

    Without a mapping a row is a message: its columns are the message's fields, dots in names nest (`properties.total`),
    and `properties`, `traits` and `context` may hold JSON texts. With one, rows are brought
    together in the order of time.

    Raises:
        CommandError: The file is damaged, a column is missing, two columns claim one place, or a line is no JSON
            object.
        MappingInvalid: A row does not fit the mapping.
    """
    counter = rows or RowCounter()
    if mapping is not None:
        yield from (
            encode_message(message) for message in map_rows(mapping, _counted(_sorted_rows(path, mapping), counter))
        )
    elif path.suffix.lower() in JSON_LINES:
        yield from _counted(_json_lines(path), counter)
    else:
        _check_collisions(path)
        read = _counted(_rows(path, "SELECT * FROM {reader}"), counter)
        yield from (_identified(_message_from_row(row)) for row in read)


def _counted(rows: Iterable[T], counter: RowCounter) -> Iterator[T]:
    for row in rows:
        counter.read += 1
        yield row


def count_rows(path: Path) -> int:
    """How many rows a file has, for the progress bar; lines that are broken count too.

    Raises:
        CommandError: The file is damaged, or a row of a CSV file has not as many values as its header.
    """
    if path.suffix.lower() in JSON_LINES:
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    if path.suffix.lower() == ".csv":
        return count_csv_rows(path)
    (row,) = _rows(path, "SELECT count(*) AS rows FROM {reader}")
    return int(row["rows"])


def ignored_columns(path: Path) -> list[str]:
    """The columns of a table that no message has a field for, in the file's order; none for JSON Lines."""
    if path.suffix.lower() in JSON_LINES:
        return []
    return [name for name in _columns(path) if name.partition(".")[0] not in MESSAGE_FIELDS]


def _columns(path: Path) -> list[str]:
    if path.suffix.lower() == ".csv":
        return list(read_header(path).columns)
    described = _rows(path, "SELECT column_name FROM (DESCRIBE SELECT * FROM {reader})")
    return [str(row["column_name"]) for row in described]


def _check_collisions(path: Path) -> None:
    columns = _columns(path)
    for name in columns:
        for other in columns:
            if other.startswith(f"{name}."):
                raise CommandError(f"{path}: the columns {name} and {other} claim the same place; leave one out")


def _sorted_rows(path: Path, mapping: RowMapping) -> Iterator[Mapping[str, Any]]:
    columns = _columns(path)
    mapped = mapped_columns(mapping)
    if not mapped.isdisjoint(MADE_COLUMNS):
        raise CommandError("This mapping names its messages by {@content} or {@row}: use `onefold import`")
    missing = sorted(mapped.difference(columns))
    if missing:
        raise CommandError(f"{path}: no column {', '.join(missing)}; the file has {', '.join(sorted(columns))}")
    time = _quoted(mapping.timestamp.column) if mapping.timestamp and mapping.timestamp.column else "NULL"
    keys = [_quoted(name) for name in mapping.group_by]
    together = f"min({time}) OVER (PARTITION BY {', '.join(keys)}), {', '.join(keys)}" if keys else time
    query = (
        "SELECT * EXCLUDE (row_place) FROM (SELECT *, row_number() OVER () AS row_place FROM {reader}) "  # noqa: S608
        f"ORDER BY {together}, row_place"
    )
    yield from _rows(path, query)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _reader(path: Path) -> str:
    """The table function that reads a file, with a `?` for its path."""
    reader = READERS[path.suffix.lower()]
    if path.suffix.lower() != ".csv":
        return reader
    header = read_header(path)
    columns = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in header.columns)
    return reader.format(delimiter=_literal(header.delimiter), columns=f"{{{columns}}}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _rows(path: Path, query: str) -> Iterator[dict[str, Any]]:
    with duckdb.connect() as database:
        database.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        database.execute("SET TimeZone = 'UTC'")
        try:
            result = database.execute(query.replace("{reader}", _reader(path)), [str(path)])
            names = [column[0] for column in result.description or []]
            while rows := result.fetchmany(ROWS_PER_READ):
                yield from (dict(zip(names, row, strict=True)) for row in rows)
        except duckdb.Error as error:
            raise CommandError(f"{path}: {str(error).splitlines()[0]}") from error


def _json_lines(path: Path) -> Iterator[bytes]:
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.strip()
            if not text:
                continue
            try:
                message = decoder.decode(text)
            except msgspec.DecodeError as error:
                raise CommandError(f"{path}:{number}: not a JSON object; write one message a line") from error
            yield text if "messageId" in message else msgspec.json.encode({**message, "messageId": _content_id(text)})


def _message_from_row(row: Mapping[str, Any]) -> MessageDocument:
    message: MessageDocument = {}
    for name, value in row.items():
        if value is None or value == "":
            continue
        *parents, leaf = name.split(".")
        place: Any = message
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = _object(name, value) if name in OBJECT_COLUMNS else value
    return message


def _object(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise CommandError(f"The column {name} holds no JSON object") from error


def _identified(message: MessageDocument) -> bytes:
    body = encode_message(message)
    return body if "messageId" in message else encode_message({**message, "messageId": _content_id(body)})


def _content_id(body: bytes) -> str:
    return f"file-{hashlib.blake2b(body, digest_size=ID_LENGTH // 2).hexdigest()}"
