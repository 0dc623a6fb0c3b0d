"""An API server that plays a cluster, and an engine's executor on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import played_cluster
import pytest
from lab import Lab
from played_cluster import Played

from k8s import watching


@pytest.fixture
async def played(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Played]:
    """Two nodes of two H100; what is refused is asked again within a second."""
    monkeypatch.setattr(watching, "LONGEST_PAUSE_S", 1.0)
    played = Played("H100:2x2")
    yield played
    await played.end()


@pytest.fixture
async def lab(played: Played, tmp_path: Path) -> AsyncIterator[Lab]:
    runner, port = await played_cluster.serve(played)
    (tmp_path / "kubeconfig").write_text(played_cluster.kubeconfig(port))
    yield Lab(str(tmp_path / "kubeconfig"), "default", tmp_path)
    await runner.cleanup()
