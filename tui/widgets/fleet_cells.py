"""Which cell of the fleet pane stands for which GPUs, and what is on them.

One cell per GPU while they fit; else every cell stands for as many neighbours as makes them fit. The places of GPUs do
not depend on what runs on them, so nothing jumps. Pure but for the latest answers; knows no glyphs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from core.events import Gpu
from core.ids import ExperimentId, GpuId, RunId
from core.state import State
from tui.remembered import Remembered
from tui.telling_apart import longest, told_apart

LABEL = 10  # cells, at most, for the name of a type where that is more than a third of all
COUNTS = 14  # cells that counts need behind the last cell of a type


class Block(NamedTuple):
    """One cell: a GPU, or some."""

    gpus: tuple[GpuId, ...]
    ours: int  # of them, with a run of ours
    others: int  # held by others, without a run of ours
    broken: int  # nothing can start on them, and nothing of ours runs there
    run: RunId | None  # the first of ours
    experiment: ExperimentId | None
    held_by: str


class Row(NamedTuple):
    gpu_type: str
    name: str  # in the cells that there are for it
    blocks: tuple[Block, ...]


class Layout(NamedTuple):
    label: int  # cells of the names at the left
    rows: tuple[Row, ...]
    left_out: int = 0  # types for which there is no line
    step: int = 1  # columns from one cell to the next: 2 where there is room

    @property
    def blocks(self) -> Iterable[Block]:
        return (block for row in self.rows for block in row.blocks)


class Plan(NamedTuple):
    """Which GPUs are where; it depends on the fleet and the size alone."""

    label: int
    rows: tuple[tuple[str, tuple[tuple[Gpu, ...], ...]], ...]  # type, and the GPUs of each cell
    left_out: int
    step: int


_planned: Remembered[Plan] = Remembered()
_latest: Remembered[Layout] = Remembered()
_running: Remembered[dict[GpuId, RunId]] = Remembered()


def layout(state: State, cells: int, height: int) -> Layout:
    """At most `height` rows of at most `cells` cells, names included; the last row of a type leaves room for counts."""
    plan = _planned.get((state.gpus, cells, height), lambda: _plan(state.gpus, cells, height))
    ours = running(state)
    return _latest.get((plan, ours), lambda: _filled(state, plan, ours))


def running(state: State) -> dict[GpuId, RunId]:
    """Which run of ours is on which GPU."""
    return _running.get((state.active, state.runs), lambda: _on_gpus(state))


def _on_gpus(state: State) -> dict[GpuId, RunId]:
    runs = (state.runs[name] for name in state.active)
    return {run.gpu: run.id for run in runs if run.gpu is not None and run.started_at is not None}


def _plan(gpus: tuple[Gpu, ...], cells: int, height: int) -> Plan:
    types: dict[str, list[Gpu]] = {}
    for gpu in gpus:
        types.setdefault(gpu.type, []).append(gpu)
    shown = dict(list(types.items())[: height - 1 if len(types) > height else height])
    label = min(max(LABEL, cells // 3), longest(tuple(shown)))
    across = max(4, cells - label - 1)
    sizes = [len(found) for found in shown.values()]
    each = _each(sizes, across, height)
    step = 2 if each == 1 and sum(_lines(size, 1, across // 2) for size in sizes) == len(sizes) else 1
    rows = [
        (name, row)
        for name, found in shown.items()
        for row in _rows(
            [tuple(found[i : i + each]) for i in range(0, len(found), each)], across // step, COUNTS // step
        )
    ]
    if len(types) > len(shown):
        rows.append(("", ()))
    return Plan(label, tuple(rows[: max(1, height)]), len(types) - len(shown), step)


def _each(sizes: list[int], across: int, height: int) -> int:
    """GPUs per cell: the fewest with which all types fit."""
    each = 1
    while sum(_lines(size, each, across) for size in sizes) > height and each < max(sizes, default=1):
        each += 1
    return each


def _lines(gpus: int, each: int, across: int) -> int:
    """Whole lines, and one that ends early so that counts fit behind it."""
    blocks = -(-gpus // each)
    short = max(1, across - COUNTS)
    return 1 + max(0, -(-(blocks - short) // across))


def _rows(blocks: list[tuple[Gpu, ...]], across: int, counts: int) -> list[tuple[tuple[Gpu, ...], ...]]:
    """`counts`: cells that the last row leaves free."""
    short = max(1, across - counts)
    rows: list[tuple[tuple[Gpu, ...], ...]] = []
    while len(blocks) > short:
        take = min(across, len(blocks) - 1) if len(blocks) <= across else across
        rows.append(tuple(blocks[:take]))
        blocks = blocks[take:]
    return [*rows, tuple(blocks)]


def _filled(state: State, plan: Plan, ours: dict[GpuId, RunId]) -> Layout:
    names = told_apart(tuple(dict.fromkeys(kind for kind, _ in plan.rows)), plan.label)
    rows = tuple(
        Row(kind, names[kind], tuple(_block(state, gpus, ours) for gpus in blocks)) for kind, blocks in plan.rows
    )
    return Layout(plan.label, rows, plan.left_out, plan.step)


def _block(state: State, gpus: tuple[Gpu, ...], ours: dict[GpuId, RunId]) -> Block:
    runs = [ours[gpu.id] for gpu in gpus if gpu.id in ours]
    without = [gpu for gpu in gpus if gpu.id not in ours]
    broken = [gpu.held_by for gpu in without if gpu.broken]
    held = [gpu.held_by for gpu in without if gpu.held_by and not gpu.broken]
    first = runs[0] if runs else None
    experiment = state.runs[first].experiment if first else None
    said = next(iter([*broken, *held]), "")
    return Block(tuple(gpu.id for gpu in gpus), len(runs), len(held), len(broken), first, experiment, said)


# --- the cursor -------------------------------------------------------------------------------------------------------


def block_at(plan: Layout, x: int, y: int) -> Block | None:
    """The cell under a point of the pane."""
    if not 0 <= y < len(plan.rows):
        return None
    index = (x - plan.label - 1) // plan.step
    return plan.rows[y].blocks[index] if 0 <= index < len(plan.rows[y].blocks) else None


def moved(plan: Layout, gpu: GpuId | None, right: int, down: int) -> Block | None:
    """Where the cursor goes from the cell of `gpu`; without one, to the first cell. None if there is no cell."""
    rows = [row for row in plan.rows if row.blocks]
    if not rows:
        return None
    at = next(((x, y) for y, row in enumerate(rows) for x, block in enumerate(row.blocks) if gpu in block.gpus), None)
    if at is None:
        return rows[0].blocks[0]
    x, y = at
    if down:
        y = min(len(rows) - 1, max(0, y + down))
        return rows[y].blocks[min(x, len(rows[y].blocks) - 1)]
    if not 0 <= x + right < len(rows[y].blocks):  # over the end of a line to the next
        y = min(len(rows) - 1, max(0, y + right))
        return rows[y].blocks[0 if right > 0 else -1] if y != at[1] else rows[y].blocks[x]
    return rows[y].blocks[x + right]
