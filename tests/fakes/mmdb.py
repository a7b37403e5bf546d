"""Writes small MaxMind databases of IPv4 networks, by the specification of the format (MaxMind DB 2.0)."""

import struct
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any, NamedTuple

METADATA_MARK = b"\xab\xcd\xefMaxMind.com"
DATA_SEPARATOR = bytes(16)
RECORD_BITS = 32


class Unsigned(NamedTuple):
    """A whole number, and its type in the format."""

    number: int
    kind: int


def mmdb(networks: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Network → record; no network may contain another."""
    nodes: list[list[int | None]] = [[None, None]]
    data, offsets = b"", []
    for number, (text, record) in enumerate(networks.items()):
        offsets.append(len(data))
        data += encode(record)
        network = IPv4Network(text)
        bits = f"{int(network.network_address):032b}"[: network.prefixlen]
        node = 0
        for bit in bits[:-1]:
            following = nodes[node][int(bit)]
            if following is None:
                nodes.append([None, None])
                following = nodes[node][int(bit)] = len(nodes) - 1
            node = following
        nodes[node][int(bits[-1])] = -1 - number
    count = len(nodes)

    def record_of(value: int | None) -> int:
        """Another node, nothing (the number of nodes), or a place in the data."""
        if value is None:
            return count
        return value if value >= 0 else count + len(DATA_SEPARATOR) + offsets[-1 - value]

    tree = b"".join(struct.pack(">II", *map(record_of, node)) for node in nodes)
    about = {
        "node_count": Unsigned(count, 6), "record_size": Unsigned(RECORD_BITS, 5), "ip_version": Unsigned(4, 5),
        "database_type": "Test-City", "languages": ["en"], "binary_format_major_version": Unsigned(2, 5),
        "binary_format_minor_version": Unsigned(0, 5), "build_epoch": Unsigned(1, 9),
        "description": {"en": "for tests"},
    }  # fmt: skip
    return tree + DATA_SEPARATOR + data + METADATA_MARK + encode(about)


def encode(value: object) -> bytes:
    """A value of the data section: maps, texts, lists and whole numbers."""
    if isinstance(value, str):
        octets = value.encode()
        return control(2, len(octets)) + octets
    if isinstance(value, Mapping):
        return control(7, len(value)) + b"".join(encode(key) + encode(element) for key, element in value.items())
    if isinstance(value, Unsigned):
        octets = value.number.to_bytes((value.number.bit_length() + 7) // 8)
        return control(value.kind, len(octets)) + octets
    if isinstance(value, list):
        return control(11, len(value)) + b"".join(map(encode, value))
    raise TypeError(f"{type(value)} is not written")


def control(kind: int, size: int) -> bytes:
    """A type and a size; types beyond 7 are extended: their number follows."""
    length, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
    return bytes([kind << 5 | length]) + more if kind <= 7 else bytes([length, kind - 7]) + more
