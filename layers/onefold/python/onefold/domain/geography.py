"""Where an address is, as far as the deployer's database tells."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from onefold.domain.network_address import Address

# Gives a record in MaxMind's form, or None where the database does not know the address.
Locator = Callable[[Address], Mapping[str, Any] | None]

LANGUAGE: Final = "en"


def location_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Country, region and city, as Segment's `context.location` has them. Coordinates are not taken over.

    Args:
        record: Of a GeoLite2 or GeoIP2 database of countries or cities; what has another form is left out.
    """
    country = _object(record.get("country")) or _object(record.get("registered_country"))
    subdivisions = record.get("subdivisions")
    region = _object(subdivisions[0]) if isinstance(subdivisions, list) and subdivisions else {}
    found = {
        "country": country.get("iso_code"),
        "region": _name(region),
        "city": _name(_object(record.get("city"))),
    }
    return {field: value for field, value in found.items() if isinstance(value, str) and value}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(place: Mapping[str, Any]) -> object:
    return _object(place.get("names")).get(LANGUAGE)
