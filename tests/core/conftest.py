from __future__ import annotations

from pathlib import Path

import pytest
from checkout import make

from core.workspace import Workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "work")


@pytest.fixture
def workspace(root: Path) -> Workspace:
    return Workspace.open(root)


@pytest.fixture
def branch(workspace: Workspace) -> str:
    return workspace.start_branch("2026-11-23")
