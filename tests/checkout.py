"""Workspaces in git repositories of their own, for tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from core.errors import WorkspaceError
from core.ids import ExperimentId, SessionId
from core.workspace import Workspace

TRAIN = "MATRIX_LR = 0.04  # Muon\nprint(MATRIX_LR)\n"
BETTER = "MATRIX_LR = 0.05  # Muon\nprint(MATRIX_LR)\n"
PREPARE = "TIME_BUDGET = 300\n"


def make(folder: Path) -> Path:
    """A workspace in upstream's shape, in a repository of its own."""
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(TRAIN)
    (folder / "prepare.py").write_text(PREPARE)
    (folder / "program.md").write_text("Lower val_bpb.\n")
    (folder / ".gitignore").write_text("results.tsv\n")
    git(folder, "init", "-q")
    commit_all(folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit_all(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "as it is")


def keep(
    workspace: Workspace, branch: str, source: str = BETTER, experiment: str = "e12", message: str = "Raise MATRIX_LR"
) -> str:
    return workspace.commit_kept(
        branch, source, message, experiment=ExperimentId(experiment), session=SessionId("2026-11-23-a1b2c3")
    )


def refusal(path: Path) -> str:
    with pytest.raises(WorkspaceError) as caught:
        Workspace.open(path)
    return str(caught.value)
