"""Seeded schedules of the river's middle, by the thousand.

    make faults                                    100,000 schedules, on all cores, with the rate
    make faults SCHEDULES=1000                     fewer
    python -m tests.faults.simulate --seed 4711    one schedule again, step by step

A schedule is a function of its seed and nothing else: the same seed gives the same history, the same faults and the
same order of steps in every process. What fails prints its seed; the second command shows every step of it.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from random import Random
from time import perf_counter

from onefold.domain.audience_sql import compile_audience
from onefold.use_cases.evaluate import CurrentAudience
from tests.faults import oracle
from tests.faults.histories import History, random_history
from tests.faults.invariants import check, comparable
from tests.faults.river import River

CHUNK = 500
FAILURES_SHOWN_MAX = 10


@cache
def audiences() -> tuple[CurrentAudience, ...]:
    return tuple(CurrentAudience(compile_audience(name, text), 1) for name, text in oracle.AUDIENCES.items())


def history_of(seed: int) -> tuple[History, bool]:
    """The history of a seed, and whether fragments know recent messages; without, no message comes twice."""
    random = Random(f"history {seed}")
    with_ring = random.random() < 0.5
    return random_history(random, with_repeats=with_ring), with_ring


def run(seed: int, *, trace: list[str] | None = None) -> River:
    """Run one schedule to its end and check everything.

    Raises:
        AssertionError: An invariant does not hold.
    """
    history, with_ring = history_of(seed)
    river = River(seed, history, audiences(), with_ring=with_ring)
    river.trace = trace
    river.run()
    check(river)
    return river


def run_again(seed: int, river: River) -> None:
    """The same history under another schedule: the same profiles."""
    other = River(-seed - 1, river.history, audiences(), with_ring=river.with_ring)
    other.run()
    check(other)
    if river.history.is_free:
        assert comparable(other) == comparable(river), "I8: another order gave other profiles"


def run_all(seeds: range) -> tuple[int, int, list[str]]:
    """Run schedules; every tenth history also under a second one.

    Returns:
        How many schedules ran, with how many calls, and what failed, with its seed.
    """
    failures, schedules, calls = [], 0, 0
    for seed in seeds:
        try:
            river = run(seed)
            schedules, calls = schedules + 1, calls + river.calls
            if seed % 10 == 0:
                run_again(seed, river)
                schedules += 1
        except Exception as error:  # noqa: BLE001 - a defect is a failure as well
            failures.append(f"seed {seed}: {type(error).__name__}: {error}")
    return schedules, calls, failures


def run_on_all_cores(count: int, first: int) -> int:
    """Run schedules and print the rate; returns the number of failures."""
    began, cores = perf_counter(), os.cpu_count() or 1
    chunks = [range(begin, min(begin + CHUNK, first + count)) for begin in range(first, first + count, CHUNK)]
    schedules, calls, failures = 0, 0, 0
    with ProcessPoolExecutor(cores) as pool:
        for ran, called, failed in pool.map(run_all, chunks):
            schedules, calls = schedules + ran, calls + called
            for text in failed[: max(0, FAILURES_SHOWN_MAX - failures)]:
                sys.stdout.write(f"{text}\n  python -m tests.faults.simulate --seed {text.split()[1].rstrip(':')}\n")
            failures += len(failed)
    duration_s = perf_counter() - began
    sys.stdout.write(
        f"{schedules:,} schedules, {calls:,} calls, {failures} failures in {duration_s:.0f} s on {cores} cores: "
        f"{schedules / duration_s:.0f}/s\n"
    )
    return failures


def replay(seed: int) -> None:
    trace: list[str] = []
    try:
        run(seed, trace=trace)
    finally:
        sys.stdout.write("\n".join(trace) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="run this schedule alone and print its steps")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--schedules", type=int, default=100_000)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        replay(arguments.seed)
    elif run_on_all_cores(arguments.schedules, arguments.first):
        sys.exit(1)


if __name__ == "__main__":
    main()
