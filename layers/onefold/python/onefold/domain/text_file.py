"""Text files of unknown make: their encoding, and their lines, streamed in bounded memory."""

import codecs
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from onefold.domain.errors import BodyInvalid

Encoding = Literal["utf-8", "utf-16", "cp1252"]

LINE_BYTES_MAX: Final = 1_024 * 1_024
# What a compressed file may hold. Inflating starts at the beginning again whenever an import goes on.
PLAIN_BYTES_MAX: Final = 20 * 1_024**3
GZIP_MARK: Final = b"\x1f\x8b"
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_INFLATED_AT_ONCE: Final = 1_024 * 1_024
_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NUL_SHARE_MIN: Final = 0.2  # of Western text in UTF-16 every second byte is NUL, of plain text none


class Line(NamedTuple):
    """One line as it lies in the file.

    Attributes:
        at: Offset of its first byte in the text (inflated; of UTF-16: turned into UTF-8).
        number: From 1.
        raw: Its bytes with what ends it; of one that is too long only the beginning.
        length: Of the whole line, in bytes.
    """

    at: int
    number: int
    raw: bytes
    length: int


def inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The contents of a gzip file, members one after the other.

    Raises:
        BodyInvalid: It is damaged, or ends too early.
    """
    stream = zlib.decompressobj(wbits=31)
    begun = False
    try:
        for chunk in chunks:
            data = chunk
            while data:
                begun = True
                plain = stream.decompress(data, _INFLATED_AT_ONCE)
                if plain:
                    yield plain
                data = stream.unconsumed_tail
                if stream.eof:
                    data, stream, begun = stream.unused_data.lstrip(b"\0"), zlib.decompressobj(wbits=31), False
        if begun:
            raise BodyInvalid("gzip_truncated", "The gzip file ends too early")
    except zlib.error as error:
        raise BodyInvalid("gzip_damaged", "The gzip file is damaged") from error


def transcode_utf16(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """UTF-16 with or without a byte order mark, as UTF-8; what cannot be decoded becomes the replacement character."""
    decoder: codecs.IncrementalDecoder | None = None
    for chunk in _at_least_two_bytes(chunks):
        if decoder is None:
            little = chunk[1:2] == b"\0" or chunk.startswith(codecs.BOM_UTF16_LE)
            name = "utf-16" if chunk.startswith(_UTF16_MARKS) else "utf-16-le" if little else "utf-16-be"
            decoder = codecs.getincrementaldecoder(name)(errors="replace")
        yield decoder.decode(chunk).encode("utf-8", errors="replace")
    if decoder is not None:
        yield decoder.decode(b"", final=True).encode("utf-8", errors="replace")


def _at_least_two_bytes(chunks: Iterable[bytes]) -> Iterator[bytes]:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) > 1:
            yield head
            head = b""
    if head:
        yield head


def skip_bytes(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The stream without its first `count` bytes."""
    for chunk in chunks:
        if count >= len(chunk):
            count -= len(chunk)
            continue
        yield chunk[count:] if count else chunk
        count = 0


def split_lines(chunks: Iterable[bytes], newline: bytes, *, at: int = 0, number: int = 1) -> Iterator[Line]:
    """Cut a text into lines.

    Args:
        chunks: From the offset `at` on, which is the beginning of a line.
        newline: One byte that ends a line.
        at: See `chunks`.
        number: Of the first line.

    Cost: holds a chunk and a line, of which at most LINE_BYTES_MAX.
    """
    rest, skipped = b"", 0
    for chunk in chunks:
        block = rest + chunk if rest else chunk
        begun = 0
        while (end := block.find(newline, begun)) >= 0:
            raw = block[begun : end + 1]
            begun = end + 1
            length = skipped + len(raw)
            yield Line(at, number, raw[:LINE_BYTES_MAX], length)
            at, number, skipped = at + length, number + 1, 0
        rest = block[begun:]
        if len(rest) > LINE_BYTES_MAX:
            # The beginning is kept for the quarantine, what follows is counted and forgotten.
            skipped += len(rest) - LINE_BYTES_MAX
            rest = rest[:LINE_BYTES_MAX]
    if rest:
        yield Line(at, number, rest, skipped + len(rest))


@dataclass(slots=True)
class Census:
    """Counts over a whole text what tells its encoding and its line ends; feed it every chunk, then ask.

    Attributes:
        size: Bytes so far.
    """

    size: int = 0
    _head: bytes = b""
    _others: int = 0  # characters beyond ASCII that UTF-8 makes sense of
    _broken: int = 0  # places where it does not
    _newlines: int = 0
    _returns: int = 0
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )

    def feed(self, chunk: bytes) -> None:
        if len(self._head) < _HEAD_BYTES:
            self._head += chunk[: _HEAD_BYTES - len(self._head)]
        self.size += len(chunk)
        self._newlines += chunk.count(b"\n")
        self._returns += chunk.count(b"\r")
        if chunk.isascii() and not self._decoder.getstate()[0]:
            return
        text = self._decoder.decode(chunk)
        broken = text.count("\ufffd")
        self._broken += broken
        self._others += len(_BEYOND_ASCII.findall(text)) - broken

    @property
    def encoding(self) -> Encoding:
        """UTF-8 unless more of the text speaks against it than for it: one broken line is no reason to misread all."""
        if self._head.startswith(_UTF16_MARKS) or (
            self._head and self._head.count(0) > _NUL_SHARE_MIN * len(self._head)
        ):
            return "utf-16"
        return "cp1252" if self._broken > self._others else "utf-8"

    @property
    def newline(self) -> bytes:
        return b"\r" if self._returns and not self._newlines else b"\n"


_HEAD_BYTES: Final = 4_096
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")
