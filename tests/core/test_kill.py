"""An engine killed at random instants of real campaigns loses nothing and starts nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import Counter
from pathlib import Path

import pytest
import stub

from core import events as ev
from core import log as logs
from core.fold import fold
from core.follower import Follower
from core.state import State

CAMPAIGNS, KILLS = 5, 10
LIMIT = ("--no-ui", "--max-experiments", "40")


@pytest.mark.slow
@pytest.mark.parametrize("campaign", range(CAMPAIGNS))
def test_a_killed_engine_goes_on_as_if_nothing_had_happened(tmp_path: Path, campaign: int) -> None:
    dice = random.Random(campaign)
    workspace = stub.make_stub(tmp_path / "work")
    file = workspace / ".autoresearch" / logs.FILE
    for _ in range(KILLS):
        engine = stub.start(workspace, *LIMIT)
        seen = asyncio.run(watch_for(file, dice.uniform(0.3, 1.3)))
        engine.send_signal(signal.SIGKILL)
        engine.communicate()
        facts = logs.read_all(file) if file.exists() else []
        assert fold(State(), facts[: seen.seq]) == seen, "what was seen live is what the log says"
        assert max(Counter(stub.started(workspace)).values(), default=0) <= 1, "launched twice"
    done = stub.run(workspace, *LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    ended_well(workspace, logs.read_all(file))


async def watch_for(file: Path, seconds: float) -> State:
    """The state as a window sees it when the time is over."""
    state = State()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not file.exists():  # noqa: ASYNC110  another process makes it
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            async for update in Follower(file).updates():
                state = update.state
    return state


def ended_well(workspace: Path, facts: list[ev.Fact]) -> None:
    state = fold(State(), facts)
    launched = Counter(stub.started(workspace))
    assert max(launched.values()) == 1, "launched twice"
    assert len(state.experiments) == 41
    assert not state.open, "an experiment has no verdict"
    assert set(launched) <= set(state.runs)
    for run in launched:
        result = state.runs[run].result  # type: ignore[index]
        assert result is not None, f"{run} ran and has no end"
        assert result.outcome == "finished", f"{run}: {result.reason}"
    assert state.last_stop is not None
    assert state.last_stop.reason == "all 40 experiments of this session are done"
    ends = Counter(fact.run for fact in facts if isinstance(fact, ev.RunEnded))
    assert max(ends.values()) == 1, "a result was recorded twice"
