"""The README's table of keys is the action table, and its picture is what the program shows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from click.testing import CliRunner

from tui.actions import ACTIONS, GROUPS, shown
from tui.cli import main

README = Path(__file__).parents[2] / "README.md"
RECORDINGS = README.parent / "recordings" / "README.md"


def table() -> str:
    """`python tests/tui/test_readme.py` prints it, to be put into the README."""
    rows = ["| key | | |", "|---|---|---|"]
    for group, title in GROUPS.items():
        rows.append(f"| **{title}** | | |")
        for action in (each for each in ACTIONS if each.group == group):
            keys = " ".join(f"`{shown(key)}`" for key in action.keys)
            rows.append(f"| {keys} | {action.id.replace('_', ' ')} | {action.help.replace('|', '/')} |")
    return "\n".join(rows)


def test_the_table_of_keys_in_the_readme_is_the_action_table() -> None:
    assert table() in README.read_text(encoding="utf-8"), "put the output of `python tests/tui/test_readme.py` there"


def test_the_picture_in_the_readme_is_what_its_command_makes_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The texts of it: how a library writes colours and fonts may differ."""
    command = re.search(
        r"^ {4}TZ=UTC autoresearch-tui (export .* -o (\S+dashboard\.svg))$", RECORDINGS.read_text(), re.MULTILINE
    )
    assert command is not None
    arguments = command[1].replace(f"-o {command[2]}", "").split()
    monkeypatch.chdir(README.parent)
    with in_greenwich(monkeypatch):
        made = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert made.exit_code == 0, made.output
    shipped = (README.parent / command[2]).read_text(encoding="utf-8")
    assert texts(made.stdout) == texts(shipped), f"{command[2]} is stale; make it again:\n\n   {command[0]}\n"


@contextmanager
def in_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NO_COLOR", "AUTORESEARCH_ASCII"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        yield
    finally:
        monkeypatch.undo()
        time.tzset()


def texts(svg: str) -> list[str]:
    """Line by line, as they stand on the screen."""
    lines: dict[float, list[tuple[float, str]]] = {}
    for each in Xml.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):  # noqa: S314  our own file
        text = "".join(each.itertext()).replace("\xa0", " ").rstrip("\n")
        lines.setdefault(float(each.get("y", 0)), []).append((float(each.get("x", 0)), text))
    return ["".join(text for _, text in sorted(found)).rstrip() for _, found in sorted(lines.items())]


if __name__ == "__main__":
    print(table())
