"""Text that wants out of its cell: markup, escapes, bidi, wide and combining characters, a very long line."""

from __future__ import annotations

import re

from story import E0, Story

from core import events as ev
from core.ids import ExperimentId, GpuId
from core.patch import Change
from tui.paint import Line, plain, width

TEXT = (
    "[bold red]x[/] \x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07 \u202egnp.exe\u202c 漢字漢字 e\u0301\u0301\u0301\u0301 "
    "\ud800 \U0001f1e9\U0001f1ea \t tab\r\nnew line \x07\x9b5A " + "long" * 25_000
)
BAD = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def told() -> Story:
    """Hostile words in every field that a run or a model writes."""
    story = Story(gpu_type="H[1]\x1b[2J")
    story.gpus = (ev.Gpu(GpuId("g"), story.gpu_type),)
    story.score(E0, 1.0, 1.001)
    (name,) = story.wave({"DEPTH": "2"}, factors={"DEPTH": ("2", "4")})
    wave = next(reversed(story.state.waves))
    change = Change(settings={"MATRIX_LR": "0.02"})
    other = ExperimentId("e2")
    story.tell(
        ev.ExperimentProposed, experiment=other, wave=wave, parent=E0, change=change, digest="x", title=TEXT,
        hypothesis=TEXT,
    )  # fmt: skip
    story.score(name, 0.9).judge(name, "kept")
    run = story.start(other)
    story.progress(run, 4.0, 3.0)
    story.wait(1).tell(ev.RunEnded, run=run, outcome="crashed", reason=TEXT, tail=f"{TEXT}\n{TEXT}")
    story.tell(ev.ExperimentJudged, experiment=other, verdict="crashed", reason=TEXT)
    return story


def check(lines: list[Line], cells: int) -> None:
    """No control reaches a span, no line is too wide."""
    for line in lines:
        assert not BAD.search(plain(line)), plain(line)
        assert width(line) <= cells, plain(line)
