import pytest

from onefold.domain.errors import StreamUnavailable, Unavailable
from onefold.domain.event import EventBatch, Refusal
from onefold.use_cases.drain import drain
from tests.fakes.collecting import MemoryEventLog, MemorySpool
from tests.fakes.events import event

BATCHES = [
    ("a", EventBatch((event("user_id:a"), event("user_id:a")))),
    ("b", EventBatch((), (Refusal("m", "web", "r", "d", b"x", 0),))),
]


def spooled() -> tuple[MemorySpool, str]:
    spool = MemorySpool()
    spool.append(BATCHES, received_at=1)
    [key] = spool.objects
    return spool, key


def test_a_spooled_object_goes_to_the_stream_and_is_forgotten() -> None:
    (spool, key), log = spooled(), MemoryEventLog()

    assert drain(key, spool=spool, log=log) == 3

    assert log.batches == BATCHES
    assert spool.objects == {}


def test_an_object_that_is_gone_was_drained_by_an_earlier_delivery() -> None:
    (spool, key), log = spooled(), MemoryEventLog()
    drain(key, spool=spool, log=log)

    assert drain(key, spool=spool, log=log) == 0
    assert log.batches == BATCHES


def test_an_object_stays_whole_until_the_stream_has_all_of_it() -> None:
    (spool, key), log = spooled(), MemoryEventLog()
    log.refused_keys = {"b"}

    with pytest.raises(StreamUnavailable):
        drain(key, spool=spool, log=log)

    assert spool.objects[key] == BATCHES


def test_a_spool_that_cannot_be_read_is_tried_again() -> None:
    spool, key = spooled()
    spool.broken = True

    with pytest.raises(Unavailable):
        drain(key, spool=spool, log=MemoryEventLog())
