"""What AWS would bill: counts requests and capacity units as the services do, and multiplies with list prices."""

import json
import math
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

PRICES: Final = Path(__file__).with_name("prices.json")
KIBIBYTE: Final = 1024
GIGABYTE: Final = 10**9
HOURS_PER_MONTH: Final = 730
VCPU_MEMORY_MB: Final = 1769  # at this size a function has one whole vCPU, below it a share
KINESIS_KEPT_DAYS: Final = 6  # of the seven, the first is free
# A queue's event source keeps five long polls of 20 seconds open, messages or not.
SQS_IDLE_REQUESTS_PER_HOUR: Final = 5 * 3600 // 20

_PARAMETERS: Final = re.compile(r"""(\w+)["']?\s*[:=]\s*\?""")  # the attribute that a parameter of PartiQL stands for

Usage = Counter[str]  # name of a price → how much of it


@dataclass(frozen=True, slots=True)
class Price:
    """A list price: `usd` for each `per` units."""

    usd: Decimal
    per: int
    label: str
    page: str


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices of one region at one date."""

    region: str
    as_of: str
    prices: Mapping[str, Price]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill."""

    label: str
    quantity: float
    usd: Decimal


def load_prices() -> PriceList:
    document = json.loads(PRICES.read_text())
    prices = {
        name: Price(Decimal(price["usd"]), price["per"], price["label"], price["page"])
        for name, price in document["prices"].items()
    }
    return PriceList(document["region"], document["as_of"], prices)


def bill(usage: Mapping[str, float], prices: PriceList) -> list[Line]:
    """Price a usage, dearest line first.

    Raises:
        KeyError: The usage counts something that has no price.
    """
    lines = []
    for name, quantity in usage.items():
        price = prices.prices[name]
        lines.append(Line(price.label, quantity, price.usd * Decimal(repr(float(quantity))) / price.per))
    return sorted(lines, key=lambda line: line.usd, reverse=True)


def total(lines: Iterable[Line]) -> Decimal:
    return sum((line.usd for line in lines), Decimal(0))


class Meter:
    """Counts what requests use up. Call it with each request and its response; any thread may.

    Attributes:
        by_function: Function, or "" for a caller outside → usage.
    """

    def __init__(self) -> None:
        self.by_function: dict[str, Usage] = {}
        self._lock = threading.Lock()

    def __call__(
        self, function: str | None, service: str, operation: str, params: Mapping[str, Any], response: Mapping[str, Any]
    ) -> None:
        used = request_usage(service, operation, params, response)
        with self._lock:
            self.by_function.setdefault(function or "", Counter()).update(used)

    def usage(self) -> Usage:
        """What all functions used; requests of the outside (setting up, looking on) are not part of it."""
        with self._lock:
            return sum((used for function, used in self.by_function.items() if function), Counter())


def request_usage(
    service: str, operation: str, params: Mapping[str, Any], response: Mapping[str, Any]
) -> dict[str, float]:
    """What one request uses up, by the rounding rules of its service; nothing where the request is free."""
    if service == "dynamodb":
        return dynamodb_units(operation, params, response)
    if service == "kinesis" and operation == "PutRecords":
        return kinesis_bytes(params["Records"])
    if service == "s3" and operation != "DeleteObject":
        return {"s3_puts": 1} if operation.startswith(("Put", "Copy", "List", "Create")) else {"s3_gets": 1}
    if service == "events" and operation == "PutEvents":
        return {"eventbridge_events": sum(_chunks(len(entry["Detail"]), 64 * KIBIBYTE) for entry in params["Entries"])}
    return {"sqs_requests": 1} if service == "sqs" else {}


def kinesis_bytes(records: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Each record counts in whole kilobytes, its partition key included."""
    size = sum(_chunks(len(record["Data"]) + len(record["PartitionKey"]), KIBIBYTE) * KIBIBYTE for record in records)
    return {"kinesis_gb_in": size / GIGABYTE}


def dynamodb_units(operation: str, params: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, float]:
    """Request units: writes in whole KB, reads in whole 4 KB at half price unless consistent, transactions double.

    An item that is looked for and not there costs as much as the smallest. What an update leaves behind, and what a
    condition looks at, is not in the request; they count by the part that is, so they are lower bounds.
    Source: AWS, "DynamoDB read and write operations".
    """
    if operation in ("PutItem", "UpdateItem", "DeleteItem"):
        return {"dynamodb_write_units": _write_units(params)}
    if operation == "BatchExecuteStatement":
        return {"dynamodb_write_units": sum(map(_statement_units, params["Statements"]))}
    if operation == "BatchWriteItem":
        writes = (write for writes in params["RequestItems"].values() for write in writes)
        return {"dynamodb_write_units": sum(_write_units(next(iter(write.values()))) for write in writes)}
    if operation == "TransactWriteItems":
        actions = (next(iter(item.values())) for item in params["TransactItems"])
        return {"dynamodb_write_units": sum(2 * _write_units(action) for action in actions)}
    if operation == "GetItem":
        return {"dynamodb_read_units": _read_units(response.get("Item", {}), consistent=_is_consistent(params))}
    if operation == "BatchGetItem":
        return {"dynamodb_read_units": _batch_read_units(params, response)}
    if operation in ("Query", "Scan"):
        size = sum(item_bytes(item) for item in response.get("Items", []))
        return {"dynamodb_read_units": _read_share(size, consistent=_is_consistent(params))}
    return {}


def _write_units(write: Mapping[str, Any]) -> int:
    parts = (write.get("Item"), write.get("Key"), write.get("ExpressionAttributeValues"))
    return _chunks(sum(item_bytes(part) for part in parts if part), KIBIBYTE)


def _statement_units(statement: Mapping[str, Any]) -> int:
    """A PartiQL statement that writes costs what its item does; an attribute that is also compared counts once."""
    names = _PARAMETERS.findall(statement["Statement"])
    return _chunks(item_bytes(dict(zip(names, statement["Parameters"], strict=True))), KIBIBYTE)


def _batch_read_units(params: Mapping[str, Any], response: Mapping[str, Any]) -> float:
    units = 0.0
    for table, request in params["RequestItems"].items():
        consistent = _is_consistent(request)
        found = response.get("Responses", {}).get(table, [])
        unread = response.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
        missing = len(request["Keys"]) - len(found) - len(unread)
        units += sum(_read_units(item, consistent=consistent) for item in found)
        units += missing * _read_units({}, consistent=consistent)
    return units


def _is_consistent(request: Mapping[str, Any]) -> bool:
    return bool(request.get("ConsistentRead", False))


def _read_units(item: Mapping[str, Any], *, consistent: bool) -> float:
    return _read_share(item_bytes(item), consistent=consistent)


def _read_share(size: int, *, consistent: bool) -> float:
    return _chunks(size, 4 * KIBIBYTE) * (1 if consistent else 0.5)


def _chunks(size: int, chunk: int) -> int:
    return max(1, math.ceil(size / chunk))


def item_bytes(item: Mapping[str, Any]) -> int:
    """An item's size as DynamoDB counts it: names and values.

    Args:
        item: Attribute values typed as a client has them, or plain as a resource has them.
    """
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


_TYPES: Final = frozenset(["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"])


def _value_bytes(value: Any) -> int:  # noqa: ANN401 - a document
    if isinstance(value, Mapping) and len(value) == 1 and (kind := next(iter(value))) in _TYPES:
        return _number_bytes(value[kind]) if kind == "N" else _value_bytes(value[kind])
    if isinstance(value, bool) or value is None:
        return 1
    if isinstance(value, int | Decimal):
        return _number_bytes(str(value))
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping):
        return 3 + sum(1 + len(name.encode()) + _value_bytes(part) for name, part in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return 3 + sum(1 + _value_bytes(part) for part in value)
    return len(bytes(value))


def _number_bytes(text: str) -> int:
    digits = len(text.strip("-").replace(".", "").strip("0"))
    return 1 + math.ceil(digits / 2) + text.startswith("-")


@dataclass(frozen=True, slots=True)
class FunctionRun:
    """What a function was seen to do."""

    invocations: int
    cpu_s: float
    memory_mb: int


def lambda_usage(runs: Iterable[FunctionRun]) -> dict[str, float]:
    """Requests, and GB-seconds as a lower bound: processor time alone, as if no request ever waited for an answer."""
    gb_s, requests = 0.0, 0
    for run in runs:
        duration_s = run.cpu_s * max(1.0, VCPU_MEMORY_MB / run.memory_mb)
        gb_s += duration_s * run.memory_mb / KIBIBYTE
        requests += run.invocations
    return {"lambda_requests": requests, "lambda_gb_s": gb_s}


def stream_usage(usage: Mapping[str, float], *, consumers: int) -> dict[str, float]:
    """What reading and keeping a stream adds to what was written to it."""
    written = usage.get("kinesis_gb_in", 0.0)
    kept_months = KINESIS_KEPT_DAYS * 24 / HOURS_PER_MONTH
    return {"kinesis_gb_out": written * consumers, "kinesis_gb_kept": written * kept_months}


def standing_usage(*, streams: int, queues: int, keys: int, secrets: int, alarms: int) -> dict[str, float]:
    """What a month costs before the first event: what is billed by time and not by use."""
    return {
        "kinesis_stream_hours": streams * HOURS_PER_MONTH,
        "sqs_requests": queues * SQS_IDLE_REQUESTS_PER_HOUR * HOURS_PER_MONTH,
        "kms_keys": keys,
        "secrets": secrets,
        "alarms": alarms,
    }


def times(usage: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: quantity * factor for name, quantity in usage.items()}
