"""The command line on real workspaces: exit codes, sentences, and commands to a live engine."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stub
from checkout import commit_all, git

from core import log as logs
from core.fold import fold
from core.knobs import find
from core.state import State

QUICK = ("--no-ui", "--max-experiments", "6")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return stub.make_stub(tmp_path / "work")


def file_of(workspace: Path) -> Path:
    return workspace / ".autoresearch" / logs.FILE


def state_of(workspace: Path) -> State:
    return fold(State(), logs.read_all(file_of(workspace)))


def until(claim: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextlib.contextmanager
def engine(workspace: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A live one that has started runs."""
    with stub.start(workspace, "--no-ui", *arguments) as process:
        try:
            until(lambda: process.poll() is not None or len(stub.started(workspace)) > 1)
            yield process
        finally:
            process.kill()


def test_a_campaign_keeps_a_confirmed_improvement_and_commits_it(workspace: Path) -> None:
    before = git(workspace, "rev-parse", "HEAD"), git(workspace, "status", "--porcelain")
    done = stub.run(workspace, "--no-ui", "--max-experiments", "24")
    assert done.returncode == 0, done.stdout + done.stderr
    state = state_of(workspace)
    assert len(state.lineage) > 1
    kept = state.experiments[state.baseline]
    assert len(state.scores[kept.id, "cpu"]) >= 2, "confirmed by replicates"
    message = git(workspace, "log", "-1", "--format=%B", state.branch)
    assert message.startswith(f"{kept.id}: {kept.title}")
    assert f"Experiment: {kept.id}" in message
    assert "run-to-run sd" in message
    assert state.sources[kept.id].strip() == git(workspace, "show", f"{state.branch}:train.py")
    assert (git(workspace, "rev-parse", "HEAD"), git(workspace, "status", "--porcelain", "--", "train.py")) == before
    assert "● " in done.stdout or "●" in done.stdout, "the chart"
    assert "all 24 experiments of this session are done" in done.stdout


def test_status_is_a_stable_interface(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    status = json.loads(stub.run(workspace, "status", "--json").stdout)
    assert set(status) == {
        *("version", "simulated", "engine", "elapsed_s", "experiments", "runs", "baseline", "best", "ledger"),
        "stop_reason",
    }
    assert status["version"] == 1
    assert status["simulated"] is False
    assert status["engine"] == {"alive": False, "pid": None}
    assert set(status["experiments"]) == {"kept", "discarded", "crashed", "vetoed"}
    assert sum(status["experiments"].values()) == 6
    assert set(status["runs"]) == {"finished", "running", "queued"}
    assert set(status["baseline"]) == {"commit", "val_bpb", "sd", "n"}
    assert set(status["best"]) == {"experiment", "val_bpb", "low", "high"}
    assert status["best"]["low"] < status["best"]["val_bpb"] < status["best"]["high"]
    assert sum(status["ledger"].values()) == pytest.approx(2 * status["elapsed_s"], rel=0.05)
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_runs_and_ends_gracefully(workspace: Path, number: int, code: int) -> None:
    with engine(workspace) as process:
        process.send_signal(number)
        assert process.wait(20) == code
    state = state_of(workspace)
    assert state.last_stop is not None
    assert not state.active


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
        assert stub.run(workspace, "pause", "lunch").stdout == "Done.\n"
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


# --- bad input --------------------------------------------------------------------------------------------------------


def refusal(workspace: Path, *arguments: str) -> tuple[int, str]:
    done = stub.run(workspace, *(arguments or QUICK))
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.returncode, done.stderr


def test_no_repository(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    code, sentence = refusal(tmp_path / "plain")
    assert code == 2
    assert "git init" in sentence


def test_a_changed_train_py(workspace: Path) -> None:
    with (workspace / "train.py").open("a") as file:
        file.write("# mine\n")
    code, sentence = refusal(workspace)
    assert code == 2
    assert "uncommitted changes" in sentence


def test_a_train_py_that_does_not_parse(workspace: Path) -> None:
    (workspace / "train.py").write_text("def (:\n")
    commit_all(workspace)
    assert refusal(workspace)[0] == 2


def test_an_unknown_setting_names_the_nearest(workspace: Path) -> None:
    with (workspace / "autoresearch.toml").open("a") as file:
        file.write("max_experimnts = 3\n")
    code, sentence = refusal(workspace)
    assert code == 2
    assert "max_experiments" in sentence


def test_a_changed_prepare_py_after_the_session_began(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    with (workspace / "prepare.py").open("a") as file:
        file.write("# easier\n")
    commit_all(workspace)
    code, sentence = refusal(workspace, "--no-ui", "--max-experiments", "9")
    assert code == 2
    assert "prepare.py has changed since the session began" in sentence
    assert len(state_of(workspace).experiments) == 7


def test_a_damaged_database(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    file_of(workspace).write_bytes(b"rubbish" * 5000)
    for arguments in (QUICK, ("status",), ("export", "--format", "tsv")):
        code, sentence = refusal(workspace, *arguments)
        assert code == 2
        assert "damaged" in sentence


def test_a_baseline_that_cannot_run_ends_with_3_and_says_why(tmp_path: Path) -> None:
    workspace = stub.make_stub(tmp_path / "work", train="import nonexistent_module\n" + stub.TRAIN)
    done = stub.run(workspace, *QUICK)
    assert done.returncode == 3
    assert "No module named 'nonexistent_module'" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('print("\\n---")', "sys.exit(0)", "printed no result"),
        ("{evaluate_bpb(DEPTH, TOTAL_BATCH_SIZE, MATRIX_LR, seed):.6f}", "nan", "nan"),
        ('print("\\n---")', "os.kill(os.getpid(), 11)", "signal 11"),
    ],
    ids=["no result", "nan", "segfault"],
)
def test_experiments_that_fail_are_crashed_with_a_reason_and_the_campaign_goes_on(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    assert old in stub.TRAIN
    line = next(text for text in stub.TRAIN.splitlines() if old in text)
    broken = f"if DEPTH != 4:\n    {line.replace(old, new)}\nelse:\n    {line}"
    workspace = stub.make_stub(
        tmp_path / "work", train=stub.TRAIN.replace(line, broken), settings='factors = ["DEPTH"]\n'
    )
    done = stub.run(workspace, "--no-ui", "--max-experiments", "2")
    assert done.returncode == 0, done.stdout
    state = state_of(workspace)
    assert [experiment.status for experiment in state.experiments.values()] == ["kept", "crashed", "crashed"]
    assert reason in state.experiments["e1"].reason  # type: ignore[index]


def test_a_wrong_flag_value_is_a_usage_error(workspace: Path) -> None:
    assert stub.run(workspace, "--no-ui", "--max-experiments", "0").returncode == 2
    assert stub.run(workspace, "--no-ui", "--executor", "moon").returncode == 2
    assert stub.run(workspace, "--no-such-flag").returncode == 2
    assert stub.run(workspace, "play", "nothing.jsonl", "--no-ui").returncode == 2
