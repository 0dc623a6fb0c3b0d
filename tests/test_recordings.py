"""Golden sessions: recordings of old versions play for ever, to the same end."""

from __future__ import annotations

from pathlib import Path

import pytest

import recordings
from core import recording
from core.fold import fold
from core.ids import BASELINE
from core.state import State
from core.views import best, estimate

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
    assert len(state.experiments) == 25
    assert state.counts == {"kept": 3, "discarded": 21}
    assert state.lineage == ("e0", "e1", "e11", "e24")
    assert (round(start.mean, 4), round(champion.mean, 4)) == (2.6201, 2.1291)
