"""The engine as a process of its own: it outlives who started it, there is never a second, and it says why it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagined
import psutil
import pytest
import stub
from stub import file_of, state_of, until

from core.errors import AutoresearchError, NothingRuns, WorkspaceError
from core.events import EngineStarted, FleetSeen
from tui import engine_log, engine_process
from tui.engine_process import EngineProcess


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    folder = stub.make_stub(tmp_path / "work")
    yield folder
    if engine_process.is_alive(file_of(folder)):
        pid = engine_process.start(folder, {}).pid
        os.kill(pid, signal.SIGTERM)
        until(lambda: not engine_process.is_alive(file_of(folder)))


def output(workspace: Path) -> str:
    return (workspace / ".autoresearch" / "engine.log").read_text()


def test_it_works_in_a_session_of_its_own_and_prints_to_its_log(workspace: Path) -> None:
    engine = engine_process.start(workspace, {"max_experiments": 50, "for_": None})
    assert engine.is_new
    assert engine_process.is_alive(file_of(workspace))
    assert os.getsid(engine.pid) == engine.pid != os.getsid(0)
    age = engine_process.heartbeat_age_s(file_of(workspace), time.time())
    assert age is not None
    assert age < 5
    until(lambda: "engine started" in output(workspace))
    assert state_of(workspace).limits.max_experiments == 50
    process = psutil.Process(engine.pid)
    held = {file.path for file in process.open_files()}
    assert str(workspace / ".autoresearch" / "engine.log") in held


def test_it_outlives_the_process_that_started_it(workspace: Path) -> None:
    start = f"engine_process.start(Path({str(workspace)!r}), {{}})"
    code = f"from pathlib import Path; from tui import engine_process; print({start}.pid)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=stub.environment(), capture_output=True, text=True, check=True
    )
    pid = int(done.stdout)
    until(lambda: state_of(workspace).ended > 1)
    assert psutil.pid_exists(pid)
    assert engine_process.start(workspace, {}) == EngineProcess(pid, is_new=False)


def test_of_many_that_start_at_once_one_holds_the_session_and_all_find_it(workspace: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: engine_process.start(workspace, {}), range(4)))
    assert len({engine.pid for engine in found}) == 1
    assert sum(engine.is_new for engine in found) == 1


def test_an_engine_that_cannot_begin_says_why_in_its_own_sentence(workspace: Path) -> None:
    with pytest.raises(AutoresearchError, match="There is no researcher 'oracle'; choose one of") as caught:
        engine_process.start(workspace, {"researcher": "oracle"})
    assert caught.value.exit_code == 2
    with pytest.raises(AutoresearchError, match="slots must be"):
        engine_process.start(workspace, {"slots": 0})


def test_what_is_no_workspace_is_said_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError):
        engine_process.start(tmp_path, {})
    assert not (tmp_path / ".autoresearch").exists()


def test_an_engine_with_nothing_to_do_is_no_error(workspace: Path) -> None:
    assert stub.run(workspace, "--no-ui", "--max-experiments", "1").returncode == 0
    engine = engine_process.start(workspace, {"max_experiments": 1})
    assert engine.is_new
    until(lambda: not engine_process.is_alive(file_of(workspace)))


def test_each_exit_code_has_its_error(workspace: Path) -> None:
    log = workspace / "said"
    log.write_text("autoresearch-tui: There is no GPU.\n")
    with pytest.raises(NothingRuns, match=r"^There is no GPU\.$"):
        engine_process._ended(1, 3, file_of(workspace), log, 0)
    with pytest.raises(AutoresearchError, match="ended at once, with -9, and said nothing") as caught:
        engine_process._ended(1, -9, file_of(workspace), log, log.stat().st_size)
    assert caught.value.exit_code == 137


def test_a_folder_of_the_workspace_named_like_ours_is_not_taken_for_it(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "tui").mkdir()
    (workspace / "tui" / "__init__.py").write_text("raise SystemExit('not yours')\n")
    monkeypatch.chdir(workspace)
    assert engine_process.start(workspace, {}).is_new


def test_asking_whether_it_is_alive_takes_less_than_a_millisecond(workspace: Path) -> None:
    engine_process.start(workspace, {})
    begun = time.perf_counter()
    for _ in range(200):
        assert engine_process.is_alive(file_of(workspace))
    assert (time.perf_counter() - begun) / 200 < 0.001


def test_the_log_starts_over_when_it_is_too_large(tmp_path: Path) -> None:
    """In a process of its own: it moves standard output."""
    file = tmp_path / "engine.log"
    code = (
        "import os, pathlib\n"
        "from tui import engine_log\n"
        f"path = pathlib.Path({str(file)!r})\n"
        "fd = engine_log.opened(path, limit=1000)\n"
        "os.dup2(fd, 1), os.dup2(fd, 2)\n"
        "say = engine_log.bounded(lambda text: print(text, flush=True), path, limit=1000)\n"
        "for number in range(100): say(f'line {number:03d} ' + '.' * 30)\n"
        "raise ValueError('and a traceback')\n"
    )
    subprocess.run([sys.executable, "-c", code], env=stub.environment(), check=False)
    before = file.with_name("engine.log.1")
    assert file.stat().st_size < 2000
    assert before.stat().st_size < 2000
    assert "line 099" in file.read_text()
    assert "and a traceback" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_a_log_that_was_left_too_large_is_put_aside(tmp_path: Path) -> None:
    file = tmp_path / "engine.log"
    file.write_text("x" * 20)
    os.close(engine_log.opened(file, limit=10))
    assert file.read_text() == ""
    assert file.with_name("engine.log.1").read_text() == "x" * 20


def test_a_simulated_session_goes_on_simulated_unless_somebody_says_what_executes_its_runs(tmp_path: Path) -> None:
    folder = imagined.workspace(tmp_path / "work")
    imagined.campaign(folder, fleet="H100:2", max_experiments=1)
    engine = engine_process.start(folder, {"max_experiments": 1})
    with contextlib.suppress(ProcessLookupError):  # there may have been nothing to do
        os.kill(engine.pid, signal.SIGTERM)
    until(lambda: not engine_process.is_alive(file_of(folder)))
    fleets = {fact.gpus for fact in imagined.facts_of(folder) if isinstance(fact, FleetSeen)}
    assert [gpu.type for gpus in fleets for gpu in gpus] == ["H100", "H100"], "the same for both engines"
    starts = [fact for fact in imagined.facts_of(folder) if isinstance(fact, EngineStarted)]
    assert [start.executor for start in starts] == ["simulator", "simulator"]
    with pytest.raises(AutoresearchError, match="This session is simulated: go on with --executor simulator"):
        engine_process.start(folder, {"executor": "local"})
