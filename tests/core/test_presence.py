"""Who is watching: told by files whose locks the kernel gives back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from stub import ROOT

from core.presence import FOLDER, Presence, Watcher, watchers

ADA, CLEO = Watcher("ada"), Watcher("cleo", may_act=False)
WATCHES = """\
import sys; from pathlib import Path; from core.presence import Presence, Watcher
one = Presence(Path(sys.argv[1]), Watcher("ben")); one.announce(); print("watching", flush=True); sys.stdin.read()
"""


@pytest.fixture
def session(tmp_path: Path) -> Path:
    file = tmp_path / "session.db"
    file.touch()
    return file


def test_those_who_watch_are_seen_until_they_leave(session: Path) -> None:
    ada, cleo = Presence(session, ADA), Presence(session, CLEO)
    assert watchers(session) == ()
    ada.announce()
    cleo.announce()
    assert watchers(session) == (ADA, CLEO)
    ada.leave()
    assert watchers(session) == (CLEO,)
    cleo.leave()
    assert list((session.parent / FOLDER).iterdir()) == []


def test_a_window_that_was_killed_disappears_by_itself(session: Path) -> None:
    command = [sys.executable, "-c", WATCHES, str(session)]
    window = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert window.stdout is not None
    assert window.stdin is not None
    assert window.stdout.readline() == b"watching\n"
    assert watchers(session) == (Watcher("ben"),)
    window.kill()
    window.wait()
    window.stdin.close()
    window.stdout.close()
    assert watchers(session) == ()
    assert list((session.parent / FOLDER).iterdir()) == [], "and its file with it"


def test_before_there_is_a_session_nothing_is_written(tmp_path: Path) -> None:
    one = Presence(tmp_path / "session.db", ADA)
    one.announce()
    assert not one.told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"name": 3}', b"\xff" * 5000])
def test_a_file_that_is_no_watcher_is_none(session: Path, content: bytes) -> None:
    ada = Presence(session, ADA)
    ada.announce()
    (session.parent / FOLDER / "x").write_bytes(content)
    assert watchers(session) == (ADA,)
    ada.leave()
    assert not (session.parent / FOLDER / "x").exists()


def test_a_folder_that_cannot_be_made_is_watched_in_silence(session: Path) -> None:
    (session.parent / FOLDER).write_text("in the way")
    Presence(session, ADA).announce()
    assert watchers(session) == ()
