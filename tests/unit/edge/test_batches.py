import base64
import json
from decimal import Decimal
from typing import Any

import pytest

from onefold.domain.errors import Unavailable
from onefold.edge.batches import (
    CreatedObject,
    QueueMessage,
    StreamRecord,
    again,
    attempts_of,
    batch_response,
    bytes_of,
    created_object,
    created_object_key,
    number_of,
    queue_messages,
    stream_records,
    table_changes,
    text_of,
)


def stream_record(sequence: str) -> StreamRecord:
    return StreamRecord(sequence, "shardId-0", "key", 0, b"")


DELIVERED = [stream_record(sequence) for sequence in ("10", "11", "12")]


def test_a_kinesis_batch_is_read_in_order_with_its_bytes() -> None:
    event = {
        "Records": [
            {
                "eventID": f"shardId-000000000006:{sequence}",
                "kinesis": {
                    "sequenceNumber": sequence,
                    "partitionKey": "device_id:x",
                    "approximateArrivalTimestamp": 1545084650.987,
                    "data": base64.b64encode(b"\x00\xff").decode(),
                },
            }
            for sequence in ("495903", "495904")
        ]
    }

    first, second = stream_records(event)

    assert first == StreamRecord("495903", "shardId-000000000006", "device_id:x", 1545084650987, b"\x00\xff")
    assert second.sequence == "495904"


def test_a_table_stream_is_read_with_its_images() -> None:
    image = {"state": {"B": base64.b64encode(b"abc").decode()}, "version": {"N": "12"}, "fragment_key": {"S": "a|b"}}
    record: dict[str, Any] = {
        "eventName": "MODIFY",
        "dynamodb": {"SequenceNumber": "7", "Keys": {"fragment_key": {"S": "a|b"}}, "NewImage": image},
    }

    [change] = table_changes({"Records": [record]})

    assert (change.sequence, change.change, change.old, change.by_ttl) == ("7", "MODIFY", None, False)
    assert text_of(change.new, "fragment_key") == "a|b"
    assert bytes_of(change.new, "state") == b"abc"
    assert number_of(change.new, "version") == Decimal(12)
    assert (text_of(change.old, "x"), bytes_of(change.new, "x"), number_of(change.new, "x")) == (None, None, None)


def test_a_removal_by_the_time_to_live_is_told_from_a_deletion() -> None:
    deletion: dict[str, Any] = {"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "7", "Keys": {}}}
    expiry = deletion | {"userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}

    assert [change.by_ttl for change in table_changes({"Records": [deletion, expiry]})] == [False, True]


def test_a_queue_batch_is_read_with_its_receive_count() -> None:
    record = {"messageId": "m1", "body": "{}", "attributes": {"ApproximateReceiveCount": "3"}}

    assert queue_messages({"Records": [record]}) == [QueueMessage("m1", "{}", 3)]


def test_the_key_of_a_created_object_is_taken_as_it_stands() -> None:
    body = json.dumps({"detail-type": "Object Created", "detail": {"object": {"key": "spool/2026/a+b c"}}})

    assert created_object_key(QueueMessage("m", body, 1)) == "spool/2026/a+b c"


def test_f14_nothing_failed_is_an_empty_list_and_never_null() -> None:
    """Null would mean success as well, and would mean it after a failure too."""
    assert batch_response([], delivered=DELIVERED) == {"batchItemFailures": []}


def test_failures_are_named_once_in_the_order_of_delivery() -> None:
    assert batch_response(["12", "10", "12"], delivered=DELIVERED) == {
        "batchItemFailures": [{"itemIdentifier": "10"}, {"itemIdentifier": "12"}]
    }


def test_f15_all_of_several_failed_fails_the_invocation_so_that_lambda_halves_the_batch() -> None:
    """All records of a batch fail."""
    with pytest.raises(Unavailable):
        batch_response(["12", "11", "10"], delivered=DELIVERED)

    assert batch_response(["m"], delivered=[QueueMessage("m", "", 1)])["batchItemFailures"]


@pytest.mark.parametrize("mistaken", ["", "9", "None"])
def test_f14_a_failure_that_was_not_delivered_is_a_defect_and_not_success(mistaken: str) -> None:
    """A wrong identifier in the answer."""
    with pytest.raises(ValueError, match="not in the batch"):
        batch_response([mistaken], delivered=DELIVERED)


def test_work_that_is_put_back_names_its_object_and_counts_what_was_in_vain() -> None:
    body = json.dumps({"detail": {"object": {"key": "imports/inbox/a b.csv", "sequencer": "0055"}}})
    first = QueueMessage("m", body, 1)

    second = QueueMessage("n", again(first, attempts=3), 1)

    assert (attempts_of(first), attempts_of(second)) == (0, 3)
    assert created_object(first) == created_object(second) == CreatedObject("imports/inbox/a b.csv", "0055")
