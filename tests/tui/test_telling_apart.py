"""Names that are shortened and stay different."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.telling_apart import told_apart

SLICED = ("A100-40GB-PCIe", "A100-40GB MIG 1g.5gb", "A100-40GB MIG 2g.10gb")
TWO_CARDS = ("A100-40GB MIG 1g.5gb", "A100-40GB MIG 2g.10gb", "A30-24GB MIG 1g.5gb", "A30-24GB MIG 2g.10gb")
SHARED = ("A100-40GB MIG 1g.5gb shared", "A100-40GB MIG 2g.10gb shared", "A100-40GB", "A100-40GB shared")


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        (6, ["…PCIe", "…1g.5…", "…2g.1…"]),
        (10, ["…40GB-PCIe", "…1g.5gb", "…2g.10gb"]),
        (12, ["A100-40GB-P…", "…MIG 1g.5gb", "…MIG 2g.10gb"]),
        (24, list(SLICED)),
    ],
)
def test_what_differs_is_kept(cells: int, shown: list[str]) -> None:
    assert list(told_apart(SLICED, cells).values()) == shown


def test_a_name_that_no_other_begins_like_keeps_its_beginning() -> None:
    assert told_apart(("H100", "RTX-PRO-6000-BW"), 10) == {"H100": "H100", "RTX-PRO-6000-BW": "RTX-PRO-6…"}


@pytest.mark.parametrize("names", [SLICED, TWO_CARDS, SHARED], ids=["sliced", "two cards", "shared"])
@pytest.mark.parametrize("cells", [6, 8, 10, 14, 20, 28])
def test_no_two_look_the_same(names: tuple[str, ...], cells: int) -> None:
    shown = told_apart(names, cells).values()
    assert len(set(shown)) == len(names)


@given(st.lists(st.text(max_size=40), unique=True, max_size=5), st.integers(0, 30))
def test_whatever_the_names_they_fit(names: list[str], cells: int) -> None:
    shown = told_apart(tuple(names), cells)
    assert list(shown) == names
    assert all(cell_len(name) <= cells for name in shown.values())
