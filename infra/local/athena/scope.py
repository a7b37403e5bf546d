"""What names in a query can mean: the catalog's tables and views, and the relations and columns of a scope."""

from dataclasses import dataclass, field
from typing import Any, Protocol

Columns = list[tuple[str, str]]
"""(name, DuckDB type) of each column, in order."""


@dataclass(frozen=True, slots=True)
class Table:
    """A relation with rows of its own; `source` is the catalog's, to read them by."""

    columns: Columns
    partition_keys: frozenset[str]
    source: Any
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class View:
    sql: str
    database: str


class Catalog(Protocol):
    def find(self, database: str, name: str) -> Table | View | None:
        """Return the relation, None if there is none of that name."""


@dataclass(slots=True)
class Scan:
    """One use of a table: `relation` is its name in the translated text, to be made before that runs.

    `columns` are the ones it names; `predicates` are over partition keys alone, and a row that fails one cannot matter.
    """

    relation: str
    alias: str
    table: Table
    columns: set[str] = field(default_factory=set)
    predicates: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Translation:
    sql: str
    columns: Columns
    scans: list[Scan]


@dataclass(slots=True)
class Relation:
    columns: dict[str, tuple[str, str]]
    scan: str | None = None
    hidden: frozenset[str] = frozenset()


@dataclass(slots=True)
class Scope:
    """What a name can mean at one place; looked up outwards."""

    parent: "Scope | None" = None
    relations: dict[str, Relation] = field(default_factory=dict)
    ctes: dict[str, Columns] = field(default_factory=dict)
    joined_using: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
