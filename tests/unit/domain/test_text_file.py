"""Texts of unknown make: encodings told, lines cut, gzip inflated, all in pieces of any size."""

import gzip

import pytest

from onefold.domain.errors import BodyInvalid
from onefold.domain.text_file import LINE_BYTES_MAX, Census, inflate, skip_bytes, split_lines, transcode_utf16

GERMAN = "Name;Straße\r\nKim;Große Gasse\r\n" * 50


def pieces(content: bytes, size: int) -> list[bytes]:
    return [content[begun : begun + size] for begun in range(0, len(content), size)]


def census(content: bytes, size: int = 13) -> Census:
    counted = Census()
    for piece in pieces(content, size):
        counted.feed(piece)
    return counted


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("size", [1, 2, 13, 100_000])
def test_an_encoding_is_told_by_the_whole_text(encoding: str, size: int) -> None:
    told = census(GERMAN.encode(encoding), size).encoding

    assert told == {"utf-8-sig": "utf-8", "utf-16-le": "utf-16", "utf-16-be": "utf-16"}.get(encoding, encoding)


def test_an_umlaut_at_the_very_end_of_a_large_text_still_tells() -> None:
    assert census(b"a;b\n" * 300_000 + "ß;ö\n".encode("cp1252"), 65_536).encoding == "cp1252"


def test_one_broken_line_does_not_turn_utf8_into_something_else() -> None:
    assert census(GERMAN.encode() + "Müller\n".encode("cp1252")).encoding == "utf-8"


def test_old_line_ends_are_known() -> None:
    assert census(b"a;b\rc;d\r").newline == b"\r"
    assert census(b"a;b\r\nc;d\r\n").newline == b"\n"


@pytest.mark.parametrize("size", [1, 3, 1_000])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_becomes_utf8_whatever_its_pieces(encoding: str, size: int) -> None:
    text = "Größe 🎁;1\n" * 20

    assert b"".join(transcode_utf16(pieces(text.encode(encoding), size))).decode() == text


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_gzip_members_one_after_the_other_are_one_text(size: int) -> None:
    content = gzip.compress(b"first\n" * 500) + gzip.compress(b"second\n")

    assert b"".join(inflate(pieces(content, size))) == b"first\n" * 500 + b"second\n"


@pytest.mark.parametrize(
    ("content", "reason"), [(gzip.compress(b"x" * 999)[:-9], "truncated"), (b"\x1f\x8bno", "damaged")]
)
def test_a_broken_gzip_file_says_so(content: bytes, reason: str) -> None:
    with pytest.raises(BodyInvalid) as caught:
        list(inflate([content]))

    assert caught.value.reason == f"gzip_{reason}"


def test_a_gzip_bomb_comes_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(50_000_000))

    assert max(map(len, inflate([bomb]))) <= 1_024 * 1_024


@pytest.mark.parametrize("size", [1, 2, 5, 1_000])
def test_lines_keep_their_places(size: int) -> None:
    text = b"one\ntwo\r\n\nlast"

    lines = list(split_lines(pieces(text, size), b"\n", at=100, number=7))

    assert [(line.at, line.number, line.raw) for line in lines] == [
        (100, 7, b"one\n"),
        (104, 8, b"two\r\n"),
        (109, 9, b"\n"),
        (110, 10, b"last"),
    ]


def test_a_line_without_end_is_counted_and_not_kept() -> None:
    pieces_of_one_line = [b"x" * 1_000_000] * 5

    lines = list(split_lines([*pieces_of_one_line, b"\nnext\n"], b"\n"))

    assert [(len(line.raw) <= LINE_BYTES_MAX, line.length, line.at) for line in lines] == [
        (True, 5_000_001, 0),
        (True, 5, 5_000_001),
    ]


def test_skipping_works_across_pieces() -> None:
    assert b"".join(skip_bytes([b"abc", b"de", b"fgh"], 4)) == b"efgh"
    assert list(skip_bytes([b"ab"], 5)) == []
