"""The identity graph in DynamoDB: who owns an identifier, and the profiles' heads; what links is one transaction."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from botocore.exceptions import ClientError

from onefold.adapters.aws_requests import ATTEMPTS_MAX, error_code, passing_failures, pause_before
from onefold.adapters.compression import pack, unpack
from onefold.adapters.dynamodb_batches import read_items
from onefold.domain.decision import DecisionRecord
from onefold.domain.errors import Unavailable, VersionConflict
from onefold.domain.head import Head
from onefold.domain.identity import GraphChanges, IdentityChange

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from onefold.adapters.dynamodb_decisions import DynamoDbDecisions

TRANSACTION_ITEMS_MAX: Final = 100  # DynamoDB's limit
CONDITION_FAILED: Final = frozenset(["ConditionalCheckFailed", "ConditionalCheckFailedException"])
# Reasons for which DynamoDB cancels a transaction that may be sent again as it is.
PASSING_REASONS: Final = frozenset(
    ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"]
)


class DynamoDbGraph:
    """The tables `identities` (`identifier_key` → `profile_id`) and `heads` (`profile_id` → `body`, `version`).

    Every read is consistent: linking decides on what it reads, and a reader who finds an identifier finds its head.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        identities_table_name: str,
        heads_table_name: str,
        decisions: "DynamoDbDecisions | None" = None,
    ) -> None:
        """Take the tables; who carries out decisions also takes where they are recorded."""
        self._client, self._identities, self._heads = client, identities_table_name, heads_table_name
        self._decisions = decisions

    def owners(self, keys: Collection[str]) -> dict[str, str]:
        """Identifier key → profile id, for those that are owned.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        items = read_items(self._client, self._identities, "identifier_key", keys, is_consistent=True)
        return {key: item["profile_id"]["S"] for key, item in items.items()}

    def heads(self, profile_ids: Collection[str]) -> dict[str, Head]:
        """Profile id → head, for those that exist, redirects included as they are.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        items = read_items(self._client, self._heads, "profile_id", profile_ids, is_consistent=True)
        return {profile_id: unpack(item["body"]["B"], Head) for profile_id, item in items.items()}

    def write(self, head: Head) -> None:
        """Store as `version + 1` if the stored version is still `version`.

        Raises:
            VersionConflict: Somebody else wrote first.
            Unavailable: Throttled or unreachable.
        """
        try:
            with passing_failures("DynamoDB"):
                self._client.put_item(**self._head_put(head))
        except ClientError as error:
            if error_code(error) not in CONDITION_FAILED:
                raise
            raise VersionConflict("Another writer changed the profile; the batch will be retried") from error

    def decision(self, decision_id: str) -> DecisionRecord | None:
        """The record of a decision that was carried out; None too where this graph records none.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        return self._decisions.find(decision_id) if self._decisions is not None else None

    def commit(self, changes: GraphChanges, record: DecisionRecord | None = None) -> None:
        """Write all changes, and the decision that they carry out, or none.

        A request that was applied and whose answer was lost fails its own conditions when it is sent again. That is a
        conflict like any other: the caller reads again and finds its work done.

        Raises:
            VersionConflict: Somebody else changed one of them since it was read, or the decision is recorded already.
            Unavailable: Throttled or unreachable.
            ValueError: More changes than one transaction takes; the use case must commit in smaller steps. Or a
                decision, and no place to record it.
        """
        puts = [self._head_put(head) for head in changes.heads]
        puts += [self._identity_put(key, change) for key, change in changes.identities.items()]
        puts += self._record_puts(record)
        items: list[Any] = [{"Put": put} for put in puts]
        items += [{"ConditionCheck": self._head_check(*check)} for check in changes.checks.items()]
        items += [{"ConditionCheck": self._unowned_check(key)} for key in changes.unowned]
        if len(items) > TRANSACTION_ITEMS_MAX:
            raise ValueError(f"{len(items)} changes exceed the {TRANSACTION_ITEMS_MAX} of one transaction")
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                with passing_failures("DynamoDB"):
                    self._client.transact_write_items(TransactItems=items)
            except ClientError as error:
                _raise_unless_passing(error)
            else:
                return
            if attempt < ATTEMPTS_MAX:
                pause_before(attempt)
        raise Unavailable("DynamoDB kept cancelling the transaction; the batch will be retried")

    def _record_puts(self, record: DecisionRecord | None) -> list[Any]:
        if record is None:
            return []
        if self._decisions is None:
            raise ValueError("This graph was made without a place to record decisions")
        return self._decisions.puts(record)

    def _head_check(self, profile_id: str, version: int) -> Any:
        return {"TableName": self._heads, "Key": {"profile_id": {"S": profile_id}}, **_version_condition(version)}

    def _unowned_check(self, key: str) -> Any:
        return {
            "TableName": self._identities,
            "Key": {"identifier_key": {"S": key}},
            "ConditionExpression": "attribute_not_exists(identifier_key)",
        }

    def _head_put(self, head: Head) -> Any:
        stored = msgspec.structs.replace(head, version=head.version + 1)
        redirect = {"merged_into": {"S": head.merged_into}} if head.merged_into else {}
        return {
            "TableName": self._heads,
            "Item": {
                "profile_id": {"S": head.profile_id},
                "body": {"B": pack(stored)},
                "version": {"N": str(stored.version)},
                **redirect,
            },
            **_version_condition(head.version),
        }

    def _identity_put(self, key: str, change: IdentityChange) -> Any:
        condition: dict[str, Any] = {
            "ConditionExpression": "attribute_not_exists(#key)",
            "ExpressionAttributeNames": {"#key": "identifier_key"},
        }
        if change.expected is not None:
            condition = {
                "ConditionExpression": "profile_id = :expected",
                "ExpressionAttributeValues": {":expected": {"S": change.expected}},
            }
        return {
            "TableName": self._identities,
            "Item": {"identifier_key": {"S": key}, "profile_id": {"S": change.profile_id}},
            **condition,
        }


def _version_condition(version: int) -> dict[str, Any]:
    """A condition that holds while the head's stored version is `version`; 0 means that nothing is stored."""
    if version == 0:
        return {"ConditionExpression": "attribute_not_exists(#key)", "ExpressionAttributeNames": {"#key": "profile_id"}}
    return {
        "ConditionExpression": "#version = :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":version": {"N": str(version)}},
    }


def head_of_image(body: bytes | None) -> Head | None:
    """The head that a stream image's `body` holds; None for an image that is not there."""
    return None if body is None else unpack(body, Head)


def _raise_unless_passing(error: ClientError) -> None:
    """Return where the same transaction may succeed as it is."""
    response: Mapping[str, Any] = error.response
    reasons = {str(reason.get("Code", "None")) for reason in response.get("CancellationReasons", [])}
    if error_code(error) == "TransactionCanceledException":
        if reasons & CONDITION_FAILED:
            raise VersionConflict("Another writer changed a profile; the batch will be read again") from error
        if reasons and reasons <= PASSING_REASONS:
            return
    raise error
