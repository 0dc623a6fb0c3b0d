"""The fleet screen: rows of GPUs, lines of types, queue and happenings."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
from rooms import Room
from story import E0, Story
from tapes import crossed

from core import events as ev
from core.commands import Command, MaxGpus
from core.ids import GpuId, RunId
from tui import gpus
from tui.glyphs import ASCII, UNICODE
from tui.memory import Memory, changes
from tui.moment import Moment
from tui.paint import plain, width
from tui.screens.diff import DiffScreen
from tui.screens.fleet import FleetScreen, GpuTable
from tui.widgets import fleet

HOSTILE = "[bold]x[/] \x1b[31mred \u202e漢字 \t\udcff " + "y" * 100_000


def moment(story: Story, **fields: Any) -> Moment:
    return Moment(state=story.state, now=story.at, mode="live", **fields)


def shown(at: Moment, cells: int = 116) -> list[str]:
    found = [gpus.row(at, gpu, cells, UNICODE) for gpu in at.state.gpus]
    assert all(width(row) <= cells for row in found)
    return [plain(row) for row in found]


def mixed() -> Story:
    story = Story(gpus=3, gpu_type="H100")
    taken = (*story.gpus[:2], msgspec.structs.replace(story.gpus[2], held_by="bob"))
    story.tell(ev.FleetSeen, gpus=taken)
    run = story.start(E0)
    story.progress(run, 4.0, 3.9)
    return story


def test_a_row_says_who_holds_the_gpu_and_how_far_it_is() -> None:
    ours, free, others = shown(moment(mixed()))
    for expected in ("H1000", "■ ours", "e0-1", "screen · first", "8 %", "2s", "train.py as found"):
        assert expected in ours
    assert "□ free" in free
    assert "▪ held by bob" in others


def test_each_type_says_how_busy_it_is_and_was_over_the_session() -> None:
    """On a screen of 120 columns, also with limits and GPUs that are broken."""
    story = Story().fleet(H100=2, H200=1)
    run = story.start(E0, on="H200")
    story.wait(10)
    at = moment(story)
    assert [plain(each).rstrip().endswith(said) for each, said in zip(
        gpus.types(at, 116, UNICODE), ("0 % busy,   0 % so far", "100 % busy, 100 % so far"), strict=True
    )] == [True, True]  # fmt: skip
    story.finish(run, 1.0, seconds=10.0).tell(ev.MaxGpusSet, limits={"H100": 1, "H200": 1})
    story.tell(ev.FleetSeen, gpus=(msgspec.structs.replace(story.gpus[0], broken=True, held_by="x"), *story.gpus[1:]))
    for line in gpus.types(moment(story.wait(20)), 116, UNICODE):
        assert "so far" in plain(line)
    assert "0 % busy,  50 % so far" in plain(gpus.types(moment(story), 116, UNICODE)[1])


def test_experiments_of_one_wave_are_told_apart_by_what_differs() -> None:
    story = mixed()
    names = story.wave(*({"DEPTH": "12", "MATRIX_LR": value} for value in ("0.02", "0.03", "0.05")))
    runs = [story.start(name) for name in names]
    rows = [gpus.row(moment(story), gpu, 116, UNICODE) for gpu in story.state.gpus]
    told = [plain(row) for row in rows for run in runs if run in plain(row)]
    assert told
    assert all("MATRIX_LR 0.0" in row and row.index("MATRIX_LR") < row.index("DEPTH") for row in told)


@pytest.mark.parametrize("cells", [36, 60, 76, 116, 196])
def test_columns_line_up_with_their_heads_at_every_width(cells: int) -> None:
    at = moment(mixed())
    head = plain(gpus.head(at.state, cells))
    ours = plain(gpus.row(at, at.state.gpus[0], cells, UNICODE))
    assert head.index("run") == ours.index("e0-1")
    assert len(head) <= cells


def test_a_run_that_is_being_stopped_says_for_whom() -> None:
    story = mixed()
    story.tell(ev.RunStopRequested, run=RunId("e0-1"), by="ada")
    assert "stopping: asked by ada" in shown(moment(story))[0]


def test_types_say_tier_counts_and_cost() -> None:
    story = mixed()
    story.tell(ev.PricesSet, gpu_usd_hour={"H100": 3.6}).wait(1000)
    first, last = (plain(line) for line in gpus.types(moment(story), 140, UNICODE))
    for expected in ("H100", "1 ours", "1 others'", "1 free", "50 % busy", "$3.60/h"):
        assert expected in first
    assert last == "spent $1.00, $3.60 per hour now"


def broken() -> Story:
    """One GPU of ours, one of bob's, one on a node that is not ready, one free."""
    story = Story(gpus=4, gpu_type="H100")
    story.start(E0)
    bobs = msgspec.structs.replace(story.gpus[1], held_by="bob")
    fails = msgspec.structs.replace(story.gpus[2], held_by="not ready", broken=True)
    return story.tell(ev.FleetSeen, gpus=(story.gpus[0], bobs, fails, story.gpus[3]))


def test_a_broken_gpu_is_not_somebody_elses() -> None:
    at = moment(broken())
    assert "‼ broken: not ready" in shown(at)[2]
    first = plain(gpus.types(at, 140, UNICODE)[0])
    for expected in ("1 ours", "1 others'", "1 free", "1 broken", "50 % busy"):
        assert expected in first
    pane = "\n".join(plain(line) for line in fleet.fleet(at, 100, 8, UNICODE))
    assert "1 of 4  1 others'  1 broken  1 free" in pane
    assert fleet.heading(at).startswith("Fleet · 4 GPUs · 50 % busy")


def test_a_run_on_a_node_that_does_not_answer_is_marked() -> None:
    story = mixed()
    gone = msgspec.structs.replace(story.gpus[0], broken=True)
    story.tell(ev.FleetSeen, gpus=(gone, *story.gpus[1:]))
    assert "‼ ours" in shown(moment(story))[0]
    before = {gpu.id: gpu for gpu in story.gpus}
    assert changes(before, {**before, gone.id: gone}) == [("H1000 broken: a run of ours is on it", "error")]


def test_the_limit_of_a_type_stands_on_its_line_with_what_is_over_it() -> None:
    story = broken().tell(ev.MaxGpusSet, limits={"H100": 3}, gpu_type="H100", by="ada")
    assert "limit 3" in plain(gpus.types(moment(story), 140, UNICODE)[0])
    story.tell(ev.MaxGpusSet, limits={"H100": 0, "H10": 2}, gpu_type="H100", by="ada")
    lines = [plain(line) for line in gpus.types(moment(story), 140, UNICODE)]
    assert "limit 0, 1 over finish" in lines[0]
    assert "max_gpus names H10: there is none" in lines[1]


@pytest.mark.parametrize("cells", [60, 76, 116, 196])
def test_the_lines_of_types_stand_below_each_other(cells: int) -> None:
    story = Story().fleet(H100=13, H200=3).tell(ev.MaxGpusSet, limits={"H100": 13}, by="ada", gpu_type="H100")
    story.tell(ev.PricesSet, gpu_usd_hour={"H100": 2.5})
    first, other = (plain(line) for line in gpus.types(moment(story), cells, UNICODE)[:2])
    assert first.index("□") == other.index("□")
    assert first.index("limit") + 3 == other.index("limit"), "no limit"
    assert len(first) <= cells


CARDS = {
    "MIG": ("A100-40GB-PCIe", "A100-40GB MIG 1g.5gb", "A100-40GB MIG 2g.10gb"),
    "vGPU": ("RTX-PRO-6000-BW 24GB vGPU", "RTX-PRO-6000-BW 48GB vGPU", "RTX-PRO-6000-BW"),
    "shared": ("A10G", "A10G shared", "H100-80GB MIG 1g.10gb shared", "H100-80GB MIG 2g.20gb shared"),
}


@pytest.mark.parametrize("names", CARDS.values(), ids=CARDS)
@pytest.mark.parametrize("cells", [76, 116, 196])
def test_types_with_long_names_are_told_apart(names: tuple[str, ...], cells: int) -> None:
    story = Story().fleet(**dict.fromkeys(names, 2))
    at = moment(story)
    lines = [plain(line) for line in gpus.types(at, cells, UNICODE)]
    assert len({line.partition("  ")[0] for line in lines}) == len(names)
    assert len({line.index("□") for line in lines}) == 1
    assert all(len(line) <= cells for line in lines)
    if cells < 100:
        return  # rows have no types there
    start = plain(gpus.head(at.state, cells)).index("type")
    rows = {gpu.type: plain(gpus.row(at, gpu, cells, UNICODE))[start:].partition("□")[0] for gpu in at.state.gpus}
    assert len(set(rows.values())) == len(names)
    assert cells == 116 or [text.strip() for text in rows.values()] == list(names)


def test_rows_are_drawn_again_when_another_type_makes_their_columns_wider() -> None:
    story, table = Story().fleet(H100=1), GpuTable()
    before = table.version("H100-0", moment(story))
    story.fleet(**{"H100": 1, "H100-80GB MIG 1g.10gb": 1})
    assert table.version("H100-0", moment(story)) != before


def test_why_a_run_waits_stands_below_it_where_there_is_room() -> None:
    story = Story(gpus=1)
    story.tell(ev.RunRequested, run=RunId("e0-1"), experiment=E0, gpu_type="cpu", seed=1)
    story.tell(ev.RunWaiting, run=RunId("e0-1"), reason="its image cannot be pulled: no such tag", needs_a_person=True)
    lines = [plain(line) for line in gpus.queue(moment(story), 60, 4, UNICODE)]
    assert lines[1:] == ["  its image cannot be pulled: no such tag"]
    (line,) = (plain(line) for line in gpus.queue(moment(story), 60, 1, UNICODE))
    assert line.startswith("◦ e0-1 for cpu, first: its image cannot")


def test_what_breaks_is_told_apart_from_what_others_take() -> None:
    before = {gpu.id: gpu for gpu in Story(gpus=4, gpu_type="H100").gpus}
    now = {gpu.id: gpu for gpu in broken().state.gpus}
    assert changes(before, now) == [
        ("H1002 broken: not ready", "error"),
        ("H1001 taken by bob", "gpu-other"),
    ]
    assert changes(now, before) == [("H1002 works again", "success"), ("H1001 free again", "gpu-free")]


@pytest.mark.parametrize(("key", "change"), [("plus", 1), ("minus", -1)])
def test_plus_and_minus_change_the_limit_of_the_type_under_the_cursor(key: str, change: int) -> None:
    story = Story().fleet(H100=2, H200=2).tell(ev.MaxGpusSet, limits={"H200": 1}, gpu_type="H200", by="ada")

    async def run() -> list[Command]:
        app = Room(story.facts)
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            app.show_now()
            await pilot.press("F", "down", "down")
            await pilot.pause()
            assert app.moment.gpu_type == "H200"
            await pilot.press(key)
            await pilot.pause()
            await pilot.press("escape")
            await pilot.pause()
            assert app.moment.gpu_type == "", "elsewhere the keys mean no type"
        return list(app.still.sent)

    (sent,) = asyncio.run(run())
    assert isinstance(sent, MaxGpus)
    assert (sent.gpu_type, sent.change) == ("H200", change)


def test_a_lost_executor_is_said_first() -> None:
    story = mixed()
    story.tell(ev.ExecutorLost, reason="timeout [red]").wait(180)
    said = plain(gpus.types(moment(story), 140, UNICODE)[0])
    assert "cannot be reached for 3m00s: timeout [red]. What is shown is old." in said


def test_a_fleet_without_a_gpu_says_what_that_means() -> None:
    story = mixed().tell(ev.FleetSeen, gpus=())
    (only,) = gpus.types(moment(story), 140, UNICODE)
    assert plain(only) == "There is no GPU now: nothing is launched until one comes."


def test_what_of_the_fleet_is_not_seen_stands_below_its_types() -> None:
    story = mixed()
    story.tell(ev.FleetSeen, gpus=story.gpus, unseen="the cluster does not show [others]")
    assert "the cluster does not show [others]" in "".join(
        plain(each) for each in gpus.types(moment(story), 140, UNICODE)
    )


def test_the_queue_shows_the_oldest_and_counts_the_rest() -> None:
    story = Story(gpus=1)
    for seed in range(9):
        story.tell(ev.RunRequested, run=RunId(f"e0-{seed + 1}"), experiment=E0, gpu_type="cpu", seed=seed)
    lines = [plain(line) for line in gpus.queue(moment(story), 60, 4, UNICODE)]
    assert [line.split()[1] for line in lines[:3]] == ["e0-1", "e0-2", "e0-3"]
    assert lines[3] == "… and 6 more runs"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"mode": "loading"}, "Reading the session…"),
        ({"mode": "starting"}, "The engine starts; its GPUs show here."),
        ({"mode": "down"}, "No engine, so no GPUs to show."),
        ({"mode": "live"}, "No GPU has been seen yet."),
    ],
)
def test_an_empty_fleet_is_one_calm_sentence(fields: Any, sentence: str) -> None:
    assert [plain(line) for line in gpus.types(Moment(**fields), 80, UNICODE)] == [sentence]
    assert plain(gpus.queue(Moment(), 80, 4, UNICODE)[0]) == "No run waits for a GPU."
    assert len(gpus.happened(Memory(), 80, 4, UNICODE)) == 1


@pytest.mark.parametrize("cells", [30, 76, 140])
def test_hostile_names_stay_in_their_columns(cells: int) -> None:
    story = Story()
    bad = ev.Gpu(GpuId(HOSTILE), HOSTILE[:50], held_by=HOSTILE)
    story.tell(ev.FleetSeen, gpus=(bad, msgspec.structs.replace(bad, id=GpuId("b"), held_by="")))
    at = moment(story)
    memory = Memory()
    memory.take([*story.facts, ev.ExecutorLost(at=0.0, reason=HOSTILE)])
    for glyphs in (UNICODE, ASCII):
        lines = [*(gpus.row(at, gpu, cells, glyphs) for gpu in at.state.gpus), *gpus.happened(memory, cells, 9, glyphs)]
        for line in lines:
            assert width(line) <= cells
            assert plain(line).isprintable()


def test_a_thousand_gpus_cost_little_per_look() -> None:
    story = Story(gpus=1000, gpu_type="H100")
    at = moment(story)
    table = GpuTable()
    table.keys(at)
    begin = time.perf_counter()
    for _ in range(20):
        keys = table.keys(at)
        for key in keys[:50]:
            table.version(key, at)
    assert (time.perf_counter() - begin) / 20 < 0.01


def test_enter_on_a_gpu_opens_its_experiment() -> None:
    app = Room(crossed())

    async def drive() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            await pilot.press("F")
            await pilot.pause()
            assert isinstance(app.screen, FleetScreen)
            assert app.screen.query_one(GpuTable).key == "H1001"  # where the selected e6 runs
            await pilot.press("j")
            await pilot.pause()
            assert app.moment.selected == "e7"
            assert app.screen.query_one("#fleet-table").border_subtitle == (
                "+ and - the limit of H100; other keys act on e7, running"
            )
            await pilot.press("enter")
            await pilot.pause()
            assert isinstance(app.screen, DiffScreen)

    asyncio.run(drive())


def hostile() -> Story:
    story = Story()
    story.tell(ev.NoteAdded, by=HOSTILE, text=HOSTILE)
    story.tell(ev.WaveAsked, slots=2)
    story.tell(ev.ResearchFailed, reason=HOSTILE)
    story.tell(ev.FleetSeen, gpus=(*story.gpus, ev.Gpu(GpuId(HOSTILE), HOSTILE[:40], held_by=HOSTILE)))
    story.tell(ev.ExecutorLost, reason=HOSTILE)
    story.start(E0)
    return story


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (200, 60)])
def test_fleet_researcher_and_help_open_on_any_size_with_hostile_text(size: tuple[int, int]) -> None:
    app = Room(hostile().facts)

    async def drive() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            for key in ("F", "R", "question_mark"):
                await pilot.press(key, "j", "G", "pageup", "g")
                app.show_now()
                await pilot.resize_terminal(size[0] + 7, size[1] + 3)
                await pilot.press("D")

    asyncio.run(drive())
