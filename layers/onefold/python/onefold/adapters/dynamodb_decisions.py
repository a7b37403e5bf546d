"""The decisions in DynamoDB: each once under its id and once under its month, written by the graph's transaction."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from onefold.adapters.aws_requests import passing_failures
from onefold.adapters.compression import pack, unpack
from onefold.domain.decision import DecisionRecord
from onefold.use_cases.audit import DecisionPage, place_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FIRST_MONTH: Final = "2025-01"  # nothing was decided before there was anything to decide with
MONTHS_PER_PAGE_MAX: Final = 24
ITEMS_PER_RECORD: Final = 2


class DynamoDbDecisions:
    """The table `decisions` (`scope` and `place` → `body`).

    Two items instead of an index: an index lags behind its table, so that a decision might be missing from the list
    that somebody looks at to see whether it was taken; it costs the same second write, and a right to read more.
    """

    def __init__(self, client: "DynamoDBClient", table_name: str) -> None:
        self._client, self._table_name = client, table_name

    def find(self, decision_id: str) -> DecisionRecord | None:
        """The record of a decision that was carried out; every one that was acknowledged is seen.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        with passing_failures("DynamoDB"):
            item = self._client.get_item(
                TableName=self._table_name, Key=_key(f"id/{decision_id}", "record"), ConsistentRead=True
            ).get("Item")
        return None if item is None else unpack(bytes(item["body"]["B"]), DecisionRecord)

    def newest(self, limit: int, *, before: str, now_ms: int) -> DecisionPage:
        """At most `limit` decisions that come before a place, from now (epoch ms) where it is empty.

        One Query for each month, MONTHS_PER_PAGE_MAX at most; a page of quiet years may hold none and have a next one.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        found: list[DecisionRecord] = []
        # A little ahead, because a writer's clock may be.
        month = _month(int(before[:15]) if before else now_ms + 86_400_000)
        for _ in range(MONTHS_PER_PAGE_MAX):
            found += self._of_month(month, limit + 1 - len(found), before)
            if len(found) > limit:
                return DecisionPage(tuple(found[:limit]), place_of(found[limit - 1]))
            if month <= FIRST_MONTH:
                return DecisionPage(tuple(found))
            month = _month_before(month)
        start = datetime.fromisoformat(f"{month}-01T00:00:00+00:00") + timedelta(days=32)
        return DecisionPage(tuple(found), f"{int(start.replace(day=1).timestamp() * 1_000):015d}/-")

    def puts(self, record: DecisionRecord) -> list[Any]:
        """The writes of a transaction that records a decision, if no other has its id."""
        body = {"body": {"B": pack(record)}}
        by_id = _key(f"id/{record.decision.decision_id}", "record")
        by_month = _key(f"month/{_month(record.decision.at)}", place_of(record))
        return [
            {
                "TableName": self._table_name,
                "Item": {**by_id, **body},
                "ConditionExpression": "attribute_not_exists(#scope)",
                "ExpressionAttributeNames": {"#scope": "scope"},
            },
            {"TableName": self._table_name, "Item": {**by_month, **body}},
        ]

    def _of_month(self, month: str, limit: int, before: str) -> list[DecisionRecord]:
        """The newest decisions of one month, each small enough for one page of 1 MB to hold `limit` of them."""
        query: dict[str, Any] = {
            "TableName": self._table_name,
            "KeyConditionExpression": "#scope = :scope",
            "ExpressionAttributeNames": {"#scope": "scope"},
            "ExpressionAttributeValues": {":scope": {"S": f"month/{month}"}},
            "ConsistentRead": True,
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if before:
            query["KeyConditionExpression"] += " AND #place < :before"
            query["ExpressionAttributeNames"]["#place"] = "place"
            query["ExpressionAttributeValues"][":before"] = {"S": before}
        found: list[DecisionRecord] = []
        while len(found) < limit:
            with passing_failures("DynamoDB"):
                page = self._client.query(**query | {"Limit": limit - len(found)})
            found += [unpack(bytes(item["body"]["B"]), DecisionRecord) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                break
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return found


def _key(scope: str, place: str) -> dict[str, Any]:
    return {"scope": {"S": scope}, "place": {"S": place}}


def _month(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m")


def _month_before(month: str) -> str:
    return (datetime.fromisoformat(f"{month}-01") - timedelta(days=1)).strftime("%Y-%m")
