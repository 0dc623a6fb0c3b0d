"""The header: what session this is, whether it is healthy, what is used up, and what is best."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from moments import assert_fits, hostile, moment, texts
from story import E0, Story
from tapes import crossed, simulated

from core import events as ev
from core.fold import fold
from core.ids import GpuId
from core.presence import Watcher
from core.state import State
from tui.glyphs import ASCII, UNICODE
from tui.moment import Mode, Moment
from tui.widgets.header import header

MODES: tuple[Mode, ...] = ("loading", "starting", "live", "paused", "down", "finished", "playback")
CROSSED = fold(State(), crossed())


def said(shown: Moment, cells: int = 160, **more: Any) -> str:
    return " | ".join(texts(header(shown, cells, UNICODE, **more)))


def story(**limits: Any) -> Story:
    made = Story(gpus=2, gpu_type="H100")
    made.tell(ev.LimitsSet, **limits)
    return made.score(E0, 1.003, 1.0042, 1.0021)


def test_it_says_the_workspace_the_state_and_where_runs_go() -> None:
    text = said(moment(CROSSED))
    assert "/home/ada/gpt" in text
    assert "● live" in text
    assert "local on h · autoresearch/2026-11-23" in text


def placed(executor: str, place: str) -> State:
    made = story().tell(
        ev.EngineStarted, pid=2, host="pod-7f", executor=executor, researcher="designed", version="1", place=place
    )
    return made.state


@pytest.mark.parametrize(
    ("executor", "place"), [("kubernetes", "prod-gpu/ml-team"), ("ssh", "box1, box2"), ("ssh", "cluster (Slurm)")]
)
def test_where_runs_go_elsewhere_the_context_or_the_hosts_are_named(executor: str, place: str) -> None:
    state = placed(executor, place)
    assert f"{executor} {place} · autoresearch/2026-11-23" in said(moment(state), 120)
    first = texts(header(moment(state, now=state.at + 1), 80, UNICODE))[0]
    assert f"{executor} {place}" in first


def test_of_a_context_with_a_long_name_the_end_is_shown_where_there_is_little_room() -> None:
    state = placed("kubernetes", "arn:aws:eks:eu-west-1:123456789012:cluster/prod-gpu/ml-team")
    assert "kubernetes arn:aws:eks:eu-west-1:123456789012:cluster/prod-gpu/ml-team" in said(moment(state), 160)
    assert "kubernetes …luster/prod-gpu/ml-team" in said(moment(state), 80)
    for cells in (10, 40, 80, 120):
        assert_fits(header(moment(state), cells, ASCII), cells, 2)


def test_an_engine_that_is_down_names_the_key_that_starts_it() -> None:
    assert "engine down · S starts it again" in said(moment(CROSSED, mode="down"))
    assert "engine down · X starts it again" in said(moment(CROSSED, mode="down"), keys={"start_engine": "X"})


def test_a_read_only_window_offers_no_key() -> None:
    text = said(moment(CROSSED, mode="down", read_only=True))
    assert "engine down" in text
    assert "S starts" not in text


def test_a_pause_says_by_whom_and_why() -> None:
    made = story().tell(ev.ResearchPaused, by="ada", reason="the cluster is needed")
    assert "paused by ada: the cluster is needed" in said(moment(made.state, mode="paused"))


def test_loading_says_how_far_it_is() -> None:
    assert "loading 43 %" in said(Moment(mode="loading", loading=0.43, workspace="/w"))


def test_a_session_that_is_over_says_why() -> None:
    made = story().tell(ev.EngineStopped, reason="the 2 h of this session are used")
    assert "finished: the 2 h of this session are used" in said(moment(made.state, mode="finished"))


def test_a_recording_says_where_in_it_the_engine_stopped() -> None:
    made = story().tell(ev.EngineStopped, reason="the 2 h of this session are used")
    assert "▶ playback   ✓ finished: the 2 h" in said(moment(made.state, mode="playback"))


def test_a_simulation_is_unmistakable_at_any_width() -> None:
    state = msgspec.structs.replace(CROSSED, simulated=True)
    for cells in (20, 40, 80, 200):
        assert "SIMULATED" in said(moment(state), cells)


def test_a_lost_cluster_says_for_how_long() -> None:
    made = story().tell(ev.ExecutorLost, reason="connection refused")
    assert "cluster lost for 12s: connection refused" in said(moment(made.state, now=made.at + 12))


def test_a_fleet_without_a_gpu_is_named_while_it_lasts() -> None:
    made = story()
    assert "no GPU" not in said(moment(made.state))
    gone = made.tell(ev.FleetSeen, gpus=()).state
    assert "no GPU now: nothing is launched until one comes" in said(moment(gone))
    assert "no GPU now" in said(moment(gone), 80)
    assert "no GPU" not in said(moment(gone, mode="finished"))


def test_gpus_that_lose_every_run_at_once_are_named() -> None:
    made = story()
    for _ in range(2):
        run = made.start(E0)
        made.tell(ev.RunEnded, run=run, outcome="lost", reason="its container could not start").wait(60)
    assert "runs on H100 are lost at once: one at a time is tried" in said(moment(made.state))


def test_a_wave_that_waits_names_the_key() -> None:
    made = story().tell(ev.GateSet, on=True, by="ada")
    assert "gate on" in said(moment(made.state))
    made.wave({"DEPTH": "8"})
    assert "1 wave waits: y" in said(moment(made.state))
    assert "1 wave waits: y" in said(moment(made.state), 80)


def test_the_best_has_its_interval_and_the_start_is_named() -> None:
    assert "val_bpb 1.0031 ± 0.00" in said(moment(story().state))
    assert "the start" in said(moment(story().state))


def test_of_several_gpu_types_the_one_that_the_best_and_its_gain_stand_on_is_named() -> None:
    made = story()
    assert "H100" not in said(moment(made.state)).split("|")[1]
    (name,) = made.wave({"DEPTH": "8"})
    made.score(name, 0.99, 0.991).judge(name, "kept").move(name)
    made.gpus = (*made.gpus, ev.Gpu(GpuId("H2000"), "H200"))
    made.tell(ev.FleetSeen, gpus=made.gpus)
    made.score(name, 0.975, 0.976, 0.974, 0.975, on="H200")  # more runs, but the start has none there
    text = said(moment(made.state))
    assert "val_bpb 0.9905" in text
    assert "on H100" in text


def test_a_gain_on_the_runs_it_was_chosen_by_is_not_called_confirmed() -> None:
    made = story()
    (name,) = made.wave({"DEPTH": "8"})
    evidence = ev.Evidence(
        against=E0,
        gpu_type="H100",
        delta=-0.013,
        standard_error=0.001,
        runs=2,
        baseline_runs=3,
        noise_sd=0.001,
        noise_df=3,
    )
    made.score(name, 0.99, 0.991)
    made.tell(ev.ExperimentJudged, experiment=name, verdict="kept", reason="better", evidence=evidence).move(name)
    assert "since the start, not confirmed" in said(moment(made.state))
    assert " %, not confirmed" in said(moment(made.state), 100)
    assert " % unsure" in said(moment(made.state), 60)  # still marked where it is short, in a word


def test_the_budget_shows_time_experiments_and_money_against_their_limits() -> None:
    made = story(max_hours=2.0, max_experiments=40, max_usd=50.0)
    made.tell(ev.PricesSet, gpu_usd_hour={"H100": 3.0})
    made.wave({"DEPTH": "8"}, {"DEPTH": "2"})
    text = said(moment(made.state), 200)
    assert "of 2h00m" in text
    assert "2 of 40" in text
    assert "of $50.00" in text


def test_a_limit_of_money_stands_there_before_anything_was_spent() -> None:
    lines = texts(header(moment(story(max_usd=5.0).state), 120, UNICODE))
    assert "$0.00 of $5.00" in lines[1]


def test_the_researcher_thinks_or_has_given_up() -> None:
    made = story().tell(ev.WaveAsked, slots=4)
    assert "thinking 34s" in said(moment(made.state, now=made.at + 34))
    made.tell(ev.ResearchFailed, reason="the key is wrong", fatal=True)
    assert "researcher gave up: the key is wrong" in said(moment(made.state))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cells", [10, 20, 40, 79, 80, 120, 200])
def test_it_is_two_lines_that_fit_in_every_mode(mode: Mode, cells: int) -> None:
    for state in (State(), CROSSED, hostile(), fold(State(), simulated(0.5))):
        for glyphs in (UNICODE, ASCII):
            assert_fits(header(moment(state, mode=mode), cells, glyphs), cells, 2)


def test_at_eighty_columns_what_matters_most_is_there() -> None:
    made = story(max_hours=2.0).tell(ev.ExecutorLost, reason="r" * 200)
    made.tell(ev.GateSet, on=True, by="ada")
    made.wave({"DEPTH": "8"})
    text = said(moment(made.state), 80)
    for part in ("live", "cluster lost", "1 wave waits: y", "1.0031"):
        assert part in text


def test_it_says_who_else_looks_and_who_of_them_may_act() -> None:
    ada, cleo = Watcher("ada"), Watcher("cleo\x1b[2J", may_act=False)
    alone = said(moment(CROSSED, watchers=(ada,)))
    assert "watching" not in alone
    text = said(moment(CROSSED, watchers=(ada, ada, cleo)))
    assert "3 watching: ada ×2, cleo" in text
    assert "(viewer)" in text
    assert "\x1b" not in text
    assert "watching: " not in said(moment(CROSSED, watchers=(ada, cleo)), cells=60), "what matters stays"


def test_how_long_runs_train_is_said_where_there_is_room() -> None:
    made = story(max_experiments=20)
    assert "per run" not in said(moment(made.state))
    shown = moment(made.engine(budget_s=300.0).state)
    assert "experiments   300 s per run" in said(shown)
    assert "per run" not in said(shown, 80)
