"""Whatever runs come to, a campaign never stands still: there is a move, a run, or the end."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from story import Story

from core import events as ev
from core import noted
from core.ids import GpuId
from core.policy import (
    Ask,
    AskAgain,
    Cancel,
    Commit,
    Duplicate,
    Finish,
    Judge,
    Launch,
    Merge,
    Move,
    Rebase,
    Screen,
    StopRun,
    plan,
)
from core.verdict import Rules
from core.views import remaining

OUTCOMES = st.one_of(
    st.sampled_from([2.2, 2.4, 2.44, 2.47, 2.49, 2.5, 2.51, 2.6, 3.0, 9.0]), st.sampled_from(["crashed", "lost"])
)


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from([1, 2, 3, 8]), st.integers(1, 5), st.booleans(), st.booleans())
def test_a_campaign_always_has_a_next_step_until_it_ends(
    data: st.DataObject, gpus: int, limit: int, two_tiers: bool, cells: bool
) -> None:
    story = Story(gpus=gpus).tell(ev.LimitsSet, max_experiments=limit)
    if two_tiers:
        story.gpus = (*story.gpus, ev.Gpu(GpuId("h200"), "H200"))
        story.tell(ev.FleetSeen, gpus=story.gpus)
    depths = iter(range(5, 1000))
    for _ in range(600):
        moves = plan(story.state, Rules(), story.at)
        if any(isinstance(move, Finish) for move in moves):
            return
        for move in moves:
            carry_out(story, move, depths, cells=cells)
        if not moves:
            active = list(story.state.active)
            assert active, "it stands still"
            run = data.draw(st.sampled_from(active))
            outcome = data.draw(OUTCOMES)
            story.wait(10)
            if isinstance(outcome, str):
                story.tell(ev.RunEnded, run=run, outcome=outcome, reason="bad luck")
            else:
                story.tell(ev.RunEnded, run=run, outcome="finished", val_bpb=outcome)
    raise AssertionError("it never ends")


def carry_out(story: Story, move: Move, depths: Iterator[int], *, cells: bool) -> None:
    match move:
        case Cancel(run):
            story.tell(ev.RunEnded, run=run, outcome="cancelled")
        case Judge() | AskAgain() | Screen() | Duplicate() | Rebase() | Merge():
            story.facts += noted.decided(story.state, move, story.at)
        case StopRun(run, reason):
            story.tell(ev.RunStopped, run=run, reason=reason)
        case Commit(experiment):
            story.move(experiment)
        case Ask(slots):
            left = remaining(story.state) or 0
            levels = tuple(str(next(depths)) for _ in range(min(slots, left)))
            story.wave(*({"DEPTH": depth} for depth in levels), factors={"DEPTH": levels} if cells else None)
        case Launch():
            story.tell(
                ev.RunRequested,
                run=move.run,
                experiment=move.experiment,
                gpu_type=move.gpu_type,
                seed=move.seed,
                purpose=move.purpose,
            )
            gpu = next(gpu for gpu in story.gpus if gpu.type == move.gpu_type)
            story.tell(ev.RunStarted, run=move.run, gpu=gpu.id)
