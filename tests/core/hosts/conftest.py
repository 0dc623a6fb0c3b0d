from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hosts import NO_SSHD, SSHD, AsyncSshd, Box, Site, Sshd


@pytest_asyncio.fixture(params=["openssh", "asyncssh"])
async def box(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Box]:
    """A host with Debian's server, and one with asyncssh's."""
    if request.param == "asyncssh":
        other = AsyncSshd(tmp_path)
        await other.start()
        yield other
        await other.stop()
        return
    if SSHD is None:
        pytest.skip(NO_SSHD)
    mine = Sshd(tmp_path)
    mine.start()
    yield mine
    mine.kill()


@pytest.fixture
def site(box: Box, tmp_path: Path) -> Site:
    return Site(tmp_path, box)
