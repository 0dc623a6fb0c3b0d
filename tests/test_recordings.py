"""Golden sessions: recordings of old versions play for ever, to the same end."""

from __future__ import annotations

from pathlib import Path

import pytest

import recordings
from core import recording
from core.fold import fold
from core.state import State
from core.views import best, estimate
from core.ids import BASELINE

FOLDER = Path(recordings.__file__).parent


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl.gz")), ids=lambda path: path.name)
def test_every_recording_that_ships_plays_to_its_end(path: Path) -> None:
    state = fold(State(), recording.read(path))
    assert state.last_stop is not None
    assert not state.simulated
    assert not state.open


def test_the_demo_recording_ends_where_it_ended() -> None:
    state = fold(State(), recording.read(FOLDER / "demo-cpu.jsonl.gz"))
    start, champion = estimate(state, BASELINE), best(state)
    assert start is not None
    assert champion is not None
    assert (len(state.experiments), state.counts, state.lineage) == EXPECTED
    assert (round(start.mean, 4), round(champion.mean, 4)) == MEANS
