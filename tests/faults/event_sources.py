"""Lambda's event-source mappings over a stream: order in a lane, checkpoints, bisection, retries, zombies."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from random import Random

from onefold.domain.errors import Unavailable
from tests.faults.baton import Killed, Task


@dataclass
class Chance:
    """What may go wrong in one schedule, and how often; every fault is taken from one budget, so that all ends well.

    Attributes:
        kinds: Which faults this schedule knows.
        rate: Of a fault, at each place where one may happen.
        left: Faults still to come.
        struck: Those that came.
    """

    random: Random
    kinds: Sequence[str]
    rate: float
    left: int
    struck: Counter[str] = field(default_factory=Counter)

    def strikes(self, *kinds: str) -> str | None:
        """One of these faults, or None."""
        if not self.left or self.random.random() >= self.rate:
            return None
        known = [kind for kind in kinds if kind in self.kinds]
        if not known:
            return None
        self.left -= 1
        fault = self.random.choice(known)
        self.struck[fault] += 1
        return fault


@dataclass(frozen=True)
class Entry:
    """One record in a lane; a sequence number is higher than all before it in the whole river."""

    sequence: int
    body: object


class Lane:
    """The records of a shard that are delivered one batch after the other: all, or a part of the partition keys.

    Attributes:
        parents: Lanes that must be drained before this one is read: those of the shards that were split or merged.
        position: The checkpoint: records before it are never delivered again.
        running: The invocation that is waited for. A zombie is none.
    """

    def __init__(
        self,
        name: str,
        invoke: Callable[[Sequence[Entry]], Collection[int]],
        chance: Chance,
        *,
        batch_size: int,
        retries_max: int,
        give_up: Callable[[Sequence[Entry]], None],
        parents: Collection["Lane"] = (),
    ) -> None:
        """Take what to call.

        Args:
            name: For the trace.
            invoke: Handles a batch; returns the sequence numbers that failed, or raises.
            chance: Of lost acknowledgements.
            batch_size: At most; a batch may be smaller, as time decides.
            retries_max: Of one batch, and again of each of its halves.
            give_up: Called with what failed more often: the on-failure destination.
            parents: See above.
        """
        self.name, self.parents = name, tuple(parents)
        self._invoke, self._give_up, self._chance = invoke, give_up, chance
        self._batch_size, self._retries_max = batch_size, retries_max
        self.records: list[Entry] = []
        self.position = 0
        self.running: Task | None = None
        self._batch: Sequence[Entry] = ()
        self._sizes: list[int] = []  # of the next batches, last first, after a failure
        self._retries = 0

    @property
    def is_drained(self) -> bool:
        return self.position >= len(self.records) and self.running is None and self._is_open

    @property
    def is_ready(self) -> bool:
        return self.position < len(self.records) and self.running is None and self._is_open

    @property
    def _is_open(self) -> bool:
        return all(parent.is_drained for parent in self.parents)

    def start(self, number: int) -> Task:
        size = self._sizes.pop() if self._sizes else self._chance.random.randint(1, self._batch_size)
        batch = self._batch = self.records[self.position : self.position + size]

        def finished(task: Task, result: object, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, (Unavailable, Killed)):
                raise error  # a defect
            if task is self.running:
                self.running = None
                self._settle(batch, None if error else {int(str(each)) for each in result})  # type: ignore[attr-defined]

        self.running = Task(f"{self.name} #{number} of {len(batch)}", lambda: self._invoke(batch), finished)
        return self.running

    def time_out(self) -> None:
        """Wait no longer; who runs goes on as a zombie."""
        self.running = None
        if self._chance.random.random() < 0.5:
            self._settle(self._batch, None)
        else:
            self._sizes = []  # the reader was replaced by another one, which begins at the checkpoint

    def _settle(self, batch: Sequence[Entry], failed: Collection[int] | None) -> None:
        if self._chance.strikes("lost acknowledgement"):
            self._sizes = []
        elif failed is None:
            self._retry(len(batch))
        else:
            done = next((number for number, each in enumerate(batch) if each.sequence in failed), len(batch))
            self.position += done
            self._retries = 0 if done else self._retries
            if done < len(batch):
                self._retry(len(batch) - done)

    def _retry(self, size: int) -> None:
        """Deliver so many records again, in two halves, or leave them to the on-failure destination."""
        self._retries += 1
        if self._retries > self._retries_max:
            self._give_up(self.records[self.position : self.position + size])
            self.position += size
            self._retries = 0
        elif size > 1:
            self._sizes += [size - size // 2, size // 2]
        else:
            self._sizes.append(size)
