from ipaddress import ip_address
from pathlib import Path

import maxminddb
import pytest

from onefold.adapters.maxmind_geography import FOLDER, find_database, open_geography
from onefold.domain.enrichment import Enricher
from onefold.domain.geography import location_of
from onefold.domain.source import Source
from tests.fakes.mmdb import mmdb

BERLIN = {
    "country": {"iso_code": "DE", "names": {"en": "Germany"}},
    "subdivisions": [{"iso_code": "BE", "names": {"en": "Land Berlin"}}],
    "city": {"names": {"en": "Berlin"}},
}
LYON = {"country": {"iso_code": "FR"}, "city": {"names": {"en": "Lyon"}}}


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    folder = tmp_path / "python" / FOLDER
    folder.mkdir(parents=True)
    (folder / "GeoLite2-City.mmdb").write_bytes(mmdb({"203.0.113.0/24": BERLIN, "198.51.100.128/25": LYON}))
    return folder.parent


def test_places_come_from_the_database_on_the_path(layer: Path) -> None:
    locate = open_geography(["/nowhere", str(layer)])

    assert locate is not None
    assert [locate(ip_address(text)) for text in ("203.0.113.7", "198.51.100.200", "198.51.100.1")] == [
        BERLIN,
        LYON,
        None,
    ]
    assert location_of(BERLIN) == {"country": "DE", "region": "Land Berlin", "city": "Berlin"}


def test_an_address_that_the_database_cannot_have_has_no_place(layer: Path) -> None:
    locate = open_geography([str(layer)])

    assert locate is not None
    assert locate(ip_address("2001:db8::1")) is None


def test_a_place_is_found_before_the_address_is_shortened(layer: Path) -> None:
    context = {"ip": "198.51.100.200"}

    Enricher(Source("web", "key-of-web"), None, open_geography([str(layer)])).enrich(context, [])

    assert context == {"ip": "198.51.100.0", "location": {"country": "FR", "city": "Lyon"}}


def test_without_a_database_there_is_nothing_to_look_up(tmp_path: Path) -> None:
    assert find_database([str(tmp_path)]) is None
    assert open_geography([str(tmp_path), ""]) is None


def test_a_file_that_is_no_database_stops_the_first_request(layer: Path) -> None:
    (layer / FOLDER / "GeoLite2-City.mmdb").write_bytes(b"not a database")

    with pytest.raises(maxminddb.InvalidDatabaseError):
        open_geography([str(layer)])
