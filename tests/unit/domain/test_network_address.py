import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.domain.network_address import is_within, read_address, shortened


@given(st.ip_addresses())
def test_what_is_left_is_the_address_of_the_network(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    prefix = 24 if address.version == 4 else 48
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)

    assert shortened(address) == str(network.network_address)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.0"),
        (" 203.0.113.7 , 10.0.0.1", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:203.0.113.7", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("203.0.113", None),
        ("203.0.113.7:443", None),
        ("unknown", None),
        ("", None),
        ("1" * 300, None),
    ],
)
def test_an_address_is_read_or_it_is_none(text: str, expected: str | None) -> None:
    address = read_address(text)

    assert (None if address is None else shortened(address)) == expected


@given(st.text())
def test_any_text_is_an_address_or_none(text: str) -> None:
    address = read_address(text)

    assert address is None or shortened(address)


def test_networks_of_both_versions_can_stand_beside_each_other() -> None:
    networks = [ipaddress.ip_network("198.51.100.0/24"), ipaddress.ip_network("2001:db8::/32")]

    assert is_within(ipaddress.ip_address("198.51.100.9"), networks)
    assert is_within(ipaddress.ip_address("2001:db8::9"), networks)
    assert not is_within(ipaddress.ip_address("203.0.113.9"), networks)
