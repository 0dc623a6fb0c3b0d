"""The command line with `--executor simulator`: nothing is real, and everything says so."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imagined
import pytest
import stub
from imagined import facts_of, state_of

from core import events as ev

SIMULATED = ("--executor", "simulator", "--no-ui", "--speed", "max")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return imagined.workspace(tmp_path / "work")


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """In the background. What it prints at this speed would fill a pipe that nobody reads."""
    command = stub.command(folder, *arguments)
    with subprocess.Popen(command, env=stub.environment(), cwd=folder.parent, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_demo_needs_neither_data_nor_torch(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    python = "import sys; sys.modules['torch'] = None; from tui.cli import main; main()"
    arguments = ["demo", str(folder), *SIMULATED, "--max-hours", "0.2", "--fleet", "H100:4"]
    done = subprocess.run(
        [sys.executable, "-c", python, *arguments],
        env=stub.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DEPTH = 8" in (folder / "train.py").read_text(), "the constants for a GPU, whatever this machine is"
    state = state_of(folder)
    assert state.simulated
    assert state.ended > 4


def test_header_chart_summary_and_status_say_that_it_is_simulated(folder: Path) -> None:
    done = stub.run(folder, *SIMULATED, "--max-hours", "0.4", "--fleet", "H100:8")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "SIMULATED session" in lines[0]
    assert any("SIMULATED engine started" in line for line in lines)
    assert any(line.startswith("SIMULATED val_bpb") for line in lines), "the chart's title"
    assert any(line.startswith("SIMULATED: val_bpb") for line in lines), "the summary"
    assert stub.run(folder, "status").stdout.startswith("SIMULATED session")
    assert json.loads(stub.run(folder, "status", "--json").stdout)["simulated"] is True
    assert stub.run(folder, "chart").stdout.startswith("SIMULATED val_bpb")
    assert not (folder / "results.tsv").exists()


def test_what_leaves_the_session_says_that_it_is_simulated_and_plays(folder: Path, tmp_path: Path) -> None:
    stub.run(folder, *SIMULATED, "--max-hours", "0.3", "--fleet", "H100:8")
    rows = stub.run(folder, "export", "--format", "tsv").stdout.splitlines()[1:]
    assert rows
    assert all("SIMULATED" in row for row in rows)
    table = stub.run(folder, "export", "--format", "csv").stdout.splitlines()
    assert table[0].endswith(",simulated")
    assert all(row.endswith(",True") for row in table[1:])
    recording = tmp_path / "recording.jsonl"
    stub.run(folder, "export", "--format", "jsonl", "-o", str(recording))
    assert json.loads(recording.read_text().splitlines()[0])["simulated"] is True
    played = stub.run(folder, "play", str(recording), "--speed", "inf")
    assert played.returncode == 0
    assert "SIMULATED session" in played.stdout
    assert "SIMULATED val_bpb" in played.stdout


def test_json_lines_are_the_facts(folder: Path) -> None:
    done = stub.run(folder, *SIMULATED, "--json", "--max-hours", "0.2", "--fleet", "H100:2")
    head, *facts = [json.loads(line) for line in done.stdout.splitlines()]
    assert head["simulated"] is True
    assert len(facts) == len(facts_of(folder))
    assert facts[0]["simulated"] is True


def test_ctrl_c_stops_a_running_simulation_and_it_goes_on_later(folder: Path) -> None:
    arguments = ("--executor", "simulator", "--no-ui", "--speed", "600", "--fleet", "H100:2", "--on-exit", "leave")
    with started(folder, *arguments) as process:
        stub.until(lambda: imagined.file_of(folder).exists() and state_of(folder).ended > 0)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    left = state_of(folder)
    assert left.active
    assert left.engine is None
    done = stub.run(folder, *SIMULATED, "--fleet", "H100:2", "--for", "10m")
    assert done.returncode == 0, done.stdout + done.stderr
    state = state_of(folder)
    assert all(state.runs[run].result for run in left.active)
    engines = [fact for fact in facts_of(folder) if isinstance(fact, ev.EngineStarted)]
    assert engines[1].at == pytest.approx(left.at, abs=1), "its time stood still meanwhile"


def test_ctrl_c_is_heard_at_full_speed_too(folder: Path) -> None:
    with started(folder, *SIMULATED) as process:
        stub.until(lambda: imagined.file_of(folder).exists() and state_of(folder).ended > 0)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert not state_of(folder).active


def test_commands_reach_a_running_simulation(folder: Path) -> None:
    with started(folder, "--executor", "simulator", "--no-ui", "--speed", "60", "--fleet", "H100:2") as process:
        stub.until(lambda: imagined.file_of(folder).exists() and bool(state_of(folder).active))
        assert stub.run(folder, "note", "well").returncode == 0
        status = json.loads(stub.run(folder, "status", "--json").stdout)
        assert status["engine"]["alive"]
        assert status["elapsed_s"] < 3600
        assert stub.run(folder, "stop", "--now").returncode == 0
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--fleet", "H100:0"), "flag --fleet: fleet must be GPU types and how many of each"),
        (("--fleet", ""), "flag --fleet: fleet must be GPU types and how many of each"),
        (("--speed", "0"), 'flag --speed: speed must be "1", "60" or "max"'),
        (("--surface", "hill"), "There is no surface 'hill'; choose one of:"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = stub.run(folder, "--executor", "simulator", "--no-ui", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"autoresearch-tui: {sentence}")
    assert len(done.stderr.splitlines()) == 1


def test_a_real_executor_refuses_a_simulated_session(folder: Path) -> None:
    stub.run(folder, *SIMULATED, "--max-hours", "0.1", "--fleet", "H100:2")
    done = stub.run(folder, "--no-ui")
    assert done.returncode == 2
    assert "This session is simulated: go on with --executor simulator, or use another workspace" in done.stderr
