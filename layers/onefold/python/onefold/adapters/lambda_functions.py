"""Deployed functions, invoked with one record of a stream as their event source would."""

import json
from collections.abc import Mapping
from typing import Any

from onefold.adapters.aws_requests import passing_failures
from onefold.domain.errors import Unavailable


class LambdaFunctions:
    """`Functions` in AWS Lambda."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def deliver(self, function_name: str, record: Mapping[str, Any]) -> None:
        """Invoke a function with a batch of this one record.

        Raises:
            Unavailable: It failed, or reports the record as failed; or Lambda is throttling or out of reach.
        """
        with passing_failures("Lambda"):
            answer = self._client.invoke(FunctionName=function_name, Payload=json.dumps({"Records": [record]}).encode())
        response = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError") or (response or {}).get("batchItemFailures"):
            raise Unavailable(f"{function_name} failed on the record again: look at its log")
