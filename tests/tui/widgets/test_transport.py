"""The transport bar: where the tape is, and where a click goes."""

from __future__ import annotations

from typing import Any

import pytest
from moments import HOSTILE, assert_fits, moment, texts
from tapes import simulated

from core.fold import fold
from core.state import State
from tui.glyphs import ASCII, UNICODE
from tui.moment import Tape
from tui.paint import plain
from tui.widgets.transport import Marks, bar_at, transport

FACTS = simulated(1.0)
STATE = fold(State(), FACTS)
BEGINS = FACTS[0].at


def tape(**fields: Any) -> Tape:
    return Tape(
        **{
            "position": len(FACTS) // 2, "length": len(FACTS), "at": BEGINS + 1800.0, "begins": BEGINS,
            "ends": BEGINS + 3600.0, "playing": True, "speed": 50.0, "idle_s": 60.0, **fields,
        }
    )  # fmt: skip


def said(shown: Tape, cells: int = 120, height: int = 1, found: Marks | None = None) -> list[str]:
    return texts(transport(moment(STATE, tape=shown), shown, found or Marks(0.5), cells, height, UNICODE))


def test_it_says_speed_time_and_facts() -> None:
    (line,) = said(tape())
    assert line.startswith(" ▶ ×50 ")
    assert "30m00s / 1h00m" in line
    assert f"fact {len(FACTS) // 2:,} of {len(FACTS):,}" in line


def test_it_says_the_share_that_is_sought() -> None:
    assert "  50 % " in said(tape(share=0.5))[0]


def test_a_pause_is_a_glyph() -> None:
    assert said(tape(playing=False))[0].startswith(" ‖ ×50")


def test_the_head_is_where_the_tape_is() -> None:
    for share in (0.0, 0.25, 0.5, 1.0):
        (line,) = said(tape(), found=Marks(share))
        begin, cells = bar_at(moment(STATE), tape(), 120)
        assert line[begin + round(share * (cells - 1))] == "●"


def test_waves_and_kept_changes_are_marked() -> None:
    (line,) = said(tape(), found=Marks(1.0, (0.25,), (0.5,)))
    begin, cells = bar_at(moment(STATE), tape(), 120)
    assert line[begin + round(0.25 * (cells - 1))] == "│"
    assert line[begin + round(0.5 * (cells - 1))] == "★"


def test_damage_and_the_end_are_said() -> None:
    (line,) = said(tape(damaged=3, position=len(FACTS)))
    assert "3 damaged" in line
    assert "end of the tape" in line


def test_the_second_line_tells_what_came_of_it_at_the_end() -> None:
    second = said(tape(position=len(FACTS)), 160, 2)[1]
    assert second.startswith(" end: ")
    assert "best val_bpb" in second
    assert "│ wave" in said(tape(), 160, 2)[1]


@pytest.mark.parametrize("cells", [12, 20, 40, 60, 80, 120, 200])
def test_it_fits(cells: int) -> None:
    for shown in (
        tape(), tape(note=HOSTILE[1] + HOSTILE[3], damaged=10**9), tape(speed=float("inf"), position=len(FACTS)),
        tape(length=0, position=0, ends=BEGINS),
    ):  # fmt: skip
        for glyphs in (UNICODE, ASCII):
            found = Marks(0.3, (0.0, 0.2, 1.0), (0.9,))
            assert_fits(transport(moment(STATE, tape=shown), shown, found, cells, 2, glyphs), cells, 2)


def test_the_bar_is_where_clicks_expect_it() -> None:
    begin, cells = bar_at(moment(STATE), tape(), 80)
    line = plain(transport(moment(STATE, tape=tape()), tape(), Marks(0.0), 80, 1, UNICODE)[0])
    assert line[begin] == "●"
    assert set(line[begin + 1 : begin + cells]) == {"─"}
