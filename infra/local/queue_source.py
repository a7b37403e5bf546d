"""SQS queues behind event-source mappings: received, delivered and deleted as Lambda does."""

import threading
import time
from collections.abc import Sequence

from moto.sqs.models import Message, Queue, SQSBackend

from infra.local.event_records import failed_identifiers, queue_event
from infra.local.event_sources import Delivering, EventSourceMapping
from infra.local.functions import FunctionError
from infra.local.moto_patch import LOCKS

LOOK_AGAIN_S = 0.1  # at a queue of which no message is visible


class QueueSource:
    """One queue read for one mapping, by as many threads as its concurrency allows."""

    def __init__(self, mapping: EventSourceMapping, backend: SQSBackend, delivering: Delivering) -> None:
        self.mapping = mapping
        self._backend = backend
        self._queue: Queue = backend.get_queue(mapping.source_arn.rpartition(":")[2])
        self._delivering = delivering
        self._in_hand = 0
        self._look_at = 0.0
        self._changed = threading.Condition()
        names = (f"{mapping.function}-{number}" for number in range(mapping.concurrency_max))
        self.threads = [threading.Thread(target=self._run, name=name, daemon=True) for name in names]

    @property
    def pending(self) -> int:
        with self._changed:
            return len(self._queue._messages) + self._in_hand

    def poll(self) -> None:
        if self._queue._messages and time.monotonic() >= self._look_at:
            with self._changed:
                self._changed.notify()

    def wake(self, *, flushing: bool) -> None:
        del flushing  # there is no window to end
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        while not self._delivering.closing.is_set():
            messages = self._receive()
            if messages:
                try:
                    self._deliver(messages)
                finally:
                    with self._changed:
                        self._in_hand -= len(messages)

    def _receive(self) -> list[Message]:
        """What is visible now; otherwise wait until something may be."""
        with self._changed:
            visible_s = int(self._queue.visibility_timeout)  # type: ignore[attr-defined]
            size = self.mapping.batch_size
            messages: list[Message] = self._backend.receive_message(self._queue.name, size, 0, visible_s, ["All"])
            self._in_hand += len(messages)
            if not messages and not self._delivering.closing.is_set():
                self._look_at = time.monotonic() + (LOOK_AGAIN_S if self._queue._messages else 0)
                self._changed.wait()
            return messages

    def _deliver(self, messages: Sequence[Message]) -> None:
        by_id = {message.id: position for position, message in enumerate(messages)}
        events = [queue_event(message, queue_arn=self.mapping.source_arn) for message in messages]
        try:
            response = self._delivering.invoker.invoke(self.mapping.function, {"Records": events}, records=len(events))
            failed = failed_identifiers(response, by_id) if self.mapping.partial_failures else []
        except FunctionError:
            failed = None
        again = set(range(len(messages)) if failed is None else failed)
        with LOCKS["sqs"]:
            for position, message in enumerate(messages):
                if position not in again:
                    self._queue.delete_message(str(message.receipt_handle))
            self._shorten_wait({messages[position].id for position in again})

    def _shorten_wait(self, identifiers: set[str]) -> None:
        """Failed messages stay hidden for the queue's visibility timeout, which passes faster here."""
        visible_ms = int(self._queue.visibility_timeout) * 1000  # type: ignore[attr-defined]
        for message in self._queue._messages:
            if message.id in identifiers:
                message.visible_at -= visible_ms * (1 - self._delivering.time_scale)
