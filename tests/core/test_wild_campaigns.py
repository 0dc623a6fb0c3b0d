"""Campaigns in which everything happens at once: vetoes, promotions, pauses, restarts, and a fleet that comes and goes.

Whatever happens, the plan never raises, never stands still, never books a GPU twice, never runs what is closed, and
keeps nothing that its tier, its runs or its baseline do not allow.
"""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from statistics import fmean
from unittest.mock import patch

import pytest
from story import E0, SOURCE, Story

from core import commands, judging, known, noted, waves
from core import events as ev
from core.design import Design, Factor
from core.errors import Refused
from core.fold import fold
from core.ids import GpuId, RunId, WaveId
from core.looks import next_look
from core.patch import Change, Edit
from core.policy import Ask, Cancel, Commit, Finish, Judge, Launch, Move, StopRun, plan
from core.researcher import Idea, Plan
from core.room import room
from core.state import CURVE_POINTS, Run, State
from core.tiers import tiers
from core.verdict import Rules, reference
from core.views import held, is_held, remaining, source_of

STEPS = 3000
COMPARED = 0.2  # of the plans, with plans that remember nothing
CONSTANTS = ("DEPTH", "MATRIX_LR", "WARMDOWN_RATIO", "TOTAL_BATCH_SIZE")
OFFSETS = {"H200": -0.3, "A100": 0.2}
EFFECTS = (0, 0, 1, 3, 3, -1, -2, -4)


def forgetful(state: State, rules: Rules, now: float) -> tuple[Move, ...]:
    """The plan of who remembers nothing of the plans before."""
    with (
        patch.object(known.Known, "__call__", lambda self, key, parts, ask: ask()),
        patch.object(judging.Judged, "__call__", lambda self, *about: self._ask(*about)),
    ):
        return plan(state, rules, now)


class Wild:
    def __init__(self, seed: int) -> None:
        self.dice = dice = Random(seed)
        self.rules = Rules(
            overlap=dice.random() < 0.9,
            replicates=dice.random() < 0.7,
            early_stop=dice.random() < 0.8,
            baseline_runs=dice.choice([1, 2, 3, 3]),
            max_retests=dice.choice([0, 1, 6, 6]),
        )
        counts = {"cpu": dice.randint(1, 4), "H200": dice.choice([0, 1, 2]), "A100": dice.choice([0, 0, 0, 1])}
        self.all_gpus = [ev.Gpu(GpuId(f"{kind}{i}"), kind) for kind, count in counts.items() for i in range(count)]
        self.failing = dice.choice([0, 0.05, 0.3, 0.6])
        self.effect = dice.choice([0.01, 0.02, 0.05, 0.2])
        self.has_operator, self.reports = dice.random() < 0.7, dice.choice([0.1, 0.4])
        self.truth = {E0: 2.5}
        self.story = Story(source=SOURCE).tell(ev.LimitsSet, max_experiments=dice.randint(1, 12))
        self.see(self.all_gpus)
        if dice.random() < 0.2:
            named = [tuple(dice.sample(["cpu", "H200", "A100"], dice.randint(0, 2))) for _ in range(2)]
            self.story.tell(ev.TiersSet, screen=named[0], validate=named[1])
        self.other, self.comparing = Random(f"{seed} queue"), Random(f"{seed} comparing")
        if self.other.random() < 0.5:
            self.story.tell(ev.ReadySet, gpus_each=self.other.randint(1, 4))

    @property
    def state(self) -> State:
        return self.story.state

    def see(self, gpus: list[ev.Gpu]) -> None:
        self.story.tell(ev.FleetSeen, gpus=tuple(gpus))

    def ends(self) -> bool:
        """Carries out the plan until nothing follows; whether the session is over."""
        for _ in range(60):
            moves = plan(self.state, self.rules, self.story.at)
            if self.comparing.random() < COMPARED:
                assert moves == forgetful(self.state, self.rules, self.story.at), "what is remembered is not old"
            if any(isinstance(move, Finish) for move in moves):
                return True
            if not moves:
                return False
            check(self.state, moves)
            for move in moves:
                self.carry_out(move)
        raise AssertionError("the plan never settles")

    def carry_out(self, move: Move) -> None:
        story = self.story
        match move:
            case Launch():
                self.launch(move)
            case Cancel(run):
                story.tell(ev.RunEnded, run=run, outcome=self.dice.choice(["cancelled"] * 9 + ["lost", "crashed"]))
            case StopRun(run, reason):
                story.tell(ev.RunStopped, run=run, reason=reason)
            case Commit(name):
                source = source_of(self.state, name)
                story.tell(ev.BaselineMoved, experiment=name, commit="c", source=source, reason="kept")
            case Ask(slots):
                self.answer(slots)
            case Finish():
                pass
            case _:
                story.facts += noted.decided(self.state, move, story.at)

    def launch(self, move: Launch) -> None:
        fields = {name: getattr(move, name) for name in move.__struct_fields__}
        self.story.tell(ev.RunRequested, **fields)
        if self.dice.random() < 0.9:
            self.story.tell(ev.RunStarted, run=move.run, gpu=GpuId("x"))

    # --- the researcher ---

    def answer(self, slots: int) -> None:
        story, dice = self.story, self.dice
        story.tell(ev.WaveAsked, slots=slots).wait(dice.choice([0, 0, 3]))
        count = min(slots, remaining(self.state) or 0, dice.randint(1, 6))
        design = Design("full factorial", (Factor("DEPTH", ("5", "6")),)) if dice.random() < 0.3 else None
        answer = Plan(reason="because", ideas=tuple(self.idea() for _ in range(count)), design=design)
        facts = list(waves.proposals(self.state, answer, parent=self.state.baseline, by="r", at=story.at))
        story.facts += facts
        if not any(isinstance(fact, ev.ExperimentProposed) for fact in facts):
            story.tell(ev.ResearchFailed, reason="nothing new", fatal=dice.random() < 0.02)

    def idea(self) -> Idea:
        names = self.dice.sample(CONSTANTS, self.dice.choice([1, 1, 1, 2]))
        edits = (Edit('print("---")\n', ""),) if self.dice.random() < 0.1 else ()
        change = Change(settings={name: str(self.dice.randint(5, 40)) for name in names}, edits=edits)
        return Idea(title=", ".join(names), change=change)

    # --- what happens ---

    def happens(self) -> None:
        self.story.wait(self.dice.choice([1, 5, 10]))
        if self.has_operator and self.other.random() < 0.03:
            self.limit()
        active = list(self.state.active)
        if self.has_operator and self.dice.random() < 0.1:
            self.dice.choice([self.command] * 4 + [self.restart, self.fleet, self.lose])()
        elif active:
            self.progress(self.state.runs[self.dice.choice(active)])
        elif self.state.pause is not None:
            self.story.tell(ev.ResearchResumed, by="ada")
        else:
            self.helps()

    def helps(self) -> None:
        """Nothing runs: there must be something that an operator, or the cluster, can do about it."""
        state = self.state
        if state.lost is not None:
            self.story.tell(ev.ExecutorFound)
        elif any(gpu.held_by for gpu in state.gpus) or not state.gpus:
            self.see(self.all_gpus)
        elif state.max_gpus:
            self.story.tell(ev.MaxGpusSet, limits={}, by="")
        elif state.setbacks:  # time helps, and the engine knows when
            seconds = next_look(state, self.story.at)
            assert math.isfinite(seconds) or plan(state, self.rules, self.story.at), "it stands still"
            self.story.wait(seconds if math.isfinite(seconds) else 0)
        else:
            assert held(state), "it stands still"
            self.story.order(commands.Approve(wave=held(state)[0]))

    def command(self) -> None:
        """Whatever comes to an operator's mind; `decide` says no in a sentence, and in no other way."""
        state, dice = self.state, self.dice
        name, by = dice.choice(list(state.experiments)), dice.choice(["ada", "bob"])
        run = dice.choice([*state.active, *state.runs, RunId("e9-9")])
        wishes: tuple[commands.Command, ...] = (
            commands.Veto(experiment=name, by=by),
            commands.Promote(experiment=name, by=by),
            commands.Rerun(experiment=name, by=by),
            commands.StopRun(run=run, by=by),
            commands.Gate(on=dice.random() < 0.5, by=by),
            commands.Approve(wave=dice.choice([*state.waves, WaveId("w0")]), by=by),
            commands.Note(text="mind the depth", by=by),
            commands.Undo(by=by),
            commands.Pause(by=by),
            commands.Resume(by=by),
        )
        wish = dice.choice(wishes)
        if commands.refusal(state, wish):
            with pytest.raises(Refused):
                commands.decide(state, wish)
        else:
            self.story.order(wish, by)

    def limit(self) -> None:
        kind = self.other.choice(["cpu", "H200", "A100"])
        change, most = self.other.choice([-1, 0, 1]), self.other.choice([None, 0, 1, 2, 9])
        wish = commands.MaxGpus(gpu_type=kind, limit=most, change=change)
        if not commands.refusal(self.state, wish):
            self.story.order(wish)

    def restart(self) -> None:
        story = self.story
        story.tell(ev.EngineStarted, pid=1, host="h", executor="x", researcher="r", version="0")
        plan(self.state, self.rules, story.at)  # before it has seen the fleet
        self.see(self.all_gpus)
        for run in list(self.state.active):
            if self.dice.random() < 0.3:
                story.tell(ev.RunEnded, run=run, outcome="lost", reason="no trace of it")

    def lose(self) -> None:
        self.story.tell(ev.ExecutorLost, reason="no route to the cluster")
        assert plan(self.state, self.rules, self.story.at) == ()

    def fleet(self) -> None:
        there = self.dice.sample(self.all_gpus, self.dice.randint(0, len(self.all_gpus)))
        held = [ev.Gpu(gpu.id, gpu.type, held_by="bob" if self.dice.random() < 0.2 else "") for gpu in there]
        self.see(held)

    def progress(self, run: Run) -> None:
        story, throw = self.story, self.dice.random()
        if run.started_at is None:
            story.tell(ev.RunStarted, run=run.id, gpu=GpuId("x"))
        elif not run.fingerprint and throw < 0.5:
            mark = self.dice.choice("abc") if self.dice.random() < 0.15 else run.experiment
            story.report(run.id, mark, exact=self.dice.random() < 0.7)
        elif self.dice.random() < self.reports:
            self.learn(run.id)
        elif self.dice.random() < self.failing:
            story.tell(ev.RunEnded, run=run.id, outcome=self.dice.choice(["crashed", "lost"]), reason="bad luck")
        else:
            memory = self.dice.choice([None, 1000.0, 5000.0])
            story.tell(ev.RunEnded, run=run.id, outcome="finished", val_bpb=self.result(run), memory_mb=memory)

    def learn(self, run: RunId) -> None:
        """Eight twentieths of its budget further; a bad experiment learns nothing."""
        is_bad = self.truth.setdefault(self.state.runs[run].experiment, self.drawn()) > 2.5 + self.effect
        done = len(self.state.curves.get(run, ()))
        for point in range(done, min(CURVE_POINTS, done + 8)):
            loss = 8.0 if is_bad else 6 - 3 * point / CURVE_POINTS + self.dice.gauss(0, 0.01)
            fraction = (point + 0.5) / CURVE_POINTS
            self.story.tell(ev.RunProgressed, run=run, step=point, fraction=fraction, loss=loss)

    def drawn(self) -> float:
        return 2.5 + self.dice.choice(EFFECTS) * self.effect

    def result(self, run: Run) -> float:
        mean = self.truth.setdefault(run.experiment, self.drawn())
        measured = mean + OFFSETS.get(run.gpu_type, 0) + self.dice.gauss(0, 0.01)
        return self.dice.choice([measured] * 30 + [9.0])


def check(state: State, moves: tuple[Move, ...]) -> None:
    levels, places = tiers(state), room(state)
    left = places.free + places.ready
    going_on = Counter(state.runs[run].gpu_type for run in state.active)
    for move in moves:
        if isinstance(move, Launch):
            left[move.gpu_type] -= 1
            going_on[move.gpu_type] += 1
            assert left[move.gpu_type] >= 0, "a GPU is booked twice"
            assert going_on[move.gpu_type] <= state.max_gpus.get(move.gpu_type, 99), "it is beyond the limit"
            assert move.run not in state.runs
            assert state.experiments[move.experiment].is_open or move.experiment in (*state.lineage, *state.reruns)
            assert not is_held(state, move.experiment), "it waits for approval"
        if isinstance(move, Judge) and move.verdict == "kept":
            check_kept(state, move)
            assert not levels.are_two or (move.evidence and move.evidence.gpu_type in levels.validate)


def check_kept(state: State, move: Judge) -> None:
    evidence = move.evidence
    assert evidence is not None
    assert evidence.runs >= 2
    assert evidence.against == state.baseline
    own = fmean(state.scores[move.experiment, evidence.gpu_type])
    base = fmean(reference(state, state.baseline, evidence.gpu_type))
    assert evidence.delta == pytest.approx(own - base), "of one GPU type"


@pytest.mark.parametrize("block", range(6))
def test_whatever_happens_the_campaign_goes_on_and_keeps_to_its_rules(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        wild = Wild(seed)
        for _ in range(STEPS):
            if wild.ends():
                break
            wild.happens()
        assert wild.state == fold(State(), wild.story.facts)
        assert sum(wild.state.counts.values()) == sum(not e.is_open for e in wild.state.experiments.values()) - 1
