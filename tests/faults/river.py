"""The middle of the river in one thread's order: stitch, evaluate and activate over stores, in virtual time.

Everything that happens is a step, and which step comes next is drawn from the seed. A use case is a plain function, so
each invocation runs as a coroutine (`baton`) and hands over before each of its calls to a store.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar

from onefold.domain import fragment
from onefold.domain.decision import Decision
from onefold.domain.errors import Rejected, Unavailable, VersionConflict
from onefold.domain.event import EventBatch, FragmentKey, partition_key
from onefold.domain.identity import Attachment, GraphChanges, IdentityGraph, LimitReached
from onefold.use_cases import decide as deciding
from onefold.use_cases import linking
from onefold.use_cases.activate import HeadChange, Transition, activate
from onefold.use_cases.decide import decide
from onefold.use_cases.evaluate import CurrentAudience, evaluate
from onefold.use_cases.evaluate_inputs import to_evaluate
from onefold.use_cases.linking import Candidate
from onefold.use_cases.settle_redirects import former_ids, settle_redirects
from onefold.use_cases.stitch import StreamRecord, stitch
from tests.fakes.events import NOON_MS
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryTimeline
from tests.faults import stores
from tests.faults.baton import Killed, Stage, Task
from tests.faults.event_sources import Chance, Entry, Lane
from tests.faults.histories import History

STEPS_MAX: Final = 2_000  # six times what the longest of the first 2,500 schedules takes
RETRIES_MAX: Final = 10  # as the event-source mappings have it; more than a schedule has faults
FAULTS: Final = (
    "throttled", "lost response", "conflict after success", "killed before", "killed after", "lost acknowledgement",
    "time-out",
)  # fmt: skip
Result = TypeVar("Result")


@dataclass(frozen=True)
class Shard:
    """A range of partition keys' hashes, from `low` to before `high`, read by one lane or several side by side."""

    low: float
    high: float
    lanes: tuple[Lane, ...]


class RecordingGraph(IdentityGraph):
    """Remembers what was added, so that it can be told which events a transaction linked."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.added: list[Candidate] = []

    def add(self, event: Any, fragment: FragmentKey) -> Attachment:
        attachment = super().add(event, fragment)
        self.added.append(Candidate(fragment, event))
        return attachment

    def changes(self) -> "RecordedChanges":
        changes = super().changes()
        return RecordedChanges(changes.heads, changes.identities, changes.checks, changes.unowned, tuple(self.added))


class RecordedChanges(GraphChanges, frozen=True):
    added: tuple[Candidate, ...] = ()


class River:
    """One schedule: a history, delivered through everything that may happen, until nothing is left to do.

    Attributes:
        linked: What each transaction linked or carried out, in the order in which they were applied.
        decides_at_once: Whether each decision is one transaction, as all but huge ones are.
        published: All messages that the bus took, repeats too.
        with_ring: Whether fragments know recent messages; without, the cursor must do it alone.
    """

    def __init__(self, seed: int, history: History, audiences: Sequence[CurrentAudience], *, with_ring: bool) -> None:
        self.random = Random(f"schedule {seed}")
        chance = self.random
        self.history, self.audiences, self.with_ring = history, audiences, with_ring
        self.fragments, self.graph, self.timeline = MemoryFragments(), MemoryGraph(), MemoryTimeline()
        self.published: list[Transition] = []
        self.linked: list[tuple[Candidate, ...] | Decision] = []
        self.findings: list[LimitReached] = []
        self.steps = self.calls = self.now_ms = 0
        self.trace: list[str] | None = None
        kinds = chance.sample(FAULTS, chance.randint(1, len(FAULTS)))
        self.chance = Chance(chance, kinds, chance.choice([0.02, 0.1, 0.3]), chance.choice([0, 2, 5, 9]))
        self.stage = Stage(self._choose)
        self._loyalty = chance.choice([0.0, 0.5, 0.9])  # how often who runs goes on
        self._slowness = chance.choice([0.0, 0.02, 0.1])
        self._candidates_max = chance.choice([1, 2, 25])
        self._changes_max = chance.choice([1, 60])
        self._rush = chance.choice([1, 4, 100])
        self._batch_size = chance.choice([1, 3, 10])
        self._parallel = chance.choice([1, 2])
        self._reshards = chance.choice([0, 0, 1, 2])
        self.decides_at_once = chance.random() < 0.7
        self._decisions = list(history.decisions)
        self._pending = list(history.records)
        self._running: list[Task] = []
        self._asleep: dict[Task, int] = {}  # who is slow → the step at which it goes on
        self._invocations = self._sequence = 0
        self._retries_max = chance.choice([1, RETRIES_MAX]) if with_ring else RETRIES_MAX
        self._shards = chance.choice([[self._open_shard(0, 1)], [self._open_shard(0, 0.5), self._open_shard(0.5, 1)]])
        self._lanes = [lane for shard in self._shards for lane in shard.lanes]
        self._fragment_changes = [self._lane("evaluate fragments", self._evaluate) for _ in range(2)]
        self._head_changes = [
            (self._lane("evaluate heads", self._evaluate), self._lane("activate", self._activate)) for _ in range(2)
        ]
        self._lanes += [*self._fragment_changes, *(lane for both in self._head_changes for lane in both)]

    def run(self) -> None:
        """Let everything happen.

        Raises:
            AssertionError: The backlog did not empty, or a batch failed too often.
        """
        with self._settings():
            self.stage.run()
        assert all(lane.is_drained for lane in self._lanes), "a lane is stuck"
        assert not self._pending
        assert not self._decisions

    @contextmanager
    def _settings(self) -> Iterator[None]:
        changed: list[tuple[Any, str, object]] = [
            (linking, "IdentityGraph", RecordingGraph),
            (linking, "CANDIDATES_PER_COMMIT", self._candidates_max),
            (linking, "CHANGES_PER_COMMIT", self._changes_max),
        ]
        if not self.decides_at_once:
            changed += [(deciding, "CHANGES_MAX", 2), (deciding, "PARTS_PER_COMMIT", 1)]
        if not self.with_ring:
            changed.append((fragment, "_has", lambda _recent, _mark: False))
        before = [(module, name, getattr(module, name)) for module, name, _ in changed]
        for module, name, value in changed:
            setattr(module, name, value)
        try:
            yield
        finally:
            for module, name, value in before:
                setattr(module, name, value)

    # What happens next

    def _choose(self) -> Task | None:
        current = self.stage.current
        if (
            current in self._running
            and self.random.random() < self._loyalty
            and self._asleep.get(current, 0) <= self.steps
        ):
            self._count_step()
            return current
        while True:
            self._count_step()
            options: list[Any] = [task for task in self._running if self._asleep.get(task, 0) <= self.steps]
            options += [lane for lane in self._lanes if lane.is_ready]
            if self._pending:
                options.append(self._put)
            if self._decisions and (not options or self.random.random() < 0.1):
                options.append(self._begin_to_decide)
            if self._reshards and self.random.random() < 0.1:
                options.append(self._reshard)
            if not options and not self._running:
                return None
            option = self.random.choice(options or self._running)
            if isinstance(option, Lane):
                return self._invoke(option)
            if not isinstance(option, Task):
                option()
            elif not self._falls_asleep(option):
                return option

    def _count_step(self) -> None:
        self.steps += 1
        self.now_ms = NOON_MS + 60_000 + self.steps
        assert self.steps < STEPS_MAX, "the backlog does not empty"

    def _invoke(self, lane: Lane) -> Task:
        self._invocations += 1
        task = lane.start(self._invocations)
        then = task.finished

        def finished(ended: Task, result: object, error: BaseException | None) -> None:
            self._running.remove(ended)
            self.note(ended.name, f"ends: {error or result!r}")
            then(ended, result, error)

        task.finished = finished
        self._running.append(task)
        self.note(task.name, "starts")
        return task

    def _begin_to_decide(self) -> None:
        """Somebody calls the identity API; where it does not answer they call again with the same id."""
        decision = self._decisions.pop(0)

        def finished(ended: Task, result: object, error: BaseException | None) -> None:
            self._running.remove(ended)
            self.note(ended.name, f"ends: {error or result!r}")
            if isinstance(error, (Unavailable, Killed)):
                self._decisions.append(decision)
            elif isinstance(error, Rejected):
                self.chance.struck["decision refused"] += 1
            elif error is not None:
                raise error
            else:
                self.chance.struck[f"decided {decision.action}"] += 1

        name = f"{decision.action} {decision.decision_id}"
        self._running.append(Task(name, lambda: decide(stores.Graph(self), decision, self.history.rules), finished))

    def _falls_asleep(self, task: Task) -> bool:
        """Whether a task goes on much later only: it is slow, or a zombie whose batch is delivered again meanwhile."""
        if task in self._asleep:
            return False  # once is enough
        lane = next((lane for lane in self._lanes if lane.running is task), None)
        if lane is not None and self.chance.strikes("time-out"):
            self.note(task.name, "times out and goes on as a zombie")
            lane.time_out()
        elif self.random.random() >= self._slowness:
            return False
        self._asleep[task] = self.steps + self.random.choice([10, 40, 200])
        return True

    def note(self, *words: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.steps:5} {' '.join(words)}")

    # The stream

    def _lane(self, name: str, invoke: Callable[[Sequence[Entry]], Any], parents: Sequence[Lane] = ()) -> Lane:
        is_stitch = name == "stitch"
        return Lane(
            name,
            invoke,
            self.chance,
            batch_size=self._batch_size,
            retries_max=self._retries_max if is_stitch else RETRIES_MAX,
            give_up=self._put_back if is_stitch else _never,
            parents=parents,
        )

    def _open_shard(self, low: float, high: float, *parents: Shard) -> Shard:
        lanes = [lane for parent in parents for lane in parent.lanes]
        return Shard(low, high, tuple(self._lane("stitch", self._stitch, lanes) for _ in range(self._parallel)))

    def _put(self) -> None:
        """Some records reach the stream; of many at once batches become large."""
        for batch in self._pending[: self._rush]:
            place = zlib.crc32(partition_key(batch.events[0]).encode())
            shard = next(shard for shard in self._shards if shard.low <= place / 2**32 < shard.high)
            self._append(shard.lanes[place % len(shard.lanes)], batch)
        del self._pending[: self._rush]

    def _append(self, lane: Lane, body: object) -> None:
        self._sequence += self.random.choice([1, 9])  # 9 to 10 is where texts and numbers differ in order
        lane.records.append(Entry(self._sequence, body))

    def _put_back(self, entries: Sequence[Entry]) -> None:
        """What failed for good comes back as new records; the cursor would hide the old ones."""
        assert self.with_ring, "without the ring nothing may fail for good"
        self.chance.struck["put back"] += 1
        for entry in entries:
            assert isinstance(entry.body, EventBatch)
            self._pending.append(entry.body)

    def _reshard(self) -> None:
        """Split one shard, or merge two neighbours; the new ones are read when the old ones are drained."""
        self._reshards -= 1
        place = self.random.randrange(len(self._shards))
        one, *others = self._shards[place : place + 2]
        if others and self.random.random() < 0.5:
            new = [self._open_shard(one.low, others[0].high, one, *others)]
            self.note("two shards become one")
        else:
            middle, others = (one.low + one.high) / 2, []
            new = [self._open_shard(one.low, middle, one), self._open_shard(middle, one.high, one)]
            self.note("one shard becomes two")
        self._shards[place : place + 1 + len(others)] = new
        self._lanes += [lane for shard in new for lane in shard.lanes]
        self.chance.struck["reshard"] += 1

    # The functions

    def _stitch(self, entries: Sequence[Entry]) -> list[int]:
        records = [StreamRecord(str(entry.sequence), entry.body) for entry in entries]  # type: ignore[arg-type]
        report = stitch(
            records,
            stores.Fragments(self),
            stores.Graph(self),
            stores.Timeline(self),
            rules=self.history.rules,
            findings=stores.Findings(self),
        )
        if len(entries) > 1 and len(report.failed) == len(entries):
            raise Unavailable("All records of the batch failed")
        return [int(sequence) for sequence in report.failed]

    def _evaluate(self, entries: Sequence[Entry]) -> list[int]:
        changed: set[FragmentKey] = set()
        redirected: list[str] = []
        for entry in entries:
            body = entry.body
            if isinstance(body, HeadChange):
                redirected += former_ids(body.old, body.new)
            key = to_evaluate(body.old, body.new) if isinstance(body, HeadChange) else body
            if isinstance(key, FragmentKey):
                changed.add(key)
        by_name = sorted(changed, key=str)  # a set's order differs from run to run
        evaluate(by_name, self.audiences, stores.Graph(self), stores.Fragments(self), now_ms=self.now_ms)
        settle_redirects(redirected, stores.Graph(self))
        return []

    def _activate(self, entries: Sequence[Entry]) -> list[int]:
        activate((entry.body for entry in entries), stores.Bus(self))  # type: ignore[misc]
        return []

    # The stores' side

    def call(self, name: str, effect: Callable[[], Result]) -> Result:
        """A call to a store, before which others may run, and which may fail before or after it had its effect."""
        self.stage.pause()
        self.calls += 1
        task = self.stage.current
        kinds = FAULTS[:5] if name == "commit" else (FAULTS[0], FAULTS[1], FAULTS[3], FAULTS[4])
        fault = self.chance.strikes(*kinds)
        self.note(task.name if task else "", name, f"({fault})" if fault else "")
        if fault in ("throttled", "killed before"):
            raise Killed if fault == "killed before" else Unavailable(fault)
        result = effect()
        if fault == "conflict after success":
            raise VersionConflict(fault)
        if fault is not None:
            raise Killed if fault == "killed after" else Unavailable(fault)
        return result

    def fragment_changed(self, key: str) -> None:
        lanes = self._fragment_changes
        self._append(lanes[zlib.crc32(key.encode()) % len(lanes)], FragmentKey.parse(key))

    def head_changed(self, change: HeadChange) -> None:
        assert change.new is not None
        place = zlib.crc32(change.new.profile_id.encode())
        for lane in self._head_changes[place % len(self._head_changes)]:
            self._append(lane, change)


def _never(entries: Sequence[Entry]) -> None:
    raise AssertionError(f"{len(entries)} records failed for good")
