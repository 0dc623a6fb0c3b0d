"""Numbers as they stand on screen."""

from __future__ import annotations

import pytest

from tui import numbers


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (950, "950"), (999, "999"), (1000, "1.0k"), (12_345, "12.3k"), (123_456, "123k"), (999_400, "999k"),
     (999_600, "1.0M"), (1_234_567, "1.2M"), (123_456_789, "123M")],
)  # fmt: skip
def test_a_large_number_is_three_digits_and_a_unit(number: int, text: str) -> None:
    assert numbers.short(number) == text
