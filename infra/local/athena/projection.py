"""Athena's partition projection: which values of a partition key a table's settings make."""

import datetime as dt
import re
from collections.abc import Callable

from infra.local.athena.column_types import AthenaError
from infra.local.athena.functions import JODA, strftime_pattern
from infra.local.athena.scope import Scan

UNITS = {"YEAR": 365, "MONTH": 30, "WEEK": 7, "DAY": 1, "HOUR": 1 / 24, "MINUTE": 1 / 1440, "SECOND": 1 / 86400}


def projection(settings: dict[str, str], key: str, scan: Scan) -> Callable[[str], bool]:
    """Return what says whether a value is one that the projection of `key` makes.

    Raises:
        AthenaError: The column is injected, and the query gives no value for it; or its type is unknown.
    """
    kind = settings.get(f"projection.{key}.type", "").lower()
    bounds = [part.strip() for part in settings.get(f"projection.{key}.range", "").split(",")]
    if kind == "enum":
        values = {part.strip() for part in settings[f"projection.{key}.values"].split(",")}
        return values.__contains__
    if kind == "integer":
        digits = int(settings.get(f"projection.{key}.digits", 0))
        low, high = int(bounds[0]), int(bounds[1])
        return lambda value: (
            value.lstrip("-").isdigit() and low <= int(value) <= high and value == f"{int(value):0{digits}d}"
        )
    if kind == "date":
        return _dates(settings[f"projection.{key}.format"], bounds)
    if kind != "injected":
        raise AthenaError(f"INVALID_TABLE_PROPERTY: projection.{key}.type is {kind or 'missing'}")
    if scan.relation and not any(re.search(rf'"{re.escape(key)}" (=|IN) ', part) for part in scan.predicates):
        raise AthenaError(
            f"CONSTRAINT_VIOLATION: For the injected projected partition column {key}, the WHERE clause must contain "
            "only static equality conditions, and at least one such condition must be present."
        )
    return lambda _: True


def _dates(java: str, bounds: list[str]) -> Callable[[str], bool]:
    pattern = strftime_pattern(java, JODA)
    if pattern is None:
        raise AthenaError(f"NOT_SUPPORTED: the local Athena does not know the projection format {java}")

    def moment(text: str) -> dt.datetime:
        relative = re.fullmatch(r"NOW(?:\s*([+-]\s*\d+)\s*([A-Z]+?)S?)?", text)
        if not relative:
            return dt.datetime.strptime(text, pattern).replace(tzinfo=dt.UTC)
        days = int(relative[1].replace(" ", "")) * UNITS[relative[2]] if relative[1] else 0
        return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)

    low, high = moment(bounds[0]), moment(bounds[1])
    low = dt.datetime.strptime(low.strftime(pattern), pattern).replace(tzinfo=dt.UTC)

    def made(value: str) -> bool:
        try:
            return low <= moment(value) <= high
        except ValueError:
            return False

    return made
