"""Where a connection comes from. Pure."""

import ipaddress
from collections.abc import Iterable

from memrouter.api.identity.authenticator import Client


def client_address(client: Client) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address of a connection, one of IPv4 as such; None where it has none, as over a Unix socket."""
    try:
        address = ipaddress.ip_address(str(client[0])) if client else None
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class TrustedNetworks:
    """The networks whose word about the user is believed.

    Args:
        networks: Addresses or networks.

    Raises:
        ValueError: One of them is neither.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def hold(self, client: Client) -> bool:
        """Return whether a connection comes from one of them; one without an address does not."""
        address = client_address(client)
        return address is not None and any(address in network for network in self._networks)
