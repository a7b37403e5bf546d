"""The Glue job: reads the lake's raw events, rebuilds fragments, heads and identities, writes them beside the lake."""

import argparse
import sys
import time
from collections.abc import Sequence

import boto3
from pyspark.sql import SparkSession

from glue_jobs.rebuild_profiles.transform import (
    heads_of,
    identities_of,
    link_steps,
    read_events,
    rebuild_fragments,
    rebuild_graph,
)
from onefold.adapters.dynamodb_decisions import DynamoDbDecisions
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.domain.decision import Decision
from onefold.domain.identity_rules import DEFINITION_KIND, IdentityRules, rules_of
from onefold.use_cases.rebuild import all_decisions


def run(spark: SparkSession, source: str, target: str, rules: IdentityRules, decisions: Sequence[Decision]) -> None:
    """Rebuild everything; what the target holds is replaced.

    Args:
        spark: With `spark.sql.session.timeZone` at UTC.
        source: Folder of the raw zone, with its partitions.
        target: Folder for `fragments`, `heads` and `identities`, each Parquet.
        rules: The identity rules in force.
        decisions: All that were carried out.
    """
    raw = spark.read.option("mergeSchema", "true").parquet(source)
    events = read_events(raw, rules).persist()
    rebuild_fragments(events).write.mode("overwrite").parquet(f"{target}/fragments")
    graph = rebuild_graph(link_steps(events, rules), decisions, rules).persist()
    heads_of(graph).write.mode("overwrite").parquet(f"{target}/heads")
    identities_of(graph).write.mode("overwrite").parquet(f"{target}/identities")
    graph.unpersist()
    events.unpersist()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("source", "target", "definitions-table", "decisions-table"):
        parser.add_argument(f"--{name}", required=True)
    given, _ = parser.parse_known_args(arguments)  # Glue adds arguments of its own
    dynamodb = boto3.client("dynamodb")
    rules = rules_of(DynamoDbDefinitions(dynamodb, given.definitions_table).load_current(DEFINITION_KIND))
    log = DynamoDbDecisions(dynamodb, given.decisions_table)
    decisions = all_decisions(log, now_ms=time.time_ns() // 1_000_000)
    spark = SparkSession.builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    run(spark, given.source, given.target, rules, decisions)


if __name__ == "__main__":
    main(sys.argv[1:])
