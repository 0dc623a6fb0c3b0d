"""Where the texts of a seek lie on a tape."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tapes import crossed

from core.fold import fold
from core.player import Player
from core.recording import dump, header
from core.state import State
from tui.playing import press, seek


@pytest.fixture
def player(tmp_path: Path) -> Player:
    file = tmp_path / "tape.jsonl"
    facts = crossed()
    file.write_bytes(b"".join(dump(header(fold(State(), facts), "0"), facts)))
    found = Player(file, stays=True)
    asyncio.run(found.load())
    return found


@pytest.mark.parametrize(
    ("text", "share"), [("0%", 0.0), ("100%", 1.0), (" 250 % ", 1.0), ("0", 0.0), ("50", 0.5), ("9h", 1.0)]
)
def test_shares_and_times_stay_on_the_tape(player: Player, text: str, share: float) -> None:
    assert seek(player, text) == ""
    assert player.position == pytest.approx(share * player.length, abs=10)


def test_an_experiment_is_where_it_was_proposed(player: Player) -> None:
    assert seek(player, "e4") == ""
    facts = crossed()[: player.position]
    assert "e4" in fold(State(), facts).experiments


@pytest.mark.parametrize("text", ["", "e99", "w9", "soon", "-5%", "\x1b[2J", "1e400", "9" * 5000 + "%"])
def test_no_place_is_one_sentence_or_the_end(player: Player, text: str) -> None:
    said = seek(player, text)
    assert said.isprintable()
    assert said or player.position == player.length


def test_a_recording_that_is_being_read_cannot_be_sought(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("")
    assert seek(Player(tmp_path / "x.jsonl"), "50%") == "The recording is still being read."


def test_other_actions_are_not_the_players(player: Player) -> None:
    assert not press(player, "veto")
    assert not press(player, "seek")


async def sought(player: Player) -> None:
    async for update in player.updates():
        if update.jumped:
            return


async def test_a_share_is_reached_exactly_also_between_two_facts(player: Player) -> None:
    player.pause()
    assert seek(player, "50%") == ""
    await sought(player)
    assert player.share == pytest.approx(0.5)
    player.step("event")
    await sought(player)
    assert player.share != pytest.approx(0.5)


def test_what_is_nowhere_on_the_tape_is_in_no_place(player: Player) -> None:
    assert seek(player, "e99999") == "There is no e99999 in this recording."


async def test_what_happened_before_the_place_that_is_sought_is_known(player: Player) -> None:
    player.seek(30)
    await sought(player)
    assert player.lately(3) == list(crossed()[27:30])
    assert player.lately(100) == list(crossed()[:30])
