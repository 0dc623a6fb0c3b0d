"""All experiments: filtered by what is typed, sorted, several marked for veto and promote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Static

from core.ids import ExperimentId
from tui import numbers
from tui.filtering import readable
from tui.messages import Marked
from tui.moment import Moment
from tui.paint import Line, fill
from tui.pane import Pane
from tui.safe import fit, line, wrap
from tui.screens.room import Room
from tui.table import Table
from tui.widgets.experiments import COLUMNS, ExperimentTable
from tui.widgets.hints import Hint, Hints
from tui.widgets.reader import Reader

EXAMPLE = "text  verdict:kept  gpu:H200  bpb<0.98  wave:12  DEPTH=8  -is:open"
MAX_FILTER = 400  # characters
TITLES = {column.id: column.title for column in COLUMNS}
WAYS = {  # up and down
    **dict.fromkeys(("id", "wave"), ("oldest first", "newest first")),
    "runs": ("most first", "fewest first"),
    **dict.fromkeys(("bpb", "delta", "sigma"), ("best first", "worst first")),
}
HINTS: tuple[Hint, ...] = (
    ("o", "sort"), ("O", "reverse"), ("m", "mark"), ("M", "all"), ("enter", "diff"), ("esc", "clear, back"),
)  # fmt: skip


def note(moment: Moment, table: ExperimentTable, error: str, width: int) -> Line:
    """What is wrong with the filter, or else what is shown in which order."""
    if error:
        return ((fit(f" {error}", width), "warning"),)
    shown, total = len(table.ids), len(moment.state.experiments)
    counted = (
        f"{shown:,} of {numbers.count(total, 'experiment')}"
        if table.filter.text
        else numbers.count(total, "experiment")
    )
    way = WAYS.get(table.sorted_by, ("in order", "reversed"))[table.downward]
    marked: Line = ((f"{len(moment.marked):,} marked", "accent bold"), ("  ", "")) if moment.marked else ()
    return fill(((f" {counted}", ""),), width, (*marked, (f"by {TITLES[table.sorted_by]}, {way} ", "muted")))


def about(moment: Moment, width: int, height: int) -> list[Line]:
    """The selected experiment in words: its change, why it was proposed, why it ended as it did."""
    experiment = moment.experiment
    if experiment is None:
        return []
    said, most = wrap(experiment.title, width - 2), max(1, height - 1)
    if len(said) > most:
        said = [*said[: most - 1], fit(said[most - 1] + " " * width, width - 2)]
    made: list[Line] = [((f" {text}", ""),) for text in said]
    if experiment.hypothesis and len(made) < height - 1:
        made.append(((" " + fit(experiment.hypothesis, width - 2), "muted"),))
    if experiment.reason:
        made.append(((" " + fit(experiment.reason, width - 2), "muted"),))
    return made[:height]


class Note(Pane):
    DEFAULT_CSS = "Note { height: 1; }"
    FOCUSABLE = False

    def __init__(self, of: ExperimentsScreen) -> None:
        super().__init__()
        self._of = of

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        return [note(moment, self._of.table, self._of.error, width)]


class About(Pane):
    DEFAULT_CSS = """
    About { height: 4; background: $surface; }
    Room.-low About { display: none; }
    """
    FOCUSABLE = False

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        return about(moment, width, height)


class ExperimentsScreen(Room):
    DEFAULT_CSS = """
    ExperimentsScreen #filter { height: 1; background: $panel; }
    ExperimentsScreen #filter Static { width: 3; color: $key; text-style: bold; }
    ExperimentsScreen #filter Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("down", "leave_filter", "To the list", show=False)]

    def __init__(self, *, filtering: bool = False) -> None:
        """`filtering`: begins in the filter."""
        super().__init__()
        self.error = ""
        self._filtering = filtering

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="filter"):
            yield Static(" / ", markup=False)
            yield Input(placeholder=EXAMPLE, max_length=MAX_FILTER, select_on_focus=False)
        yield Note(self)
        yield ExperimentTable(id="experiments")
        yield About(id="about")
        yield Hints(lambda: HINTS)

    @property
    def table(self) -> ExperimentTable:
        return self.query_one(ExperimentTable)

    @property
    def input(self) -> Input:
        return self.query_one(Input)

    def order(self) -> Sequence[ExperimentId]:
        return self.table.ids

    def on_mount(self) -> None:
        (self.input if self._filtering else self.table).focus()

    def on_unmount(self) -> None:
        """Marks that nobody sees would be acted on by surprise."""
        if self.control.moment.marked:
            self.control.on_marked(Marked(frozenset()))

    def panes(self) -> Iterable[Pane | Table | Reader]:
        """The table first: the note counts what it shows."""
        return sorted(super().panes(), key=lambda pane: not isinstance(pane, ExperimentTable))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        found, error = readable(event.value)
        self.error = line(error)
        self.table.narrow(found)
        self.query_one(Note).redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.table.focus()

    def action_leave_filter(self) -> None:
        self.table.focus()

    def act(self, action: str) -> bool:
        if not self.query(ExperimentTable):  # typed ahead, before the screen is composed
            self._filtering = self._filtering or action == "filter"
            return action == "filter"
        match action:
            case "filter":
                self.input.focus()
            case "back":
                return self._clear()
            case "open":
                self.table.action_open()
            case _:
                return super().act(action)
        return True

    def copied(self) -> tuple[str, str]:
        """The marked ones, or all that are shown."""
        names = [name for name in self.table.ids if name in self.control.moment.marked] or list(self.table.ids)
        return numbers.count(len(names), "experiment"), self.table.copied(names) if names else ""

    def _clear(self) -> bool:
        """The filter first, then the marks; False when there is neither, and the screen may go."""
        if self.input.value:
            self.input.value = ""
        elif self.control.moment.marked:
            self.post_message(Marked(frozenset()))
        elif not self.input.has_focus:
            return False
        self.table.focus()
        return True
