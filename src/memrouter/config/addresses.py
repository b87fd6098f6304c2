"""Addresses and header parts: what is wrong with one, as the words for what is allowed instead."""

import ipaddress
import re
from urllib.parse import urlsplit

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*")
_HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})", re.ASCII)
_URL = re.compile(r"[\x21-\x7e]+", re.ASCII)


def is_header_name(text: str) -> bool:
    """Return whether ``text`` may name an HTTP header."""
    return _HEADER_NAME.fullmatch(text) is not None


def bad_header_value(text: str) -> str:
    """Return what is allowed as the value of a header, or nothing where ``text`` is."""
    return "" if _HEADER_VALUE.fullmatch(text) else "text without control characters"


def bad_endpoint(text: str) -> str:
    """Return what is allowed as an endpoint, or nothing where ``text`` is host and port, IPv6 in brackets."""
    match = _HOST_PORT.fullmatch(text)
    if match is not None and 1 <= int(match["port"]) <= 65_535 and (match["v6"] is None or _is_ipv6(match["v6"])):
        return ""
    return "host:port, IPv6 in brackets; for a URL use base_url"


def bad_base_url(text: str) -> str:
    """Return what is allowed as a base URL, or nothing where ``text`` is http(s) with a host."""
    try:
        url = urlsplit(text)
        is_good = bool(_URL.fullmatch(text)) and url.scheme in ("http", "https") and bool(url.hostname)
        is_good = is_good and (url.port is None or url.port > 0) and not url.query and not url.fragment
    except ValueError:
        is_good = False
    return "" if is_good else "an http:// or https:// URL with a host, without query or fragment"


def bad_network(text: str) -> str:
    """Return what is allowed as a network, or nothing where ``text`` is an address or a network in CIDR form."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        try:
            nearest = f", such as {ipaddress.ip_network(text, strict=False)}"
        except ValueError:
            nearest = ""
        return f"an IP address or a network without host bits{nearest}"
    return ""


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
