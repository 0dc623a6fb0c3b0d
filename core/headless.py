"""`--no-ui`: the engine in the foreground, one readable line per fact, runs' progress at a calm pace.

`show` prints what a feed yields, in the sentences of `core.telling`. It knows no colours and no screen size.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from core import events as ev
from core import recording, session
from core.engine import Stopped
from core.feed import Update
from core.fold import fold
from core.follower import Follower
from core.settings import Loaded
from core.state import State
from core.telling import hindrances, line, progress
from core.transcript import clean

Say = Callable[[str], None]

PROGRESS_EVERY_S = 10.0
AT_ONCE = 500  # facts
REMIND_EVERY_S = 60.0


async def show(updates: AsyncIterator[Update], say: Say, *, state: State | None = None) -> State:
    """Prints updates as they come; `state` is what they go on from. Returns the last state."""
    said_at, fleet, state = 0.0, "", state or State()
    async for update in updates:
        for fact, then in _one_by_one(state, update):
            text = line(fact, then)
            if isinstance(fact, ev.FleetSeen):
                text, fleet = ("" if text == fleet else text), text  # that another user came or went is no news here
            if text:
                say(f"{_clock(fact.at)}  {text}")
        state = update.state
        if update.facts and isinstance(update.facts[-1], ev.RunProgressed) and state.at - said_at >= PROGRESS_EVERY_S:
            said_at = state.at
            say(f"{_clock(state.at)}  {clean(progress(state))}")
    return state


def _one_by_one(before: State, update: Update) -> Iterator[tuple[ev.Fact, State]]:
    """Each fact with the state right after it; in a long stretch of the past, with the state after all of it."""
    for fact in update.facts:
        before = fold(before, (fact,)) if len(update.facts) <= AT_ONCE else update.state
        yield fact, before


async def show_json(updates: AsyncIterator[Update], say: Say, *, version: str) -> State:
    """Prints the recording format: a header, then a line per fact, from the beginning of the session."""
    state, begun, held = State(), False, list[ev.Fact]()
    async for update in updates:
        state = update.state
        held += update.facts
        if begun or recording.executor_of(held):  # the header names the executor, so it waits for the engine
            _say_json(state, held, say, version="" if begun else version)
            begun, held = True, []
    if held:
        _say_json(state, held, say, version=version)
    return state


def _say_json(state: State, facts: list[ev.Fact], say: Say, *, version: str) -> None:
    """With a header, if `version` is given."""
    if version:
        say(recording.header(state, version, executor=recording.executor_of(facts)).decode())
    for fact in facts:
        say(ev.encode(fact).decode())


async def _remind(follower: Follower, say: Say) -> None:
    """While nothing new is started: at the start, and now and then, says why, and what goes on with it."""
    while True:
        if text := waiting(follower.state):
            say(f"{_clock(follower.state.at)}  {text}")
        await asyncio.sleep(REMIND_EVERY_S)


def waiting(state: State) -> str:
    """Why less is started than could be: it is paused, or no GPU is there, or none that keeps its runs. Else ""."""
    if state.pause is None:
        return "; ".join(hindrances(state))
    why = f" ({state.pause.reason})" if state.pause.reason else ""
    return clean(f"paused by {state.pause.by} since {_clock(state.pause.at)}{why}: `autoresearch-tui resume` goes on")


def _clock(at: float) -> str:
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")
    except (OverflowError, ValueError, OSError):  # a recording may say anything
        return "--:--:--"


async def run(
    path: Path,
    loaded: Loaded,
    version: str,
    say: Say,
    *,
    as_json: bool = False,
    executors: Mapping[str, session.Maker] = {},
) -> tuple[Stopped, State]:
    """Runs the engine of `path` in the foreground and prints what it records. Raises AutoresearchError."""
    windows: list[tuple[Follower, asyncio.Task[State]]] = []
    reminders: list[asyncio.Task[None]] = []

    def started(file: Path, state: State) -> None:
        follower = Follower(file) if as_json else Follower(file, state)
        updates = follower.updates()
        window = show_json(updates, say, version=version) if as_json else show(updates, say, state=state)
        windows.append((follower, asyncio.create_task(window, name="window")))
        if not as_json:
            reminders.append(asyncio.create_task(_remind(follower, say), name="reminder"))

    try:
        stopped = await session.research(path, loaded, version, executors=executors, started=started)
    finally:
        for reminder in reminders:
            reminder.cancel()
        for follower, _ in windows:
            follower.finish()
        seen = await asyncio.gather(*(window for _, window in windows), return_exceptions=True)
        for error in seen:  # a window that broke is no reason to lose what the engine has to say
            if isinstance(error, Exception):
                say(f"The printing stopped: {error}")
    return stopped, next((state for state in seen if isinstance(state, State)), State())
