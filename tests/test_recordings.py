"""Golden sessions: recordings of old versions play for ever, to the same end."""

from __future__ import annotations

from pathlib import Path

import pytest

import recordings
from core.fold import fold
from core.ids import BASELINE
from core.recording import Recording
from core.state import State
from core.views import best, estimate

FOLDER = Path(recordings.__file__).parent
ALL = sorted(FOLDER.glob("*.jsonl.gz"))
MOST_BYTES = 700_000


def end_of(played: Recording) -> State:
    state = State()
    for block in played.blocks():
        state = fold(state, block.facts)
    return state


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_every_recording_that_ships_plays_to_its_end(path: Path) -> None:
    played = Recording(path)
    state = end_of(played)
    assert state.last_stop is not None
    assert state.simulated == played.header.simulated == path.name.startswith("simulated")
    assert (played.damaged, played.note) == (0, "")
    assert path.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_every_recording_that_ships_says_how_it_was_made(path: Path) -> None:
    played = Recording(path)
    next(played.blocks())
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert path.name in told
    assert played.header.command in told
    assert played.header.command.startswith("autoresearch-tui demo ")


def test_the_recording_of_the_demo_ends_where_it_ended() -> None:
    state = end_of(Recording(FOLDER / "demo-cpu.jsonl.gz"))
    start, champion = estimate(state, BASELINE), best(state)
    assert start is not None
    assert champion is not None
    assert not state.open
    assert len(state.experiments) == 25
    assert state.counts == {"kept": 2, "discarded": 22}
    assert state.lineage == ("e0", "e1", "e16")
    assert (round(start.mean, 4), round(champion.mean, 4)) == (2.5929, 2.0472)


def test_a_recording_of_the_first_version_ends_where_it_ended() -> None:
    state = end_of(Recording(FOLDER / "demo-cpu-first.jsonl.gz"))
    start, champion = estimate(state, BASELINE), best(state)
    assert start is not None
    assert champion is not None
    assert state.counts == {"kept": 3, "discarded": 21}
    assert state.lineage == ("e0", "e1", "e11", "e24")
    assert (round(start.mean, 4), round(champion.mean, 4)) == (2.6201, 2.1291)


def test_the_simulated_recording_ends_where_it_ended() -> None:
    state = end_of(Recording(FOLDER / "simulated-16-gpus.jsonl.gz"))
    champion = best(state)
    assert champion is not None
    assert len(state.experiments) == 1466
    assert state.counts == {"kept": 5, "discarded": 1221, "crashed": 87, "duplicate": 50}
    assert state.lineage == ("e0", "e20", "e68", "e96", "e268", "e1082")
    assert round(champion.mean, 4) == 0.9669


def test_the_recording_with_claude_shows_a_repair_a_veto_a_steer_and_edits_of_code() -> None:
    state = end_of(Recording(FOLDER / "claude-demo-cpu.jsonl.gz"))
    start, champion = estimate(state, BASELINE), best(state)
    assert start is not None
    assert champion is not None
    assert state.counts == {"kept": 2, "discarded": 8, "crashed": 1, "vetoed": 1}
    assert state.lineage == ("e0", "e1", "e8")
    assert (round(start.mean, 4), round(champion.mean, 4)) == (2.732, 2.3416)
    assert sum(bool(each.change.edits) and bool(each.runs) for each in state.experiments.values()) >= 2
    ((crashed, repair),) = state.repairs.items()
    assert (crashed, repair.by) == ("e3", "e7")
    (vetoed,) = [each for each in state.experiments.values() if each.status == "vetoed"]
    assert "eight seconds" in vetoed.reason
    (steer,) = state.notes
    interrupted = [fact for fact in state.talk if getattr(fact, "error", "") == "it was interrupted"]
    assert interrupted
    assert 0 <= interrupted[0].at - steer.at < 1
    assert set(state.usage) == {"claude-scripted"}
    assert state.model_usd > 0.3
