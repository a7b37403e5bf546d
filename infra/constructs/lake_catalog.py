"""The lake's tables as Glue and Athena know them."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_glue as glue
from constructs import Construct

from infra.constructs.buckets import QUARANTINE_PREFIX, RAW_PREFIX, LakeBucket
from infra.constructs.foundation import Foundation

Columns = Sequence[tuple[str, str]]
QUERIES = Path(__file__).resolve().parent.parent / "queries"
FIRST_DATE = "2025-01-01"  # of arrival, not of the event: history imported today lies under today

PARQUET_INPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
PARQUET_OUTPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"

IDENTIFIER = "struct<type:string,value:string,key:string,priority:int,role:int>"
RAW_COLUMNS: Columns = (
    ("message_id", "string"),
    ("kind", "string"),
    ("name", "string"),
    ("source", "string"),
    ("fragment_key", "string"),
    ("user_id", "string"),
    ("anonymous_id", "string"),
    ("email", "string"),
    ("identifiers", "array<struct<type:string,value:string,key:string>>"),
    ("at", "timestamp"),
    ("received_at", "timestamp"),
    ("sent_at", "timestamp"),
    ("original_at", "timestamp"),
    ("clock", "string"),
    ("traits", "string"),
    ("properties", "string"),
    ("context", "string"),
    ("consent", "map<string,boolean>"),
    ("violations", "array<string>"),
    ("sequence", "string"),
    ("identifier_priorities", "array<int>"),
    ("identifier_roles", "array<int>"),
    ("previous", f"array<{IDENTIFIER}>"),
    ("account", IDENTIFIER),
    ("position", "int"),
)
RAW_PARTITIONS: Columns = (("dt", "string"), ("hour", "string"))

QUARANTINE_COLUMNS: Columns = (
    ("message_id", "string"),
    ("source", "string"),
    ("reason", "string"),
    ("detail", "string"),
    ("component", "string"),
    ("version", "string"),
    ("body", "string"),
    ("received_at", "timestamp"),
    ("envelope", "string"),
)
QUARANTINE_PARTITIONS: Columns = (("dt", "string"),)

DATE_PROJECTION = {
    "projection.dt.type": "date",
    "projection.dt.format": "yyyy-MM-dd",
    "projection.dt.range": f"{FIRST_DATE},NOW+1DAY",
}
HOUR_PROJECTION = {
    "projection.hour.type": "integer",
    "projection.hour.range": "0,23",
    "projection.hour.digits": "2",
}


class LakeCatalog(Construct):
    """A database with the raw events, the quarantine, and the views `events` and `quarantined` without repeats.

    Partitions are projected from the path, so that a new hour needs no crawler and no ALTER TABLE.
    """

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation, lake: LakeBucket) -> None:
        super().__init__(scope, construct_id)
        self.database_name = f"onefold_{foundation.environment.name}"
        self.database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=self.database_name, description="onefold: every event that was collected"
            ),
        )
        raw_events = self._parquet_table(
            "raw_events",
            "Every event as the stream delivered it, repeats included",
            columns=RAW_COLUMNS,
            partitions=RAW_PARTITIONS,
            location=f"s3://{lake.name}/{RAW_PREFIX}",
            projection={**DATE_PROJECTION, **HOUR_PROJECTION},
        )
        quarantine = self._parquet_table(
            "quarantine",
            "What was refused, with the reason and the bytes as received",
            columns=QUARANTINE_COLUMNS,
            partitions=QUARANTINE_PARTITIONS,
            location=f"s3://{lake.name}/{QUARANTINE_PREFIX}",
            projection=DATE_PROJECTION,
        )
        events = self._view("events", "Every event once", columns=(*RAW_COLUMNS, *RAW_PARTITIONS))
        events.add_resource_dependency(raw_events)
        columns = (*QUARANTINE_COLUMNS, *QUARANTINE_PARTITIONS, ("copies", "bigint"))
        quarantined = self._view("quarantined", "Every refused message once, by source, id and bytes", columns=columns)
        quarantined.add_resource_dependency(quarantine)

    def _parquet_table(
        self,
        name: str,
        description: str,
        *,
        columns: Columns,
        partitions: Columns,
        location: str,
        projection: Mapping[str, str],
    ) -> glue.CfnTable:
        folders = "".join(f"{column}=${{{column}}}/" for column, _ in partitions)
        return self._table(
            name,
            glue.CfnTable.TableInputProperty(
                name=name,
                description=description,
                table_type="EXTERNAL_TABLE",
                parameters={
                    "EXTERNAL": "TRUE",
                    "classification": "parquet",
                    "projection.enabled": "true",
                    "storage.location.template": f"{location}{folders}",
                    **projection,
                },
                partition_keys=_glue_columns(partitions),
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    columns=_glue_columns(columns),
                    location=location,
                    input_format=PARQUET_INPUT,
                    output_format=PARQUET_OUTPUT,
                    serde_info=glue.CfnTable.SerdeInfoProperty(serialization_library=PARQUET_SERDE),
                ),
            ),
        )

    def _view(self, name: str, description: str, *, columns: Columns) -> glue.CfnTable:
        """Create the view as Athena itself stores one: its SQL and its types in Presto's words, in base64."""
        definition = {
            "originalSql": (QUERIES / "view" / f"{name}.sql").read_text(encoding="utf-8").strip(),
            "catalog": "awsdatacatalog",
            "schema": self.database_name,
            "columns": [{"name": column, "type": presto_type(hive)} for column, hive in columns],
        }
        encoded = base64.b64encode(json.dumps(definition).encode()).decode()
        return self._table(
            name,
            glue.CfnTable.TableInputProperty(
                name=name,
                description=description,
                table_type="VIRTUAL_VIEW",
                parameters={"presto_view": "true", "comment": "Presto View"},
                partition_keys=[],
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    columns=_glue_columns(columns), location="", serde_info=glue.CfnTable.SerdeInfoProperty()
                ),
                view_original_text=f"/* Presto View: {encoded} */",
                view_expanded_text="/* Presto View */",
            ),
        )

    def _table(self, name: str, table_input: glue.CfnTable.TableInputProperty) -> glue.CfnTable:
        construct_id = "".join(word.capitalize() for word in name.split("_"))
        table = glue.CfnTable(
            self,
            construct_id,
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database_name,
            table_input=table_input,
        )
        table.add_resource_dependency(self.database)
        return table


def presto_type(hive: str) -> str:
    """Translate a Hive type to the name that Athena's engine has for it.

    Covers what the columns above use: string, boolean, int, bigint, timestamp, array<…>, map<…,…> and struct<name:…>.
    """
    if hive.startswith("array<"):
        return f"array({presto_type(hive[len('array<') : -1])})"
    if hive.startswith("map<"):
        return f"map({', '.join(presto_type(part) for part in _split(hive[len('map<') : -1]))})"
    if hive.startswith("struct<"):
        fields = (field.split(":", 1) for field in _split(hive[len("struct<") : -1]))
        return f"row({', '.join(f'{name} {presto_type(kind)}' for name, kind in fields)})"
    plain = {"string": "varchar", "boolean": "boolean", "int": "integer", "bigint": "bigint"}
    return {**plain, "timestamp": "timestamp(3)"}[hive]


def _split(parts: str) -> list[str]:
    """Split at the commas that are inside no angle brackets."""
    found, depth = [""], 0
    for character in parts:
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return found


def _glue_columns(columns: Columns) -> list[Any]:
    return [glue.CfnTable.ColumnProperty(name=name, type=hive) for name, hive in columns]
