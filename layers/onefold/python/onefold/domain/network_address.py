"""A person's network address: read, shortened by the source's policy, and known as one of our own networks."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

IPV4_BITS_KEPT: Final = 24
IPV6_BITS_KEPT: Final = 48  # what a household or a site has
TEXT_CHARACTERS_MAX: Final = 200
KNOWN_MAX: Final = 4_096  # texts that a process remembers


@lru_cache(maxsize=KNOWN_MAX)
def read_address(text: str) -> Address | None:
    """Read an address, or the first of a list as proxies write it (`X-Forwarded-For`); None where there is none.

    An IPv4 address in IPv6 notation (::ffff:203.0.113.7) is read as what it is, and a zone (fe80::1%eth0) is left out.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        return None
    try:
        address = ip_address(text.partition(",")[0].partition("%")[0].strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def shortened(address: Address) -> str:
    """The address of its network: /24 of IPv4, /48 of IPv6."""
    host_bits = address.max_prefixlen - (IPV4_BITS_KEPT if isinstance(address, IPv4Address) else IPV6_BITS_KEPT)
    return str(type(address)(int(address) >> host_bits << host_bits))


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)  # one of the other version contains nothing of this
