"""The fleet: a row of cells per GPU type, who holds each GPU, how busy they are, and where the GPU time went.

Many GPUs share a cell; then a cell is as high as the part of them that runs our experiments. The cursor walks over
cells and selects what runs there. Which cell is where: `fleet_cells`; the ledger's bar: `fleet_ledger`.
"""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size

from core.ids import GpuId
from core.ledger import vacancy
from core.views import is_without_gpus
from tui import numbers
from tui.glyphs import ASCII, Glyphs
from tui.gpus import nothing
from tui.messages import Opened, Selected
from tui.moment import Moment
from tui.paint import EMPTY, Line, fill, line, width
from tui.pane import Pane
from tui.safe import fit, wrap
from tui.safe import line as safe
from tui.widgets import fleet_ledger
from tui.widgets.fleet_busy import LAST, NOW_AND_LAST, busy, is_old, now, occupancy
from tui.widgets.fleet_cells import Block, Layout, block_at, layout, moved
from tui.widgets.pieces import Piece, arranged, cut, joined, piece

GAP = line(("  ", ""))
SHORT, BARE = f"{{now}}, {LAST}", "{now}, {so_far}"  # bare: as in the heading
FORMS = ((NOW_AND_LAST, 0), (SHORT, 0), (SHORT, -1), (BARE, -1), (LAST, 0))  # with the longest counts, or the shortest
MOST = 8  # lines of a pane that is as high as its content


class FleetPane(Pane):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "walk(-1, 0)", "Left", show=False),
        Binding("right", "walk(1, 0)", "Right", show=False),
        Binding("up", "walk(0, -1)", "Up", show=False),
        Binding("down,j", "walk(0, 1)", "Down", show=False),
        Binding("home,g", "edge(-1)", "First", show=False),
        Binding("end,G", "edge(1)", "Last", show=False),
        Binding("enter", "open", "Open", show=False),
    ]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._gpu: GpuId | None = None  # under the cursor
        self._wanted = 0  # lines

    def heading(self, moment: Moment) -> str:
        return heading(moment, self.size.width - 2) if self.size.width else ""

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        cursor = self._gpu if self.has_focus else None
        letters = self.looks.no_color or self.looks.glyphs is ASCII
        return fleet(moment, width, height, self.looks.glyphs, cursor, letters=letters)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as it has to say, so that the wave below gets the rest."""
        return len(self.lines(self.moment, width, MOST))

    def show(self, moment: Moment) -> None:
        super().show(moment)
        wanted = self.get_content_height(self.size, self.size, self.size.width)
        if wanted != self._wanted:
            self._wanted = wanted
            self.refresh(layout=True)

    def on_resize(self) -> None:
        self.show(self.moment)  # its heading too

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    # --- the cursor ---

    def action_walk(self, right: int, down: int) -> None:
        found = moved(self._layout(), self._gpu, right, down)
        if found is not None:
            self._put(found)

    def action_open(self) -> None:
        block = next((each for each in self._layout().blocks if self._gpu in each.gpus), None)
        if block is None:
            self.notify("Go to a GPU first: arrows, or a click.", timeout=2, markup=False)
        elif block.experiment is not None:
            self.post_message(Opened(block.experiment))
        else:  # no run of ours: the screen of the fleet says who has it
            self.call_later(self.app.action_do, "fleet")  # type: ignore[attr-defined]

    def action_edge(self, which: int) -> None:
        if blocks := list(self._layout().blocks):
            self._put(blocks[0 if which < 0 else -1])

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        block = block_at(self._layout(), offset.x, offset.y) if offset is not None else None
        if block is None:
            return
        is_shown = self._gpu in block.gpus and (event.chain > 1 or block.experiment == self.moment.selected)
        if is_shown:
            self.action_open()
        else:
            self._put(block)

    def _layout(self) -> Layout:
        return layout(self.moment.state, self.size.width, rows_for_cells(self.size.height))

    def _put(self, block: Block) -> None:
        self._gpu = block.gpus[0]
        self.redraw()
        if block.experiment is not None:
            self.post_message(Selected(block.experiment))


def heading(moment: Moment, cells: int = 200) -> str:
    """ "Fleet · 16 GPUs · 94 % busy, 91 % so far", or what of it fits into `cells`."""
    there = sum(holder.gpus for holder in moment.state.holders.values())
    if not there:
        return "Fleet · no GPU now" if is_without_gpus(moment.state) else "Fleet"
    so_far = fleet_ledger.occupancy(moment)
    busy = "as last seen" if is_old(moment) else f"{numbers.share(occupancy(moment))} busy"
    both = f"{busy}, {numbers.share(so_far)} so far" if so_far is not None else busy
    forms = (f"Fleet · {numbers.count(there, 'GPU')} · {both}", f"Fleet · {both}", f"Fleet · {busy}")
    return next((form for form in forms if len(form) <= cells), "Fleet")


def rows_for_cells(height: int) -> int:
    """Lines that the cells may take; the rest is for the ledger and what stands between."""
    return max(1, height - fleet_ledger.height(height))


def fleet(
    moment: Moment, cells: int, height: int, glyphs: Glyphs, cursor: GpuId | None = None, *, letters: bool = False
) -> list[Line]:
    """`letters`: the ledger's columns are told apart without colours."""
    if not moment.state.gpus:
        return [line((each, "muted")) for each in wrap(nothing(moment), cells)][:height]
    plan = layout(moment.state, cells, rows_for_cells(height))
    drawn = _rows(moment, plan, cells, glyphs, cursor)
    left = height - len(drawn)
    room = min(5, max(left - 1, fleet_ledger.height(height)))
    below = fleet_ledger.lines(moment, cells, room, glyphs, letters=letters)
    under = next((block for block in plan.blocks if cursor in block.gpus), None) if cursor else None
    between = [EMPTY] if left > len(below) else []
    if under is not None and (between or below):
        (between or below)[0] = cut(_told(moment, under, glyphs), cells)
    return [*drawn, *between, *below]


def _rows(moment: Moment, plan: Layout, cells: int, glyphs: Glyphs, cursor: GpuId | None) -> list[Line]:
    """The cells, type by type; a name on the first line of a type, its counts on the last one."""
    made: list[tuple[Line, str]] = []  # and the type whose counts stand behind it
    for index, row in enumerate(plan.rows):
        if not row.blocks:
            made.append((line((f"{glyphs.ellipsis} and {numbers.count(plan.left_out, 'more type')}", "muted")), ""))
            continue
        begins = index == 0 or plan.rows[index - 1].gpu_type != row.gpu_type
        ends = index + 1 == len(plan.rows) or plan.rows[index + 1].gpu_type != row.gpu_type
        name = (fit(row.name, plan.label) if begins else " " * plan.label, "bold")
        spans = (name, (" ", ""), *_blocks(row.blocks, glyphs, cursor, plan.step))
        made.append((spans, row.gpu_type if ends else ""))
    counts = {kind: _counts(moment, kind, glyphs) for _, kind in made if kind}
    busy = _busy(moment, [(cells - width(spans), counts[kind]) for spans, kind in made if kind], tuple(counts))
    return [
        cut(_with_counts(spans, counts[kind], busy.get(kind, EMPTY), cells) if kind else spans, cells)
        for spans, kind in made
    ]


def _blocks(blocks: tuple[Block, ...], glyphs: Glyphs, cursor: GpuId | None, step: int) -> Line:
    """Neighbours that look alike are one span."""
    made: list[tuple[str, str]] = []
    for block in blocks:
        glyph, role = _look(block, glyphs)
        under = cursor in block.gpus
        role += " reverse" if under else ""
        if made and made[-1][1] == role:
            made[-1] = (made[-1][0] + glyph, role)
        else:
            made.append((glyph, role))
        if step > 1 and block is not blocks[-1]:
            made[-1:] = [made[-1], (" ", "")] if under else [(made[-1][0] + " ", role)]
    return tuple(made)


def _look(block: Block, glyphs: Glyphs) -> tuple[str, str]:
    if len(block.gpus) > 1 and block.ours:
        return glyphs.spark[min(7, round(block.ours / len(block.gpus) * 7))], "gpu-ours"
    if block.ours:
        return glyphs.gpu_ours, "gpu-ours"
    if block.broken * 2 > len(block.gpus):
        return glyphs.crashed, "error"
    is_gone = (block.others + block.broken) * 2 > len(block.gpus)
    return (glyphs.gpu_other, "gpu-other") if is_gone else (glyphs.gpu_free, "gpu-free")


def _busy(moment: Moment, rooms: list[tuple[int, list[Piece]]], kinds: tuple[str, ...]) -> dict[str, Line]:
    """How busy each type is and was, in words that fit behind its counts; the same words for all types.

    `rooms`: cells behind the GPUs of each, and its counts.
    """
    if len(kinds) < 2:
        return {}  # the heading says it
    shares = [fleet_ledger.occupancies(moment).get(kind, 0.0) for kind in kinds]
    most = max([*shares, *(now(moment, kind) for kind in kinds)], default=0.0)
    for words, form in ((LAST, 0), (LAST, -1)) if is_old(moment) else FORMS:
        said = {kind: line((busy(moment, kind, words, len(numbers.share(most))), "muted")) for kind in kinds}
        longest = max(map(width, said.values()), default=0)
        if all(longest + 4 + width(joined(_forms(counts, form), GAP)) <= room for room, counts in rooms):
            return said
    return {}


def _forms(counts: list[Piece], which: int) -> list[Line]:
    """The longest or the shortest ones that say something."""
    return [[form for form in each.forms if form][which] for each in counts]


def _with_counts(spans: Line, counts: list[Piece], busy: Line, cells: int) -> Line:
    room = cells - width(spans) - 2 - (width(busy) + 2 if busy else 0)
    end = arranged(counts, room, GAP)
    return fill((*spans, *GAP, *end), cells, busy) if width(end) <= room else spans


def _counts(moment: Moment, gpu_type: str, glyphs: Glyphs) -> list[Piece]:
    holder = moment.state.holders[gpu_type]
    ours = min(holder.runs, holder.gpus)
    _, others, broken, queue, free = vacancy([holder])
    limit = moment.state.max_gpus.get(gpu_type)
    there = f"{holder.gpus:,}"
    counts = [
        piece(
            9, line((f"{ours:,}", "gpu-ours bold"), (f" of {there}", "muted")), line((f"{ours:,}/{there}", "gpu-ours"))
        )
    ]
    for weight, number, words, glyph, role in (
        (5, others, "others'", glyphs.gpu_other, "gpu-other"),
        (6, broken, "broken", glyphs.crashed, "error"),
        (4, queue + free, "free", glyphs.gpu_free, "gpu-free"),
        (3, holder.queued, "queued", glyphs.queued, "run-queued"),
    ):
        if number:
            counts.append(piece(weight, line((f"{number:,} {words}", role)), line((f"{number:,}{glyph}", role)), EMPTY))
    if limit is not None:
        counts.append(piece(2, line((f"limit {limit:,}", "accent")), EMPTY))
    return counts


def _told(moment: Moment, block: Block, glyphs: Glyphs) -> Line:
    """The GPU under the cursor in words."""
    if len(block.gpus) > 1:
        free = len(block.gpus) - block.ours - block.others - block.broken
        broken = f"{block.broken} broken, " if block.broken else ""
        counts = f"{block.ours} ours, {block.others} others', {broken}{free} free"
        return line((f"{glyphs.cursor} {safe(block.gpus[0], 30)} and {len(block.gpus) - 1} more: ", "bold"), counts)
    name = (f"{glyphs.cursor} {safe(block.gpus[0], 30)}: ", "bold")
    if block.run is not None:
        return line(name, (str(block.run), "run-running"), (f" {_far(moment, block)}", ""))
    if block.broken:
        return line(name, (f"broken: {safe(block.held_by, 40) or 'nothing can start on it'}", "error"))
    if block.held_by:
        return line(name, (f"held by {safe(block.held_by, 40)}", "gpu-other"))
    return line(name, ("free", "gpu-free"))


def _far(moment: Moment, block: Block) -> str:
    run = moment.state.runs[block.run] if block.run else None
    told = moment.state.progress.get(run.id) if run else None
    far = f"{numbers.share(told.fraction)}, " if told is not None and told.fraction is not None else ""
    spent = numbers.duration(moment.now - run.started_at) if run and run.started_at is not None else ""
    return f"{far}{spent}"
