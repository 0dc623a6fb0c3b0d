"""The fleet: cells, counts, the ledger's bar, and the cursor over the cells."""

from __future__ import annotations

import time

import pytest
from moments import assert_fits, hostile, moment, texts
from story import Story
from tapes import crossed, shared, simulated

from core import events as ev
from core.fold import fold
from core.ids import GpuId
from core.state import State
from tui.glyphs import ASCII, UNICODE
from tui.moment import Moment
from tui.paint import plain
from tui.widgets.fleet import fleet, heading
from tui.widgets.fleet_cells import block_at, layout, moved

CROSSED = fold(State(), crossed())


def big(count: int = 1000) -> State:
    gpus = tuple(
        ev.Gpu(GpuId(f"{kind}-{i}"), kind, held_by="bob" if i % 10 == 0 else "")
        for kind, share in (("H100", 0.6), ("H200", 0.3), ("A100", 0.1))
        for i in range(int(count * share))
    )
    return fold(CROSSED, [ev.FleetSeen(at=CROSSED.at, gpus=gpus)])


def test_every_gpu_is_a_cell_and_the_counts_stand_behind() -> None:
    shown = texts(fleet(moment(CROSSED), 50, 8, UNICODE))
    assert shown[0] == "H100 □ ■ ■ □ □ □  2 of 6  4 free"  # e6 runs on the second, e7 on the third


@pytest.mark.parametrize("cells", [36, 50, 80, 100])
def test_types_with_long_names_are_told_apart(cells: int) -> None:
    names = ("A100-40GB-PCIe", "A100-40GB MIG 1g.5gb", "A100-40GB MIG 2g.10gb")
    story = Story().fleet(**dict.fromkeys(names, 4))
    shown = texts(fleet(moment(story.state), cells, 8, UNICODE))[:3]
    assert len({text.partition(" □")[0] for text in shown}) == len(names)
    assert all(text.endswith("0 of 4  4 free") for text in shown)
    assert cells < 80 or [text.partition(" □")[0].rstrip() for text in shown] == list(names)


def test_where_they_are_many_cells_stand_close() -> None:
    assert texts(fleet(moment(CROSSED), 26, 8, UNICODE))[0].startswith("H100 □■■□□□")


def test_without_colours_the_ledger_has_letters() -> None:
    shown = texts(fleet(moment(CROSSED), 50, 8, ASCII, letters=True))
    assert any(text.startswith("T") and "." in text and len(text) == 50 for text in shown)
    assert "T training" in " ".join(shown)
    assert ". idle" in " ".join(shown)


def test_a_fleet_that_nobody_watches_is_as_last_seen() -> None:
    assert heading(moment(CROSSED, mode="down")) == "Fleet · 6 GPUs · as last seen, 17 % so far"


def test_other_users_have_a_glyph_and_a_count() -> None:
    story = Story(gpus=3, gpu_type="H100")
    story.gpus = (story.gpus[0], ev.Gpu(GpuId("H1001"), "H100", held_by="bob"), story.gpus[2])
    story.tell(ev.FleetSeen, gpus=story.gpus)
    assert texts(fleet(moment(story.state), 50, 8, UNICODE))[0].split() == [
        "H100", "□", "▪", "□", "0", "of", "3", "1", "others'", "2", "free",
    ]  # fmt: skip


def test_the_heading_says_how_busy_it_is_now_and_was_so_far() -> None:
    assert heading(moment(CROSSED)) == "Fleet · 6 GPUs · 33 % busy, 17 % so far"
    assert heading(moment(CROSSED), 34) == "Fleet · 33 % busy, 17 % so far"


def test_the_ledger_is_one_bar_as_wide_as_the_pane_with_a_legend_in_its_order() -> None:
    state = fold(State(), simulated(1.0))
    shown = texts(fleet(moment(state), 60, 8, UNICODE))
    bar = next(text for text in shown if text.startswith("███"))
    assert len(bar) == 60
    legend = " ".join(shown[shown.index(bar) + 1 :])
    assert legend.index("training") < legend.index("replicate") < legend.index("evaluation")
    assert "%" in legend


def test_a_thousand_gpus_share_cells_and_keep_their_counts() -> None:
    for cells, height in ((36, 5), (50, 8), (80, 8)):
        shown = fleet(moment(big()), cells, height, UNICODE)
        assert_fits(shown, cells, height)
        assert "of 300" in " ".join(texts(shown))


def test_more_types_than_lines_are_counted() -> None:
    gpus = tuple(ev.Gpu(GpuId(f"g{i}"), f"type{i}") for i in range(20))
    state = fold(CROSSED, [ev.FleetSeen(at=CROSSED.at, gpus=gpus)])
    shown = fleet(moment(state), 50, 8, UNICODE)
    assert_fits(shown, 50, 8)
    assert "more types" in " ".join(texts(shown))


@pytest.mark.parametrize(("mode", "said"), [("loading", "Reading"), ("live", "No GPU"), ("down", "No engine")])
def test_without_gpus_one_sentence_says_why(mode: str, said: str) -> None:
    (only,) = fleet(Moment(mode=mode), 50, 8, UNICODE)  # type: ignore[arg-type]
    assert plain(only).startswith(said)


def test_hostile_names_break_nothing() -> None:
    for cells in (10, 36, 50, 80):
        for height in (1, 3, 5, 8):
            for glyphs in (UNICODE, ASCII):
                for gpu in (None, hostile().gpus[1].id, hostile().gpus[6].id):
                    assert_fits(fleet(moment(hostile()), cells, height, glyphs, gpu), cells, height)


def test_the_cursor_tells_what_is_on_a_gpu() -> None:
    shown = texts(fleet(moment(CROSSED), 60, 8, UNICODE, GpuId("H1001")))
    assert any("H1001: e6-1 57 %" in text for text in shown)
    assert any("H1000: free" in text for text in texts(fleet(moment(CROSSED), 60, 8, UNICODE, GpuId("H1000"))))


def test_the_cursor_walks_over_cells_and_lines() -> None:
    plan = layout(big(), 50, 5)
    first = moved(plan, None, 1, 0)
    assert first is plan.rows[0].blocks[0]
    below = moved(plan, first.gpus[0], 0, 1)
    assert below is plan.rows[1].blocks[0]
    assert moved(plan, below.gpus[0], -1, 0) is plan.rows[0].blocks[-1]
    assert moved(plan, first.gpus[0], -1, 0) is first


def test_a_point_is_the_cell_that_is_drawn_there() -> None:
    for cells in (26, 50, 80):
        plan = layout(CROSSED, cells, 5)
        shown = plain(fleet(moment(CROSSED), cells, 8, UNICODE)[0])
        for block in plan.blocks:
            x = plan.label + 1 + plan.rows[0].blocks.index(block) * plan.step
            assert block_at(plan, x, 0) is block
            assert shown[x] == ("■" if block.ours else "□")
        assert block_at(plan, 0, 0) is None
        assert block_at(plan, 10, 4) is None


def test_a_redraw_with_a_thousand_gpus_is_cheap() -> None:
    state = big()
    fleet(moment(state), 80, 8, UNICODE)
    best = min(_timed(moment(state, now=state.at + i)) for i in range(20))
    assert best < 0.002


def _timed(shown: Moment) -> float:
    begun = time.perf_counter()
    fleet(shown, 80, 8, UNICODE)
    return time.perf_counter() - begun


def uneven() -> Story:
    """Ten seconds in which one of two H100 and both H200 ran something; a third H200 is somebody else's."""
    story = Story().fleet(H100=2, H200=3)
    story.gpus = (*story.gpus[:4], ev.Gpu(story.gpus[4].id, "H200", held_by="bob"))
    story.tell(ev.FleetSeen, gpus=story.gpus)
    names = story.wave({"DEPTH": "8"}, {"DEPTH": "2"}, {"DEPTH": "6"})
    runs = [story.start(names[0]), story.start(names[1], on="H200"), story.start(names[2], on="H200", gpu=1)]
    story.wait(9).finish(runs[1], 1.0, seconds=1.0)
    return story


def test_each_type_says_how_busy_it_is_and_was() -> None:
    shown = texts(fleet(moment(uneven().state), 65, 8, UNICODE))
    assert shown[0] == "H100 ■ □  1 of 2  1 free                  50 % busy,  50 % so far"
    assert shown[1].split("  ")[-1].strip() == "50 % busy, 100 % so far"
    assert shown[0].index("busy") == shown[1].index("busy")


def test_where_there_is_little_room_words_go_before_how_busy_a_type_is() -> None:
    at = moment(uneven().state)
    assert texts(fleet(at, 59, 8, UNICODE))[1].endswith("1 of 3  1 others'  1 free    50 %, 100 % so far")
    assert texts(fleet(at, 50, 8, UNICODE))[1].endswith("1 of 3  1▪  1□      50 %, 100 % so far")
    assert texts(fleet(at, 36, 8, UNICODE))[1] == "H200 □■▪  1/3  1▪  1□    50 %, 100 %"


def test_how_busy_a_fleet_is_that_nobody_watches_is_not_said() -> None:
    shown = texts(fleet(moment(uneven().state, mode="down"), 70, 8, UNICODE))
    assert "busy" not in shown[0]
    assert shown[1].endswith("100 % so far")


def test_on_120_columns_a_fleet_that_is_shared_and_broken_says_it_in_the_order_of_its_heading() -> None:
    at = moment(fold(State(), shared()))
    assert heading(at, 50) == "Fleet · 16 GPUs · 67 % busy, 53 % so far"
    assert texts(fleet(at, 50, 8, UNICODE))[:2] == [
        "H100 ■■■▪■■□□■■□▪‼  7/13  2▪  1‼  3□    70 %, 63 %",
        "H200 ■□▪  1 of 3  1 others'  1□  1◦     50 %,  1 %",
    ]
