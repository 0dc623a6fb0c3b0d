"""Moments for tests of panes, hostile ones among them, and what is asserted of every pane's lines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from rich.cells import cell_len
from story import E0, Story

from core import events as ev
from core.design import Design, Factor
from core.fold import fold
from core.ids import ExperimentId, GpuId, RunId, WaveId
from core.patch import Change
from core.state import State
from tui.moment import Moment
from tui.paint import Line, plain, width

HOSTILE = (
    "[red]x[/] [b",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07", "a\u202eb\u2066c", "漢字テキスト" * 4,
    "e\u0301\u0301\u0301\u0301\u0301",
    "tab\tand\nnewline\r", "x" * 100_000, "\udcff\ud800", "\x00\x07\x9b2J", "👩‍👩‍👧‍👦🇩🇪",
)  # fmt: skip
FORBIDDEN = frozenset(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x200D, 0x202E, 0x2066, 0xFEFF]))


def moment(state: State, **fields: Any) -> Moment:
    latest = next(reversed(state.waves), None)
    return Moment(
        **{"state": state, "mode": "live", "now": state.at, "wave": latest, "workspace": "/home/ada/gpt", **fields}
    )


def texts(lines: Sequence[Line]) -> list[str]:
    return [plain(each).rstrip() for each in lines]


def assert_fits(lines: Sequence[Line], cells: int, height: int) -> None:
    """No line is too long or holds what a terminal would obey, and there are not too many."""
    assert len(lines) <= height
    for each in lines:
        assert width(each) <= cells, plain(each)
        assert not FORBIDDEN & set(plain(each)), repr(plain(each))
        assert plain(each).isprintable()
        assert sum(cell_len(text) for text, _ in each) == width(each)


@lru_cache(maxsize=1)
def hostile() -> State:
    return fold(State(), hostile_session())


@lru_cache(maxsize=1)
def hostile_session() -> tuple[ev.Fact, ...]:
    """Every text that comes from outside is one that means harm."""
    story = Story(gpus=2, gpu_type="H100")
    story.facts = [fact for fact in story.facts if not isinstance(fact, ev.FleetSeen)]
    story.score(E0, 1.0, 1.001)
    kinds = [HOSTILE[0], HOSTILE[1]]
    story.tell(
        ev.FleetSeen, gpus=tuple(ev.Gpu(GpuId(f"{each}{i}"), kinds[i % 2], 0, each) for i, each in enumerate(HOSTILE))
    )
    levels = (HOSTILE[0], HOSTILE[3], HOSTILE[5])
    design = Design("full factorial", (Factor(HOSTILE[1], levels), Factor(HOSTILE[2], levels)))
    for number, found in enumerate((design, None), start=1):
        story.tell(ev.WavePlanned, wave=WaveId(f"w{number}"), parent=E0, reason=HOSTILE[number] * 3, design=found)
        for index, each in enumerate(HOSTILE):
            cell = {HOSTILE[1]: levels[index % 3], HOSTILE[2]: levels[index // 3 % 3]}
            name = ExperimentId(f"e{number * 100 + index}")
            story.tell(
                ev.ExperimentProposed, experiment=name, wave=WaveId(f"w{number}"), parent=E0,
                change=Change(settings=cell),
                digest=f"{number}{index}", title=each, hypothesis=each, cell=cell,
            )  # fmt: skip
            story.tell(ev.RunRequested, run=RunId(f"{name}-1"), experiment=name, gpu_type=kinds[index % 2], seed=1)
            if index % 2:
                story.tell(ev.RunStarted, run=RunId(f"{name}-1"), gpu=GpuId(f"{HOSTILE[index]}{index}"))
    story.tell(ev.ResearchPaused, by=HOSTILE[1], reason=HOSTILE[2])
    story.tell(ev.ResearchFailed, reason=HOSTILE[3], fatal=True)
    story.tell(ev.NoteAdded, by=HOSTILE[4], text=HOSTILE[6])
    story.tell(ev.ExecutorLost, reason=HOSTILE[1])
    return tuple(story.facts)


def hostile_facts() -> list[ev.Fact]:
    notes: list[ev.Fact] = [ev.NoteAdded(at=1.0, by=each, text=each) for each in HOSTILE]
    return notes + [ev.CommandRefused(at=1e300, by="x", command=each, reason=each) for each in HOSTILE]
