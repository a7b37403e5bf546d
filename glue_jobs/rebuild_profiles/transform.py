"""Raw events become fragments, heads and identities: Spark sorts and distributes, the domain folds and links.

What must be seen together is brought into one partition, sorted, and streamed through `mapInPandas`. A group that
`applyInPandas` would hold whole in memory may be a robot with millions of events.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - everybody's name for it

from onefold.adapters.compression import pack, unpack
from onefold.adapters.lake_rows import COLUMNS, INSTANTS, event_of_row
from onefold.adapters.memory_graph import MemoryGraph
from onefold.domain.decision import Decision
from onefold.domain.event import Event, FragmentKey, parts
from onefold.domain.evidence import root_of
from onefold.domain.identity_rules import IdentityRules
from onefold.use_cases.linking import Candidate
from onefold.use_cases.rebuild import Delivered, Step, light, rebuild_fragment, replay

ROWS_AT_ONCE: Final = 1_000

EVENTS: Final = (
    "source string, message_id string, sequence string, position int, received_at bigint, part_keys array<string>, "
    "event binary"
)
FRAGMENTS: Final = "fragment_key string, state binary, cursor string, deliveries bigint, arrived_at bigint"
STEPS: Final = (
    "fragment_key string, at bigint, sequence string, position int, shown array<string>, is_alias boolean, body binary"
)
COMPONENTS: Final = "key string, component string"
GRAPH: Final = "table string, key string, profile_id string, body binary, merged_into string"
_EVENTS_ARROW: Final = pa.schema(
    [
        ("source", pa.string()),
        ("message_id", pa.string()),
        ("sequence", pa.string()),
        ("position", pa.int32()),
        ("received_at", pa.int64()),
        ("part_keys", pa.list_(pa.string())),
        ("event", pa.binary()),
    ]
)


def read_events(raw: DataFrame, rules: IdentityRules) -> DataFrame:
    """Bring each delivery of each event into the form that the domain reads.

    Args:
        raw: The lake's raw events; any order, read in UTC. The same delivery may be there twice, where a batch was
            archived again.
        rules: Tell what identifiers are where the lake does not.

    Returns:
        One row a delivery: `EVENTS` and is_repeat boolean, true for all but the earliest of a (source, message id).
    """
    instants = [F.unix_millis(F.col(name).cast("timestamp")).alias(name) for name in INSTANTS]
    others = [F.col(name) for name in COLUMNS if name not in INSTANTS]
    position = F.coalesce(F.col("position"), F.lit(0)).alias("position")
    rows = raw.select(*others, *instants, "sequence", position)
    events = rows.mapInArrow(partial(_read, rules=rules), EVENTS)
    once = events.dropDuplicates(["source", "message_id", "sequence", "position"])
    copies = Window.partitionBy("source", "message_id").orderBy(*_arrival())
    return once.withColumn("is_repeat", F.row_number().over(copies) > 1)


def rebuild_fragments(events: DataFrame) -> DataFrame:
    """Fold each fragment's events in the order of arrival.

    Args:
        events: As `read_events` gives them.

    Returns:
        `FRAGMENTS`, a row for each: the packed state, the last sequence number, how many deliveries, the last arrival.
    """
    columns = ("sequence", "position", "is_repeat", "event")
    in_parts = events.select(F.explode("part_keys").alias("part_key"), *columns)
    ordered = in_parts.repartition("part_key").sortWithinPartitions("part_key", *_arrival())
    return ordered.mapInPandas(_fold, FRAGMENTS)


def link_steps(events: DataFrame, rules: IdentityRules) -> DataFrame:
    """What events may link, by fragment; where a fragment shows the same again, only the first time.

    Args:
        events: As `read_events` gives them.
        rules: Where the last person has a shared device, every time counts.

    Returns:
        `STEPS`; the body is the packed event without its payload.
    """
    first = events.where(~F.col("is_repeat")).select("received_at", "sequence", "position", "event")
    steps = first.mapInPandas(_steps, STEPS)
    if rules.shared_devices == "last":
        return steps
    again = Window.partitionBy("fragment_key", "shown").orderBy("at", *_arrival())
    numbered = steps.withColumn("number", F.row_number().over(again))
    return numbered.where((F.col("number") == 1) | F.col("is_alias")).drop("number")


def find_components(edges: DataFrame) -> DataFrame:
    """Which keys hang together, whatever rules say: what is in different components cannot touch each other.

    Each partition of the edges is cut down to a forest; the forests are united on the driver. Joins that pass the least
    key on from neighbour to neighbour need no such place, but tens of rounds.

    Args:
        edges: left string, right string; any order, repeats and loops allowed.

    Returns:
        key string, component string (one of its keys); each key once.

    Cost: on the driver about 300 bytes a key.
    """
    roots: dict[str, str] = {}
    for row in edges.mapInPandas(_forest, COMPONENTS).toLocalIterator(prefetchPartitions=True):
        _unite(roots, row["key"], row["component"])
    frame = pd.DataFrame({"key": list(roots), "component": [root_of(roots, key) for key in roots]}, dtype="object")
    return edges.sparkSession.createDataFrame(frame, COMPONENTS)


def rebuild_graph(steps: DataFrame, decisions: Iterable[Decision], rules: IdentityRules) -> DataFrame:
    """Link each component's events in the order of arrival, with each decision at its time.

    Args:
        steps: As `link_steps` gives them.
        decisions: All that were carried out.
        rules: Those in force.

    Returns:
        `GRAPH`: rows of table `heads` (key is the profile id) and of table `identities`.
    """
    spark = steps.sparkSession
    decided = spark.createDataFrame(
        [("", each.at, "", 0, _touched(each), False, pack(each)) for each in decisions], STEPS
    )
    everything = steps.union(decided)
    first = F.element_at("shown", 1)
    edges = everything.select(first.alias("left"), F.explode("shown").alias("right"))
    placed = everything.join(find_components(edges), first == F.col("key"))
    # At one instant events come before decisions; those have no fragment.
    ordered = placed.repartition("component").sortWithinPartitions("at", F.col("fragment_key") == "", *_arrival())
    return ordered.select("fragment_key", "body").mapInPandas(partial(_link, rules=rules), GRAPH)


def heads_of(graph: DataFrame) -> DataFrame:
    """profile_id string, body binary, merged_into string: null but for redirects."""
    return graph.where("table = 'heads'").select("profile_id", "body", "merged_into")


def identities_of(graph: DataFrame) -> DataFrame:
    """identifier_key string, profile_id string."""
    return graph.where("table = 'identities'").select(F.col("key").alias("identifier_key"), "profile_id")


def _arrival() -> list[Any]:
    """Sequence numbers are decimal texts of any length."""
    return [F.length("sequence"), F.col("sequence"), F.col("position")]


def _touched(decision: Decision) -> list[str]:
    return [key for key in (decision.left, decision.right) if key]


def _read(batches: Iterable[pa.RecordBatch], rules: IdentityRules) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        read = []
        for row in batch.to_pylist():
            event = event_of_row(row, rules)
            known = {name: row[name] for name in ("source", "message_id", "sequence", "position", "received_at")}
            read.append({**known, "part_keys": [str(key) for key, _ in parts(event)], "event": pack(event)})
        yield pa.RecordBatch.from_pylist(read, schema=_EVENTS_ARROW)


def _fold(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    def folded() -> Iterator[dict[str, Any]]:
        for key, group in groupby(_rows(frames), key=itemgetter("part_key")):
            rebuilt = rebuild_fragment(key, (_delivered(key, row) for row in group))
            yield {
                "fragment_key": key,
                "state": pack(rebuilt.fragment),
                "cursor": rebuilt.cursor,
                "deliveries": rebuilt.deliveries,
                "arrived_at": rebuilt.arrived_at,
            }

    return _frames(folded())


def _delivered(key: str, row: Mapping[str, Any]) -> Delivered:
    part = next(part for each, part in parts(unpack(bytes(row["event"]), Event)) if str(each) == key)
    return Delivered(part, row["sequence"], bool(row["is_repeat"]))


def _steps(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    def steps() -> Iterator[dict[str, Any]]:
        for row in _rows(frames):
            for key, part in parts(unpack(bytes(row["event"]), Event)):
                yield {
                    "fragment_key": str(key),
                    "at": row["received_at"],
                    "sequence": row["sequence"],
                    "position": row["position"],
                    "shown": [each.key for each in (*part.identifiers, *part.previous)],
                    "is_alias": bool(part.previous),
                    "body": pack(light(part)),
                }

    return _frames(steps())


def _forest(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Edges of one partition → each of its keys with a root of its tree."""
    roots: dict[str, str] = {}
    for row in _rows(frames):
        _unite(roots, row["left"], row["right"])
    return _frames({"key": key, "component": root_of(roots, key)} for key in roots)


def _unite(roots: dict[str, str], left: str, right: str) -> None:
    left, right = (root_of(roots, roots.setdefault(key, key)) for key in (left, right))
    roots[left] = right


def _link(frames: Iterable[pd.DataFrame], rules: IdentityRules) -> Iterator[pd.DataFrame]:
    graph = MemoryGraph()
    replay((_step(row) for row in _rows(frames)), graph, rules)

    def stored() -> Iterator[dict[str, Any]]:
        for head in graph.stored_heads.values():
            place = {"key": head.profile_id, "profile_id": head.profile_id}
            yield {"table": "heads", **place, "body": pack(head), "merged_into": head.merged_into or None}
        for key, owner in graph.identities.items():
            yield {"table": "identities", "key": key, "profile_id": owner, "body": None, "merged_into": None}

    return _frames(stored())


def _step(row: Mapping[str, Any]) -> Step:
    if not row["fragment_key"]:
        return unpack(bytes(row["body"]), Decision)
    return Candidate(FragmentKey.parse(row["fragment_key"]), unpack(bytes(row["body"]), Event))


def _rows(frames: Iterable[pd.DataFrame]) -> Iterator[dict[str, Any]]:
    for frame in frames:
        yield from frame.to_dict("records")


def _frames(rows: Iterator[dict[str, Any]]) -> Iterator[pd.DataFrame]:
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        yield pd.DataFrame(chunk)
