"""What it costs to read a profile and to merge two: joins of 1, 10 and 100 fragments, and merges of lean and fat ones.

    python benchmarks/profile_join.py

A profile is joined whenever it is read, so a join must be cheap; a merge moves pointers, so it must cost the same
whether the fragments hold five events or five hundred. Median of ROUNDS runs, µs of CPU time.
"""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median
from time import process_time_ns

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / folder) for folder in (".", "layers/onefold/python")]

import msgspec  # noqa: E402

from onefold.adapters.compression import pack, unpack  # noqa: E402
from onefold.domain.event import Event, FragmentKey  # noqa: E402
from onefold.domain.fragment import NEW_FRAGMENT, Fragment, fold_events  # noqa: E402
from onefold.domain.head import Attached, Head  # noqa: E402
from onefold.domain.profile import join_fragments, profile_document  # noqa: E402
from onefold.use_cases.linking import Candidate, link  # noqa: E402
from tests.fakes.events import NOON_MS, event, identifier  # noqa: E402
from tests.fakes.stores import MemoryGraph  # noqa: E402

FRAGMENTS = (1, 10, 100)
EVENTS_PER_FRAGMENT = (5, 50, 500)
MERGED_FRAGMENTS = 50
ROUNDS = 51
NAMES = ("Product Viewed", "Product Added", "Cart Viewed", "Order Completed")


def median_us(work: Callable[[], object]) -> float:
    durations = []
    for _ in range(ROUNDS):
        begin = process_time_ns()
        work()
        durations.append(process_time_ns() - begin)
    return median(durations) / 1_000


def some_events(count: int, part: int) -> list[Event]:
    """What a shopper does on one device: views, a tenth of them orders, a tenth said something of the person."""
    events = []
    for number in range(count):
        shown, at = ("user_id:u1", f"anonymous_id:a{part}"), NOON_MS + part * 10_000 + number
        if number % 10 == 9:
            traits = {"plan": "pro", "city": "Leeds", f"size_{part % 7}": number}
            events.append(event(*shown, kind="identify", traits=traits, at=at))
            continue
        order = {"order_id": f"o{part}-{number}", "total": 59.9, "currency": "EUR"}
        name = NAMES[number % 10 % 4]
        events.append(event(*shown, name=name, properties=order if name == "Order Completed" else {}, at=at))
    return events


@cache
def fragment_of(part: int, events: int) -> Fragment:
    return fold_events(NEW_FRAGMENT, some_events(events, part))


def fragments_of(count: int, events: int) -> list[Fragment]:
    return [fragment_of(part, events) for part in range(count)]


def two_profiles(fragments: int) -> MemoryGraph:
    graph = MemoryGraph()
    for side in ("left", "right"):
        devices = [identifier(f"anonymous_id:{side}{number}") for number in range(25)]
        mail = identifier(f"email:{side}@b.co")
        keys = [str(FragmentKey(f"{side}-device-{number}", mail.key)) for number in range(fragments)]
        head = Head(side, NOON_MS, {each.key: Attached(each, NOON_MS) for each in (mail, *devices)}, (), tuple(keys))
        graph.stored_heads[side] = msgspec.structs.replace(head, version=1)
        graph.identities.update(dict.fromkeys(head.identifiers, side))
    return graph


def merge(graph: MemoryGraph) -> None:
    both = event("email:left@b.co", "email:right@b.co")
    (attachment,) = link(graph, [Candidate(FragmentKey("", both.identifiers[0].key), both)])
    assert attachment.merged


def merge_us(fragments: int, events: int) -> float:
    """The merge of two profiles whose fragments are in the store, and are of this size."""
    stored = {str(part): pack(each) for part, each in enumerate(fragments_of(2 * fragments, events))}
    graphs = iter([two_profiles(fragments) for _ in range(ROUNDS)])
    duration_us = median_us(lambda: merge(next(graphs)))
    size = sum(map(len, stored.values()))
    print(f"{events:>22,} {size / 1_000:>20,.0f} {duration_us:>12,.0f}")
    return duration_us


def main() -> None:
    head = Head("p_1", NOON_MS)
    print("join of one profile, µs of CPU time")
    print(f"{'fragments':>10} {'events in each':>15} {'join':>9} {'and unpack':>11} {'and document':>13}")
    for count in FRAGMENTS:
        for events in EVENTS_PER_FRAGMENT:
            fragments = fragments_of(count, events)
            packed = [pack(each) for each in fragments]

            def read(packed: list[bytes] = packed) -> object:
                return join_fragments(head, (unpack(body, Fragment) for body in packed))

            joined = median_us(lambda fragments=fragments: join_fragments(head, fragments))  # type: ignore[misc]
            unpacked = median_us(read)
            shown = median_us(lambda read=read: profile_document(read()))  # type: ignore[misc]
            print(f"{count:>10} {events:>15,} {joined:>9,.0f} {unpacked:>11,.0f} {shown:>13,.0f}")
    print(f"\nmerge of two profiles with {MERGED_FRAGMENTS} fragments each, µs of CPU time, without the store's")
    print(f"{'events in each fragment':>22} {'facts in all, KB':>19} {'merge':>12}")
    lean, *_, fat = [merge_us(MERGED_FRAGMENTS, events) for events in EVENTS_PER_FRAGMENT]
    print(f"a merge of fat profiles takes {fat / lean:.2f} times that of lean ones")


if __name__ == "__main__":
    main()
