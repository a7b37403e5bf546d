"""The one form in which values are stored and sent: a version byte, then msgpack, compressed where that pays."""

import threading
from typing import Any, Final, TypeVar

import msgspec
import zstandard

from onefold.domain.errors import BodyInvalid

T = TypeVar("T")

PLAIN: Final = b"\x00"  # msgpack
ZSTD: Final = b"\x01"  # msgpack in one zstd frame that states its size

# Kinesis and DynamoDB both bill a write in whole kilobytes, so below one nothing is won by compressing.
COMPRESS_FROM_BYTES: Final = 768  # with its keys and names the item still fits the first billed kilobyte
# On batches of 20 events level 1 gives the size of level 3 (1,349 to 1,365 bytes) for a quarter less CPU.
LEVEL: Final = 1
UNPACKED_BYTES_MAX: Final = 16 * 1_024 * 1_024

_encoder = msgspec.msgpack.Encoder()


class _Contexts(threading.local):
    """A zstd context serves one thread at a time, and making one costs more than a small record's compression."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_contexts = _Contexts()


def pack(value: Any) -> bytes:
    """Encode a msgspec type, or what it is made of."""
    plain = _encoder.encode(value)
    if len(plain) < COMPRESS_FROM_BYTES:
        return PLAIN + plain
    return ZSTD + _contexts.compressor.compress(plain)


def unpack(data: bytes, kind: type[T], *, bytes_max: int = UNPACKED_BYTES_MAX) -> T:
    """Decode what `pack` made.

    Raises:
        BodyInvalid: The bytes are of an unknown version, damaged, of another type, or would grow beyond `bytes_max`.
    """
    version, body = data[:1], data[1:]
    if version == ZSTD:
        body = _decompress(body, bytes_max)
    elif version != PLAIN:
        raise BodyInvalid("record_version_unknown", "The first byte names no form that this version of onefold reads")
    try:
        decoded: T = _decoder(kind).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BodyInvalid("record_unreadable", f"The bytes are no {kind}: {type(error).__name__}") from error
    return decoded


def _decompress(frame: bytes, bytes_max: int) -> bytes:
    try:
        # The frame's own claim is read first: where it is there, zstandard allocates it whatever the limit says.
        size = zstandard.frame_content_size(frame)
        if not 0 <= size <= bytes_max:
            raise BodyInvalid("record_too_large", f"The record states no size, or one above {bytes_max} bytes")
        return _contexts.decompressor.decompress(frame, max_output_size=bytes_max)
    except zstandard.ZstdError as error:
        raise BodyInvalid("record_unreadable", "The bytes are no zstd frame, or a damaged one") from error


_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}
_making_decoders = threading.Lock()


def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """One decoder a type: making one reads the type's annotations anew.

    Threads that are the first to read a struct's annotations at the same moment crash the process (msgspec 0.22).
    """
    if kind not in _decoders:
        with _making_decoders:
            _decoders.setdefault(kind, msgspec.msgpack.Decoder(kind))
    return _decoders[kind]
