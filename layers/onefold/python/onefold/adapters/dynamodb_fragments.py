"""Fragments in DynamoDB: one binary attribute each, written under the version that was read, many in a request."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from onefold.adapters.aws_requests import passing_failures, side_by_side
from onefold.adapters.compression import pack, unpack
from onefold.adapters.dynamodb_batches import WRITE_ITEMS_MAX, next_attempt, read_items
from onefold.domain.errors import Unavailable, VersionConflict
from onefold.domain.fragment import Fragment, StoredFragment
from onefold.domain.lighten import lighten

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STATE_BYTES_MAX: Final = 380_000  # DynamoDB takes 400 KB with keys and names
REQUEST_BYTES_MAX: Final = 1_000_000  # of states; what is in flight side by side stays small

# BatchWriteItem knows no condition; a batch of statements does, and answers each of them by itself.
INSERT: Final = """INSERT INTO "{}" VALUE {{'fragment_key': ?, 'state': ?, 'cursor': ?, 'version': ?}}"""
UPDATE: Final = """UPDATE "{}" SET "state" = ? SET "cursor" = ? SET "version" = ? \
WHERE "fragment_key" = ? AND "version" = ?"""
CONDITION_FAILED: Final = frozenset(["ConditionalCheckFailed", "DuplicateItem"])
PASSING_CODES: Final = frozenset(
    [
        "InternalServerError", "ProvisionedThroughputExceeded", "RequestLimitExceeded", "ThrottlingError",
        "TransactionConflict",
    ]
)  # fmt: skip
Statement = tuple[str, dict[str, Any]]  # fragment key, and a member of the request


class DynamoDbFragments:
    """The table `fragments`: `fragment_key` → `state`, `cursor`, `version`."""

    def __init__(self, client: "DynamoDBClient", table_name: str, *, is_consistent: bool = True) -> None:
        """Take the table.

        Args:
            client: Its connection pool bounds how many requests run side by side.
            table_name: As deployed.
            is_consistent: Whether reads see every acknowledged write, for twice the read units. Who folds or
                evaluates needs it; who only shows a profile does not.
        """
        self._client, self._table_name, self._is_consistent = client, table_name, is_consistent
        self._insert, self._update = INSERT.format(table_name), UPDATE.format(table_name)

    def load(self, keys: Collection[str]) -> dict[str, StoredFragment]:
        """Fragment key → fragment, for those that exist.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        items = read_items(self._client, self._table_name, "fragment_key", keys, is_consistent=self._is_consistent)
        return {key: _fragment(key, item) for key, item in items.items()}

    def write(self, fragments: Sequence[StoredFragment]) -> Mapping[str, Unavailable]:
        """Store each as `version + 1` if the stored version is still `version`; returns those that were not written.

        A write whose answer was lost fails its own condition when it is sent again: it comes back as a conflict, and
        who reads again finds its work done.

        Cost: one conditional statement a fragment, WRITE_ITEMS_MAX in a request, requests side by side.
        """
        outcomes = side_by_side(self._execute, _requests(fragments, self._statement))
        return {key: reason for refused in outcomes for key, reason in refused.items()}

    def _statement(self, stored: StoredFragment, state: bytes) -> dict[str, Any]:
        key, cursor, binary = {"S": stored.key}, {"S": stored.cursor}, {"B": state}
        version = {"N": str(stored.version + 1)}
        if stored.version == 0:
            return {"Statement": self._insert, "Parameters": [key, binary, cursor, version]}
        read = {"N": str(stored.version)}
        return {"Statement": self._update, "Parameters": [binary, cursor, version, key, read]}

    def _execute(self, statements: Sequence[Statement]) -> dict[str, Unavailable]:
        """Run statements of one request; only those that DynamoDB throttled or failed are sent again."""
        refused: dict[str, Unavailable] = {}
        attempt, remaining = 0, statements
        while remaining:
            try:
                with passing_failures("DynamoDB"):
                    answer = self._client.batch_execute_statement(Statements=[each for _, each in remaining])  # type: ignore[misc]
                passing, conflicts = _sort(remaining, answer["Responses"])
                refused |= conflicts
                has_progressed = len(passing) < len(remaining)
                remaining = passing
                attempt = next_attempt(attempt, has_progressed=has_progressed) if remaining else 0
            except Unavailable as error:
                return refused | {key: error for key, _ in remaining}
        return refused


def _sort(
    statements: Sequence[Statement], responses: Sequence[Any]
) -> tuple[list[Statement], dict[str, VersionConflict]]:
    """The statements that may succeed as they are, and those that somebody else forestalled.

    Raises:
        ClientError: A statement failed for another reason; that is a defect, as it would be of a request.
    """
    passing: list[Statement] = []
    conflicts: dict[str, VersionConflict] = {}
    for statement, response in zip(statements, responses, strict=True):
        error = response.get("Error")
        if error is None:
            continue
        if error["Code"] in CONDITION_FAILED:
            conflicts[statement[0]] = VersionConflict("Another writer changed the fragment; the record will be retried")
        elif error["Code"] in PASSING_CODES:
            passing.append(statement)
        else:
            raise ClientError({"Error": error}, "BatchExecuteStatement")
    return passing, conflicts


def _requests(fragments: Sequence[StoredFragment], statement: Any) -> Iterator[list[Statement]]:
    """Statements by request: at most WRITE_ITEMS_MAX, of at most REQUEST_BYTES_MAX where it is more than one."""
    request: list[Statement] = []
    size = 0
    for stored in fragments:
        state = _state(stored.fragment)
        if request and (len(request) == WRITE_ITEMS_MAX or size + len(state) > REQUEST_BYTES_MAX):
            yield request
            request, size = [], 0
        request.append((stored.key, statement(stored, state)))
        size += len(state)
    if request:
        yield request


def _state(fragment: Fragment) -> bytes:
    """Pack a fragment; one that is too big for an item would stop its shard, so it lets go of what is bulky."""
    state = pack(fragment)
    while len(state) > STATE_BYTES_MAX:
        fragment = lighten(fragment)
        state = pack(fragment)
    return state


def _fragment(key: str, item: Mapping[str, Any]) -> StoredFragment:
    return StoredFragment(key, unpack(item["state"]["B"], Fragment), item["cursor"]["S"], int(item["version"]["N"]))
