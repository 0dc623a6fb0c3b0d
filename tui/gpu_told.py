"""One GPU in words: its node, what runs there, on a cluster as which Job, and how well the run before used it.

Utilisation is what finished runs report themselves (model FLOPs utilisation, peak memory); nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from core.events import Gpu, RunEnded
from core.ids import GpuId, RunId
from core.state import Run, State
from tui.glyphs import Glyphs
from tui.moment import Moment
from tui.paint import EMPTY, Line, Span, line
from tui.remembered import Remembered
from tui.safe import fit
from tui.safe import line as safe
from tui.widgets.fleet_cells import running
from tui.widgets.pieces import cut

KUBERNETES = "kubernetes"
LOOKED_AT = 5_000  # of the latest runs, for what used a GPU before: 1 ms
_firsts: Remembered[frozenset[GpuId]] = Remembered()
_before: Remembered[RunEnded | None] = Remembered()


def node(state: State, gpu: GpuId) -> str:
    """The machine that a GPU is in: its name begins with it, or there is one machine."""
    name, slash, _ = gpu.partition("/")
    return name if slash else state.engine.host if state.engine is not None and not state.simulated else ""


def firsts(state: State) -> frozenset[GpuId]:
    """The GPUs that stand first of their node."""
    return _firsts.get((state.gpus,), lambda: _first_of_each(state.gpus))


def _first_of_each(gpus: tuple[Gpu, ...]) -> frozenset[GpuId]:
    before = ("", *(gpu.id.partition("/")[0] for gpu in gpus))
    return frozenset(gpu.id for gpu, above in zip(gpus, before, strict=False) if gpu.id.partition("/")[0] != above)


def called(state: State, gpu: GpuId, cells: int) -> list[Span]:
    """Its name in `cells`: of neighbours in one node the node stands out once, and the number is never cut off."""
    name, slash, number = gpu.partition("/")
    rest = safe(f"{slash}{number}", max(1, cells // 2)) if slash else ""
    role = "" if not slash or gpu in firsts(state) else "muted"
    start = fit(name, min(len(name), max(0, cells - len(rest)))) if slash else fit(name, cells)
    return [(start, role), (fit(rest, max(0, cells - len(start))), "")]


def job(state: State, run: RunId) -> str:
    """The name of a run's Job; "" where runs are none."""
    if state.engine is None or state.engine.executor != KUBERNETES:
        return ""
    from k8s.jobs import name  # k8s is imported only where it is used

    return name(state.session, run)


def told(moment: Moment, gpu: Gpu | None, cells: int, glyphs: Glyphs) -> Line:
    """The GPU under the cursor; what it has no room for is left out from the end."""
    if gpu is None:
        return EMPTY
    state, parts = moment.state, list[Span]()
    if where := node(state, gpu.id):
        parts.append((f"node {safe(where, 60)}", ""))
    parts.append((safe(gpu.type, 40) + (f" {gpu.memory_mb / 1024:.0f} GB" if gpu.memory_mb else ""), "muted"))
    run = running(state).get(gpu.id)
    if run is not None:
        made = job(state, run)
        parts.append((f"{run} is Job {made}" if made else f"{run} runs", "run-running"))
    if (used := usage(before(state, gpu.id))) != "":
        parts.append((used, "muted"))
    spans: list[Span] = []
    for part in parts:
        spans += [*([(f" {glyphs.dot} ", "muted")] if spans else []), part]
    return cut(line(*spans), cells)


def before(state: State, gpu: GpuId) -> RunEnded | None:
    """The result of the latest finished run on a GPU; None where that is long ago."""
    return _before.get((gpu, state.ended), lambda: next(_results(state, gpu), None))


def _results(state: State, gpu: GpuId) -> Iterator[RunEnded]:
    for name in islice(reversed(state.runs), LOOKED_AT):
        run: Run = state.runs[name]
        if run.gpu == gpu and run.result is not None and run.result.outcome == "finished":
            yield run.result


def usage(result: RunEnded | None) -> str:
    """ "e8-1 before: mfu 41 %, 38.1 GB"."""
    if result is None:
        return ""
    mfu = f"mfu {result.mfu_percent:.0f} %" if result.mfu_percent is not None else ""
    memory = f"{result.memory_mb / 1024:.1f} GB" if result.memory_mb else ""
    said = ", ".join(filter(None, (mfu, memory)))
    return f"{result.run} before: {said}" if said else ""
