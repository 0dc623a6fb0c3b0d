"""The fleet screen: types on top, a row per GPU, and below what waits for one and what happened to them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import cast

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from core.ids import GpuId
from tui import gpu_told, gpus
from tui.actions import BY_ID, why_not
from tui.messages import GpuChosen, Opened, Selected
from tui.moment import Moment
from tui.paint import EMPTY, Line
from tui.pane import Pane
from tui.screens.room import Room
from tui.table import Table
from tui.widgets.fleet_cells import running


class Types(Pane):
    DEFAULT_CSS = "Types { height: 1; }"
    FOCUSABLE = False

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        found = gpus.types(moment, width, self.looks.glyphs)
        if len(found) + 1 != height:
            self.styles.height = min(len(found) + 1, 8)
        return found


class Columns(Pane):
    DEFAULT_CSS = "Columns { height: 1; }"
    FOCUSABLE = False

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        return [gpus.head(moment.state, width) if moment.state.gpus else EMPTY]


class GpuTable(Table):
    DEFAULT_CSS = "GpuTable { scrollbar-gutter: stable; }"

    def keys(self, moment: Moment) -> Sequence[Hashable]:
        return tuple(gpus.gpus(moment.state))

    def version(self, key: Hashable, moment: Moment) -> object:
        gpu = cast("GpuId", key)
        run = gpus.run_on(moment.state, gpu)
        kinds = gpus.kinds(moment.state)  # on their names depends how wide the columns are
        if run is None:
            return (gpus.gpus(moment.state)[gpu], kinds)
        since = round(moment.now - (run.started_at or moment.now))
        return (moment.state.progress.get(run.id), since, run.stopped_by, run.stopped, run.id, kinds)

    def row(self, key: Hashable, moment: Moment, width: int) -> Line:
        return gpus.row(moment, gpus.gpus(moment.state)[cast("GpuId", key)], width - 1, self.looks.glyphs)


class Told(Pane):
    """The GPU under the cursor."""

    DEFAULT_CSS = "Told { height: 1; }"
    FOCUSABLE = False

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        key = self.screen.query_one(GpuTable).key
        return [gpu_told.told(moment, gpus.gpus(moment.state).get(cast("GpuId", key)), width, self.looks.glyphs)]


class Queue(Pane):
    FOCUSABLE = False

    def heading(self, moment: Moment) -> str:
        return f"Waiting for a GPU · {len(gpus.waiting(moment.state)):,}"

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        return gpus.queue(moment, width, height, self.looks.glyphs)


class Happened(Pane):
    FOCUSABLE = False

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        return gpus.happened(self.app.memory, width, height, self.looks.glyphs)  # type: ignore[attr-defined]


class FleetScreen(Room):
    DEFAULT_CSS = """
    FleetScreen #below { height: 9; }
    FleetScreen.-low #below { height: 5; }
    FleetScreen #queue { width: 2fr; }
    FleetScreen #happened { width: 3fr; }
    """

    def compose_body(self) -> ComposeResult:
        with Vertical(classes="pane", id="fleet-table") as box:
            box.border_title = "Fleet"
            yield Types()
            yield Columns()
            yield GpuTable(id="gpus")
            yield Told()
        with Horizontal(id="below"):
            yield Queue(id="queue", classes="pane")
            happened = Happened(id="happened", classes="pane")
            happened.border_title = "What happened"
            yield happened

    def on_mount(self) -> None:
        self.query_one(GpuTable).focus()
        self.show(self.control.moment)  # the rows, before the cursor goes to one
        self._begin()

    def _begin(self) -> None:
        """The cursor starts where the selected experiment runs; if it runs nowhere, the first GPU's is selected."""
        table, state = self.query_one(GpuTable), self.control.moment.state
        on = [gpu for gpu, run in running(state).items() if state.runs[run].experiment == self.control.moment.selected]
        if on:
            table.move_to_key(on[0])
        elif table.key is not None and (run := gpus.run_on(state, cast("GpuId", table.key))) is not None:
            self.post_message(Selected(run.experiment))

    def _choose(self, key: Hashable, moment: Moment) -> None:
        """The type of the GPU under the cursor is what + and - mean."""
        gpu = gpus.gpus(moment.state).get(cast("GpuId", key))
        kind = gpu.type if gpu is not None else ""
        if kind != moment.gpu_type:
            self.post_message(GpuChosen(kind))

    def show(self, moment: Moment) -> None:
        super().show(moment)
        for table in self.query(GpuTable):
            self._choose(table.key, moment)
        found = moment.experiment
        said = f"keys act on {found.id}, {found.status}" if found is not None else ""
        if moment.gpu_type and not why_not(BY_ID["fewer_gpus"], moment):
            kind = gpus.called(moment.state, moment.gpu_type, 24)
            said = f"+ and - the limit of {kind}{f'; other {said}' if said else ''}"
        for box in self.query("#fleet-table"):  # none before it is composed
            box.border_subtitle = said

    def on_unmount(self) -> None:
        self.app.post_message(GpuChosen(""))

    def on_table_moved(self, message: Table.Moved) -> None:
        self._choose(message.key, self.control.moment)
        self.query_one(Told).redraw()
        run = gpus.run_on(self.control.moment.state, cast("GpuId", message.key))
        if run is not None:
            self.post_message(Selected(run.experiment))

    def on_table_opened(self, message: Table.Opened) -> None:
        run = gpus.run_on(self.control.moment.state, cast("GpuId", message.key))
        if run is None:
            self.notify("No run of ours is on this GPU.", timeout=2, markup=False)
        else:
            self.post_message(Opened(run.experiment))
