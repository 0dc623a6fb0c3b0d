"""Where a connection comes from: networks, wildcards, and what counts as one origin."""

from __future__ import annotations

import pytest

from tui.serving.origins import is_from, neighbourhood


@pytest.mark.parametrize(
    ("address", "patterns", "matches"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.*", True),
        ("10.1.2.3", "10.0.0.0/8,!10.1.2.3", False),
        ("10.1.2.3", "!10.1.2.3,10.0.0.0/8", False),
        ("10.1.2.4", "!10.1.2.3", False),
        ("::ffff:10.1.2.3", "10.1.2.3", True),
        ("2001:db8::1", "2001:db8::/32", True),
        ("fe80::1%eth0", "fe80::/10", True),
        ("2001:db8::1", "10.0.0.0/8,*", True),
        ("nowhere", "*", False),
    ],
)
def test_one_pattern_must_match_and_none_that_is_negated(address: str, patterns: str, matches: bool) -> None:
    assert is_from(address, patterns) is matches


def test_one_ipv6_customer_is_one_origin() -> None:
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff")
    assert neighbourhood("2001:db8:0:1::1") != neighbourhood("2001:db8::1")
    assert neighbourhood("::ffff:10.0.0.1") == neighbourhood("10.0.0.1")
