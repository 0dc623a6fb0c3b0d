"""Where a connection comes from, against the patterns of `from=`: networks, addresses and wildcards. Pure.

Host names are not looked up: who answers for a network's reverse names would decide who comes in.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re

_ADDRESS = re.compile(r"[0-9a-fA-F.:*?]+")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_from(address: str, patterns: str) -> bool:
    """`patterns`: "10.0.0.0/8,!10.1.*": one must match, and none with "!" before it."""
    given = address_of(address)
    if given is None:
        return False
    found = False
    for pattern in patterns.split(","):
        if _matches(given, pattern.strip().removeprefix("!")):
            if pattern.strip().startswith("!"):
                return False
            found = True
    return found


def misspelt(patterns: str) -> str:
    """ "" if each is a network or an address with or without wildcards; else the end of a sentence."""
    for pattern in patterns.split(","):
        plain = pattern.strip().removeprefix("!")
        if "/" in plain:
            if _network(plain) is None:
                return f"{plain} is no network like 10.0.0.0/8"
        elif not _ADDRESS.fullmatch(plain):
            return f"{plain} is no address; host names are not looked up"
    return ""


def address_of(text: str) -> Address | None:
    """Without a zone; IPv4 in its IPv6 dress as IPv4."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def neighbourhood(text: str) -> str:
    """What is counted as one origin: an IPv4 address, or the /64 that one customer gets of IPv6."""
    found = address_of(text)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found or text)


def _matches(given: Address, pattern: str) -> bool:
    if "/" in pattern:
        network = _network(pattern)
        return network is not None and given.version == network.version and given in network
    return fnmatch.fnmatchcase(str(given), pattern.lower())


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
