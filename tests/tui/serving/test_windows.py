"""Windows over OpenSSH, in real terminals, on a live session: what one does all see, and what one suffers nobody else.

The service is a process of its own, as a person starts it. Times are printed, not asserted tightly: the machine is
shared.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import stub
from glass import Glass
from service import Served, needs_ssh, service
from stub import file_of, state_of, until
from terminals import Terminal, needs_tmux

from core import log as logs
from tui.actions import ACTIONS

pytestmark = [needs_ssh, pytest.mark.slow]
SLOW = stub.TRAIN.replace('SECONDS = "0.1"', 'SECONDS = "9"')
SETTINGS = "baseline_runs = 1\nreplicates = false\nearly_stop = false\n"
KEYS = {"left_square_bracket": "[", "space": " ", "ctrl+k": "\x0b"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A live session with an engine."""
    workspace = stub.make_stub(tmp_path / "work", train=SLOW, settings=SETTINGS)
    with stub.engine(workspace), service(tmp_path, workspace=workspace) as found:
        until(lambda: len(_waiting(workspace)) >= 3, 40)
        yield found


@pytest.fixture
def still(tmp_path: Path) -> Iterator[Served]:
    """A session that stands still."""
    with service(tmp_path) as found:
        yield found


def _waiting(workspace: Path) -> list[str]:
    state = state_of(workspace)
    return [name for name in state.open if state.experiments[name].status == "proposed"]


def _read(*glasses: Glass) -> None:
    for glass in glasses:
        glass.read(0.001)


def _seen(glasses: list[Glass], text: str, within_s: float = 10.0) -> list[float]:
    """Seconds until each shows `text`; all are read meanwhile."""
    begun, found = time.monotonic(), dict[int, float]()
    while len(found) < len(glasses):
        assert time.monotonic() - begun < within_s, f"waited in vain for {text}:\n{glasses[-1].text}"
        for number, glass in enumerate(glasses):
            glass.read(0.001)
            if number not in found and text in glass.text:
                found[number] = time.monotonic() - begun
    return [found[number] for number in range(len(glasses))]


def _windows(served: Served) -> list[psutil.Process]:
    mine = str(served.workspace)
    found = []
    for each in psutil.process_iter(["cmdline"]):
        line = " ".join(each.info["cmdline"] or ())
        if "tui.serving.child" in line and mine in line:
            found.append(each)
    return found


def test_a_veto_of_one_operator_is_seen_by_all_with_the_name(served: Served) -> None:
    with served.glass("ada") as ada, served.glass("ben") as ben, served.glass("cleo") as cleo:
        everybody = [ada, ben, cleo]
        _seen(everybody, "3 watching: ada, ben, cleo (viewer)", 30)
        took, vetoed = [], _waiting(served.workspace)[-2:]
        for glass, name, by in zip((ada, ben), vetoed, ("ada", "ben"), strict=True):
            glass.press(f":veto {name}")
            _seen([glass], f":veto {name}")
            glass.press("\r")
            took.append(max(_seen(everybody, f"vetoed by {by}")))
        print(f"a veto on all three screens: {[round(1000 * each) for each in took]} ms, load {os.getloadavg()[0]:.1f}")
        assert min(took) < 2
    state = state_of(served.workspace)
    assert [state.experiments[name].status for name in vetoed] == ["vetoed"] * 2  # type: ignore[index]


def test_a_viewer_presses_every_key_that_changes_something_and_changes_nothing(served: Served) -> None:
    with served.glass("cleo") as cleo:
        cleo.wait(lambda text: "read-only" in text and "e1" in text, 20)
        for action in (each for each in ACTIONS if each.commands):
            for key in action.keys:
                cleo.press(KEYS.get(key, key))
                cleo.read_for(0.1)
                cleo.press("y")
                cleo.read_for(0.1)
                cleo.press("\x1b")
                cleo.read_for(0.15)
        for said in ("veto e1", "stop", "pause", "steer hello", "kill e1-1", "start engine"):
            _command(cleo, said)
        cleo.press("\x1a")  # nothing to be suspended into
        cleo.wait(lambda text: "read-only" in text, 5)
        cleo.press("q")
        assert cleo.ended(10) == 0, cleo.text
    with logs.opened(file_of(served.workspace)) as db:
        assert db.execute("select count(*) from commands").fetchone() == (0,)
    assert logs.is_held(file_of(served.workspace)), "the engine goes on"


def _command(glass: Glass, said: str) -> None:
    """Types a command, and leaves its line if it is still there."""
    glass.press(":")
    glass.wait(lambda text: "─ Command" in text, 10)
    glass.press(f"{said}\r")
    glass.read_for(0.5)
    deadline = time.monotonic() + 10
    while "─ Command" in glass.text and time.monotonic() < deadline:
        glass.press("\x1b")
        glass.read_for(0.5)
    assert "─ Command" not in glass.text


def test_what_happens_to_one_window_is_that_ones_alone(still: Served) -> None:
    """A crash, a killed client, a storm of sizes, a pasted megabyte and a terminal without colours, beside ada's."""
    with still.glass("ada") as ada:
        ada.wait(lambda text: "e1" in text, 20)
        with still.glass("ben") as ben:
            ben.wait(lambda text: "2 watching" in text, 20)
            ada.wait(lambda text: "2 watching" in text, 10)
            crashed = next(each for each in _windows(still) if '"ben"' in " ".join(each.cmdline()))
            crashed.send_signal(signal.SIGSEGV)
            assert ben.ended() != 0
        with still.glass("ben") as ben:
            ben.wait(lambda text: "2 watching" in text, 20)
            for turn in range(200):
                ben.resize(60 + turn % 90, 20 + turn % 30)
                _read(ada, ben)
            ben.resize(120, 40)
            ben.press("x" * 200)
            _paste(ada, ben)
            ben.press("\x1b\x1b")
            ben.wait(lambda text: "2 watching" in text and "help" in text, 30)
            ben.process.kill()
            ada.wait(lambda text: "2 watching" not in text, 5)
            until(lambda: len(_windows(still)) == 1, 5)
        with still.glass("cleo", environ={"TERM": "dumb", "NO_COLOR": "1"}) as plain:
            plain.wait(lambda text: "read-only" in text, 20)
            assert b"\x1b[38;" not in plain.last
        begun = time.monotonic()
        ada.press("?")
        ada.wait(lambda text: "Research" in text, 5)
        print(f"a key meanwhile: {1000 * (time.monotonic() - begun):.0f} ms")
        ada.press("\x1bq")
        ada.read_for(0.3)
        ada.press("q")
        assert ada.ended() == 0
    until(lambda: not _windows(still), 5)


def _paste(other: Glass, glass: Glass) -> None:
    """A megabyte, as a terminal pastes it; the other window is read meanwhile."""
    os.set_blocking(glass.master, False)
    rest = b"\x1b[200~" + b"all work and no play " * 50_000 + b"\x1b[201~"
    deadline = time.monotonic() + 30
    while rest and time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            rest = rest[os.write(glass.master, rest[:65_536]) :]
        _read(other, glass)
    os.set_blocking(glass.master, True)
    assert not rest, f"{len(rest):,} bytes were not taken"


def test_a_frozen_client_holds_up_nobody(still: Served) -> None:
    with still.glass("ada") as ada, still.glass("cleo") as cleo:
        cleo.wait(lambda text: "2 watching" in text, 20)
        os.kill(cleo.process.pid, signal.SIGSTOP)
        for key in ("?", "\x1b", "t", "\x1b") * 5:
            ada.press(key)
            ada.read_for(0.1)
        ada.press("?")
        ada.wait(lambda text: "Research" in text, 5)
        os.kill(cleo.process.pid, signal.SIGCONT)
        cleo.press("?")
        cleo.wait(lambda text: "Research" in text, 10)


@needs_tmux
def test_it_works_inside_tmux_with_mouse_and_new_sizes(still: Served) -> None:
    with Terminal(still.ssh("ada", "127.0.0.1"), SSH_AUTH_SOCK="") as terminal:
        terminal.see("e1", "help")
        terminal.resize(80, 24)
        terminal.wait(lambda screen: max(map(len, screen.splitlines())) <= 80 and "help" in screen, "80 columns")
        terminal.press("C-z")
        terminal.see("There is no shell")
        terminal.press("q")
        terminal.wait(lambda _: not terminal.is_open, "the window to close", 10)
