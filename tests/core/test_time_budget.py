"""A session has one training budget: recorded, gone on with, and never mixed with another."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import imagined
import pytest
import stub
from checkout import commit_all
from imagined import campaign, facts_of, file_of, state_of
from story import E0, Story

from core import events as ev
from core import log as logs
from core import session, views
from core.errors import SettingsError, UsageError
from core.executors.fate import Physics
from core.settings import FILE, load
from core.telling import line
from core.time_budget import DEFAULT_S
from tui import ledger

READS = 'import os\nTIME_BUDGET = float(os.environ.get("AUTORESEARCH_TIME_BUDGET", 300))\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return imagined.workspace(tmp_path / "work")


def begun(folder: Path, **settings: Any) -> None:
    campaign(folder, **{"max_hours": 0.1, "fleet": "H100:1", **settings})


def contents(folder: Path) -> dict[Path, bytes]:
    """Of all files but the database, which is read."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(logs.FILE))
    return {path: path.read_bytes() for path in files}


def research(folder: Path, **flags: Any) -> None:
    asyncio.run(session.research(folder, load(folder, {}, flags), "0"))


def test_the_budget_of_a_session_is_a_recorded_fact(folder: Path) -> None:
    begun(folder, time_budget=60)
    assert [(fact.budget_s, fact.own_budget) for fact in facts_of(folder) if isinstance(fact, ev.EngineStarted)] == [
        (60.0, False)
    ]
    assert state_of(folder).budget_s == 60.0
    assert views.status(state_of(folder), now=0.0, alive=False, pid=None)["budget_s"] == 60.0


def test_without_a_setting_it_is_the_trainers_own(folder: Path) -> None:
    begun(folder)
    assert (state_of(folder).budget_s, state_of(folder).own_budget) == (DEFAULT_S, True)
    assert Physics().budget_s == DEFAULT_S, "of a simulated session"
    begun(folder, max_hours=0.2, time_budget=300)  # which says the same


def test_an_engine_with_another_budget_is_refused_and_changes_nothing(folder: Path) -> None:
    begun(folder, time_budget=60)
    before = facts_of(folder)
    files = contents(folder / ".autoresearch")
    with pytest.raises(UsageError) as caught:
        begun(folder, max_hours=0.2, time_budget=300)
    assert str(caught.value) == (
        "This session trains 60 s per run, and flag --time-budget says 300 s, whose results do not compare: go on with "
        f"--time-budget 60, or move {folder / '.autoresearch'} away to begin a new session here."
    )
    assert caught.value.exit_code == 2
    assert facts_of(folder) == before
    assert contents(folder / ".autoresearch") == files


def test_a_setting_that_changed_in_the_file_is_refused_too(folder: Path) -> None:
    (folder / FILE).write_text("time_budget = 60\n")
    begun(folder)
    (folder / FILE).write_text("time_budget = 120\n")
    with pytest.raises(UsageError, match=r"autoresearch\.toml says 120 s.* go on with time_budget = 60, or move "):
        begun(folder)


def test_the_trainers_own_after_one_that_was_set_is_another_budget(folder: Path) -> None:
    begun(folder, time_budget=60)
    with pytest.raises(
        UsageError, match=r"60 s per run, and the trainer's own budget here is 300 s, .*--time-budget 60"
    ):
        begun(folder, time_budget="none")


def test_an_engine_that_is_told_nothing_goes_on_with_the_sessions_budget(folder: Path) -> None:
    begun(folder, time_budget=60)
    begun(folder, max_hours=0.3)
    runs = [run.result for run in state_of(folder).runs.values() if run.result and run.result.outcome == "finished"]
    assert {result.training_s for result in runs} == {60.0}
    assert [fact.budget_s for fact in facts_of(folder) if isinstance(fact, ev.EngineStarted)] == [60.0, 60.0]


def test_a_session_of_an_older_build_takes_on_the_first_budget_that_is_told(folder: Path) -> None:
    begun(folder)
    old = [ev.encode(fact).replace(b',"budget_s":300.0,"own_budget":true', b"") for fact in facts_of(folder)]
    assert not any(b"budget" in body for body in old)
    for file in (folder / ".autoresearch").glob("session.db*"):
        file.unlink()
    logs.create(file_of(folder))
    logs.append_all(file_of(folder), [fact for fact in ev.decode_many(old) if not isinstance(fact, ev.Unknown)])
    assert state_of(folder).budget_s == 0.0
    begun(folder, max_hours=0.2, time_budget=60)
    assert state_of(folder).budget_s == 60.0


# --- what a trainer hears of it ---------------------------------------------------------------------------------------


def test_a_budget_that_the_trainer_would_not_hear_of_is_refused(folder: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"flag --time-budget says that runs train 60 s, but prepare\.py has TIME_BUD"
    ):
        research(folder, time_budget=60)
    (folder / "prepare.py").write_text(READS)
    commit_all(folder)
    begun(folder, time_budget=60)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('env = { AUTORESEARCH_TIME_BUDGET = "60" }', "env"),
        ('[hosts.box]\naddress = "b"\n[hosts.box.env]\nAUTORESEARCH_TIME_BUDGET = "60"', "hosts.box.env"),
    ],
)
def test_a_budget_among_the_variables_of_runs_is_refused(folder: Path, text: str, place: str) -> None:
    (folder / FILE).write_text(text)
    with pytest.raises(SettingsError, match=rf"^{place} must leave out AUTORESEARCH_TIME_BUDGET: set time_budget"):
        begun(folder)


def test_a_real_session_records_what_prepare_says(tmp_path: Path) -> None:
    workspace = stub.make_stub(tmp_path / "work")
    done = stub.run(workspace, "--no-ui", "--max-experiments", "1", "--slots", "2")
    assert done.returncode == 0, done.stderr
    assert "0.2 s per run\n" in done.stdout
    assert (stub.state_of(workspace).budget_s, stub.state_of(workspace).own_budget) == (0.2, True)
    refused = stub.run(workspace, "--no-ui", "--time-budget", "60")
    assert refused.returncode == 2
    assert "but prepare.py has TIME_BUDGET = 0.2 and does not read AUTORESEARCH_TIME_BUDGET" in refused.stderr


# --- where it is told -------------------------------------------------------------------------------------------------


def test_noise_is_told_with_the_budget_that_it_was_measured_at() -> None:
    story = Story(gpu_type="H100").score(E0, 1.0, 1.001, 1.002)
    assert ledger.noise(story.state).startswith("noise on H100: sd")
    assert ledger.noise(story.engine(budget_s=8.0).state).startswith("noise on H100 at 8 s per run: sd")
    assert ", local executor, 8 s per run" in line(story.facts[-2], story.state)
