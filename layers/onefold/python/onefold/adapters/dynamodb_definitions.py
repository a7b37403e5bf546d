"""The definitions: the current version of each in one partition that is read whole, every version in the history."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from onefold.domain.definition import Definition
from onefold.domain.errors import Unavailable, VersionConflict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import PutTypeDef, TransactWriteItemTypeDef

T = TypeVar("T")

CURRENT: Final = "current"
HISTORY: Final = "history"
MAX_AGE_S: Final = 60.0
RETRY_S: Final = 5.0  # after a failed read, the old definitions are served this long before the next try
PAGES_MAX: Final = 100  # of 1 MB each


class DynamoDbDefinitions:
    """The definitions table."""

    def __init__(self, client: "DynamoDBClient", table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def load_current(self, kind: str = "") -> tuple[Definition, ...]:
        """Every definition in its current version, or those of one kind, in order of their names. One Query a page.

        Raises:
            Unavailable: The table does not answer.
        """
        return self._load(CURRENT, f"{kind}/" if kind else "")

    def load_history(self, name: str) -> tuple[Definition, ...]:
        """Every version of one definition, oldest first.

        Raises:
            Unavailable: The table does not answer.
        """
        return self._load(HISTORY, f"{name}/")

    def put_current(self, name: str, body: bytes, *, after_version: int) -> Definition:
        """Make this body the current version, and add it to the history, both or neither.

        Args:
            name: `source/web`.
            body: JSON.
            after_version: The version that it replaces, 0 for none.

        Raises:
            VersionConflict: Somebody else has replaced that version.
            Unavailable: The table does not answer.
        """
        definition = Definition(name, body, after_version + 1)
        current = _item(CURRENT, name, definition)
        history = _item(HISTORY, f"{name}/{definition.version:010d}", definition)
        put: PutTypeDef = {"TableName": self._table_name, "Item": current}
        if after_version:
            put["ConditionExpression"] = "version = :after"
            put["ExpressionAttributeValues"] = {":after": {"N": str(after_version)}}
        else:
            put["ConditionExpression"] = "attribute_not_exists(version)"
        writes: list[TransactWriteItemTypeDef] = [
            {"Put": put},
            {"Put": {"TableName": self._table_name, "Item": history}},
        ]
        try:
            self._client.transact_write_items(TransactItems=writes)
        except ClientError as error:
            reasons = error.response.get("CancellationReasons", [])
            if any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons):
                raise VersionConflict(f"{name} is no longer at version {after_version}; apply again") from error
            raise Unavailable("The definitions cannot be written") from error
        except BotoCoreError as error:
            raise Unavailable("The definitions cannot be written") from error
        return definition

    def _load(self, scope: str, prefix: str) -> tuple[Definition, ...]:
        query: dict[str, Any] = {
            "TableName": self._table_name,
            "KeyConditionExpression": "#scope = :scope",
            "ExpressionAttributeNames": {"#scope": "scope"},
            "ExpressionAttributeValues": {":scope": {"S": scope}},
            "ConsistentRead": True,
        }
        if prefix:
            query["KeyConditionExpression"] += " AND begins_with(#name, :prefix)"
            query["ExpressionAttributeNames"]["#name"] = "name"
            query["ExpressionAttributeValues"][":prefix"] = {"S": prefix}
        found: list[Definition] = []
        for _ in range(PAGES_MAX):
            try:
                page = self._client.query(**query)
            except (ClientError, BotoCoreError) as error:
                raise Unavailable("The definitions cannot be read") from error
            found += [_definition(item) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return tuple(found)
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        raise Unavailable(f"The definitions have more than {PAGES_MAX} pages")


class CachedDefinitions(Generic[T]):
    """What is made of the definitions, for a minute; while they cannot be read again, what was made of the old."""

    def __init__(
        self,
        load: Callable[[], Iterable[Definition]],
        build: Callable[[Iterable[Definition]], T],
        *,
        now: Callable[[], float],
    ) -> None:
        """Take how to read, what to make of it (once for each reading), and a clock in seconds that never runs back."""
        self._load = load
        self._build = build
        self._now = now
        self._built: tuple[T] | None = None
        self._read_at = 0.0
        self._failed_at: float | None = None

    def get(self, *, max_age_s: float = MAX_AGE_S) -> T:
        """What was made of the definitions at most `max_age_s` seconds ago, if they can be read.

        Raises:
            Unavailable: They have never been read, and cannot be.
        """
        now = self._now()
        rests = self._failed_at is not None and now - self._failed_at < RETRY_S
        if self._built is None or (now - self._read_at >= max_age_s and not rests):
            try:
                self._built = (self._build(self._load()),)
                self._read_at, self._failed_at = now, None
            except Unavailable:
                if self._built is None:
                    raise
                self._failed_at = now
        return self._built[0]


def _item(scope: str, name: str, definition: Definition) -> dict[str, Any]:
    return {
        "scope": {"S": scope},
        "name": {"S": name},
        "body": {"B": definition.body},
        "version": {"N": str(definition.version)},
    }


def _definition(item: dict[str, Any]) -> Definition:
    name, version = item["name"]["S"], int(item["version"]["N"])
    if item["scope"]["S"] == HISTORY:
        name = name.rpartition("/")[0]
    return Definition(name, bytes(item["body"]["B"]), version)
