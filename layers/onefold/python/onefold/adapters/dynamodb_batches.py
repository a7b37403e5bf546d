"""DynamoDB's batched reads and writes, whole: what a call leaves unprocessed is asked for again, within a bound."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from onefold.adapters.aws_requests import ATTEMPTS_MAX, passing_failures, pause_before
from onefold.domain.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Element = TypeVar("Element")

READ_KEYS_MAX: Final = 100  # DynamoDB's limits of one call
WRITE_ITEMS_MAX: Final = 25


def chunks(elements: Collection[Element], size: int) -> Iterator[list[Element]]:
    iterator = iter(elements)
    while chunk := list(islice(iterator, size)):
        yield chunk


def read_items(
    client: "DynamoDBClient", table_name: str, key_name: str, keys: Collection[str], *, is_consistent: bool
) -> dict[str, dict[str, Any]]:
    """Key → item in DynamoDB's types, for those that exist; repeated keys are read once.

    Raises:
        Unavailable: Throttled beyond ATTEMPTS_MAX attempts that brought nothing, or unreachable.
    """
    found = {}
    for chunk in chunks(dict.fromkeys(keys), READ_KEYS_MAX):
        for item in _read(client, table_name, [{key_name: {"S": key}} for key in chunk], is_consistent=is_consistent):
            found[item[key_name]["S"]] = item
    return found


def _read(
    client: "DynamoDBClient", table_name: str, keys: Sequence[dict[str, Any]], *, is_consistent: bool
) -> Iterator[dict[str, Any]]:
    attempt, remaining = 0, list(keys)
    while remaining:
        with passing_failures("DynamoDB"):
            answer: Any = client.batch_get_item(
                RequestItems={table_name: {"Keys": remaining, "ConsistentRead": is_consistent}}
            )
        items: list[dict[str, Any]] = answer["Responses"].get(table_name, [])
        yield from items
        remaining = list(answer.get("UnprocessedKeys", {}).get(table_name, {}).get("Keys", []))
        attempt = next_attempt(attempt, has_progressed=bool(items)) if remaining else 0


def write_items(client: "DynamoDBClient", table_name: str, items: Sequence[dict[str, Any]]) -> None:
    """Put items, each replacing what has its key; their keys must differ.

    Raises:
        Unavailable: Not all were written.
    """
    for chunk in chunks(items, WRITE_ITEMS_MAX):
        attempt = 0
        remaining: list[Any] = [{"PutRequest": {"Item": item}} for item in chunk]
        while remaining:
            with passing_failures("DynamoDB"):
                answer = client.batch_write_item(RequestItems={table_name: remaining})
            unprocessed = list(answer.get("UnprocessedItems", {}).get(table_name, []))
            has_progressed = len(unprocessed) < len(remaining)
            attempt = next_attempt(attempt, has_progressed=has_progressed) if unprocessed else 0
            remaining = unprocessed


def next_attempt(attempt: int, *, has_progressed: bool) -> int:
    """Pause before asking again; attempts that bring something count anew.

    Raises:
        Unavailable: ATTEMPTS_MAX attempts in a row brought nothing.
    """
    attempt = 1 if has_progressed else attempt + 1
    if attempt >= ATTEMPTS_MAX:
        raise Unavailable("DynamoDB is throttling; the batch will be retried")
    pause_before(attempt)
    return attempt
