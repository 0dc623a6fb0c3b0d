"""A simulated session from end to end: the real engine, log and git, in virtual time."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import imagined
import pytest
from checkout import git
from imagined import campaign, comparable, facts_of, file_of, state_of, watched

from core import events as ev
from core import log as logs
from core import session, simulated, virtual
from core.clock import SystemClock
from core.errors import SettingsError, UsageError
from core.fold import fold
from core.researcher import Plan
from core.researchers.delayed import Delayed
from core.settings import load
from core.state import State
from core.workspace import Workspace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return imagined.workspace(tmp_path / "work")


def test_an_hour_on_16_gpus_takes_seconds_and_its_log_replays_to_the_same_state(folder: Path) -> None:
    begun = time.monotonic()
    stopped, state = watched(folder, max_hours=1)
    assert time.monotonic() - begun < 20
    assert stopped.exit_code == 0
    assert state_of(folder) == state
    assert 3600 <= state.at - state.started_at < 3600 + 360
    finished = sum(run.ended_at is not None and run.ended_at <= state.started_at + 3600 for run in state.runs.values())
    assert finished > 150, "of 176 that fit"
    assert len({run.gpu_type for run in state.runs.values()}) == 2
    assert all(run.fingerprint for run in state.runs.values() if run.training_at)
    assert all(run.result for run in state.runs.values())


def test_the_same_seed_gives_the_same_facts_and_another_seed_others(tmp_path: Path) -> None:
    folders = [imagined.workspace(tmp_path / name) for name in ("one", "two", "three")]
    for folder, seed in zip(folders, (5, 5, 6), strict=True):
        campaign(folder, max_hours=0.5, seed=seed, fleet="H100:4,H200:2")
    one, two, three = (comparable(facts_of(folder)) for folder in folders)
    assert one == two
    assert one != three


def test_everything_says_that_it_is_simulated(folder: Path) -> None:
    campaign(folder, max_hours=0.3, fleet="H100:4")
    state = state_of(folder)
    assert state.simulated
    assert state.branch.startswith("simulated/")
    assert not git(folder, "branch", "--list", "autoresearch/*")
    assert not (folder / "results.tsv").exists()
    rows = (folder / ".autoresearch" / "results.tsv").read_text().splitlines()[1:]
    assert rows
    assert all("SIMULATED" in row for row in rows)


def test_a_campaign_goes_on_where_it_stood(folder: Path) -> None:
    campaign(folder, for_="10m", fleet="H100:4", on_exit="leave")
    before = state_of(folder)
    assert before.active
    campaign(folder, for_="20m", fleet="H100:4")
    after, facts = state_of(folder), facts_of(folder)
    starts = [fact for fact in facts if isinstance(fact, ev.EngineStarted)]
    assert [round(fact.at - before.started_at) for fact in starts] == [0, 600]
    requested = [fact.run for fact in facts if isinstance(fact, ev.RunRequested)]
    assert len(requested) == len(set(requested))
    left = [after.runs[run] for run in before.active]
    assert {run.result and run.result.outcome for run in left} <= {"finished", "crashed"}
    assert all(run.started_at == before.runs[run.id].started_at for run in left if before.runs[run.id].started_at)
    assert all(earlier.at <= later.at + 1e-6 for earlier, later in pairwise(facts))


def test_a_limit_in_hours_ends_it_on_time(folder: Path) -> None:
    stopped = campaign(folder, max_hours=0.25, fleet="H100:2")
    assert stopped.reason == "the 0.25 h of this session are used"
    asked = [fact.at for fact in facts_of(folder) if isinstance(fact, ev.RunRequested | ev.WaveAsked)]
    assert max(asked) < state_of(folder).started_at + 900


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_real_executor_does_not_go_on_with_a_simulated_session(folder: Path) -> None:
    campaign(folder, max_hours=0.1, fleet="H100:1")
    with pytest.raises(UsageError, match=r"This session is simulated: go on with --executor simulator, or use another"):
        asyncio.run(session.research(folder, load(folder, {}, {}), "0"))


def test_the_simulator_does_not_go_on_with_a_real_session(folder: Path) -> None:
    workspace = Workspace.open(folder)
    logs.create(workspace.ensure_state() / logs.FILE)
    opening = session._opening(workspace, State(), load(folder, {}, {}).settings, "0", SystemClock())
    assert opening
    logs.append_all(file_of(folder), [opening])
    with pytest.raises(UsageError, match=r"This session is real .*: use another workspace, or move .*session\.db away"):
        campaign(folder)


@pytest.mark.parametrize("text", ["", "H100", "H100:0", "x:1e9"])
def test_a_wrong_fleet_is_refused_before_anything_happens(folder: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"fleet must be GPU types and how many of each"):
        campaign(folder, fleet=text)
    assert not file_of(folder).exists()


def test_an_unknown_surface_is_refused_with_those_there_are(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is no surface 'hill'; choose one of: bowl, "):
        campaign(folder, surface="hill")


def test_a_session_goes_on_with_the_surface_that_it_began_on(folder: Path) -> None:
    campaign(folder, max_hours=0.1, fleet="H100:1", surface="basins")
    settings = simulated.going_on(state_of(folder), load(folder, {}, {"executor": "simulator"}), file_of(folder))
    assert settings.surface == state_of(folder).surface == "basins"
    campaign(folder, max_hours=0.2, fleet="H100:1")
    with pytest.raises(
        UsageError, match=r"simulated on the surface basins: go on with --surface basins, or use another"
    ):
        campaign(folder, max_hours=0.3, fleet="H100:1", surface="bowl")


def test_virtual_time_needs_its_own_loop(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"run the session by core\.virtual\.run"):
        asyncio.run(session.research(folder, load(folder, {}, {"executor": "simulator", "speed": "max"}), "0"))


# --- the researcher ---------------------------------------------------------------------------------------------------


def test_a_delayed_researcher_decides_when_asked_and_answers_later() -> None:
    class Scripted:
        name = "scripted"

        async def propose(self, state: State, slots: int) -> Plan:
            return Plan(reason=f"{state.seq} facts, {slots} slots", ideas=())

    async def main() -> tuple[str, float]:
        clock = virtual.running_clock()
        assert clock
        delayed = Delayed(Scripted(), clock, 75.0)
        assert delayed.name == "scripted"
        plan = await delayed.propose(fold(State(), []), 16)
        return plan.reason, clock.now()

    assert virtual.run(main()) == ("0 facts, 16 slots", 75.0)


def test_a_wave_takes_as_long_as_the_settings_say(folder: Path) -> None:
    campaign(folder, max_hours=0.3, fleet="H100:4", answer_s=40.0)
    facts = facts_of(folder)
    asked = [fact.at for fact in facts if isinstance(fact, ev.WaveAsked)]
    planned = [fact.at for fact in facts if isinstance(fact, ev.WavePlanned)]
    assert planned
    assert [b - a for a, b in zip(asked, planned, strict=False)] == pytest.approx([40.0] * len(planned), abs=1e-3)


def test_a_new_session_in_the_same_workspace_begins_anew(tmp_path: Path) -> None:
    folder = imagined.workspace(tmp_path / "work")
    imagined.campaign(folder, max_hours=0.2)
    for file in (folder / ".autoresearch").glob("session.db*"):
        file.unlink()
    imagined.campaign(folder, max_hours=0.2)
    assert imagined.state_of(folder).ended > 0
