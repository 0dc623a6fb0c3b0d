"""The whole in a real terminal: an engine of its own, windows that come and go, keys that reach a running job."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import stub
from stub import file_of, running, state_of, until
from terminals import Terminal, needs_tmux

from core import log as logs

pytestmark = [needs_tmux, pytest.mark.slow]
SLOW = stub.TRAIN.replace('SECONDS = "0.1"', 'SECONDS = "9"')


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    settings = "baseline_runs = 1\nreplicates = false\nearly_stop = false\n"
    folder = stub.make_stub(tmp_path / "work", train=SLOW, settings=settings)
    yield folder
    if logs.is_held(file_of(folder)) and (beat := logs.heartbeat(file_of(folder))):
        os.kill(beat.pid, signal.SIGTERM)
        until(lambda: not logs.is_held(file_of(folder)), 20)


def room(workspace: Path, *arguments: str) -> Terminal:
    program = [sys.executable, "-m", "tui", "-C", str(workspace), *arguments]
    return Terminal(program, XDG_CONFIG_HOME=str(workspace.parent / "config"))


def test_a_night_on_call(workspace: Path) -> None:
    """Start, see runs, veto one, see it stop and its slot taken, leave, come back, stop the engine."""
    with room(workspace) as terminal:
        terminal.see("live", "running")
        until(lambda: any(not run.startswith("e0") for run in running(workspace)), 40)
        victim = next(run for run in running(workspace) if not run.startswith("e0"))
        name = victim.partition("-")[0]
        terminal.type(f":{name}")
        terminal.press("Enter")
        terminal.wait(lambda screen: bool(re.search(rf"\b{name}\b.*running", screen)), f"{name} selected")
        terminal.press("v")
        terminal.see(f"Veto {name}?", "spent")
        terminal.press("y")
        asked = time.monotonic()
        until(lambda: victim not in running(workspace), 2)
        until(lambda: len(running(workspace)) == 2, 2)
        assert time.monotonic() - asked < 4
        terminal.see("vetoed")
        assert state_of(workspace).experiments[name].status == "vetoed"  # type: ignore[index]
        terminal.press("q")
        terminal.wait(lambda _: not terminal.is_open, "the window to close", 5)
    assert logs.is_held(file_of(workspace)), "research goes on"
    with room(workspace) as terminal:
        terminal.see("live", "vetoed")
        terminal.press("Q")
        terminal.see("Stop the engine?")
        terminal.press("y")
        until(lambda: not logs.is_held(file_of(workspace)), 20)
        terminal.press("q")
        terminal.wait(lambda _: not terminal.is_open, "the window to close", 5)
    state = state_of(workspace)
    assert len(stub.started(workspace)) == len(set(stub.started(workspace))), "nothing ran twice"
    assert not state.active
