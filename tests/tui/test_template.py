"""`init` and `demo`: workspaces from the template, for the machine at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import stub
from checkout import git

from core import knobs
from core.settings import load
from core.workspace import Workspace
from tui import template


def test_init_makes_a_workspace_that_research_accepts(tmp_path: Path) -> None:
    done = stub.run(tmp_path / "new", "init")
    assert done.returncode == 0, done.stderr
    workspace = Workspace.open(tmp_path / "new")
    assert {path.name for path in workspace.root.iterdir()} >= {
        "train.py",
        "prepare.py",
        "program.md",
        "autoresearch.toml",
    }
    assert git(workspace.root, "status", "--porcelain") == ""
    assert load(workspace.root, {}, {}).settings == load(tmp_path, {}, {}).settings, "every line is commented out"
    again = stub.run(tmp_path / "new", "init")
    assert "Left as found" in again.stdout


def test_a_gpu_gets_the_constants_of_the_big_recipe() -> None:
    small, big = (
        {knob.name: knob.value for knob in knobs.find(template.files(has_gpu=gpu)["train.py"].decode())}
        for gpu in (False, True)
    )
    assert (big["DEPTH"], big["TOTAL_BATCH_SIZE"]) == (8, 2**19)
    assert small.keys() == big.keys()
    assert small["DEPTH"] == 4


@pytest.mark.slow
def test_the_demo_prepares_runs_and_comes_back(tmp_path: Path) -> None:
    """Real training runs, of one second each."""
    pytest.importorskip("torch")
    data = {"AUTORESEARCH_DATA": str(tmp_path / "data")}
    command = ("demo", str(tmp_path / "demo"), "--no-ui", "--max-experiments", "2", "--time-budget", "1")
    os.environ.update(data)
    try:
        first = stub.run(tmp_path / "demo", *command, timeout=240)
        assert first.returncode == 0, first.stdout + first.stderr
        assert "corpus" in first.stdout
        again = stub.run(tmp_path / "demo", *command, timeout=60)
        status = json.loads(stub.run(tmp_path / "demo", "status", "--json").stdout)
    finally:
        del os.environ["AUTORESEARCH_DATA"]
    assert again.returncode == 0
    assert sum(status["experiments"].values()) == 2
    assert status["baseline"]["n"] >= 2
    checked = stub.run(tmp_path / "demo", "doctor")
    assert "✓ torch" in checked.stdout


def test_doctor_shows_where_each_value_comes_from_and_what_is_wrong(tmp_path: Path) -> None:
    workspace = stub.make_stub(tmp_path / "work", train="import nonexistent_module\n" + stub.TRAIN)
    done = stub.run(workspace, "--seed", "7", "doctor")
    assert done.returncode == 3
    assert "autoresearch.toml" in next(row for row in done.stdout.splitlines() if row.strip().startswith("slots"))
    assert "flag --seed" in next(row for row in done.stdout.splitlines() if row.strip().startswith("seed"))
    assert "✗ trainer" in done.stdout
    assert "No module named 'nonexistent_module'" in done.stdout
    assert str(tmp_path / "work-starts") not in done.stdout, "values of variables may be secrets"
