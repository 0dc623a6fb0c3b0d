"""The transport bar: where the tape is, and where a click goes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from moments import HOSTILE, assert_fits, moment, texts
from tapes import crossed, simulated
from textual.pilot import Pilot

from core.fold import fold
from core.player import Player
from core.recording import dump, header
from core.state import State
from themes.loader import built_in
from tui import commands, window
from tui.app import ControlRoom
from tui.glyphs import ASCII, UNICODE
from tui.looks import Looks
from tui.moment import Tape
from tui.paint import plain
from tui.widgets.transport import Marks, Transport, bar_at, transport

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


# --- on real screens --------------------------------------------------------------------------------------------------


def recording(folder: Path, **head: Any) -> Path:
    file, facts = folder / "tape.jsonl", crossed()
    told = {**json.loads(header(fold(State(), facts), "0.1.0", command="autoresearch-tui demo")), **head}
    file.write_bytes(b"".join(dump(json.dumps(told).encode(), facts)))
    return file


def room(player: Player) -> ControlRoom:
    return ControlRoom(player, {name: Looks(theme) for name, theme in built_in().items()}, workspace="tape.jsonl")


async def bar(pilot: Pilot[Any], share: float) -> str:
    """All that the bar says with the tape at a share of it."""
    app: Any = pilot.app
    while not app.feed.is_loaded:
        await pilot.pause(0.01)
    app.feed.pause()
    app.feed.seek(round(share * app.feed.length))
    while app.feed.state.seq != round(share * app.feed.length):
        await pilot.pause(0.01)
    app.show_now()
    await pilot.pause()
    app.show_now()
    await pilot.pause()
    shown = app.screen.query_one(Transport)
    assert shown.region.bottom == app.size.height - 1
    return " ".join(" ".join(texts(shown._lines[: shown.size.height])).split())


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_beginning_says_what_is_played_and_the_end_what_came_of_it(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    player = Player(recording(tmp_path, autoresearch=99, version="9.9"), idle_s=10.0, stays=True)
    app = room(player)
    async with app.run_test(size=size) as pilot:
        begin = await bar(pilot, 0.0)
        assert "pauses over 10s are cut" in begin
        assert "Recorded by a newer autoresearch-tui (9.9): what this one does not know is left out." in begin
        assert "recorded by autoresearch-tui 9.9: autoresearch-tui demo" in begin
        middle = await bar(pilot, 0.5)
        assert size[0] >= 160 or "pauses" not in middle
        end = await bar(pilot, 1.0)
        assert "end: 8 experiments, 0 kept, 1 wave, best val_bpb 1.0031 (e0)" in end


async def test_while_it_plays_the_panes_have_the_room(tmp_path: Path) -> None:
    app = room(Player(recording(tmp_path), stays=True))
    async with app.run_test(size=(80, 24)) as pilot:
        heights = []
        for share in (0.0, 0.5, 1.0):
            await bar(pilot, share)
            heights.append(app.screen.query_one(Transport).size.height)
        assert heights[0] > heights[1] == 1 < heights[2]


async def test_where_pauses_are_kept_the_bar_says_so(tmp_path: Path) -> None:
    app = room(Player(recording(tmp_path), idle_s=math.inf, stays=True))
    async with app.run_test(size=(80, 24)) as pilot:
        assert "pauses are kept" in await bar(pilot, 0.0)
        assert app.moment.tape is not None
        assert app.moment.tape.idle_s == math.inf


@pytest.mark.parametrize(
    ("flags", "expected"), [((), 10.0), (("--idle-limit", "2.5"), 2.5), (("--idle-limit", "0"), math.inf)]
)
def test_a_flag_says_where_pauses_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], expected: float
) -> None:
    played: list[float] = []

    def plays(_: Path, *, speed: float, idle_s: float) -> int:
        played.append(idle_s)
        return 0

    monkeypatch.setattr(commands, "has_terminal", lambda: True)
    monkeypatch.setattr(window, "play_control_room", plays)
    assert CliRunner().invoke(commands.play, [str(recording(tmp_path)), *flags]).exit_code == 0
    assert played == [expected]


@pytest.mark.parametrize("value", ["-1", "nan", "soon"])
def test_a_limit_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    done = CliRunner().invoke(commands.play, [str(recording(tmp_path)), "--no-ui", "--idle-limit", value])
    assert done.exit_code == 2
