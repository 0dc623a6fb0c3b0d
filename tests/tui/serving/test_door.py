"""How many may come, and how fast."""

from __future__ import annotations

from tui.serving.door import ADDRESSES, Door, Limits

FEW = Limits(windows=3, per_key=2, strangers=4, strangers_per_address=3, burst=5, per_s=1.0)


def test_an_address_that_comes_too_fast_waits_its_turn() -> None:
    door = Door(FEW)
    for _ in range(5):
        assert door.knock("a", 0.0) == ""
        door.known("a")
    assert "short time" in door.knock("a", 0.0)
    assert door.knock("b", 0.0) == "", "another address is not held up"
    assert "short time" in door.knock("a", 0.9)
    assert door.knock("a", 1.1) == ""


def test_strangers_are_few_per_address_and_in_all() -> None:
    door = Door(FEW)
    assert [door.knock("a", 0.0) for _ in range(3)] == ["", "", ""]
    assert "from there are logging in" in door.knock("a", 0.0)
    assert door.knock("b", 0.0) == ""
    assert "too many connections are logging in" in door.knock("c", 0.0)
    door.known("a")
    assert door.knock("c", 0.0) == ""


def test_windows_are_few_per_key_and_in_all() -> None:
    door = Door(FEW)
    assert [door.opens("ada"), door.opens("ada")] == ["", ""]
    assert "with this key" in door.opens("ada")
    assert door.opens("ben") == ""
    assert "all 3 windows" in door.opens("cleo")
    door.closes("ada")
    assert door.opens("cleo") == ""


def test_a_million_addresses_are_not_all_remembered() -> None:
    door = Door(FEW)
    for number in range(3 * ADDRESSES):
        door.knock(str(number), 0.001 * number)
        door.known(str(number))
    assert len(door._tokens) <= ADDRESSES
