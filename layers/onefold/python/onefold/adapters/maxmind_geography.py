"""Looks places up in the MaxMind database that the deployer has brought, if there is one."""

import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from onefold.domain.geography import Locator
from onefold.domain.network_address import Address

# A folder on Python's path, as a layer has it: python/onefold_geography/GeoLite2-City.mmdb.
FOLDER: Final = "onefold_geography"
KNOWN_MAX: Final = 4_096  # addresses that a sandbox remembers


def find_database(path: Iterable[str] = ()) -> Path | None:
    """The first database on the path, by name."""
    for entry in path or sys.path:
        found = sorted(Path(entry, FOLDER).glob("*.mmdb")) if entry else []
        if found:
            return found[0]
    return None


def open_geography(path: Iterable[str] = ()) -> Locator | None:
    """How to look up a place; None where no database was brought.

    Raises:
        maxminddb.InvalidDatabaseError: The file is none.
    """
    database = find_database(path)
    if database is None:
        return None
    import maxminddb

    reader = maxminddb.open_database(database, maxminddb.MODE_AUTO)

    @lru_cache(maxsize=KNOWN_MAX)
    def locate(address: Address) -> Mapping[str, Any] | None:
        try:
            record = reader.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return None  # a database of IPv4 alone, or one damaged place in it, must not cost an event
        return record if isinstance(record, dict) else None

    return locate
