"""A sentence says the same whenever it is made, and compares like with like."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from story import E0, Story

import recordings
from core import events as ev
from core.fold import fold
from core.ids import ExperimentId
from core.recording import Recording
from core.state import State
from core.telling import line
from core.verdict import Rules

FOLDER = Path(recordings.__file__).parent
ALL = sorted(FOLDER.glob("*.jsonl.gz"))
AT_ONCE = 100  # facts


def ended(story: Story, run: str) -> ev.RunEnded:
    return next(fact for fact in story.facts if isinstance(fact, ev.RunEnded) and fact.run == run)


def told(story: Story, run: str) -> str:
    return line(ended(story, run), story.state)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_fact_is_told_alike_when_it_is_new_and_when_the_session_is_over(path: Path) -> None:
    facts = [fact for block in Recording(path).blocks() for fact in block.facts]
    end, state = fold(State(), facts), State()
    for start in range(0, len(facts), AT_ONCE):
        some = facts[start : start + AT_ONCE]
        state = fold(state, some)
        assert [line(fact, state) for fact in some] == [line(fact, end) for fact in some]


def test_a_run_is_compared_with_its_parent_on_its_own_type_of_gpu() -> None:
    story = Story().fleet(H100=2, A100=2).score(E0, 0.97, on="H100").score(E0, 1.01, on="A100")
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 0.96, on="H100").score(name, 1.02, on="A100")
    assert told(story, "e1-1") == "e1-1 finished: val_bpb 0.9600 (−0.0100) in 10.0 s"
    assert told(story, "e1-2") == "e1-2 finished: val_bpb 1.0200 (+0.0100) in 10.0 s"


def test_a_run_is_compared_with_nothing_where_its_parent_has_no_result() -> None:
    story = Story().fleet(H100=2, A100=2).score(E0, 0.97, on="H100")
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 1.02, on="A100").score(E0, 1.01, on="A100")
    assert told(story, "e1-1") == "e1-1 finished: val_bpb 1.0200 in 10.0 s"


def test_what_comes_later_does_not_rewrite_what_a_run_gained() -> None:
    story = Story().score(E0, 2.5, 2.6)
    first, other = story.wave({"DEPTH": "2"}, {"DEPTH": "8"})
    story.score(first, 2.4).score(other, 2.45)
    before = [told(story, "e1-1"), told(story, "e2-1")]
    assert before == [
        "e1-1 finished: val_bpb 2.4000 (−0.1500) in 10.0 s",
        "e2-1 finished: val_bpb 2.4500 (−0.1000) in 10.0 s",
    ]
    story.judge(first, "kept").move(first).score(E0, 2.9).score(first, 2.3)
    assert [told(story, "e1-1"), told(story, "e2-1")] == before
    assert told(story, "e1-2") == "e1-2 finished: val_bpb 2.3000 (−0.3667) in 10.0 s"


def test_a_new_baseline_is_told_with_the_runs_that_it_was_kept_for() -> None:
    story = Story().score(E0, 2.5, 2.51, 2.49)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.3).settle(Rules(replicates=False))
    story.score(name, 2.32).settle(Rules(replicates=False))
    moved = next(fact for fact in story.facts if isinstance(fact, ev.BaselineMoved))
    evidence = story.state.experiments[name].evidence
    assert evidence is not None
    said = line(moved, story.state)
    assert said.endswith(f": val_bpb 2.3100 ± {evidence.noise_sd / 2**0.5:.4f} (2 runs)")
    assert line(moved, story.score(name, 2.9, 2.2).state) == said


def test_why_an_engine_stopped_does_not_depend_on_the_limits_of_now() -> None:
    story = Story().tell(ev.LimitsSet, max_experiments=0)
    done = ev.EngineStopped(at=story.at, reason="all 0 experiments of this session are done")
    other = msgspec.structs.replace(done, reason="stopped by ada")
    wider = Story().tell(ev.LimitsSet, max_experiments=9)
    for state in (story.state, wider.state):
        assert line(done, state).endswith("; a larger --max-experiments, or none, goes on")
        assert line(other, state) == "engine stopped: stopped by ada"


def test_an_experiment_that_nobody_knows_is_told_all_the_same() -> None:
    gone = ev.RunEnded(at=5.0, run=ended(Story().score(E0, 2.5), "e0-1").run, outcome="finished", val_bpb=2.5)
    assert line(gone, State()) == "e0-1 finished: val_bpb 2.5000"
    moved = ev.BaselineMoved(at=5.0, experiment=ExperimentId("e9"), commit="abc", source="", reason="")
    assert line(moved, State(branch="b")) == "e9 is the baseline now, commit abc on b"
