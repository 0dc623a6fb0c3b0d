"""A session on a read-only file system can be looked at, and nobody offers to change anything there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import full_disk
import imagined
import pytest
import stub

Run = Callable[..., "subprocess.CompletedProcess[str]"]
OPEN = """
import sys
from pathlib import Path
from tui.window import run_control_room
run_control_room(Path(sys.argv[1]), {})
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs Python with the workspace of a simulated session on a read-only file system."""
    folder = imagined.workspace(tmp_path / "work")
    imagined.campaign(folder, fleet="H100:2", max_experiments=1)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        mount = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}"
        command = full_disk.apart(mount, sys.executable, *arguments, str(folder))
        if command is None:
            pytest.skip("no file system can be mounted here")
        return subprocess.run(
            command,
            env=stub.environment(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=30,
        )

    return run


def test_what_it_has_reached_can_be_read(run: Run) -> None:
    look = "import sys; from tui.cli import main; main(['-C', sys.argv[1], 'status'])"
    done = run("-c", look)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 experiments" in done.stdout


def test_the_control_room_does_not_offer_to_make_a_workspace_of_it(run: Run) -> None:
    done = run("-c", OPEN)
    assert "WorkspaceError: You may not write to " in done.stderr
    assert "look with --read-only" in done.stderr


def test_a_command_is_refused_with_a_sentence_that_says_why(run: Run) -> None:
    done = run("-c", "import sys; from tui.cli import main; main(['-C', sys.argv[1], 'note', 'hello'])")
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "nothing can be written there" in done.stderr
