"""The end of a log: what is read, and what is made of it."""

from __future__ import annotations

import os
from pathlib import Path

from hostile import TEXT, check, told

from core.ids import RunId
from tui.paint import plain
from tui.widgets.logtail import LAST, log_file, log_lines, read_end, without_log


def test_only_the_end_of_a_long_log_is_read_from_the_beginning_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(b"".join(b"line %06d\n" % i for i in range(20_000)))
    found = read_end(path)
    assert found is not None
    assert len(found) <= LAST
    assert found.startswith("line 0")
    assert found.endswith("line 019999\n")


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    assert read_end(tmp_path / "link") is None
    assert read_end(tmp_path / "pipe") is None
    assert read_end(tmp_path) is None
    assert read_end(tmp_path / "nothing") is None


def test_invalid_bytes_are_shown_as_such(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_bytes(b"loss \xff\xfe 1.0\n")
    assert read_end(tmp_path / "run.log") == "loss \ufffd\ufffd 1.0\n"


def test_the_log_of_a_run_lies_beside_the_database(tmp_path: Path) -> None:
    assert log_file(tmp_path / "session.db", RunId("e1-1")) == tmp_path / "runs" / "e1-1" / "run.log"
    assert log_file(None, RunId("e1-1")) is None
    assert log_file(tmp_path / "session.db", RunId("../../etc")) is None


def test_a_progress_line_that_was_written_over_shows_its_latest_text() -> None:
    assert [plain(line) for line in log_lines("10 %\r50 %\r100 %\r\ndone\n", 20)] == ["100 %", "done"]


def test_a_long_line_ends_in_an_ellipsis_or_is_broken() -> None:
    assert plain(log_lines("x" * 100, 20)[0]) == "x" * 19 + "…"
    assert len(log_lines("x" * 100, 20, wrapped=True)) == 5


def test_errors_stand_out() -> None:
    roles = [line[0][1] for line in log_lines("Traceback (most recent call last):\nValueError: no\nval_bpb: 1.0", 40)]
    assert roles == ["error", "error", "bold"]


def test_hostile_output_stays_in_its_lines() -> None:
    for wrapped in (False, True):
        check(log_lines(f"{TEXT}\n{TEXT}", 60, wrapped=wrapped), 60)
    state = told().state
    check([((without_log(state, state.runs[RunId("e2-1")]), ""),)], 400)
