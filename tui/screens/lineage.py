"""The tree of kept changes, the first version at the top: what each gained, and what else was tried from it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar, Literal, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from core.ids import ExperimentId
from core.state import State
from tui import numbers, standing
from tui.descent import Gain, Step, descent, gain_of, parts
from tui.glyphs import Glyphs
from tui.messages import Opened, Selected
from tui.moment import Moment
from tui.paint import Line, Span
from tui.remembered import Remembered
from tui.safe import fit, line
from tui.screens.experiments import About
from tui.screens.room import Room
from tui.signs import named, sign
from tui.table import Table
from tui.widgets.hints import Hint, Hints

HINTS: tuple[Hint, ...] = (("enter", "diff, or unfold"), ("E", "all"), ("d", "diff"), ("c", "copy the commit"))
COMMIT = 7  # characters that name a commit
WIDE = 100  # cells from which it is told where a change comes from
SHORTEST = 8  # cells of a change that still say something
TREE = 5  # cells before an id


class Twig(NamedTuple):
    """A line of the tree: a kept change, a part of a merge, the count of what else was tried, or one of those."""

    kind: Literal["step", "part", "tried", "one"]
    name: ExperimentId  # of the experiment; of "tried" the version that they started from
    is_last: bool = False  # of its step


def twigs(steps: Sequence[Step], opened: frozenset[ExperimentId]) -> tuple[Twig, ...]:
    """The lines in order; `opened`: versions whose other tries are shown one by one."""
    made: list[Twig] = []
    for step in steps:
        name = step.experiment.id
        made.append(Twig("step", name))
        below = [Twig("part", part) for part in step.experiment.of]
        if step.tried:
            below.append(Twig("tried", name))
            below += [Twig("one", each) for each in step.tried] if name in opened else []
        made += [twig._replace(is_last=at == len(below) - 1) for at, twig in enumerate(below)]
    return tuple(made)


def heading(width: int) -> Line:
    cells = [("", TREE), ("id", 6), ("val_bpb", 16), ("gain", 20), ("total", 7)]
    spans: list[Span] = [(fit(text, each), "muted") for text, each in cells]
    if width >= WIDE:
        spans.append((fit("GPU", 7) + fit("kept", 8) + fit("commit", COMMIT + 2) + fit("by", 13), "muted"))
    return (*spans, ("change", "muted"))


def step_line(step: Step, state: State, width: int, glyphs: Glyphs, *, is_last: bool) -> Line:
    experiment = step.experiment
    tip = glyphs.best if step.is_baseline else named("kept", glyphs).glyph
    arm = "" if experiment.parent is None else (glyphs.last_branch if is_last else glyphs.branch)
    front: list[Span] = [
        (f" {arm or ' '}{glyphs.horizontal if arm else ' '}", "border"),
        (f"{tip} ", "best bold" if step.is_baseline else "kept"),
        (fit(experiment.id, 6), "bold"),
        *_values(step, glyphs),
    ]
    if width >= WIDE:
        front += _origin(step, state)
    text = "first version" if step.against is None and experiment.parent is None else experiment.title
    note = " at present" if step.is_baseline else "  waits for its commit" if step.is_pending else ""
    room = width - sum(_cells(span) for span in front)
    note = note if room >= len(note) + SHORTEST else ""  # the glyph tells it too
    return (*front, (fit(text, max(0, room - len(note))), ""), (note, "best" if step.is_baseline else "warning"))


def _values(step: Step, glyphs: Glyphs) -> list[Span]:
    gain, total = step.gain, step.total
    if gain is None:
        return [(fit(numbers.bpb(step.mean), 16), ""), (" " * 27, "")]
    values = f"{numbers.bpb(gain.before)} {glyphs.right} {numbers.bpb(gain.after)}"
    role = _role(gain)
    return [
        (fit(values, 16), ""),
        (fit(numbers.delta(gain.delta), 8), role),
        (fit(standing.error(gain.standard_error, glyphs), 9), "muted"),
        (
            fit(numbers.percent(total.percent, 2) if total else "", 8, align="right") + "  ",
            _role(total) if total else "",
        ),
    ]


def _role(gain: Gain) -> str:
    return standing.leaning(gain.delta, gain.standard_error, gain.df)


def _origin(step: Step, state: State) -> list[Span]:
    experiment = step.experiment
    when = "" if step.kept_at is None or step.against is None else numbers.duration(step.kept_at - state.started_at)
    by = "merge" if experiment.of else " ".join(part for part in (line(step.by, 8), experiment.wave or "") if part)
    commit = experiment.commit or (state.commit if experiment.parent is None and not step.tried else "")
    return [
        (fit(step.gain.gpu_type if step.gain else "", 7) + fit(when, 8), "muted"),
        (fit(line(commit)[:COMMIT], COMMIT + 2), "accent"),
        (fit(by, 13), "muted"),
    ]


def _cells(span: Span) -> int:
    return len(span[0])


def twig_line(
    twig: Twig, step: Step, moment: Moment, width: int, glyphs: Glyphs, *, is_open: bool, is_last: bool
) -> Line:
    """What hangs below a step."""
    state = moment.state
    trunk, arm = " " if is_last else glyphs.vertical, glyphs.last_branch if twig.is_last else glyphs.branch
    stem: Span = (f" {trunk}   {arm}{glyphs.horizontal} ", "border")
    if twig.kind == "tried":
        fold = glyphs.down if is_open else glyphs.collapsed
        return (stem, (f"{fold} ", "accent"), *_counted(step, glyphs))
    experiment = state.experiments.get(twig.name)
    if experiment is None:
        return (stem, (line(twig.name), "muted"))
    shown = sign(state, experiment, glyphs)
    front: Line = (
        stem,
        (f"{shown.glyph} ", shown.role),
        (fit(experiment.id, 6), "bold"),
        (fit(shown.word, 10), shown.role),
    )
    gain = gain_of(state, experiment, standing.main_type(state, experiment))
    told: Line = (
        (fit(numbers.bpb(standing.mean_bpb(state, experiment)), 8), ""),
        (fit(numbers.delta(gain.delta) if gain else "", 9), _role(gain) if gain else ""),
    )
    room = width - sum(_cells(span) for span in (*front, *told))
    return (*front, *told, (fit(experiment.title, max(0, room)), "muted"))


def _counted(step: Step, glyphs: Glyphs) -> Line:
    spans: list[Span] = [(f"{len(step.tried):,} more from {step.experiment.id}", "")]
    for status, count in step.counts:
        mark = named("running" if status == "open" else status, glyphs)
        spans += [("   ", ""), (f"{mark.glyph} {count:,} {status}", mark.role)]
    return tuple(spans)


class LineageTable(Table):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("E", "all", "Unfold all", show=False),
        Binding("right,l", "fold(True)", "Unfold", show=False),
        Binding("left,h", "fold(False)", "Fold", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="lineage")
        self._opened: frozenset[ExperimentId] = frozenset()
        self._steps: tuple[Step, ...] = ()
        self._by_name: dict[ExperimentId, Step] = {}
        self._twigs: tuple[Twig, ...] = ()
        self._owners: dict[Twig, Step] = {}
        self._remembered: Remembered[tuple[Step, ...]] = Remembered()

    @property
    def names(self) -> tuple[ExperimentId, ...]:
        """The experiments in the order of their lines."""
        return tuple(dict.fromkeys(twig.name for twig in self._twigs if twig.kind != "tried"))

    def keys(self, moment: Moment) -> Sequence[Hashable]:
        steps = self._remembered.get(parts(moment.state), lambda: descent(moment.state))
        if steps is not self._steps:
            self._steps, self._by_name = steps, {step.experiment.id: step for step in steps}
            self._grow()
        return self._twigs

    def _grow(self) -> None:
        self._twigs = twigs(self._steps, self._opened)
        step = None
        for twig in self._twigs:
            step = self._by_name[twig.name] if twig.kind == "step" else step
            if step is not None:
                self._owners[twig] = step

    def heading(self, moment: Moment, width: int) -> Line:
        return heading(width)

    def nothing(self, moment: Moment) -> Line:
        said = "Reading the session." if moment.mode == "loading" else "No version yet: the session has not started."
        return ((f" {said}", "muted"),)

    def _owner(self, twig: Twig) -> Step:
        """The step that a line is of or hangs below."""
        return self._owners[twig]

    def row(self, key: Hashable, moment: Moment, width: int) -> Line:
        twig: Twig = key  # type: ignore[assignment]
        step, glyphs = self._owner(twig), self.looks.glyphs
        if twig.kind == "step":
            return step_line(step, moment.state, width, glyphs, is_last=step is self._steps[-1])
        is_open, is_last = step.experiment.id in self._opened, step is self._steps[-1]
        return twig_line(twig, step, moment, width, glyphs, is_open=is_open, is_last=is_last)

    def version(self, key: Hashable, moment: Moment) -> object:
        twig: Twig = key  # type: ignore[assignment]
        last = self._steps[-1].experiment.id
        if twig.kind in ("step", "tried"):
            return self._by_name[twig.name], twig.name in self._opened, last == twig.name
        experiment = moment.state.experiments.get(twig.name)
        gain = gain_of(moment.state, experiment, standing.main_type(moment.state, experiment)) if experiment else None
        return experiment, gain, last == self._owner(twig).experiment.id

    def on_table_moved(self, message: Table.Moved) -> None:
        message.stop()
        if isinstance(message.key, Twig):
            self.post_message(Selected(message.key.name))

    def action_open(self) -> None:
        twig = self.key
        if isinstance(twig, Twig) and twig.kind == "tried":
            self._turn(twig.name, is_open=twig.name not in self._opened)
        elif isinstance(twig, Twig):
            self.post_message(Opened(twig.name))
        else:
            super().action_open()

    def action_fold(self, is_open: bool) -> None:
        if isinstance(self.key, Twig):
            self._turn(self._owner(self.key).experiment.id, is_open=is_open)

    def action_all(self) -> None:
        """All unfolded, or all folded."""
        every = frozenset(step.experiment.id for step in self._steps if step.tried)
        self._opened = frozenset() if every <= self._opened else every
        self._again()

    def _turn(self, name: ExperimentId, *, is_open: bool) -> None:
        self._opened = self._opened | {name} if is_open else self._opened - {name}
        self._again()

    def _again(self) -> None:
        step = self._owner(self.key).experiment.id if isinstance(self.key, Twig) else None
        self._grow()
        self.show(self.moment)
        if isinstance(self.key, Twig) and step is not None and self._owner(self.key).experiment.id != step:
            self.move_to_key(Twig("step", step))


class LineageScreen(Room):
    def compose_body(self) -> ComposeResult:
        yield LineageTable()
        yield About(id="about")
        yield Hints(lambda: HINTS)

    @property
    def table(self) -> LineageTable:
        return self.query_one(LineageTable)

    def order(self) -> Sequence[ExperimentId]:
        return self.table.names

    def on_mount(self) -> None:
        self.table.focus()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """At the selected experiment, if it is here; else at the present baseline."""
        moment = self.control.moment
        for name in (moment.selected, moment.state.baseline):
            if name is not None and name in self.table.names:
                self.table.move_to_key(next(twig for twig in self.table.keys(moment) if twig[1] == name))  # type: ignore[index]
                return

    def act(self, action: str) -> bool:
        if not self.query(LineageTable):  # typed ahead, before the screen is composed
            return False
        if action == "copy":
            self._copy()
            return True
        return super().act(action)

    def _copy(self) -> None:
        experiment = self.control.moment.experiment
        commit = experiment.commit if experiment else ""
        if commit:
            self.app.copy_to_clipboard(line(commit))
        said = f"Copied {line(commit, 40)}." if commit else "It has no commit: only kept changes do."
        self.notify(said, timeout=3, markup=False)
