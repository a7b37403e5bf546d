"""What it costs to write a fragment: one conditional PutItem each, side by side, against batches of statements.

    python benchmarks/fragment_writes.py

The requests go over HTTP to a process that answers success and nothing else, so that the CPU seconds are the client's
alone: signing, serializing, connections, threads and parsing, without TLS. Bytes are whole requests as they arrive.
Units are counted by cli/costs.py, as DynamoDB rounds. Each figure is the best of several runs, for what else runs on
the machine can only add to it.
"""

import asyncio
import json
import multiprocessing
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from time import process_time
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / folder) for folder in (".", "layers/onefold/python")]

import boto3  # noqa: E402
from botocore.model import OperationModel  # noqa: E402

from benchmarks.stitch_throughput import shop_events  # noqa: E402
from cli.costs import dynamodb_units  # noqa: E402
from onefold.adapters.aws_requests import client_config, side_by_side  # noqa: E402
from onefold.adapters.compression import pack  # noqa: E402
from onefold.adapters.dynamodb_fragments import DynamoDbFragments  # noqa: E402
from onefold.domain.fragment import NEW_FRAGMENT, StoredFragment, fold_events  # noqa: E402

COUNTS = (1, 25, 100, 1_000)  # fragments of one stream batch
RUNS_OF_FRAGMENTS = 2_000  # each figure is the best of so many fragments' runs, at least RUNS_MIN
RUNS_MIN = 3
EVENTS_PER_FRAGMENT = 5


class Answering(asyncio.Protocol):
    """Says yes to every request of DynamoDB's."""

    def __init__(self, seen: dict[str, int]) -> None:
        self.seen, self.buffer = seen, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            size = end + 4 + length
            if len(self.buffer) < size:
                return
            request, self.buffer = self.buffer[:size], self.buffer[size:]
            self.seen["requests"] += 1
            self.seen["bytes"] += size
            self.transport.write(answer(head, request[end + 4 :]))


def answer(head: bytes, body: bytes) -> bytes:
    content: dict[str, Any] = {}
    if b"batchexecutestatement" in head:
        content = {"Responses": [{"TableName": "fragments"}] * body.count(b'"Statement"')}
    text = json.dumps(content).encode()
    lines = (
        "HTTP/1.1 200 OK",
        "Content-Type: application/x-amz-json-1.0",
        f"Content-Length: {len(text)}",
        f"x-amz-crc32: {zlib.crc32(text)}",
        "x-amzn-RequestId: 7K1QFJ4KQ2BKFPTTG2M0QFC7JRVV4KQNSO5AEMVJF66Q9ASUAAJG",
    )
    return "\r\n".join((*lines, "", "")).encode() + text


def serve(pipe: Connection) -> None:
    """Answer until the parent is gone; whatever it sends is answered with what was seen since."""
    seen = {"requests": 0, "bytes": 0}

    def report() -> None:
        pipe.recv()
        pipe.send(dict(seen))
        seen.update(requests=0, bytes=0)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Answering(seen), "127.0.0.1", 0)
        loop.add_reader(pipe.fileno(), report)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@dataclass
class Bench:
    client: Any
    pipe: Connection
    units: dict[str, float] = field(default_factory=dict)

    def put(self, stored: StoredFragment) -> None:
        """The write that the batches are compared with."""
        self.client.put_item(
            TableName="fragments",
            Item={
                "fragment_key": {"S": stored.key},
                "state": {"B": pack(stored.fragment)},
                "cursor": {"S": stored.cursor},
                "version": {"N": str(stored.version + 1)},
            },
            ConditionExpression="#version = :version",
            ExpressionAttributeNames={"#version": "version"},
            ExpressionAttributeValues={":version": {"N": str(stored.version)}},
        )

    def put_side_by_side(self, fragments: Sequence[StoredFragment]) -> None:
        side_by_side(self.put, fragments)

    def put_in_turn(self, fragments: Sequence[StoredFragment]) -> None:
        for stored in fragments:
            self.put(stored)

    def write_statements(self, fragments: Sequence[StoredFragment]) -> None:
        assert not DynamoDbFragments(self.client, "fragments").write(fragments)

    def count_units(self, params: dict[str, Any], model: OperationModel, **_: object) -> None:
        for name, units in dynamodb_units(model.name, params, {}).items():
            self.units[name] = self.units.get(name, 0) + units

    def measure(self, write: Callable[[Sequence[StoredFragment]], None], fragments: Sequence[StoredFragment]) -> str:
        """One line: what a fragment costs in this way."""
        count = len(fragments)
        self._seen()
        self.units.clear()
        self.client.meta.events.register("provide-client-params.dynamodb", self.count_units)
        write(fragments)
        self.client.meta.events.unregister("provide-client-params.dynamodb", self.count_units)
        seen, units = self._seen(), sum(self.units.values())
        best = min(self._cpu_s(write, fragments) for _ in range(max(RUNS_MIN, RUNS_OF_FRAGMENTS // count)))
        figures = (f"{best / count * 1e6:>10,.0f}", f"{seen['bytes'] / count:>8,.0f}", f"{units / count:>8.2f}")
        return f"{seen['requests']:>9}" + "".join(figures)

    def _seen(self) -> dict[str, int]:
        self.pipe.send("?")
        seen: dict[str, int] = self.pipe.recv()
        return seen

    @staticmethod
    def _cpu_s(write: Callable[[Sequence[StoredFragment]], None], fragments: Sequence[StoredFragment]) -> float:
        begin = process_time()
        write(fragments)
        return process_time() - begin


def visitors(count: int) -> list[StoredFragment]:
    """Fragments of a shop's visitors as a batch changes them."""
    return [
        StoredFragment(
            f"user_id:{number:032x}|anonymous_id:{number:032x}",
            fold_events(NEW_FRAGMENT, shop_events(number, 0, EVENTS_PER_FRAGMENT)),
            f"49{number:054d}",
            3,
        )
        for number in range(count)
    ]


def main() -> None:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    process.start()
    client = boto3.client(
        "dynamodb",
        region_name="eu-central-1",
        aws_access_key_id="benchmark",
        aws_secret_access_key="benchmark",  # noqa: S106 - nobody checks it
        endpoint_url=f"http://127.0.0.1:{here.recv()}",
        config=client_config(),
    )
    bench = Bench(client, here)
    ways = {
        "PutItem side by side": bench.put_side_by_side,
        "PutItem one after another": bench.put_in_turn,
        "batches of statements": bench.write_statements,
    }
    fragments = visitors(max(COUNTS))
    states = [len(pack(stored.fragment)) for stored in fragments]
    print(f"states of {min(states)} to {max(states)} bytes; per fragment: client's CPU µs, bytes sent, write units\n")
    print(f"{'fragments':>9}  {'way':26}{'requests':>9}{'CPU µs':>10}{'bytes':>8}{'units':>8}")
    for write in ways.values():
        write(fragments[:50])
    for count in COUNTS:
        for name, write in ways.items():
            print(f"{count:>9,}  {name:26}{bench.measure(write, fragments[:count])}", flush=True)
    process.terminate()


if __name__ == "__main__":
    main()
