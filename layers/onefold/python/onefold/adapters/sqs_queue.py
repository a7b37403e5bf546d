"""A queue to which a function gives work back for a later run of its own."""

from typing import Any

from onefold.adapters.aws_requests import passing_failures


class SqsQueue:
    """One queue."""

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client, self._queue_url = client, queue_url

    def send(self, body: str, *, delay_s: int = 0) -> None:
        """Put one message into the queue, to be seen after a while.

        Raises:
            Unavailable: The queue does not take it.
        """
        with passing_failures("SQS"):
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=body, DelaySeconds=delay_s)
