"""The speed of windows over SSH, as a table: `python tests/bench_serve.py [SECONDS] [WINDOWS ...]`, default 10 and 20.

Real OpenSSH clients on loopback, each in a pseudo-terminal, on one live session (200 facts a second). Key → screen is
from a key's byte into the client's terminal to the byte that shows its effect. Nothing is asserted; goals stand beside.
"""

from __future__ import annotations

import contextlib
import os
import select
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import psutil
import stub
from bench_window import MOVES, fed, keys, loaded, percentiles, selected_row, settled
from glass import Glass
from service import Served, service

from core import log as logs
from core.commands import Note

THEME = {"AUTORESEARCH_THEME": "night", "COLORTERM": "truecolor"}
SENDS = ("-o", "SendEnv=AUTORESEARCH_THEME COLORTERM")


APART_S = 0.4  # more than sixteen at the door at once are sent away


class Crowd:
    """Windows that somebody looks at, without anybody drawing: their bytes are read, their questions answered."""

    def __init__(self, served: Served, count: int) -> None:
        self.glasses = list[Glass]()
        for _ in range(count):
            self.glasses.append(window(served, "ada", draws=False))
            time.sleep(APART_S)
        self._stopping = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        masters = {glass.master: glass for glass in self.glasses}
        while not self._stopping:
            for number in select.select(list(masters), [], [], 0.1)[0]:
                masters[number].read(0)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()
        for glass in self.glasses:
            glass.__exit__()


def window(served: Served, name: str, *, draws: bool = True, rate: float | None = None) -> Glass:
    return served.glass(name, *SENDS, environ=THEME, draws=draws, rate=rate)


def processes(served: Served) -> tuple[psutil.Process, list[psutil.Process]]:
    """The service, and its windows."""
    for each in psutil.process_iter(["cmdline"]):
        line = each.info["cmdline"] or []
        if "serve" in line and str(served.workspace) in line:
            return each, [child for child in each.children() if child.status() != psutil.STATUS_ZOMBIE]
    raise AssertionError("no service")


def spent(found: list[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in found)


def commits(served: Served, times: int = 40) -> list[float]:
    """Seconds that a row takes to the disk beside the writer of the session, as an engine's commit does."""
    took = []
    for _ in range(times):
        begun = time.monotonic()
        logs.send(stub.file_of(served.workspace), Note(by="bench", text="x"))
        took.append(time.monotonic() - begun)
        time.sleep(0.05)
    return took


def first_frames(served: Served) -> Iterator[tuple[str, str, str]]:
    took = []
    for _ in range(5):
        begun = time.monotonic()
        with window(served, "ada") as glass:
            glass.wait(loaded, 20)
            took.append(time.monotonic() - begun)
    yield "connect → first frame", f"{statistics.median(took):.2f} (max {max(took):.2f}) s", "≤ 1.5 s"
    yield "a commit beside no window", percentiles(commits(served)), ""


def crowd(served: Served, count: int, seconds: float, goal: str) -> Iterator[tuple[str, str, str]]:
    with Crowd(served, count - 1), window(served, "ben") as glass:
        settled(glass)
        time.sleep(3.0)
        glass.press("t")
        glass.read_for(2.0)
        times = keys(glass, MOVES * int(max(1, seconds / 2)), selected_row)
        yield f"{count} windows: key → screen", percentiles(times), goal
        front, windows = processes(served)
        before, ahead, begun = spent(windows), spent([front]), time.monotonic()
        reading = glass.read_for(seconds)
        took = time.monotonic() - begun
        one = (spent(windows) - before) / took / len(windows) * 100
        shovel = (spent([front]) - ahead) / took / len(windows) * 100
        yield f"{count} windows: CPU of one", f"{one:.1f} % + {shovel:.2f} % in the service", "5 %"
        memory = [each.memory_full_info() for each in windows]
        sizes = [statistics.mean(getattr(each, kind) for each in memory) / 1e6 for kind in ("rss", "uss")]
        yield f"{count} windows: memory of one", f"{sizes[0]:.0f} MB, {sizes[1]:.0f} MB of its own", "33 MB"
        yield f"{count} windows: bytes to one", f"{reading / took / 1e3:.1f} kB/s", ""
        yield f"a commit beside {count} windows", percentiles(commits(served)), "as beside none"


def slow(served: Served, seconds: float) -> Iterator[tuple[str, str, str]]:
    with window(served, "ben", rate=100_000) as glass:
        settled(glass)
        glass.press("t")
        glass.read_for(2.0)
        times = keys(glass, MOVES * int(max(1, seconds / 5)), selected_row)
        yield "100 kB/s: key → screen", percentiles(times), "≤ 500 ms"


def main(seconds: float, counts: list[int]) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, {seconds:.0f} s per figure\n", flush=True)
    goals = {10: "p99 ≤ 100 ms", 20: "p99 ≤ 300 ms"}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        workspace = stub.make_stub(Path(folder) / "work")
        stack.enter_context(fed(workspace, 2000, 64, 200))
        most = str(max(counts) + 2)
        options = ("--windows", most, "--windows-per-key", most)
        served = stack.enter_context(service(Path(folder), *options, workspace=workspace))
        rows = [first_frames(served), slow(served, seconds)]
        rows += [crowd(served, count, seconds, goals.get(count, "")) for count in counts]
        for part in rows:
            try:
                for name, figure, goal in part:
                    print(f"{name:<32} {figure:<48} {goal:<16} load {os.getloadavg()[0]:.1f}", flush=True)
            except AssertionError as error:
                print(error, flush=True)  # with the screen; the other parts still count


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0, [int(each) for each in sys.argv[2:]] or [10, 20])
