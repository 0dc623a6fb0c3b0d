"""Experiments as a table: one line each, columns by width; sorted, filtered, several marked.

Where the filter is typed and what opens, the screen knows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Literal, NamedTuple

from textual.binding import Binding, BindingType

from core.ids import ExperimentId
from core.state import Experiment, State
from tui import numbers, standing
from tui.filtering import Filter, parse
from tui.glyphs import Glyphs
from tui.messages import Marked, Opened, Selected
from tui.moment import Moment
from tui.ordering import KEYS, Ordering
from tui.paint import Line, Span
from tui.safe import fit
from tui.signs import fraction, sign, word
from tui.table import Table


class Column(NamedTuple):
    id: str
    title: str
    cells: int  # 0: what is left
    align: Literal["left", "right"]
    cell: Callable[[State, Experiment, Glyphs], Span]
    from_width: int = 0  # shown in tables at least that wide


def _state(state: State, experiment: Experiment, glyphs: Glyphs) -> Span:
    shown = sign(state, experiment, glyphs)
    return f"{shown.glyph} {shown.word}", shown.role


def _bpb(state: State, experiment: Experiment, glyphs: Glyphs) -> Span:
    mean = standing.mean_bpb(state, experiment)
    if mean is not None:
        return numbers.bpb(mean), "best" if experiment.id == state.baseline else ""
    done = fraction(state, experiment)
    return (numbers.share(done), "run-running") if done is not None else (glyphs.dash, "muted")


def _delta(_: State, experiment: Experiment, glyphs: Glyphs) -> Span:
    evidence = experiment.evidence
    return (numbers.delta(evidence.delta), standing.direction(evidence)) if evidence else (glyphs.dash, "muted")


def _error(_: State, experiment: Experiment, glyphs: Glyphs) -> Span:
    evidence = experiment.evidence
    return standing.error(evidence.standard_error, glyphs) if evidence else "", "muted"


def _sigma(_: State, experiment: Experiment, glyphs: Glyphs) -> Span:
    evidence = experiment.evidence
    if evidence is None or evidence.standard_error <= 0:
        return "", ""
    return f"{min(999.9, abs(evidence.delta) / evidence.standard_error):.1f}", standing.direction(evidence)


def _runs(_: State, experiment: Experiment, glyphs: Glyphs) -> Span:
    return str(len(experiment.runs) or ""), ""


def _gpu(state: State, experiment: Experiment, glyphs: Glyphs) -> Span:
    types = standing.gpu_types(state, experiment)
    return (types[0] + f"+{len(types) - 1}" * (len(types) > 1) if types else ""), "muted"


def _wave(_: State, experiment: Experiment, glyphs: Glyphs) -> Span:
    return experiment.wave or "", "muted"


def _title(_: State, experiment: Experiment, glyphs: Glyphs) -> Span:
    return experiment.title, "" if experiment.is_open or experiment.status == "kept" else "muted"


COLUMNS = (
    Column("id", "id", 6, "left", lambda _, experiment, __: (experiment.id, "bold")),
    Column("state", "state", 11, "left", _state),
    Column("bpb", "val_bpb", 8, "right", _bpb),
    Column("delta", "delta", 8, "right", _delta),
    Column("error", "std err", 8, "right", _error, 104),
    Column("sigma", "sigma", 6, "right", _sigma),
    Column("runs", "runs", 5, "right", _runs, 70),
    Column("gpu", "GPU", 8, "left", _gpu, 90),
    Column("wave", "wave", 5, "left", _wave, 76),
    Column("title", "change", 0, "left", _title),
)
MARK = 2  # cells before the first column
GAP = 1


def columns(width: int) -> list[tuple[Column, int, int]]:
    """Those that fit, each with where it begins and its cells."""
    found: list[tuple[Column, int, int]] = []
    at = MARK
    for column in COLUMNS:
        if width >= column.from_width:
            cells = column.cells or max(0, width - at)
            found.append((column, at, cells))
            at += cells + GAP
    return found


def heading(width: int, sorted_by: str, glyphs: Glyphs, *, downward: bool) -> Line:
    spans: list[Span] = [(" " * MARK, "muted")]
    for column, _, cells in columns(width):
        is_it = column.id == sorted_by
        arrow = (glyphs.down if downward else glyphs.up) if is_it else ""
        text = f"{arrow}{column.title}" if column.align == "right" else f"{column.title}{arrow}"
        spans += [(fit(text, cells, align=column.align), "accent bold" if is_it else "muted"), (" " * GAP, "")]
    return tuple(spans)


def row(state: State, experiment: Experiment, width: int, glyphs: Glyphs, *, is_marked: bool) -> Line:
    lead = glyphs.cursor if is_marked else glyphs.best if experiment.id == state.baseline else " "
    spans: list[Span] = [(f"{lead} ", "accent bold" if is_marked else "best")]
    for column, _, cells in columns(width):
        text, role = column.cell(state, experiment, glyphs)
        spans += [(fit(text, cells, align=column.align), role), (" " * GAP, "")]
    return tuple(spans)


class ExperimentTable(Table):
    IS_ANSWERED = True  # `Selected` is: by the control room
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "sort", "Sort", show=False),
        Binding("O", "reverse", "Reverse", show=False),
        Binding("m", "mark", "Mark", show=False),
        Binding("M", "mark_all", "Mark all", show=False),
        Binding("shift+down", "extend(1)", "Mark down", show=False),
        Binding("shift+up", "extend(-1)", "Mark up", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.filter: Filter = parse("")
        self.sorted_by = "id"
        self.downward = False
        self._ordering = Ordering()
        self._followed: ExperimentId | None = None  # the selection when it was last looked at

    # --- as a table ---

    @property
    def ids(self) -> tuple[ExperimentId, ...]:
        return self._ordering.ids

    def show(self, moment: Moment) -> None:
        super().show(moment)
        if moment.selected != self._followed:  # elsewhere somebody chose another
            self._followed = moment.selected
            self._go_to(moment.selected)
        elif self.key is not None and self.key != moment.selected:  # what was chosen is not in the list any more
            self.post_message(Selected(ExperimentId(str(self.key))))

    def _go_to(self, name: ExperimentId | None) -> None:
        """As `move_to_key`, but nobody is told: they know. After its own keys it stands there already."""
        if name is not None and name in self.ids:
            is_there, self.cursor = self.key == name, self.ids.index(name)
            if not self._reveal() and not is_there:
                self.refresh()

    def keys(self, moment: Moment) -> Sequence[Hashable]:
        return self._ordering.update(moment.state, self.filter, self.sorted_by, downward=self.downward)

    def heading(self, moment: Moment, width: int) -> Line:
        return heading(width, self.sorted_by, self.looks.glyphs, downward=self.downward)

    def nothing(self, moment: Moment) -> Line:
        if moment.mode == "loading":
            return ((" Reading the session.", "muted"),)
        if not moment.state.experiments:
            return ((" No experiment yet: the first ones come with the researcher's first wave.", "muted"),)
        return ((" No experiment is like that. esc clears the filter.", "muted"),)

    def row(self, key: Hashable, moment: Moment, width: int) -> Line:
        experiment = moment.state.experiments[key]  # type: ignore[index]
        return row(moment.state, experiment, width, self.looks.glyphs, is_marked=key in moment.marked)

    def version(self, key: Hashable, moment: Moment) -> object:
        state = moment.state
        experiment = state.experiments[key]  # type: ignore[index]
        return (
            experiment,
            standing.scores(state, experiment),
            word(state, experiment),
            fraction(state, experiment),
            key == state.baseline,
            key in moment.marked,
        )

    def heading_clicked(self, x: int) -> None:
        for column, begins, cells in columns(self.columns):
            if begins <= x < begins + cells + GAP and column.id in KEYS:
                if column.id == self.sorted_by:
                    self.downward = not self.downward
                else:
                    self.sorted_by, self.downward = column.id, False
                self.show(self.moment)

    # --- what is chosen ---

    def on_table_moved(self, message: Table.Moved) -> None:
        message.stop()
        self.post_message(Selected(ExperimentId(str(message.key))))

    def on_table_opened(self, message: Table.Opened) -> None:
        message.stop()
        self.post_message(Opened(ExperimentId(str(message.key))))

    def narrow(self, found: Filter) -> None:
        self.filter = found
        super().show(self.moment)
        self._go_to(self.moment.selected)
        self.show(self.moment)

    def action_sort(self) -> None:
        order = [column.id for column, _, _ in columns(self.columns) if column.id in KEYS]
        at = order.index(self.sorted_by) + 1 if self.sorted_by in order else 0
        self.sorted_by, self.downward = order[at % len(order)], False
        self.show(self.moment)

    def action_reverse(self) -> None:
        self.downward = not self.downward
        self.show(self.moment)

    def action_mark(self) -> None:
        if self.key is not None:
            self.post_message(Marked(self.moment.marked ^ {ExperimentId(str(self.key))}))
            self.action_move(1)

    def action_mark_all(self) -> None:
        """All that are shown; once more: none of them."""
        shown = frozenset(self.ids)
        marked = self.moment.marked
        self.post_message(Marked(marked - shown if shown <= marked else marked | shown))

    def action_extend(self, by: int) -> None:
        if self.key is not None:
            before = ExperimentId(str(self.key))
            self.action_move(by)
            self.post_message(Marked(self.moment.marked | {before, ExperimentId(str(self.key))}))
