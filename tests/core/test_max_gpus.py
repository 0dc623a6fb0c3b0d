"""The limit of GPUs from a setting to what runs, in a simulated session."""

from __future__ import annotations

from pathlib import Path

import imagined
import pytest
from imagined import campaign, facts_of, file_of, state_of

from core import events as ev
from core import log as logs
from core.commands import MaxGpus
from core.fold import fold
from core.settings import FILE
from core.state import State


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return imagined.workspace(tmp_path / "work")


def most_at_once(folder: Path) -> dict[str, int]:
    """Runs that were requested and had not ended, by type."""
    state, most = State(), dict[str, int]()
    for fact in facts_of(folder):
        state = fold(state, [fact])
        for kind, holder in state.holders.items():
            most[kind] = max(most.get(kind, 0), holder.runs + holder.queued)
    return most


def limits_set(folder: Path) -> list[dict[str, int]]:
    return [fact.limits for fact in facts_of(folder) if isinstance(fact, ev.MaxGpusSet)]


def go(folder: Path, **settings: str) -> None:
    campaign(folder, for_="10m", fleet="H100:4,H200:2", **settings)


def test_no_more_gpus_are_used_than_the_setting_says(folder: Path) -> None:
    go(folder, max_gpus="H100:2")
    assert most_at_once(folder) == {"H100": 2, "H200": 2}


def test_without_a_limit_all_are_used(folder: Path) -> None:
    go(folder)
    assert most_at_once(folder) == {"H100": 4, "H200": 2}
    assert limits_set(folder) == []


def test_what_an_operator_changed_outlives_engines_until_the_settings_say_something_new(folder: Path) -> None:
    (folder / FILE).write_text("max_gpus = { H100 = 3 }\n")
    go(folder)
    logs.send(file_of(folder), MaxGpus(gpu_type="H100", limit=1, by="ada"))
    go(folder)
    go(folder)
    assert state_of(folder).max_gpus == {"H100": 1}, "the file says what it said before"
    (folder / FILE).write_text("max_gpus = { H100 = 2 }\n")
    go(folder)
    assert state_of(folder).max_gpus == {"H100": 2}
    go(folder, max_gpus="none")
    assert limits_set(folder) == [{"H100": 3}, {"H100": 1}, {"H100": 2}, {}]


def test_a_flag_counts_although_the_settings_said_the_same_before(folder: Path) -> None:
    go(folder, max_gpus="H100:3")
    logs.send(file_of(folder), MaxGpus(gpu_type="H100", limit=1, by="ada"))
    go(folder, max_gpus="H100:3")
    go(folder, max_gpus="H100:3")
    assert limits_set(folder) == [{"H100": 3}, {"H100": 1}, {"H100": 3}]
