"""The ledger: every GPU-second once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from story import E0, Story

from core import events as ev
from core.fold import fold
from core.ids import ExperimentId, GpuId, RunId, WaveId
from core.ledger import COLUMNS, GROUPS, capacity, ledger, occupancy, usable_s
from core.patch import Change
from core.state import State


def spent(story: Story) -> dict[str, Any]:
    """The columns that are not zero, checked against the GPU time at hand."""
    state = story.state
    columns = ledger(state, story.at)
    assert sum(columns.values()) == pytest.approx(capacity(state, story.at))
    return {name: pytest.approx(seconds) for name, seconds in columns.items() if seconds}


def test_a_run_is_split_into_start_up_training_and_evaluation() -> None:
    story = Story(gpus=1)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.0)
    assert spent(story) == {"start-up": 0.5, "evaluation": 1.0, "training": 8.5}


def ends(story: Story, after: float, **reported: float) -> dict[str, Any]:
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    story.wait(3.0).tell(ev.RunProgressed, run=run, step=1)
    story.wait(after - 3.0).tell(ev.RunEnded, run=run, outcome="finished", val_bpb=2.0, **reported)
    return spent(story)


@pytest.mark.parametrize(
    ("reported", "columns"),
    [
        ({}, (3.0, 30.0, 0.0)),
        ({"training_s": 25.0}, (3.0, 25.0, 5.0)),
        ({"training_s": 99.0}, (0.0, 33.0, 0.0)),
        ({"training_s": 25.0, "startup_s": 1.0}, (1.0, 25.0, 7.0)),
        ({"training_s": 25.0, "eval_s": 4.0}, (4.0, 25.0, 4.0)),
        ({"training_s": 25.0, "startup_s": 1.0, "eval_s": 4.0}, (4.0, 25.0, 4.0)),
        ({"training_s": 50.0, "startup_s": 10.0, "eval_s": 6.0}, (5.0, 25.0, 3.0)),
        ({"startup_s": 2.0, "eval_s": 4.0}, (2.0, 27.0, 4.0)),
        ({"startup_s": 2.0, "eval_s": 99.0}, (0.0, 0.0, 33.0)),
    ],
)
def test_a_run_is_split_by_what_its_trainer_reports_and_else_by_its_first_progress(
    reported: dict[str, float], columns: tuple[float, float, float]
) -> None:
    names = ("start-up", "training", "evaluation")
    assert ends(Story(gpus=1), 33.0, **reported) == {n: s for n, s in zip(names, columns, strict=True) if s}


def test_a_story_with_every_column_is_booked_to_the_second() -> None:
    """Three GPUs for 162 s."""
    story = Story(gpus=3)
    story.tell(ev.WaveAsked, slots=3)
    a, b, c, d, e = story.wait(4).wave(*({"DEPTH": str(depth)} for depth in (2, 3, 5, 6, 7)))  # 12 s for ideas
    story.wait(6)  # 18 s idle
    first = story.tell(ev.RunRequested, run=RunId("e1-1"), experiment=a, gpu_type="cpu", seed=1).wait(
        2
    )  # queue 2, idle 4
    first.tell(ev.RunStarted, run=RunId("e1-1"), gpu=GpuId("cpu0"))
    story.finish(RunId("e1-1"), 2.0)  # idle 20; start-up 0.5, training 8.5, evaluation 1
    story.crash(story.start(b))  # idle 2; crash 1
    vetoed = story.start(c)
    story.wait(5).tell(ev.ExperimentVetoed, experiment=c, by="ada").wait(2)
    story.tell(ev.RunEnded, run=vetoed, outcome="cancelled")  # idle 14; vetoed 7
    hopeless = story.start(d)
    story.wait(5).tell(ev.RunStopped, run=hopeless, reason="far off").wait(1)
    story.tell(ev.RunEnded, run=hopeless, outcome="cancelled")  # idle 12; stopped 6
    same = story.start(e)
    story.wait(3).tell(ev.DuplicateFound, experiment=e, twin=a, reason="the same model")
    story.tell(ev.RunEnded, run=same, outcome="cancelled")  # idle 6; duplicate 3
    story.finish(story.start(E0, purpose="replicate"), 2.5)  # idle 20; replicate 10
    lost = story.start(E0)
    story.wait(20).tell(ev.RunEnded, run=lost, outcome="lost")  # idle 40; crash 20
    taken = (*story.gpus[:1], ev.Gpu(GpuId("cpu1"), "cpu", held_by="bob"), *story.gpus[2:])
    story.tell(ev.FleetSeen, gpus=taken).wait(7)  # idle 14; other users 7
    story.tell(ev.ResearchPaused, by="ada").wait(6)  # other users 6, paused 12
    fails = ev.Gpu(GpuId("cpu1"), "cpu", held_by="not ready", broken=True)
    story.tell(ev.FleetSeen, gpus=(*story.gpus[:1], fails, *story.gpus[2:])).wait(5)  # broken 5, paused 10
    story.tell(ev.FleetSeen, gpus=story.gpus).wait(13).tell(ev.ResearchResumed, by="ada")  # paused 39
    stop = story.start(E0, gpu=1)
    story.start(E0, gpu=2)
    story.wait(30).tell(ev.StopRequested, by="ada", now=True).tell(ev.RunEnded, run=stop, outcome="cancelled")
    story.wait(32)  # idle 30 + 64; cancelled 30, running 62
    assert ledger(story.state, story.at) == pytest.approx(
        {
            "training": 8.5,
            "replicate": 10,
            "running": 62,
            "start-up": 0.5,
            "evaluation": 1,
            "crash": 21,
            "duplicate": 3,
            "vetoed": 7,
            "stopped": 6,
            "cancelled": 30,
            "waiting for ideas": 12,
            "queue": 2,
            "paused": 61,
            "other users": 7 + 6,
            "broken": 5,
            "idle": 18 + 4 + 20 + 2 + 14 + 12 + 6 + 20 + 40 + 14 + 30 + 64,
        }
    )
    assert capacity(story.state, story.at) == pytest.approx(3 * 162)


@pytest.mark.parametrize("late", [False, True])
def test_a_finished_duplicate_is_a_replicate_of_its_twin_whenever_it_is_found(late: bool) -> None:
    story = Story(gpus=1)
    first, same = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    story.score(first, 2.0)
    run = story.start(same)
    if late:
        story.finish(run, 2.0)
    story.tell(ev.DuplicateFound, experiment=same, twin=first, reason="the same model")
    if not late:
        story.finish(run, 2.0)
    assert spent(story) == {"start-up": 0.5, "evaluation": 1.0, "training": 8.5, "replicate": 10.0}


def test_a_late_success_of_a_vetoed_experiment_is_vetoed_and_a_stopped_run_that_finished_is_not_stopped() -> None:
    story = Story(gpus=1)
    bad, slow = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    run = story.start(bad)
    story.tell(ev.ExperimentVetoed, experiment=bad, by="ada").finish(run, 2.0)
    run = story.start(slow)
    story.tell(ev.RunStopped, run=run, reason="far off").finish(run, 2.0)
    assert spent(story) == {"vetoed": 10.0, "start-up": 0.5, "evaluation": 1.0, "training": 8.5}


def test_a_run_holds_its_gpu_from_when_its_start_is_told() -> None:
    story = Story(gpus=1).tell(ev.RunRequested, run=RunId("e0-1"), experiment=E0, gpu_type="cpu", seed=1)
    story.facts.append(ev.WaveAsked(at=story.at + 2.0, slots=1))
    story.facts.append(ev.RunStarted(at=story.at + 1.5, run=RunId("e0-1"), gpu=GpuId("cpu0")))
    story.wait(9)
    assert spent(story) == {"queue": 2.0, "running": 7.0}
    story.tell(ev.RunEnded, run=RunId("e0-1"), outcome="lost")
    assert spent(story) == {"queue": 2.0, "crash": 7.0}


def test_a_run_waits_for_a_gpu_of_its_own_type() -> None:
    story = Story(gpus=1, gpu_type="H100")
    story.tell(ev.RunRequested, run=RunId("e0-1"), experiment=E0, gpu_type="H200", seed=1).wait(5)
    assert spent(story) == {"idle": 5.0}


def test_the_first_fleet_that_an_engine_sees_was_there_since_it_started() -> None:
    story = Story(gpus=2).wait(10).tell(ev.EngineStopped, reason="enough").wait(50)
    story.tell(ev.EngineStarted, pid=1, host="h", executor="local", researcher="designed", version="0").wait(3)
    story.tell(ev.FleetSeen, gpus=story.gpus).wait(4)
    assert spent(story) == {"idle": 2 * (10.0 + 3.0 + 4.0)}


def test_a_run_that_outlives_its_engine_is_booked_until_it_ended_and_nothing_else_is() -> None:
    story = Story(gpus=2)
    run = story.start(E0, purpose="replicate")
    story.wait(10).tell(ev.NoteAdded, by="a", text="last sign of life").wait(100)
    story.engine().wait(1)
    assert spent(story) == {"running": 111.0, "idle": 11.0}
    story.facts.append(ev.RunEnded(at=story.at - 61, run=run, outcome="finished", val_bpb=2.0))
    story.wait(5)
    assert spent(story) == {"replicate": 10.0 + 40.0, "idle": 10.0 + 2 * 6.0}


def test_rows_that_are_taken_in_while_no_engine_lives_are_no_sign_of_life() -> None:
    story = Story(gpus=1).wait(10).tell(ev.NoteAdded, by="a", text="last sign of life")
    story.wait(500).tell(ev.ResultImported, commit="c", status="keep", description="d").wait(500).engine().wait(1)
    assert spent(story) == {"idle": 11.0}


def test_runs_on_gpus_that_left_the_fleet_count_until_they_end() -> None:
    story = Story(gpus=2)
    story.start(E0)
    story.start(E0, gpu=1)
    story.tell(ev.FleetSeen, gpus=story.gpus[:1]).wait(10)
    assert spent(story) == {"running": 20.0}


def test_a_gpu_that_somebody_else_holds_beside_us_is_ours_to_account_for() -> None:
    story = Story(gpus=1)
    story.start(E0)
    story.tell(ev.FleetSeen, gpus=(ev.Gpu(GpuId("cpu0"), "cpu", held_by="bob"),)).wait(10)
    assert spent(story) == {"running": 10.0}


# --- whatever happens -------------------------------------------------------------------------------------------------

NAMES = [ExperimentId(f"e{number}") for number in range(5)]
TYPES = ("H100", "H200")
Step = tuple[str, float, int, int]  # kind, seconds since the fact before, and two choices


def told(steps: list[Step]) -> list[ev.Known]:
    """Mostly about the latest runs, so that what starts also ends; a run that ended may start again, too."""
    at, facts, runs = 1_000_000.0, list(Story(gpus=0).facts[:1]), [RunId("e0-0")]
    for kind, seconds, one, two in steps:
        at += seconds
        if kind == "request":
            runs.append(RunId(f"{NAMES[one % 5]}-{len(runs)}"))
        facts.append(_fact(kind, at, runs[-1 - one % min(len(runs), 3)] if kind != "request" else runs[-1], one, two))
    return facts


def _fact(kind: str, at: float, run: RunId, one: int, two: int) -> ev.Known:
    name = NAMES[one % 5]
    wave, gpu_type = WaveId("w1"), TYPES[two % 2]
    purpose: ev.Purpose = "retest" if two == 2 else "first"
    made: dict[str, Any] = {
        "start": lambda: ev.EngineStarted(at=at, pid=1, host="h", executor="local", researcher="r", version="0"),
        "end": lambda: ev.EngineStopped(at=at, reason="enough"),
        "fleet": lambda: ev.FleetSeen(at=at, gpus=_fleet(one, two)),
        "pause": lambda: ev.ResearchPaused(at=at, by="ada"),
        "resume": lambda: ev.ResearchResumed(at=at, by="ada"),
        "ask": lambda: ev.WaveAsked(at=at, slots=1),
        "answer": lambda: ev.WavePlanned(at=at, wave=wave, parent=E0, reason="because"),
        "fail": lambda: ev.ResearchFailed(at=at, reason="offline"),
        "propose": lambda: ev.ExperimentProposed(
            at=at, experiment=name, wave=wave, parent=E0, change=Change(), digest=name, title=name
        ),
        "request": lambda: ev.RunRequested(at=at, run=run, experiment=name, gpu_type=gpu_type, seed=1, purpose=purpose),
        "run": lambda: ev.RunStarted(at=at, run=run, gpu=GpuId(f"{gpu_type}-{one}")),
        "progress": lambda: ev.RunProgressed(at=at, run=run, step=1),
        "hopeless": lambda: ev.RunStopped(at=at, run=run, reason="far off"),
        "finish": lambda: ev.RunEnded(
            at=at, run=run, outcome="finished", val_bpb=2.0, training_s=one * 9.0, eval_s=3.0
        ),
        "crash": lambda: ev.RunEnded(at=at, run=run, outcome="crashed"),
        "cancel": lambda: ev.RunEnded(at=at, run=run, outcome="cancelled"),
        "lose": lambda: ev.RunEnded(at=at, run=run, outcome="lost"),
        "veto": lambda: ev.ExperimentVetoed(at=at, experiment=name, by="ada"),
        "repeat": lambda: ev.DuplicateFound(at=at, experiment=name, twin=NAMES[two % 5], reason="the same model"),
        "keep": lambda: ev.ExperimentJudged(at=at, experiment=name, verdict="kept", reason="so"),
        "import": lambda: ev.ResultImported(at=at, commit="c", status="keep", description="d"),
    }
    fact: ev.Known = made[kind]()
    return fact


def _fleet(one: int, two: int) -> tuple[ev.Gpu, ...]:
    return tuple(
        ev.Gpu(GpuId(f"{gpu_type}-{number}"), gpu_type, held_by="bob" if number >= two else "")
        for gpu_type, there in zip(TYPES, (one, two), strict=True)
        for number in range(there)
    )


KINDS = (
    *("start", "end", "fleet", "pause", "resume", "ask", "answer", "fail", "propose", "import", "veto", "repeat"),
    *("request", "run", "progress", "hopeless", "finish", "crash", "cancel", "lose", "keep"),
    *("fleet", "request", "request", "run", "run", "run"),  # more of what leads to others
)
STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.floats(-40, 100), st.integers(0, 5), st.integers(0, 5)), max_size=60
)


@given(STEPS, st.floats(-100, 1000))
@example([("start", 0.0, 0, 0), ("fleet", 1.0, 3, 2), ("request", 1.0, 1, 0), ("run", 1.0, 1, 0)], 9.0)
def test_whatever_happens_the_columns_sum_to_the_gpu_time_at_hand(steps: list[Step], later: float) -> None:
    state = fold(State(), told([("start", 0.0, 0, 0), ("fleet", 0.0, 2, 2), ("propose", 0.0, 1, 0), *steps]))
    now = state.at + later
    columns = ledger(state, now)
    assert tuple(columns) == COLUMNS
    assert min(columns.values()) >= 0
    assert sum(columns.values()) == pytest.approx(capacity(state, now), rel=1e-6, abs=1e-6)
    assert set(state.booked) <= set(COLUMNS)
    _types_sum_to_the_whole(state, now, columns)
    for name, holder in state.holders.items():
        held = [run for run in map(state.runs.__getitem__, state.active) if run.gpu_type == name]
        assert holder.runs == sum(run.started_at is not None for run in held)
        assert holder.queued == sum(run.started_at is None for run in held)


def _types_sum_to_the_whole(state: State, now: float, columns: dict[Any, float]) -> None:
    usable = usable_s(state, now)
    assert sum(usable.values()) == pytest.approx(
        capacity(state, now) - columns["other users"] - columns["broken"], rel=1e-6, abs=1e-6
    )
    ours = sum(share * usable[kind] for kind, share in occupancy(state, now).items())
    assert ours == pytest.approx(sum(columns.values()) - sum(columns[name] for name in GROUPS["no run"]), abs=1e-6)


ON_TIME = st.lists(
    st.tuples(
        st.sampled_from([kind for kind in KINDS if kind not in ("start", "end", "fleet", "import")]),
        st.floats(0, 100),
        st.integers(0, 5),
        st.integers(0, 1),
    ),
    max_size=60,
)


@given(ON_TIME)
def test_a_constant_fleet_under_one_engine_is_fleet_times_elapsed_time(steps: list[Step]) -> None:
    """More GPUs than runs: with more runs, capacity counts them."""
    state = fold(State(), told([("start", 0.0, 0, 0), ("fleet", 7.0, 60, 60), *steps]))
    begun = 1_000_000.0
    assert capacity(state, state.at + 5) == pytest.approx(120 * (state.at + 5 - begun))


def test_a_run_on_a_gpu_that_breaks_is_booked_to_the_run() -> None:
    story = Story(gpus=2)
    run = story.start(E0)
    story.tell(ev.FleetSeen, gpus=(ev.Gpu(story.gpus[0].id, "cpu", broken=True), story.gpus[1])).wait(10)
    assert spent(story) == {"running": 10, "idle": 10}
    story.tell(ev.RunEnded, run=run, outcome="lost")
    story.tell(ev.FleetSeen, gpus=(ev.Gpu(story.gpus[0].id, "cpu", held_by="not ready", broken=True), story.gpus[1]))
    story.wait(5)
    assert spent(story) == {"crash": 10, "idle": 15, "broken": 5}


def test_the_groups_hold_every_column_once() -> None:
    assert sorted(COLUMNS) == sorted({name for group in GROUPS.values() for name in group})
    assert len(COLUMNS) == 16


def test_each_type_is_as_busy_as_its_own_gpus_were() -> None:
    """Of four of another type one is broken and one is somebody else's."""
    story = Story(gpus=2)
    more = [ev.Gpu(GpuId(f"H200-{i}"), "H200", held_by=by) for i, by in enumerate(("bob", "XID 79", "", ""))]
    more[1] = ev.Gpu(more[1].id, "H200", held_by="XID 79", broken=True)
    story.gpus = (*story.gpus, *more)
    story.tell(ev.FleetSeen, gpus=story.gpus)
    run = story.start(E0, on="H200", gpu=2)
    story.wait(10)
    assert occupancy(story.state, story.at) == {"cpu": 0.0, "H200": pytest.approx(0.5)}
    story.finish(run, 1.0)
    story.start(E0)
    story.wait(20)
    assert occupancy(story.state, story.at) == {"cpu": pytest.approx(0.25), "H200": pytest.approx(0.25)}
