"""A program in a real terminal: tmux, with keys pressed and the screen read as text."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from uuid import uuid4

import pytest
from stub import ROOT

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")


class Terminal:
    """`command` runs in it until it ends by itself or `close` ends it; the shell's environment is `environment`."""

    def __init__(self, command: Sequence[str], *, size: tuple[int, int] = (120, 40), **environment: str) -> None:
        self._server = f"test-{uuid4().hex[:8]}"
        self._target = "room"
        given = {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", **environment}
        names = [part for name, value in given.items() for part in ("-e", f"{name}={value}")]
        columns, rows = map(str, size)
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-s", self._target, "-x", columns, "-y", rows, *names, *command
        )
        self._tmux("set-option", "-g", "escape-time", "10")

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._server, *arguments]
        environ = {name: value for name, value in os.environ.items() if name != "TMUX"}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environ).stdout

    def press(self, *keys: str) -> None:
        """Keys as tmux names them: "v", "Enter", "C-p", "Escape"."""
        self._tmux("send-keys", "-t", self._target, *keys)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-t", self._target, "-l", text)

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-t", self._target, "-x", str(columns), "-y", str(rows))

    @property
    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", self._target)

    @property
    def is_open(self) -> bool:
        return bool(self._tmux("list-sessions"))

    def see(self, *texts: str, within: float = 20) -> str:
        """Waits until all of `texts` are on the screen, and returns it."""
        return self.wait(lambda screen: all(text in screen for text in texts), f"{texts}", within)

    def wait(self, claim: Callable[[str], bool], what: str, within: float = 20) -> str:
        deadline = time.monotonic() + within
        while not claim(screen := self.screen):
            assert time.monotonic() < deadline, f"waited {within} s in vain for {what}:\n{screen}"
            time.sleep(0.03)
        return screen

    def close(self) -> None:
        self._tmux("kill-server")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
