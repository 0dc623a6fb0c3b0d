"""What the chart costs at 10,000 experiments: a redraw, a frame with nothing new, a frame with one new result.

`python tests/bench_chart.py` prints a table in CPU time, so that a busy machine does not count.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import msgspec
from story import E0, Story

from core import events as ev
from core.fold import fold
from core.ids import ExperimentId, WaveId, run_id
from core.patch import Change
from core.state import State
from tui.widgets import drawing
from tui.widgets.marks import Collector
from tui.widgets.viewport import Viewport

EXPERIMENTS = 10_000
SIZES = {"120x40": (62, 13), "200x60": (112, 24), "200x60, full screen": (196, 56)}


def campaign(experiments: int = EXPERIMENTS) -> Story:
    """Results as of a long campaign: most near the baseline, some far above, one in twenty crashed, 40 kept."""
    story = Story(gpus=16, gpu_type="H100")
    story.score(E0, 1.003, 1.0042, 1.0021)
    draw, level = random.Random(0), 1.003
    for number in range(1, experiments + 1):
        level = _told(story, number, level, draw)
    return story


def _told(story: Story, number: int, level: float, draw: random.Random) -> float:
    name, run = ExperimentId(f"e{number}"), run_id(ExperimentId(f"e{number}"), 1)
    wave = WaveId(f"w{number // 16 + 1}")
    if number % 16 == 0 or number == 1:
        story.tell(ev.WavePlanned, wave=wave, parent=E0, reason="bench")
    change = Change(settings={"DEPTH": str(number)})
    story.tell(
        ev.ExperimentProposed, experiment=name, wave=wave, parent=E0, change=change, digest=str(number), title="DEPTH"
    )
    story.tell(ev.RunRequested, run=run, experiment=name, gpu_type="H100", seed=number)
    story.tell(ev.RunStarted, run=run, gpu=story.gpus[number % 16].id).wait(20)
    if draw.random() < 0.05:
        story.crash(run).judge(name, "crashed")
        return level
    is_kept = number % (EXPERIMENTS // 40) == 0
    value = level - 0.001 if is_kept else level + abs(draw.gauss(0.004, 0.006))
    story.finish(run, value).judge(name, "kept" if is_kept else "discarded")
    if is_kept:
        story.tell(ev.BaselineMoved, experiment=name, commit="c", source="", reason="better")
    return value if is_kept else level


def milliseconds(work: Callable[[], object], times: int = 9) -> float:
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return 1000 * median(taken)


def main() -> None:
    story = campaign()
    state = fold(State(), story.facts)
    collector = Collector()
    start = time.process_time()
    series = collector.of(state)
    print(f"{len(series.marks):,} marks; first look at the state {1000 * (time.process_time() - start):.1f} ms")
    print(f"nothing new         {milliseconds(lambda: collector.of(state)):8.3f} ms")
    story.finish(story.start(ExperimentId("e5000")), 0.99)
    fresh = fold(state, story.facts[-3:])
    other = msgspec.structs.replace(state)
    print(f"one more result     {milliseconds(lambda: (collector.of(fresh), collector.of(other))) / 2:8.3f} ms")
    for label, size in SIZES.items():
        for port in (Viewport(), Viewport(axis="time"), Viewport(x=(4000.0, 5000.0))):
            part = "" if port.is_whole else ", a tenth"
            taken = milliseconds(lambda size=size, port=port: drawing.drawn(series, port, *size, selected=E0))  # type: ignore[misc]
            print(f"{f'{label}, {port.axis}{part}':36} {taken:8.1f} ms (goal 20)")


if __name__ == "__main__":
    main()
