"""Where research is shown: the control room where there is a terminal, lines where there is none."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
import stub

from core import log
from tui import engine_process

ALTERNATE_SCREEN = b"\x1b[?1049h"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return stub.make_stub(tmp_path / "work")


def in_terminal(workspace: Path, *arguments: str, until: bytes, seconds: float = 20) -> tuple[int, bytes]:
    """The command line in a pseudo-terminal; `q` is pressed once it has printed `until`. Its exit code and output."""
    ours, theirs = pty.openpty()
    os.set_inheritable(theirs, True)
    environ = {**stub.environment(), "TERM": "xterm-256color"}
    with subprocess.Popen(
        stub.command(workspace, *arguments), env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        said, pressed, deadline = b"", False, time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    said += os.read(ours, 65536)
                except OSError:  # the other side is closed
                    break
            if until in said and not pressed:
                os.write(ours, b"q")
                pressed = True
        process.kill()
        code = process.wait(5)
    os.close(ours)
    return code, said


def test_in_a_terminal_it_is_the_control_room_and_a_read_only_one_starts_no_engine(workspace: Path) -> None:
    stub.run(workspace, "--no-ui", "--max-experiments", "1")
    code, said = in_terminal(workspace, "--read-only", until=ALTERNATE_SCREEN)
    assert ALTERNATE_SCREEN in said
    assert code == 0, said.decode(errors="replace")[-2000:]
    assert not (workspace / ".autoresearch" / "engine.log").exists()


def test_with_no_ui_a_terminal_gets_lines(workspace: Path) -> None:
    code, said = in_terminal(workspace, "--no-ui", "--max-experiments", "1", until=b"never")
    assert code == 0
    assert ALTERNATE_SCREEN not in said
    assert b"all 1 experiments" in said


def test_lines_never_load_what_draws_screens(workspace: Path) -> None:
    code = (
        "import sys; from tui.cli import main\n"
        f"sys.argv = ['autoresearch-tui', '-C', {str(workspace)!r}, '--no-ui', '--max-experiments', '1']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('loaded:', *[name for name in ('textual', 'rich') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=stub.environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("loaded:\n"), done.stdout + done.stderr


def test_what_an_engine_prints_to_its_log_holds_no_chart(workspace: Path) -> None:
    assert engine_process.start(workspace, {"max_experiments": 2}).is_new
    file = workspace / ".autoresearch" / log.FILE
    stub.until(lambda: not engine_process.is_alive(file))
    text = (workspace / ".autoresearch" / "engine.log").read_text()
    assert "all 2 experiments of this session are done" in text
    assert "┤" not in text
