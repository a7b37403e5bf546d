"""Fragments in DynamoDB: one binary attribute a fragment, written under the version that was read."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from onefold.adapters.aws_requests import error_code, passing_failures, side_by_side
from onefold.adapters.compression import pack, unpack
from onefold.adapters.dynamodb_batches import read_items
from onefold.domain.errors import Unavailable, VersionConflict
from onefold.domain.fragment import Fragment, StoredFragment
from onefold.domain.lighten import lighten

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STATE_BYTES_MAX: Final = 380_000  # DynamoDB takes 400 KB with keys and names


class DynamoDbFragments:
    """The table `fragments`: `fragment_key` → `state`, `cursor`, `version`."""

    def __init__(self, client: "DynamoDBClient", table_name: str, *, is_consistent: bool = True) -> None:
        """Take the table.

        Args:
            client: Its connection pool bounds how many writes run side by side.
            table_name: As deployed.
            is_consistent: Whether reads see every acknowledged write, for twice the read units. Who folds or
                evaluates needs it; who only shows a profile does not.
        """
        self._client, self._table_name, self._is_consistent = client, table_name, is_consistent

    def load(self, keys: Collection[str]) -> dict[str, StoredFragment]:
        """Fragment key → fragment, for those that exist.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        items = read_items(self._client, self._table_name, "fragment_key", keys, is_consistent=self._is_consistent)
        return {key: _fragment(key, item) for key, item in items.items()}

    def write(self, fragments: Sequence[StoredFragment]) -> Mapping[str, Unavailable]:
        """Store each as `version + 1` if the stored version is still `version`; returns those that were not written.

        Cost: one conditional write a fragment, side by side; DynamoDB's batched write knows no condition.
        """
        outcomes = side_by_side(self._put, fragments)
        return {key: reason for key, reason in outcomes if reason is not None}

    def _put(self, stored: StoredFragment) -> tuple[str, Unavailable | None]:
        request: dict[str, Any] = {
            "TableName": self._table_name,
            "Item": {
                "fragment_key": {"S": stored.key},
                "state": {"B": _state(stored.fragment)},
                "cursor": {"S": stored.cursor},
                "version": {"N": str(stored.version + 1)},
            },
            **version_condition("fragment_key", stored.version),
        }
        try:
            with passing_failures("DynamoDB"):
                self._client.put_item(**request)
        except Unavailable as error:
            return stored.key, error
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return stored.key, VersionConflict("Another writer changed the fragment; the record will be retried")
        return stored.key, None


def _state(fragment: Fragment) -> bytes:
    """Pack a fragment; one that is too big for an item would stop its shard, so it lets go of what is bulky."""
    state = pack(fragment)
    while len(state) > STATE_BYTES_MAX:
        fragment = lighten(fragment)
        state = pack(fragment)
    return state


def version_condition(key_name: str, version: int) -> dict[str, Any]:
    """A condition that holds while the stored version is `version`; 0 means that nothing is stored."""
    if version == 0:
        return {"ConditionExpression": "attribute_not_exists(#key)", "ExpressionAttributeNames": {"#key": key_name}}
    return {
        "ConditionExpression": "#version = :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":version": {"N": str(version)}},
    }


def _fragment(key: str, item: Mapping[str, Any]) -> StoredFragment:
    return StoredFragment(key, unpack(item["state"]["B"], Fragment), item["cursor"]["S"], int(item["version"]["N"]))
