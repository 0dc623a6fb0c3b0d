"""The designed researcher: a design first, then down the fitted surface, around crashes, and elsewhere when stuck."""

from __future__ import annotations

import numpy as np
import pytest
from campaign import UPSTREAM, Campaign, config
from story import E0, Story

from core import events as ev
from core.design import change
from core.errors import ResearcherFailed
from core.fold import fold
from core.ids import ExperimentId, run_id
from core.researcher import Plan
from core.researchers.designed import DesignedResearcher
from core.researchers.measured import measured, place_of
from core.researchers.peers import RandomResearcher
from core.state import State
from core.surfaces import surface
from core.waves import proposals

NAMES = ("TOTAL_BATCH_SIZE", "DEPTH")


async def proposed(story: Story, slots: int = 2, **options: tuple[str, ...]) -> Plan:
    return await DesignedResearcher(**options).propose(story.state, slots)


def carried(story: Story, plan: Plan) -> list[ExperimentId]:
    facts = list(proposals(story.state, plan, parent=story.state.baseline, by="designed", at=story.at))
    story.facts += facts
    return [fact.experiment for fact in facts if isinstance(fact, ev.ExperimentProposed)]


def campaign(name: str, seed: int, runs: int, fleet: dict[str, int] | None = None) -> Campaign:
    researcher = DesignedResearcher()
    found = Campaign(surface(name, config(UPSTREAM), seed), researcher.plan, seed=seed, fleet=fleet)
    found.run(runs=runs)
    return found


async def test_on_two_gpus_the_first_wave_crosses_what_usually_matters_at_three_levels() -> None:
    plan = await proposed(Story())
    assert plan.design is not None
    assert {factor.name: factor.levels for factor in plan.design.factors} == {
        "TOTAL_BATCH_SIZE": ("2**13", "2**14", "2**15"),
        "DEPTH": ("2", "4", "8"),
    }
    assert len(plan.ideas) == 8, "nine cells, and the baseline has one of them already"
    assert plan.reason.startswith("full factorial over TOTAL_BATCH_SIZE, DEPTH: nothing is known yet")


def test_on_a_fleet_the_first_waves_screen_many_constants_and_move_what_needs_memory_alone() -> None:
    waves = list(campaign("bowl", 1, 20).state.waves.values())
    first, second = waves[0].design, waves[1].design
    assert first is not None
    assert second is not None
    assert first.kind == "Plackett-Burman"
    assert len(first.factors) == 10
    assert not {"DEPTH", "DEVICE_BATCH_SIZE"} & {factor.name for factor in first.factors}
    assert second.kind == "list"
    assert {"DEPTH", "DEVICE_BATCH_SIZE"} <= {factor.name for factor in second.factors}


def test_every_idea_names_its_cell_and_changes_only_what_differs() -> None:
    state = campaign("bowl", 1, 60).state
    for wave in state.waves.values():
        assert wave.design is not None
        parent = place_of(state, frozenset(), frozenset()) if wave.parent == state.baseline else None
        for name in wave.experiments:
            experiment = state.experiments[name]
            assert set(experiment.cell) == {factor.name for factor in wave.design.factors}
            if parent is not None:
                base = {knob: parent.knobs[knob].text for knob in experiment.cell}
                assert change(wave.design, experiment.cell, base) == experiment.change


def test_it_finds_most_of_the_gain_of_a_hidden_surface() -> None:
    for name in ("bowl", "sparse"):
        found = campaign(name, 3, 300)
        gain = (found.surface.start - found.truth()) / (found.surface.start - found.surface.optimum)
        assert gain > 0.85, name


def test_the_same_state_gives_the_same_wave() -> None:
    state = campaign("ridge", 2, 60).state
    assert DesignedResearcher().plan(state, 16) == DesignedResearcher().plan(state, 16)


def test_nothing_that_was_proposed_is_proposed_again() -> None:
    found = campaign("basins", 4, 200)
    rejected = [fact for fact in found.facts if isinstance(fact, ev.ProposalRejected)]
    assert not rejected
    assert all(len(wave.experiments) > 0 for wave in found.state.waves.values())


def test_a_wave_says_what_was_found_and_what_it_asks() -> None:
    reasons = [wave.reason for wave in campaign("sparse", 3, 120).state.waves.values()]
    assert "results, the best at 0.9" in reasons[-1]
    assert any("strongest per unit" in reason and "±" in reason for reason in reasons)
    assert all("steps down the fitted surface" in reason or "moved far" in reason for reason in reasons[3:])


def test_crashes_bound_the_region() -> None:
    """The optimum is close to two edges, and on the way there fewer and fewer runs fall over them."""
    state = campaign("cliff", 2, 250).state
    said = [run.result for run in state.runs.values() if run.result is not None]
    edges = [r.reason.startswith(("CUDA out of memory:", "the loss diverged")) for r in said]
    assert sum(edges[-100:]) < 0.75 * sum(edges[:100])


def test_gpu_types_are_told_apart() -> None:
    """An H200 measures 0.005 lower; that must not look like a better configuration."""
    state = campaign("bowl", 1, 150).state
    place = place_of(state, frozenset(), frozenset())
    seen = measured(state, place.axes)
    assert {0.0, 1.0} == set(seen.kind.tolist())
    researcher = DesignedResearcher().plan(state, 16)
    best = min(value for value, kind in zip(seen.value, seen.kind, strict=True) if kind == 0)
    told = float(researcher.reason.split("the best at ")[1][:6])
    assert abs(told - best) < 0.002


def test_when_stuck_what_seems_dead_is_moved_far() -> None:
    reasons = [wave.reason for wave in campaign("sparse", 5, 500).state.waves.values()]
    assert any("moved far" in reason for reason in reasons)


def test_two_components_of_a_tuple_move_on_their_own() -> None:
    state = campaign("bowl", 1, 60).state
    tuples = {e.change.settings["ADAM_BETAS"] for e in state.experiments.values() if "ADAM_BETAS" in e.change.settings}
    assert any(text.startswith("(0.8, ") for text in tuples)
    assert any(text.endswith(" 0.95)") for text in tuples)


def test_powers_of_two_and_whole_numbers_stay_what_they_are() -> None:
    for experiment in campaign("ridge", 1, 150).state.experiments.values():
        settings = experiment.change.settings
        assert settings.get("TOTAL_BATCH_SIZE", "2**1").startswith("2**")
        assert settings.get("DEPTH", "8").isdigit()
        batch = int(settings.get("DEVICE_BATCH_SIZE", "128"))
        assert batch & (batch - 1) == 0


def test_a_wave_fills_the_fleet_after_900_experiments() -> None:
    story, dice = Story(gpus=16, source=UPSTREAM), np.random.default_rng(1)
    state = story.score(E0, 1.003, 1.004, 1.002).state
    while len(state.experiments) < 900:
        plan = RandomResearcher().plan(state, 300)
        facts = list(proposals(state, plan, parent=E0, by="random", at=story.at))
        names = [fact.experiment for fact in facts if isinstance(fact, ev.ExperimentProposed)]
        for name in names:
            run = run_id(name, 1)
            facts.append(ev.RunRequested(at=story.at, run=run, experiment=name, gpu_type="cpu", seed=1))
            value = 1.003 + float(dice.uniform(-0.02, 0.1))
            facts.append(ev.RunEnded(at=story.at, run=run, outcome="finished", val_bpb=value))
        state = fold(state, facts)
    assert len(DesignedResearcher().plan(state, 16).ideas) == 16


@pytest.mark.parametrize("left", [1, 2, 3, 5])
async def test_a_wave_fits_the_limit_of_experiments(left: int) -> None:
    story = Story().tell(ev.LimitsSet, max_experiments=left)
    names = carried(story, await proposed(story))
    assert 1 <= len(names) <= left


async def test_constants_can_be_chosen_and_left_out() -> None:
    chosen = await proposed(Story(), only=("DEPTH", "WARMDOWN_RATIO"))
    assert {factor.name for factor in chosen.design.factors} == {"DEPTH", "WARMDOWN_RATIO"} if chosen.design else False
    without = await proposed(Story(), without=NAMES)
    assert without.design is not None
    assert not {factor.name for factor in without.design.factors} & set(NAMES)


async def test_without_constants_it_gives_up_with_a_sentence() -> None:
    with pytest.raises(ResearcherFailed, match="`factors` names NOTHING"):
        await proposed(Story(), only=("NOTHING",))


async def test_every_wave_holds_something_new_until_everything_was_tried() -> None:
    story, new = Story().score(E0, 2.5, 2.5), list[int]()
    dice = np.random.default_rng(3)

    async def go_on() -> None:
        while len(new) < 500:
            plan = await proposed(story, slots=8, only=("TOTAL_BATCH_SIZE", "DEPTH"))
            names = carried(story, plan)
            new.append(len(names))
            assert new[-1] == len(plan.ideas) > 0, "nothing that is known is proposed again"
            for name in names:
                story.score(name, 2.5 + float(dice.normal(0, 0.01)))

    with pytest.raises(ResearcherFailed, match="within reach has been tried"):
        await go_on()
    assert sum(new) > 100, "of two constants"


async def test_the_last_experiment_that_is_allowed_is_a_new_one() -> None:
    story = Story().score(E0, 2.5, 2.5)
    total = 0
    for limit in range(1, 40):
        story.tell(ev.LimitsSet, max_experiments=limit)
        total += len(carried(story, await proposed(story)))
        assert total == limit


def test_a_session_without_any_result_still_gets_a_wave() -> None:
    plan = DesignedResearcher().plan(_after_two_waves(), 16)
    assert plan.ideas


def _after_two_waves() -> State:
    story = Story(gpus=16)
    for _ in range(2):
        carried(story, DesignedResearcher().plan(story.state, 16))
    return story.state
