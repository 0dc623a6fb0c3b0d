"""What the service says: each refusal in one line, a flood in a few."""

from __future__ import annotations

import re

from tui.serving.journal import LINES, PAIRS, Journal


def told(lines: list[str]) -> int:
    """How many refusals the lines tell of."""
    counts = [re.search(r"([\d,]+) more time", line) for line in lines if "refused" in line]
    return sum(int(match[1].replace(",", "")) if match else 1 for match in counts)


def test_each_refusal_is_told_once_and_a_flood_in_a_few_lines() -> None:
    lines: list[str] = []
    journal = Journal(lines.append)
    for _ in range(1000):
        journal.refused("10.0.0.1", "too many connections")
    journal.refused("10.0.0.2", "it showed no key")
    assert len(lines) == LINES + 1
    journal.tick()
    assert len(lines) == LINES + 1, "not before a minute is over"
    journal.tick(is_last=True)
    assert "refused 10.0.0.1 995 more times: too many connections" in lines[-1]
    assert told(lines) == journal.refusals == 1001


def test_a_flood_from_everywhere_is_told_as_one() -> None:
    lines: list[str] = []
    journal = Journal(lines.append)
    for number in range(PAIRS * 3):
        journal.refused(f"10.0.{number}", "it showed no key")
    journal.tick(is_last=True)
    assert told(lines) == PAIRS * 3
    assert len(lines) <= PAIRS + LINES + 1


def test_what_comes_from_outside_cannot_forge_a_line() -> None:
    lines: list[str] = []
    Journal(lines.append).refused("10.0.0.1", "x\n12:00:00  ada came\x1b[2J")
    assert "\n" not in lines[0]
    assert "\x1b" not in lines[0]
