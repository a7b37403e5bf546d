"""What an event source gives up lies whole in the bucket, and can be read and sent again."""

import json
from pathlib import Path

from onefold.adapters.compression import pack
from onefold.adapters.event_records import read_records
from onefold.domain.event import Event, EventBatch, partition_key
from onefold.edge.batches import stream_records
from tests.fakes.events import event
from tests.unit.infra.local.small_stacks import arn, lines
from tests.unit.infra.local.test_event_sources import failures, stream_runtime

POISON = "deadly"
SOURCE = f"""
import base64, json
killed_by = set()
def handle(event, context):
    records = [record["kinesis"] for record in event["Records"]]
    for record in records:
        if b"{POISON}" in base64.b64decode(record["data"]) and killed_by <= {{record["sequenceNumber"]}}:
            killed_by.add(record["sequenceNumber"])
            raise MemoryError
    for record in records:
        if record["sequenceNumber"] not in done:
            done.add(record["sequenceNumber"])
            print(json.dumps(record["data"]))
done = set()
"""


def test_f17_what_was_set_aside_holds_the_record_and_is_eaten_when_it_comes_as_a_new_one(tmp_path: Path) -> None:
    """A record kills every invocation until it alone lies in S3; read from there and put back, it is handled."""
    names = [POISON if number == 11 else f"m{number}" for number in range(20)]
    events = [event("user_id:u1", message_id=name) for name in names]
    with stream_runtime(
        tmp_path,
        SOURCE,
        BatchSize=100,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=2,
        DestinationConfig={"OnFailure": {"Destination": arn("Spool")}},
    ) as runtime:

        def put(given: list[Event]) -> None:
            entries = [{"PartitionKey": partition_key(each), "Data": pack(EventBatch((each,)))} for each in given]
            runtime.client("kinesis").put_records(StreamName="stream", Records=entries)
            assert runtime.drain(10)

        put(events)
        (failure,) = failures(runtime)
        eaten = len(lines(runtime, "eat"))
        records, unreadable = read_records(stream_records(json.loads(failure["payload"])), component="replay")
        put([each for record in records for each in record.batch.events])
        eaten_then = len(lines(runtime, "eat"))
        assert len(failures(runtime)) == 1

    assert (eaten, eaten_then) == (len(events) - 1, len(events))
    assert unreadable == []
    assert [record.batch for record in records] == [EventBatch((events[11],))]
    assert failure["KinesisBatchInfo"]["startSequenceNumber"] == records[0].sequence
