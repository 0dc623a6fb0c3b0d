"""The executor's contract on a played cluster, whose nodes run pods as processes of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from contract import Bench, Contract
from lab import NOT_SHOWN, Lab
from working_cluster import working


class TestPlayedCluster(Contract):
    not_shown = NOT_SHOWN

    @pytest_asyncio.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        async with working("H100:4x1", tmp_path) as kubeconfig:
            yield Lab(kubeconfig, "default", tmp_path)
