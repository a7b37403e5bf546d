from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from time import sleep
from typing import Any

import msgspec
import pytest
import zstandard
from msgspec import defstruct

from onefold.adapters.compression import COMPRESS_FROM_BYTES, PLAIN, ZSTD, pack, unpack
from onefold.domain.errors import BodyInvalid
from onefold.domain.event import EventBatch
from tests.fakes.events import event


@pytest.mark.parametrize("count", [0, 1, 40])
def test_a_batch_comes_back_as_it_was(count: int) -> None:
    batch = EventBatch(tuple(event("user_id:u1", properties={"price": 1.5}) for _ in range(count)))

    assert unpack(pack(batch), EventBatch) == batch


def test_small_values_stay_plain_and_large_ones_shrink() -> None:
    small, large = pack({"a": 1}), pack({"a": "x" * 100_000})

    assert small[:1] == PLAIN
    assert large[:1] == ZSTD
    assert len(large) < COMPRESS_FROM_BYTES


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = ZSTD + zstandard.ZstdCompressor().compress(bytes(64 * 1_024 * 1_024))

    assert len(bomb) < 10_000
    with pytest.raises(BodyInvalid) as refused:
        unpack(bomb, bytes)
    assert refused.value.reason == "record_too_large"


def test_a_frame_that_hides_its_size_is_refused() -> None:
    stream = zstandard.ZstdCompressor().compressobj()
    frame = stream.compress(bytes(1_000)) + stream.flush()

    with pytest.raises(BodyInvalid):
        unpack(ZSTD + frame, bytes)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "record_version_unknown"),
        (b"\x7fabc", "record_version_unknown"),
        (ZSTD + b"not a frame", "record_unreadable"),
        (ZSTD + zstandard.ZstdCompressor().compress(bytes(100))[:-3], "record_unreadable"),
        (PLAIN + b"\xc1", "record_unreadable"),
        (PLAIN + msgspec.msgpack.encode("text"), "record_unreadable"),
        (PLAIN + msgspec.msgpack.encode([[["not an event"]]]), "record_unreadable"),
        (PLAIN + b"\x92" * 3_000, "record_unreadable"),
        (PLAIN + b"\xa3\xff\xfe\xfd", "record_unreadable"),
    ],
)
def test_damage_is_a_refusal_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BodyInvalid) as refused:
        unpack(data, EventBatch)

    assert refused.value.reason == reason


def test_threads_that_are_the_first_to_decode_a_type_make_its_decoder_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Threads that are the first to read a struct's annotations at once may crash the process (msgspec 0.22)."""
    kinds = [defstruct(f"Kind{number}", [("name", str)]) for number in range(3)]
    data, barrier, make = pack({"name": "a"}), Barrier(6), msgspec.msgpack.Decoder
    making, seen = Lock(), []

    def make_alone(kind: Any) -> Any:
        seen.append(making.acquire(blocking=False))
        sleep(0.005)
        making.release()
        return make(kind)

    def decode(racer: int) -> Any:
        barrier.wait()
        return unpack(data, kinds[racer % len(kinds)])

    monkeypatch.setattr(msgspec.msgpack, "Decoder", make_alone)
    with ThreadPoolExecutor(6) as pool:
        decoded = list(pool.map(decode, range(6)))

    assert [each.name for each in decoded] == ["a"] * 6
    assert len(seen) >= len(kinds)
    assert all(seen)
