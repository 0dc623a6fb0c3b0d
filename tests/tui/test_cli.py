"""The command line on real workspaces: exit codes, sentences, and commands to a live engine."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import stub
from checkout import commit_all, git
from stub import engine, file_of, running, state_of, until

from core import log as logs
from core.knobs import find

QUICK = ("--no-ui", "--max-experiments", "6")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return stub.make_stub(tmp_path / "work")


def test_a_campaign_keeps_a_confirmed_improvement_and_commits_it(workspace: Path) -> None:
    before = git(workspace, "rev-parse", "HEAD"), git(workspace, "status", "--porcelain")
    done = stub.run(workspace, "--no-ui", "--max-experiments", "24")
    assert done.returncode == 0, done.stdout + done.stderr
    state = state_of(workspace)
    assert len(state.lineage) > 1
    kept = state.experiments[state.baseline]
    assert len(state.scores[kept.id, "cpu"]) >= 2, "confirmed by replicates"
    message = git(workspace, "log", "-1", "--format=%B", state.branch)
    assert message.startswith(f"{kept.id}: ")
    assert kept.title in message.splitlines()[0]
    assert f"Experiment: {kept.id}" in message
    assert "run-to-run sd" in message
    assert state.sources[kept.id].strip() == git(workspace, "show", f"{state.branch}:train.py")
    assert (git(workspace, "rev-parse", "HEAD"), git(workspace, "status", "--porcelain", "--", "train.py")) == before
    assert "✓─" in done.stdout, "the chart"
    assert "all 24 experiments of this session are done" in done.stdout


def test_status_is_a_stable_interface(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    status = json.loads(stub.run(workspace, "status", "--json").stdout)
    assert set(status) == {
        *("version", "simulated", "engine", "elapsed_s", "experiments", "runs", "baseline", "best", "ledger"),
        *("improvement", "tiers", "noise", "capacity_s", "paused", "gate", "lost", "spent_usd", "stop_reason"),
        "budget_s",
    }
    assert status["version"] == 2
    assert status["simulated"] is False
    assert status["engine"] == {"alive": False, "pid": None, "executor": None, "place": None}
    assert set(status["experiments"]) == {"kept", "discarded", "crashed", "vetoed", "duplicate", "merged"}
    assert sum(status["experiments"].values()) == 6
    assert set(status["runs"]) == {"finished", "running", "queued"}
    assert set(status["baseline"]) == {"commit", "val_bpb", "sd", "n"}
    assert set(status["best"]) == {"experiment", "val_bpb", "low", "high"}
    assert status["best"]["low"] < status["best"]["val_bpb"] < status["best"]["high"]
    assert sum(status["ledger"].values()) == pytest.approx(status["capacity_s"], abs=0.01)
    assert status["capacity_s"] == pytest.approx(2 * status["elapsed_s"], abs=0.2)
    assert set(status["noise"]["cpu"]) == {"sd", "df", "measured_df"}
    assert status["stop_reason"] == "all 6 experiments of this session are done"


def test_a_second_engine_exits_5_and_changes_nothing(workspace: Path) -> None:
    with engine(workspace) as first:
        pid = logs.heartbeat(file_of(workspace))
        second = stub.run(workspace, *QUICK)
        assert second.returncode == 5
        assert "Another engine holds this workspace" in second.stderr
        assert first.poll() is None
        assert state_of(workspace).limits.max_experiments is None
        assert logs.heartbeat(file_of(workspace)).pid == pid.pid  # type: ignore[union-attr]


def test_a_limit_that_is_reached_ends_at_once_and_a_larger_one_goes_on(workspace: Path) -> None:
    assert stub.run(workspace, *QUICK).returncode == 0
    runs = len(stub.started(workspace))
    assert stub.run(workspace, *QUICK).returncode == 0
    assert len(stub.started(workspace)) == runs, "the same limit is reached already"
    assert stub.run(workspace, "--no-ui", "--max-experiments", "9").returncode == 0
    assert len(state_of(workspace).experiments) == 10


def test_the_target_ends_the_session(workspace: Path) -> None:
    done = stub.run(workspace, "--no-ui", "--target-bpb", "2.6")
    assert done.returncode == 0
    assert "target reached" in done.stdout


def test_a_time_for_this_invocation_ends_it_and_the_session_goes_on_later(workspace: Path) -> None:
    done = stub.run(workspace, "--no-ui", "--for", "1s")
    assert done.returncode == 0
    assert not state_of(workspace).active
    assert stub.run(workspace, *QUICK).returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_the_runs_and_ends_gracefully(workspace: Path, number: int, code: int) -> None:
    with engine(workspace) as process:
        process.send_signal(number)
        assert process.wait(20) == code
    state = state_of(workspace)
    assert state.last_stop is not None
    assert not state.active
    assert not running(workspace)


def test_on_exit_leave_leaves_the_runs_and_the_next_engine_adopts_them(tmp_path: Path) -> None:
    slow = stub.TRAIN.replace('SECONDS = "0.1"', 'SECONDS = "3"')
    workspace = stub.make_stub(tmp_path / "work", train=slow)
    with engine(workspace, "--on-exit", "leave") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 143
    assert state_of(workspace).active == {"e0-1": None, "e0-2": None}
    with engine(workspace):
        until(lambda: state_of(workspace).ended >= 2)
    assert stub.started(workspace)[:2] in (["e0-1", "e0-2"], ["e0-2", "e0-1"])
    assert stub.started(workspace).count("e0-1") == 1


def test_commands_reach_a_live_engine_and_are_answered(workspace: Path) -> None:
    with engine(workspace) as process:
        assert stub.run(workspace, "pause", "lunch").stdout == "Paused; running jobs finish.\n"
        assert "paused" in stub.run(workspace, "status").stdout
        again = stub.run(workspace, "pause")
        assert again.returncode == 1
        assert "paused already" in again.stderr
        assert stub.run(workspace, "note", "mind the depth").returncode == 0
        assert stub.run(workspace, "resume").returncode == 0
        unknown = stub.run(workspace, "veto", "e999")
        assert unknown.returncode == 1
        assert "no experiment e999" in unknown.stderr
        assert stub.run(workspace, "stop").returncode == 0
        assert process.wait(20) == 0
    state = state_of(workspace)
    assert [note.text for note in state.notes] == ["mind the depth"]
    assert state.last_stop is not None
    assert state.last_stop.reason.startswith("stopped by ")


def test_a_veto_stops_a_running_experiment(tmp_path: Path) -> None:
    slow = stub.TRAIN.replace("float(SECONDS) / 5", "(0.02 if DEPTH == 4 else 20)")
    workspace = stub.make_stub(tmp_path / "work", train=slow, settings='factors = ["DEPTH", "SECONDS"]\n')
    with engine(workspace):
        until(lambda: state_of(workspace).progress.keys() & {"e1-1"} != set())
        assert stub.run(workspace, "veto", "e1", "too slow").returncode == 0
        until(lambda: "e1-1" not in state_of(workspace).active, 15)
    experiment = state_of(workspace).experiments["e1"]  # type: ignore[index]
    assert (experiment.status, experiment.reason) == ("vetoed", "too slow")


def test_a_command_without_an_engine_takes_effect_when_one_starts(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    assert "takes effect when one starts" in stub.run(workspace, "note", "for later").stdout
    assert stub.run(workspace, "stop").returncode == 1
    stub.run(workspace, "--no-ui", "--max-experiments", "7")
    assert [note.text for note in state_of(workspace).notes] == ["for later"]


def test_a_pause_without_an_engine_holds_the_next_one_before_its_first_run(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    stub.run(workspace, "pause")
    runs = len(stub.started(workspace))
    stub.run(workspace, "--no-ui", "--max-experiments", "9", "--for", "2s")
    assert len(stub.started(workspace)) == runs


def test_a_limit_can_be_lifted(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    done = stub.run(workspace, "--no-ui")
    assert "a larger --max-experiments, or none, goes on" in done.stdout
    stub.run(workspace, "--no-ui", "--max-experiments", "none", "--for", "2s")
    assert state_of(workspace).limits.max_experiments is None
    assert len(state_of(workspace).experiments) > 7


def test_what_is_exported_plays_and_imports(workspace: Path, tmp_path: Path) -> None:
    stub.run(workspace, *QUICK)
    recording = tmp_path / "session.jsonl"
    assert stub.run(workspace, "export", "--format", "jsonl", "-o", str(recording)).returncode == 0
    played = stub.run(workspace, "play", str(recording), "--no-ui", "--speed", "inf")
    assert played.returncode == 0
    assert "engine stopped: all 6 experiments" in played.stdout
    live = stub.run(workspace, "--no-ui", "--json").stdout.splitlines()
    assert live[: len(recording.read_text().splitlines())] == recording.read_text().splitlines()
    table = stub.run(workspace, "export", "--format", "csv").stdout.splitlines()
    assert len(table) == 1 + len(state_of(workspace).runs)
    rows = stub.run(workspace, "export", "--format", "tsv").stdout
    assert rows.startswith("commit\tval_bpb\tmemory_gb\tstatus\tdescription\n")
    assert rows == (workspace / "results.tsv").read_text()
    other = stub.make_stub(tmp_path / "other")
    (tmp_path / "old.tsv").write_text(rows + "ragged row\n")
    imported = stub.run(other, "import", str(tmp_path / "old.tsv"))
    assert imported.returncode == 0
    assert f"old.tsv:{len(rows.splitlines()) + 1}:" in imported.stderr
    assert len(state_of(other).imported) == len(rows.splitlines()) - 1
    assert "Imported 0 rows" in stub.run(other, "import", str(tmp_path / "old.tsv")).stdout, "they are there already"


def test_a_results_file_of_the_users_is_left_alone(workspace: Path) -> None:
    (workspace / "results.tsv").write_text("mine\n")
    stub.run(workspace, *QUICK)
    assert (workspace / "results.tsv").read_text() == "mine\n"
    assert (workspace / ".autoresearch" / "results.tsv").read_text().startswith("commit\t")


def test_a_closed_pipe_does_not_stop_the_research(workspace: Path) -> None:
    with stub.start(workspace, *QUICK) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
    assert not state_of(workspace).open


def test_an_unmodified_checkout_in_upstreams_shape_works_without_init(tmp_path: Path) -> None:
    """Its constants are expressions and tuples, its prepare.py states 300 s, and there is no autoresearch.toml."""
    constants = """\
ASPECT_RATIO = 64       # model_dim = depth * ASPECT_RATIO
HEAD_DIM = 128          # target head dimension
WINDOW_PATTERN = "SSSL" # sliding windows
TOTAL_BATCH_SIZE = 2**19 # tokens per step
EMBEDDING_LR = 0.6      # embeddings
UNEMBEDDING_LR = 0.004  # output layer
MATRIX_LR = 0.04        # Muon
SCALAR_LR = 0.5         # scalars
WEIGHT_DECAY = 0.2      # Muon
ADAM_BETAS = (0.8, 0.95) # AdamW
WARMUP_RATIO = 0.0      # of the budget
WARMDOWN_RATIO = 0.5    # of the budget
FINAL_LR_FRAC = 0.0     # of the initial rate
DEPTH = 8               # layers
DEVICE_BATCH_SIZE = 128 # rows
"""
    body = stub.TRAIN[stub.TRAIN.index("seed =") :].replace('os.environ["STUB_STARTS"]', "os.devnull")
    train = f"import os, sys, time\nfrom prepare import evaluate_bpb\n{constants}SECONDS = '0.1'\n{body}"
    workspace = stub.make_stub(tmp_path / "work", train=train)
    git(workspace, "rm", "-q", "autoresearch.toml")
    (workspace / "prepare.py").write_text(stub.PREPARE.replace("TIME_BUDGET = 0.2", "TIME_BUDGET = 300"))
    commit_all(workspace)
    before = git(workspace, "status", "--porcelain")
    done = stub.run(workspace, "--no-ui", "--max-experiments", "12", "--slots", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TOTAL_BATCH_SIZE 2**19 → 2**18" in done.stdout
    state = state_of(workspace)
    assert {knob.name for knob in find(state.sources[state.lineage[0]])} >= {"ADAM_BETAS", "TOTAL_BATCH_SIZE", "DEPTH"}
    assert len(state.lineage) > 1
    assert git(workspace, "status", "--porcelain") in (before, "?? results.tsv")
