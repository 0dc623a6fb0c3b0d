"""The speed of the control room in a real pseudo-terminal, as a table: `python tests/bench_window.py [SECONDS] [PART]`.

The program is the real one, started by its command; a process of `busy_session` writes its session as an engine would.
Key press → screen is the time from the key's byte to the byte that shows its effect, through the terminal's emulation.
Frames are counted by the questions the driver sends behind each. Nothing is asserted; goals stand beside the figures.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import bench
import psutil
import stub
from glass import Glass

from core import log as logs
from themes.loader import built_in

ROOT = Path(__file__).parents[1]
SIZE = (120, 40)
SELECTED = built_in()["night"].colours["selection"].removeprefix("#")
START = [sys.executable, "-c", "from tui.cli import main; main()"]
LOST_S = 5.0  # a key without an effect by then is counted as that long
MOVES = ["\x1b[A"] * 9 + ["\x1b[5~"]  # up a table that opens at its end
PAUSE_S = 0.09  # between an effect and the next key: about ten keys a second
ENVIRON = {"AUTORESEARCH_THEME": "night"}


class Use(NamedTuple):
    """Of the program while it was watched."""

    cpu_percent: float  # of one core
    memory_mb: float
    frames_s: float
    bytes_s: float


# --- programs ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def fed(workspace: Path, experiments: int, gpus: int, events_s: float) -> Iterator[None]:
    """A session in the workspace, alive."""
    command = [sys.executable, str(ROOT / "tests" / "busy_session.py"), str(workspace), *map(str, (experiments, gpus))]
    feeder = subprocess.Popen(
        [*command, str(events_s)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    try:
        assert feeder.stdout is not None
        assert feeder.stdout.readline() == b"ready\n"
        yield
    finally:
        feeder.kill()
        feeder.wait()
        feeder.stdout.close() if feeder.stdout else None


def room(workspace: Path, *, rate: float | None = None) -> Glass:
    command = [*START, "-C", str(workspace), "--read-only"]
    return Glass(command, size=SIZE, rate=rate, environ=ENVIRON, cwd=str(ROOT))


def watched(glass: Glass, seconds: float, act: Callable[[], None] | None = None) -> Use:
    process = psutil.Process(glass.process.pid)
    before, frames, read, begun = sum(process.cpu_times()[:2]), glass.frames, glass.read_bytes, time.monotonic()
    if act is not None:
        act()
    while (left := begun + seconds - time.monotonic()) > 0:
        glass.read(min(0.1, left))
    spent = time.monotonic() - begun
    return Use(
        (sum(process.cpu_times()[:2]) - before) / spent * 100,
        process.memory_info().rss / 1e6,
        (glass.frames - frames) / spent,
        (glass.read_bytes - read) / spent,
    )


# --- keys -------------------------------------------------------------------------------------------------------------


def selected_row(glass: Glass) -> object:
    """Where the cursor of a table is, and on what."""
    rows = [y for y, ground in enumerate(glass.grounds(SIZE[0] // 4)) if ground == SELECTED]
    return [(y, glass.line(y)[:20]) for y in rows[:2]]


def wave_shown(glass: Glass) -> object:
    found = [re.search(r"\bw(?:ave )?(\d+)\b", glass.line(y)) for y in range(SIZE[1] - 2)]
    return next((match[1] for match in found if match), None)


def keys(glass: Glass, presses: list[str], seen: Callable[[Glass], object]) -> list[float]:
    """Seconds from each key to its effect."""
    times = []
    for key in presses:
        before = seen(glass)
        begun = time.monotonic()
        glass.press(key)
        while seen(glass) == before and time.monotonic() - begun < LOST_S:
            glass.read(0.01)
        times.append(time.monotonic() - begun)
        pause = time.monotonic() + PAUSE_S
        while (left := pause - time.monotonic()) > 0:
            glass.read(left)
    return times


def behind(glass: Glass) -> None:
    """Two waves behind the latest: a new one that comes with a key would undo what the key has shown."""
    for _ in range(2):
        glass.press("[")
        glass.read_for(0.5)


def loaded(text: str) -> bool:
    """An experiment is on the screen, and nothing is being read any more."""
    return bool(re.search(r"\be\d+\b", text)) and "loading" not in text.lower()


def settled(glass: Glass) -> None:
    """Loaded, drawn, and what a start costs is over."""
    glass.wait(loaded, 30)
    glass.read_for(2.0)


def percentiles(times: list[float]) -> str:
    ordered = sorted(times)
    lost = sum(each >= LOST_S for each in ordered)
    middle, most = statistics.median(ordered) * 1e3, ordered[int(len(ordered) * 0.99)] * 1e3
    return f"p50 {middle:.0f}, p99 {most:.0f} ms of {len(ordered)}" + (f" ({lost} without effect)" if lost else "")


# --- rows of the table ------------------------------------------------------------------------------------------------


def busy(workspace: Path, seconds: float) -> Iterator[tuple[str, str, str]]:
    with fed(workspace, 10_000, 1000, 1000), room(workspace) as glass:
        settled(glass)
        quiet = watched(glass, seconds)
        yield "busy: dashboard, no keys", _use(quiet), "≤ 35 %, ≤ 20 frames/s, ≤ 250 MB"
        behind(glass)
        turns = ["]", "["] * int(seconds * 2)
        yield "busy: [ and ] change the wave", percentiles(keys(glass, turns, wave_shown)), "p50 ≤ 25, p99 ≤ 60 ms"
        glass.press("t")
        glass.read_for(1.5)
        moves = MOVES * int(max(1, seconds / 2))
        times: list[float] = []
        use = watched(glass, 0.0, lambda: times.extend(keys(glass, moves, selected_row)))
        yield "busy: cursor in the table", percentiles(times), "p50 ≤ 25, p99 ≤ 60 ms"
        yield "busy: table, 8 keys/s", _use(use), "≤ 35 %, ≤ 20 frames/s, ≤ 250 MB"


def slow(workspace: Path, seconds: float) -> Iterator[tuple[str, str, str]]:
    with fed(workspace, 10_000, 1000, 1000), room(workspace, rate=100_000) as glass:
        settled(glass)
        behind(glass)
        turns = ["]", "["] * int(seconds)
        yield "100 kB/s: [ and ]", percentiles(keys(glass, turns, wave_shown)), "p99 ≤ 500 ms"
        glass.press("t")
        glass.read_for(2)
        moves = MOVES * int(max(1, seconds / 5))
        yield "100 kB/s: cursor in the table", percentiles(keys(glass, moves, selected_row)), "p99 ≤ 500 ms"


def small(workspace: Path, seconds: float) -> Iterator[tuple[str, str, str]]:
    with fed(workspace, 200, 16, 12):
        firsts = []
        for _ in range(5):
            begun = time.monotonic()
            with room(workspace) as glass:
                glass.wait(loaded, 20)
                firsts.append(time.monotonic() - begun)
        yield "first frame, 200 experiments", _seconds(firsts), "≤ 0.6 s"
        with room(workspace) as glass:
            settled(glass)
            yield "16 GPUs, 12 events/s", _use(watched(glass, seconds)), "≤ 5 %"
    with room(workspace) as glass:
        settled(glass)
        glass.read_for(3.0)
        yield "idle: no engine, nothing happens", _use(watched(glass, seconds)), "≤ 1 %, 0 bytes"


def million(workspace: Path, _: float) -> Iterator[tuple[str, str, str]]:
    path = workspace / ".autoresearch" / logs.FILE
    path.parent.mkdir(exist_ok=True)
    logs.create(path)
    logs.append_all(path, bench.session(1_000_000))
    begun = time.monotonic()
    with room(workspace) as glass:
        glass.wait(lambda text: len(text) > 200, 30)
        first = time.monotonic() - begun
        glass.wait(loaded, 60)
        yield "a million events, first frame / all read", f"{first:.2f} / {time.monotonic() - begun:.2f} s", "≤ 3.5 s"
        glass.read_for(2.0)
        yield "a million events, then", _use(watched(glass, 2.0)), "≤ 250 MB"


def _use(use: Use) -> str:
    frames = f"{use.frames_s:.1f} frames/s, {use.bytes_s / 1e3:.1f} kB/s"
    return f"{use.cpu_percent:.1f} % CPU, {use.memory_mb:.0f} MB, {frames}"


def _seconds(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} ({min(times):.2f}–{max(times):.2f}) s"


def main(seconds: float, names: list[str]) -> None:
    """`names`: parts of the table; all if empty."""
    folder = Path(tempfile.mkdtemp())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f} before, {SIZE[0]}×{SIZE[1]}, {seconds:.0f} s per figure\n")
    try:
        for part in (busy, slow, small, million):
            if names and part.__name__ not in names:
                continue
            workspace = stub.make_stub(folder / part.__name__)
            try:
                for name, figure, goal in part(workspace, seconds):
                    print(f"{name:<42} {figure:<52} {goal:<40} load {os.getloadavg()[0]:.1f}", flush=True)
            except AssertionError as error:
                print(f"{part.__name__}: {error}", flush=True)  # with the screen; the other parts still count
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0, sys.argv[2:])
