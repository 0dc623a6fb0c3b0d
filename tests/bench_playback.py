"""Figures of playback on a session of a million facts: opening, seeking, memory, and following a live session.

Run alone, or through its `rows()`, which bench.py prints with the others.
"""

from __future__ import annotations

import asyncio
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from bench import session

from core import log
from core.feed import Feed
from core.follower import Follower
from core.player import Player

FACTS = 1_000_000
SEEKS = 200

Row = tuple[str, str, str]  # what, figure, goal


def rows(path: Path) -> Iterator[Row]:
    """`path`: where the session of a million facts is, or will be made."""
    if not path.exists():
        log.create(path)
        log.append_all(path, session(FACTS))
    yield from asyncio.run(_playback(path))
    yield from asyncio.run(_following(path))


async def _playback(path: Path) -> list[Row]:
    before = _memory_mb()
    player = Player(path, stays=True)
    player.pause()
    opened, lag = await _until_loaded(player)
    memory = _memory_mb() - before
    times = await _seeks(player)
    return [
        (
            "play 1,000,000 facts: open",
            f"{opened:.2f} s, the event loop held up by at most {lag * 1e3:.0f} ms",
            "≤ 3.5 s",
        ),
        ("play: memory", f"{memory:.0f} MB more", ""),
        ("play: seek anywhere", _spread_ms(times), "≤ 200 ms"),
    ]


async def _seeks(player: Player) -> list[float]:
    """Random places, each after the answer to the one before, in seconds."""
    dice, times, updates = random.Random(0), list[float](), player.updates()
    await anext(updates)
    for _ in range(SEEKS):
        begun = time.perf_counter()
        player.seek(dice.randrange(player.length))
        await anext(updates)
        times.append(time.perf_counter() - begun)
    return times


async def _following(path: Path) -> list[Row]:
    opened, lag = await _until_loaded(Follower(path))
    figure = f"{opened:.2f} s, the event loop held up by at most {lag * 1e3:.0f} ms"
    return [("follow 1,000,000 facts: open", figure, "≤ 3.5 s")]


async def _until_loaded(feed: Feed) -> tuple[float, float]:
    """Seconds until everything is there, and the longest that the event loop was held up meanwhile."""
    lags: list[float] = []

    async def watch() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - begun - 0.005)

    watcher, begun = asyncio.create_task(watch()), time.perf_counter()
    async for update in feed.updates():
        if update.loading is None:
            break
    spent = time.perf_counter() - begun
    watcher.cancel()
    return spent, max(lags)


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def _spread_ms(times: list[float]) -> str:
    ordered = sorted(value * 1e3 for value in times)
    p99 = ordered[int(len(ordered) * 0.99)]
    return f"median {statistics.median(ordered):.0f}, p99 {p99:.0f}, longest {ordered[-1]:.0f} ms of {len(ordered)}"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for what, figure, goal in rows(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "million.db"):
            print(f"{what:<34} {figure:<70} {goal}", flush=True)


if __name__ == "__main__":
    main()
