"""The live tables read from end to end, page by page; only reconcile does that."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onefold.adapters.aws_requests import passing_failures
from onefold.adapters.compression import unpack
from onefold.domain.head import Head

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoDbScans:
    """The tables `fragments`, `identities` and `heads`.

    Cost: half a read unit for each 4 KB of the table; of fragments too, though only their keys are given.
    """

    def __init__(
        self, client: "DynamoDBClient", fragments_table_name: str, identities_table_name: str, heads_table_name: str
    ) -> None:
        self._client = client
        self._fragments, self._identities, self._heads = fragments_table_name, identities_table_name, heads_table_name

    def fragment_keys(self) -> Iterator[Collection[str]]:
        """Keys of all fragments.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        for items in self._pages(self._fragments, "fragment_key"):
            yield [item["fragment_key"]["S"] for item in items]

    def heads(self) -> Iterator[Sequence[Head]]:
        """All heads, redirects included.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        for items in self._pages(self._heads, "profile_id", "body"):
            yield [unpack(bytes(item["body"]["B"]), Head) for item in items]

    def identities(self) -> Iterator[Mapping[str, str]]:
        """Identifier key → profile id of all identifiers.

        Raises:
            Unavailable: Throttled or unreachable.
        """
        for items in self._pages(self._identities, "identifier_key", "profile_id"):
            yield {item["identifier_key"]["S"]: item["profile_id"]["S"] for item in items}

    def _pages(self, table_name: str, *attributes: str) -> Iterator[Sequence[Mapping[str, Any]]]:
        names = {f"#{name}": name for name in attributes}
        pages = iter(
            self._client.get_paginator("scan").paginate(
                TableName=table_name, ProjectionExpression=", ".join(names), ExpressionAttributeNames=names
            )
        )
        while True:
            with passing_failures("DynamoDB"):
                page = next(pages, None)
            if page is None:
                return
            if page["Items"]:
                yield page["Items"]
