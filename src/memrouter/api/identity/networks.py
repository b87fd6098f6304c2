"""Where a connection comes from. Pure."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from memrouter.api.identity.authenticator import Client

_REMEMBERED: Final = 1024
"""Addresses that need not be looked up again: proxies are few, and every request comes from one."""


def client_address(client: Client) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address of a connection, one of IPv4 as such; None where it has none, as over a Unix socket."""
    return _address(str(client[0])) if client else None


class TrustedNetworks:
    """The networks whose word about the user is believed.

    Args:
        networks: Addresses or networks.

    Raises:
        ValueError: One of them is neither.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]
        self._hold = lru_cache(maxsize=_REMEMBERED)(self._look_up)

    def hold(self, client: Client) -> bool:
        """Return whether a connection comes from one of them; one without an address does not."""
        return self._hold(str(client[0])) if client else False

    def _look_up(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
