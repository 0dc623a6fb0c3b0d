"""The change of train.py, full screen: against the parent, the baseline or the very first version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

from core import patch
from core.ids import ExperimentId
from tui import numbers, standing
from tui.diffing import Comparison
from tui.glyphs import Glyphs
from tui.messages import Selected
from tui.moment import Moment
from tui.paint import Line, fill
from tui.paint import width as cells
from tui.pane import Pane
from tui.safe import fit, line
from tui.screens.listing import Listing
from tui.screens.room import Room
from tui.signs import sign
from tui.table import Table
from tui.versions import SAID, Against, Pair, after_that, pair
from tui.widgets.diff_view import DiffView
from tui.widgets.hints import Hint, Hints


def title(
    moment: Moment, found: Pair | str, against: Against, comparison: Comparison | None, hunk: int, width: int,
    glyphs: Glyphs,
) -> list[Line]:  # fmt: skip
    """Two lines: what the experiment came to, and what is compared."""
    experiment = moment.experiment
    if experiment is None:
        return [((" No experiment is selected.", "muted"),)]
    state, shown = moment.state, sign(moment.state, experiment, glyphs)
    mean = standing.mean_bpb(state, experiment)
    front: Line = (
        (f" {experiment.id} ", "bold"),
        (f" {shown.glyph} {shown.word} ", shown.role),
        (f"  {numbers.bpb(mean)}  " if mean is not None else "  ", ""),
    )
    told, end = (
        standing.delta(experiment.evidence, glyphs) if experiment.evidence else (),
        _size(comparison, hunk, glyphs),
    )
    while told and cells((*front, *told, *end)) >= width:  # what says least goes first
        told = told[:-1]
    return [
        fill((*front, *told), width, end),
        _versions(line(experiment.title), found, against, width, glyphs),
    ]


def _size(comparison: Comparison | None, hunk: int, glyphs: Glyphs) -> Line:
    if comparison is None or not comparison.hunks:
        return ()
    return (
        (f"+{comparison.added}", "success"),
        (" ", ""),
        (f"{glyphs.minus}{comparison.removed}", "error"),
        (f"  change {hunk or 1} of {comparison.hunks} ", "muted"),
    )


def _versions(text: str, found: Pair | str, against: Against, width: int, glyphs: Glyphs) -> Line:
    end: Line = ()
    if isinstance(found, Pair):
        end = ((f"  {found.other} {glyphs.right} {found.name}", ""), (f"  against {SAID[against]} ", "accent"))
    room = max(0, width - 1 - sum(len(part) for part, _ in end))
    return ((" ", ""), (fit(text, room), "muted"), *end)


class DiffTitle(Pane):
    DEFAULT_CSS = "DiffTitle { height: 2; background: $surface; }"
    FOCUSABLE = False

    def __init__(self, of: DiffScreen) -> None:
        super().__init__()
        self._of = of

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        of, view = self._of, self._of.view
        return title(moment, of.found, of.against, view.comparison, view.hunk, width, self.looks.glyphs)


class DiffScreen(Room):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("b", "against", "Against", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self.against: Against = "parent"
        self.found: Pair | str = ""
        self._seen: tuple[object, ...] = ()

    def compose_body(self) -> ComposeResult:
        yield DiffTitle(self)
        yield DiffView(id="diff-view")
        yield Hints(self._hints)

    @property
    def view(self) -> DiffView:
        return self.query_one(DiffView)

    def on_mount(self) -> None:
        self.view.focus()

    def show(self, moment: Moment) -> None:
        """The versions are made again only when what they are made from has changed."""
        if not self.query(DiffView):  # not composed yet
            return
        state = moment.state
        seen = (moment.experiment, state.sources, state.baseline, self.against)
        if len(seen) != len(self._seen) or any(a is not b for a, b in zip(seen, self._seen, strict=True)):
            self._seen, self.found = seen, pair(state, moment.selected, self.against)
            self._put()
        super().show(moment)

    def _put(self) -> None:
        if isinstance(self.found, Pair):
            self.view.put((self.found.before, self.found.after))
        else:
            self.view.put(None, ((f" {self.found}", "muted"),))

    def _hints(self) -> Sequence[Hint]:
        return (
            ("n N", "changes"),
            ("b", f"against {SAID[after_that(self.against)]}"),
            ("w", "unified" if self.view.is_split else "side by side"),
            ("+ -", "context"),
            ("enter", "unfold"),
            ("[ ]", "experiments"),
            ("c", "copy"),
        )

    def on_table_moved(self, message: Table.Moved) -> None:
        self.query_one(DiffTitle).redraw()

    def on_diff_view_turned(self) -> None:
        self.query_one(DiffTitle).redraw()
        self.query_one(Hints).redraw()

    def action_against(self) -> None:
        self.against = after_that(self.against)
        self.show(self.control.moment)
        self.query_one(Hints).redraw()

    def act(self, action: str) -> bool:
        if not self.query(DiffView):  # typed ahead, before the screen is composed
            return False
        match action:
            case "wave_back" | "wave_on":
                self._turn(1 if action == "wave_on" else -1)
            case "copy":
                copy_patch(self.app, self.found)
            case _:
                return super().act(action)
        return True

    def _turn(self, by: int) -> None:
        """To the experiment before or after, in the order of the list that this screen was opened from."""
        order = self._order()
        name = self.control.moment.selected
        at = order.index(name) + by if name in order else 0
        if 0 <= at < len(order):
            self.post_message(Selected(order[at]))
        else:
            which = "last" if by > 0 else "first"
            self.notify(f"This is the {which} experiment of the list.", timeout=2, markup=False)

    def _order(self) -> Sequence[ExperimentId]:
        for screen in reversed(self.app.screen_stack):
            if screen is not self and isinstance(screen, Listing):
                return screen.order()
        return tuple(self.control.moment.state.experiments)


def copy_patch(app: App[Any], found: Pair | str) -> None:
    """To the clipboard; says how much it is, or that there is nothing."""
    if not isinstance(found, Pair):
        app.notify("There is no patch to copy.", severity="warning", timeout=3, markup=False)
        return
    text = patch.diff(found.before, found.after)
    app.copy_to_clipboard(text)
    lines = numbers.count(text.count("\n"), "line")
    app.notify(f"Copied the patch of {found.name}: {lines}.", timeout=3, markup=False)
