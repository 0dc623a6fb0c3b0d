"""The README's table of keys is the action table."""

from __future__ import annotations

from pathlib import Path

from tui.actions import ACTIONS, GROUPS, shown

README = Path(__file__).parents[2] / "README.md"


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


if __name__ == "__main__":
    print(table())
