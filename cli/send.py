"""Sends messages to a collector: gzip batches over several connections, with retries, in the order of the file."""

import gzip
import random
import time
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import httpx
import msgspec

from cli.problems import CommandError

MESSAGES_PER_BATCH_MAX: Final = 250
BATCH_BYTES_MAX: Final = 450_000  # the API's limit is 500 KB
ATTEMPTS_MAX: Final = 8
BACKOFF_BASE_S, BACKOFF_MAX_S = 0.25, 20.0
TIMEOUT_S: Final = 60
GZIP_LEVEL: Final = 3
NOT_FOUND, TOO_MANY, SERVER_ERROR = 404, 429, 500


class Verdict(msgspec.Struct, frozen=True):
    """What became of a message that was not accepted: `repeated`, `quarantined` or `suppressed`."""

    status: str
    code: str = ""
    message: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What the collector says of a batch: of each message, or (`code`, `message`) why it takes none."""

    repeated: int = 0
    events: list[Verdict] = []
    code: str = ""
    message: str = ""

    @property
    def refusals(self) -> list[Verdict]:
        return [event for event in self.events if event.status != "repeated"]


@dataclass(slots=True)
class Sent:
    """What became of the messages.

    Attributes:
        repeated: Messages whose id stands twice in a batch; the second is dropped.
        reasons: Why messages were refused, with how many; `details` has one sentence for each reason.
        done: Messages at the beginning of the input that are all answered; sending can go on from there.
        bytes_sent: Compressed.
    """

    accepted: int = 0
    repeated: int = 0
    refused: int = 0
    batches: int = 0
    retries: int = 0
    done: int = 0
    bytes_sent: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    details: dict[str, str] = field(default_factory=dict)


class SendingStoppedError(CommandError):
    """A batch could not be delivered; `sent` tells how far it went."""

    def __init__(self, text: str, sent: Sent) -> None:
        super().__init__(text)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class _Outcome:
    messages: int
    answer: Answer
    retries: int
    bytes_sent: int


class Sender:
    """Posts batches to one collector with one write key."""

    def __init__(self, collector_url: str, write_key: str, *, connections: int = 4) -> None:
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = httpx.Client(timeout=TIMEOUT_S, limits=limits)
        self._url = f"{collector_url.rstrip('/')}/v1/batch"
        self._headers = {
            "Authorization": f"Basic {b64encode(f'{write_key}:'.encode()).decode()}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        self._connections = connections

    def send(self, messages: Iterable[bytes], on_progress: Callable[[Sent], None] = lambda _: None) -> Sent:
        """Send all messages.

        Args:
            messages: As JSON.
            on_progress: Called after each batch; a CommandError that it raises stops the sending.

        Raises:
            SendingStoppedError: `on_progress` stopped it, a batch was refused as a whole, or not answered after
                ATTEMPTS_MAX attempts.
        """
        sent = Sent()
        waiting: deque[Future[_Outcome]] = deque()
        with self._client, ThreadPoolExecutor(self._connections) as pool:
            try:
                for batch in batches(messages):
                    waiting.append(pool.submit(self._deliver, batch))
                    # The first answer is waited for: what is wrong with everything shows in it.
                    while waiting and (not sent.batches or len(waiting) > 2 * self._connections or waiting[0].done()):
                        self._note(sent, waiting.popleft().result())
                        on_progress(sent)
                while waiting:
                    self._note(sent, waiting.popleft().result())
                    on_progress(sent)
            except CommandError as error:
                for future in waiting:
                    future.cancel()
                raise SendingStoppedError(str(error), sent) from error
        return sent

    def _note(self, sent: Sent, outcome: _Outcome) -> None:
        refused, repeated = outcome.answer.refusals, outcome.answer.repeated
        sent.accepted += outcome.messages - len(refused) - repeated
        sent.repeated += repeated
        sent.refused += len(refused)
        sent.batches += 1
        sent.retries += outcome.retries
        sent.done += outcome.messages
        sent.bytes_sent += outcome.bytes_sent
        for each in refused:
            sent.reasons[each.code] += 1
            sent.details[each.code] = each.message

    def _deliver(self, batch: list[bytes]) -> _Outcome:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        plain = b'{"sentAt":"' + now.encode() + b'","batch":[' + b",".join(batch) + b"]}"
        body = gzip.compress(plain, GZIP_LEVEL)
        trouble = ""
        for attempt in range(ATTEMPTS_MAX):
            try:
                response = self._client.post(self._url, content=body, headers=self._headers)
            except httpx.TransportError as error:
                trouble, wait_s = str(error) or type(error).__name__, _backoff_s(attempt)
            else:
                if response.status_code == httpx.codes.OK:
                    return _Outcome(len(batch), _read(response.content), attempt, len(body))
                if response.status_code != TOO_MANY and response.status_code < SERVER_ERROR:
                    raise CommandError(self._refusal(response))
                trouble = f"HTTP {response.status_code}"
                wait_s = _retry_after_s(response) or _backoff_s(attempt)
            if attempt + 1 < ATTEMPTS_MAX:
                time.sleep(wait_s)
        raise CommandError(f"{self._url} did not take a batch in {ATTEMPTS_MAX} attempts: {trouble}")

    def _refusal(self, response: httpx.Response) -> str:
        answer = _read(response.content)
        said = answer.message or answer.code or f"HTTP {response.status_code}"
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return f"{self._url} does not know the source's write key ({said}): apply the definitions, wait a minute"
        if response.status_code == NOT_FOUND:
            return f"{self._url}: {said}: is the source disabled, or the address wrong?"
        return f"{self._url} refused a batch: {said}"


def batches(messages: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Bring messages together up to the limits of one request; one that is too large alone travels alone."""
    batch: list[bytes] = []
    size = 0
    for message in messages:
        if batch and (len(batch) == MESSAGES_PER_BATCH_MAX or size + len(message) > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += len(message) + 1
    if batch:
        yield batch


def _read(content: bytes) -> Answer:
    try:
        return msgspec.json.decode(content, type=Answer)
    except msgspec.MsgspecError:
        return Answer()


def _backoff_s(attempt: int) -> float:
    return random.uniform(0.5, 1.0) * min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0**attempt)


def _retry_after_s(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return min(float(text), BACKOFF_MAX_S) if text.isdigit() else None
