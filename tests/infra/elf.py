"""Reads from a shared library which machine it is for and which libraries it asks for."""

import struct
from dataclasses import dataclass
from pathlib import Path

AARCH64 = 183
PROGRAM_LOAD, PROGRAM_DYNAMIC = 1, 2
TAG_NEEDED, TAG_STRING_TABLE = 1, 5


@dataclass(frozen=True, slots=True)
class SharedLibrary:
    machine: int
    needed: tuple[str, ...]


def read_shared_library(path: Path) -> SharedLibrary:
    """Parse a 64-bit little-endian ELF file; see the System V ABI, chapters 4 and 5."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"{path.name} is no 64-bit little-endian ELF file")
    (machine,) = struct.unpack_from("<H", data, 18)
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    programs = [struct.unpack_from("<IIQQQQ", data, table + index * size) for index in range(count)]
    loads = [(address, offset, length) for kind, _, offset, address, _, length in programs if kind == PROGRAM_LOAD]
    needed, strings = [], 0
    for kind, _, offset, _, _, length in programs:
        if kind == PROGRAM_DYNAMIC:
            for position in range(offset, offset + length, 16):
                tag, value = struct.unpack_from("<QQ", data, position)
                if tag == TAG_NEEDED:
                    needed.append(value)
                elif tag == TAG_STRING_TABLE:
                    strings = next(o + value - a for a, o, n in loads if a <= value < a + n)
    return SharedLibrary(machine, tuple(_text(data, strings + name) for name in needed))


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()
