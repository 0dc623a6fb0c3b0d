"""Simulated sessions in workspaces of their own: what their tests and benches share."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from campaign import UPSTREAM
from checkout import PREPARE, commit_all, git

from core import events as ev
from core import log as logs
from core import session, virtual
from core.engine import Engine, Stopped
from core.fold import fold
from core.settings import load
from core.state import State


def workspace(folder: Path) -> Path:
    """With upstream's constants in its train.py, committed."""
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(UPSTREAM)
    (folder / "prepare.py").write_text(PREPARE)
    (folder / "program.md").write_text("Lower val_bpb.\n")
    git(folder, "init", "-q")
    git(folder, "config", "user.name", "Ada")
    git(folder, "config", "user.email", "ada@example.org")
    commit_all(folder)
    return folder


def campaign(folder: Path, **settings: Any) -> Stopped:
    """A simulated session, as fast as it computes, to the end of its limits."""
    chosen = {"executor": "simulator", "speed": "max", **settings}
    return virtual.run(session.research(folder, load(folder, {}, chosen), "0"))


def watched(folder: Path, **settings: Any) -> tuple[Stopped, State]:
    """The same, with the state that the engine had at its end."""
    engines: list[Engine] = []

    class Watched(Engine):
        def __init__(self, **parts: Any) -> None:
            super().__init__(**parts)
            engines.append(self)

    with patch.object(session, "Engine", Watched):
        return campaign(folder, **settings), engines[0].state


def file_of(folder: Path) -> Path:
    return folder / ".autoresearch" / logs.FILE


def facts_of(folder: Path) -> list[ev.Fact]:
    return logs.read_all(file_of(folder))


def state_of(folder: Path) -> State:
    return fold(State(), facts_of(folder))


def comparable(facts: list[ev.Fact]) -> list[dict[str, Any]]:
    """Without what names the process, the machine, the day and the commits; times count from the first fact."""
    start = facts[0].at
    rows = []
    for fact in facts:
        row = msgspec.to_builtins(fact)
        row["at"] = fact.at - start
        rows.append({name: value for name, value in row.items() if name not in OF_THE_DAY})
    return rows


OF_THE_DAY = ("session", "branch", "commit", "pid", "host")
