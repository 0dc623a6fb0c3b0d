"""Reruns, stopped runs, the gate and undo by the command line, on a live engine and without one."""

from __future__ import annotations

from pathlib import Path

import pytest
import stub
from stub import engine, state_of, until

from core.ids import RunId
from core.views import held

SLOW = stub.TRAIN.replace("float(SECONDS) / 5", "(0.02 if DEPTH == 4 else 20)")
QUICK = ("--no-ui", "--max-experiments", "4")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return stub.make_stub(tmp_path / "work")


def test_a_run_is_killed_and_its_experiment_comes_back_by_a_rerun_which_is_undone(tmp_path: Path) -> None:
    workspace = stub.make_stub(tmp_path / "work", train=SLOW, settings='factors = ["DEPTH", "SECONDS"]\n')
    with engine(workspace):
        until(lambda: "e1-1" in state_of(workspace).progress)
        assert stub.run(workspace, "pause").returncode == 0
        assert stub.run(workspace, "kill", "e1-1", "it hangs").stdout == "e1-1 is stopped.\n"
        until(lambda: "e1-1" not in state_of(workspace).active, 15)
        experiment = state_of(workspace).experiments["e1"]  # type: ignore[index]
        assert experiment.status == "vetoed"
        assert "its run e1-1 was stopped by " in experiment.reason
        assert experiment.reason.endswith(": it hangs")
        again = stub.run(workspace, "kill", "e1-1")
        assert (again.returncode, "ended already: cancelled" in again.stderr) == (1, True)
        assert "runs once more" in stub.run(workspace, "rerun", "e1").stdout
        assert "e1" in state_of(workspace).open
        assert stub.run(workspace, "undo").stdout == "Undone: rerun of e1.\n"
        assert "e1" not in state_of(workspace).open
        assert stub.run(workspace, "undo").stdout == "Undone: pause.\n"


def test_a_finished_experiment_gets_another_run(workspace: Path) -> None:
    assert stub.run(workspace, *QUICK).returncode == 0
    runs = len(state_of(workspace).experiments["e1"].runs)  # type: ignore[index]
    assert "takes effect when one starts" in stub.run(workspace, "rerun", "e1").stdout
    assert stub.run(workspace, *QUICK).returncode == 0
    state = state_of(workspace)
    rerun = state.runs[RunId(f"e1-{runs + 1}")]
    assert rerun.result is not None
    assert (rerun.purpose, rerun.result.outcome, state.reruns) == ("replicate", "finished", {})


def test_waves_wait_at_the_gate_until_they_are_approved(workspace: Path) -> None:
    stub.run(workspace, "--no-ui", "--max-experiments", "1")
    assert "takes effect when one starts" in stub.run(workspace, "gate", "on").stdout
    with engine(workspace, "--max-experiments", "2") as process:
        until(lambda: bool(held(state_of(workspace))))
        (wave,) = held(state_of(workspace))
        assert f"{wave} waits for approval" in stub.run(workspace, "status").stdout
        assert "on already" in stub.run(workspace, "gate", "on").stderr
        assert not state_of(workspace).experiments["e2"].runs  # type: ignore[index]
        assert stub.run(workspace, "approve").stdout == f"{wave} is approved.\n"
        assert process.wait(30) == 0
    state = state_of(workspace)
    assert (len(state.experiments), state.open, state.gate) == (3, {}, True)


def test_without_anything_to_undo_or_approve_the_answer_is_a_sentence(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    for arguments, sentence in {
        ("undo",): "There is nothing of ",
        ("approve",): "No wave waits for approval.",
        ("approve", "w99"): "There is no wave w99; the latest is w",
        ("kill", "e99-1"): "There is no run e99-1; runs are named like e12-1.",
        ("rerun", "e99"): "There is no experiment e99",
        ("gate", "off"): "The approval gate is off already.",
    }.items():
        done = stub.run(workspace, *arguments)
        assert done.returncode == 1
        assert sentence in done.stderr


def test_a_limit_of_gpus_is_set_lifted_and_undone(workspace: Path) -> None:
    with engine(workspace):
        until(lambda: bool(state_of(workspace).gpus))
        assert stub.run(workspace, "max-gpus", "cpu", "1").stdout == "At most 1 × cpu from now on.\n"
        until(lambda: len(state_of(workspace).active) <= 1)
        assert stub.run(workspace, "undo").stdout == "Undone: limit of cpu.\n"
        assert state_of(workspace).max_gpus == {}
        assert stub.run(workspace, "max-gpus", "cpu", "0").returncode == 0
        assert stub.run(workspace, "max-gpus", "cpu", "none").stdout == "All cpu may be used.\n"
        for limit, sentence in {
            "none": "cpu has no limit.",
            "many": "'many' is no limit; write a whole number",
        }.items():
            assert sentence in stub.run(workspace, "max-gpus", "cpu", limit).stderr
        assert (
            "There is no GPU of the type 'H100'; there is cpu." in stub.run(workspace, "max-gpus", "H100", "1").stderr
        )


def test_a_read_only_window_gives_no_orders_and_needs_a_terminal(workspace: Path) -> None:
    stub.run(workspace, *QUICK)
    assert "read-only" in stub.run(workspace, "--read-only", "pause").stderr
    assert state_of(workspace).pause is None
    refused = stub.run(workspace, "--read-only", "--no-ui")
    assert refused.returncode == 2
    assert "needs a terminal" in refused.stderr


def test_a_budget_in_dollars_ends_the_session_and_needs_prices(workspace: Path) -> None:
    refused = stub.run(workspace, "--no-ui", "--max-usd", "0.0001")
    assert refused.returncode == 2
    assert "means nothing without prices; set gpu_usd_hour" in refused.stderr
    settings = workspace / "autoresearch.toml"
    settings.write_text(settings.read_text() + "gpu_usd_hour = { cpu = 10000 }\n")
    done = stub.run(workspace, "--no-ui", "--max-usd", "4")
    assert done.returncode == 0
    assert "prices: cpu $10000/h" in done.stdout
    assert "engine stopped: the budget of $4.00 is used" in done.stdout
    assert " of $4.00" in stub.run(workspace, "status").stdout
