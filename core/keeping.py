"""A kept train.py becomes a commit of the session's branch, which the user's git may be in the way of for a moment.

It decides nothing and records nothing; the commit is idempotent, so that a killed engine can say it again.
"""

from __future__ import annotations

import asyncio
from functools import partial

from core import waves
from core.clock import Clock
from core.errors import WorkspaceError
from core.ids import ExperimentId
from core.state import State
from core.views import source_of
from core.workspace import Workspace

ATTEMPTS = 3


async def keep(workspace: Workspace, state: State, name: ExperimentId, clock: Clock) -> tuple[str, str]:
    """The whole train.py of the experiment, and the commit that holds it. Raises WorkspaceError."""
    source = source_of(state, name)
    commit = partial(workspace.commit_kept, experiment=name, session=state.session)
    for attempt in range(1, ATTEMPTS):
        try:
            return source, await asyncio.to_thread(commit, state.branch, source, waves.message(state, name))
        except WorkspaceError:
            await clock.sleep(attempt)
    return source, await asyncio.to_thread(commit, state.branch, source, waves.message(state, name))
