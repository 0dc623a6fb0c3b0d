"""The engine with a scripted researcher and real runs: what it does when its neighbours misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import stub
from checkout import git

from core import consulting, keeping, policy, session
from core import events as ev
from core import log as logs
from core.clock import SystemClock
from core.engine import Engine, Invocation, Stopped
from core.errors import GoesInCircles, ResearcherFailed, WorkspaceError
from core.fold import fold
from core.ids import BASELINE
from core.log import Log
from core.patch import Change, Edit
from core.researcher import Idea, Plan
from core.settings import load
from core.state import State
from core.workspace import Workspace

Answer = Plan | Exception


class Scripted:
    """Gives its answers one after the other; the last one for ever."""

    name = "scripted"

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def propose(self, state: State, slots: int) -> Plan:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def plan(*settings: dict[str, str]) -> Plan:
    return Plan(reason="a try", ideas=tuple(Idea(title=str(s), change=Change(settings=s)) for s in settings))


async def research(
    folder: Path, researcher: Scripted, *, limit: int | None = 2, meanwhile: Callable[[], None] = lambda: None
) -> tuple[Stopped, State]:
    workspace, clock = Workspace.open(folder), SystemClock()
    file = workspace.ensure_state() / logs.FILE
    logs.create(file)
    settings = load(folder, {}, {}).settings
    log = Log(file)
    before = fold(State(), await log.open())
    opening = session._opening(workspace, before, settings, "0", clock)
    engine = Engine(
        workspace=workspace,
        log=log,
        executor=session.local_executor(workspace, before, settings, clock),
        researcher=researcher,
        invocation=Invocation(version="0", executor="local", limits=ev.LimitsSet(at=0, max_experiments=limit)),
        clock=clock,
    )
    meanwhile()
    try:
        async with engine._executor, asyncio.timeout(60):
            return await engine.run(before, opening), engine.state
    finally:
        await log.disconnect()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return stub.make_stub(tmp_path / "work")


async def test_a_researcher_that_stumbles_is_asked_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consulting, "backoff_s", lambda failures: 0.01)
    researcher = Scripted(OSError("no route"), ValueError("odd"), plan({"DEPTH": "3"}, {"DEPTH": "5"}))
    stopped, state = await research(folder, researcher)
    assert stopped.exit_code == 0
    assert researcher.asked == 3
    assert state.failure == "ValueError: odd"
    assert len(state.experiments) == 3


async def test_a_researcher_that_fails_for_good_ends_with_4(folder: Path) -> None:
    stopped, _ = await research(folder, Scripted(ResearcherFailed("no key")))
    assert stopped == Stopped("the researcher cannot go on: no key", 4)


async def test_a_researcher_that_always_fails_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consulting, "backoff_s", lambda failures: 0.01)
    researcher = Scripted(OSError("no route"))
    stopped, _ = await research(folder, researcher)
    assert stopped.exit_code == 4
    assert researcher.asked == consulting.MAX_FAILURES


async def test_proposals_that_must_not_run_are_rejected_with_a_reason_and_cost_nothing(folder: Path) -> None:
    bad = (
        Idea(title="syntax", change=Change(edits=(Edit("DEPTH = 4", "DEPTH = ("),))),
        Idea(
            title="cheats",
            change=Change(edits=(Edit("evaluate_bpb(DEPTH, TOTAL_BATCH_SIZE, MATRIX_LR, seed)", "1.0"),)),
        ),
        Idea(title="no match", change=Change(edits=(Edit("nowhere", "x"),))),
        Idea(title="unknown", change=Change(settings={"DPTH": "3"})),
        Idea(title="the same", change=Change(settings={"DEPTH": "2+2"})),
        Idea(title="fine", change=Change(settings={"DEPTH": "3"})),
        Idea(title="fine again", change=Change(settings={"DEPTH": "3"})),
    )
    stopped, state = await research(folder, Scripted(Plan(reason="all sorts", ideas=bad), plan({"DEPTH": "5"})))
    assert stopped.exit_code == 0
    rejected = {
        f.title: f.reason
        for f in logs.read_all(folder / ".autoresearch" / logs.FILE)
        if isinstance(f, ev.ProposalRejected)
    }
    assert set(rejected) == {"syntax", "cheats", "no match", "unknown", "the same", "fine again"}
    assert "e1" in rejected["fine again"]
    assert "DEPTH" in rejected["unknown"], "the nearest known name"
    assert [e.title for e in state.experiments.values()][1:] == ["fine", "{'DEPTH': '5'}"]


async def test_a_plan_that_goes_in_circles_stops_the_engine_and_not_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = (policy.AskAgain(BASELINE, "once more", None),)
    monkeypatch.setattr(policy, "plan", lambda state, rules, now: again)
    with pytest.raises(GoesInCircles, match="its plan goes in circles; what is recorded is kept"):
        await research(folder, Scripted(plan({"DEPTH": "5"})))
    state = fold(State(), logs.read_all(stub.file_of(folder)))
    assert state.last_stop is not None
    assert state.last_stop.exit_code == 1
    assert state.seq < 2000


async def test_what_is_kept_but_cannot_be_committed_stops_with_a_sentence_and_is_committed_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "ATTEMPTS", 1)
    better = plan({"DEPTH": "2", "TOTAL_BATCH_SIZE": "2**11"})

    def lose_branch() -> None:
        git(folder, "branch", "-D", git(folder, "branch", "--list", "autoresearch/*", "--format=%(refname:short)"))

    with pytest.raises(WorkspaceError, match="is gone"):
        await research(folder, Scripted(better), limit=1, meanwhile=lose_branch)
    state = fold(State(), logs.read_all(folder / ".autoresearch" / logs.FILE))
    assert list(state.uncommitted) == ["e1"]
    git(folder, "branch", state.branch)
    stopped, state = await research(folder, Scripted(better), limit=1)
    assert stopped.exit_code == 0
    assert state.lineage == ("e0", "e1")
    assert "DEPTH = 2" in git(folder, "show", f"{state.branch}:train.py")


async def test_an_architecture_edit_is_carried_into_the_next_baseline(folder: Path) -> None:
    edit = Edit('print("\\n---")', "print('better', end='')\nprint(\"\\n---\")")
    idea = Idea(title="edit", change=Change(settings={"DEPTH": "2", "TOTAL_BATCH_SIZE": "2**11"}, edits=(edit,)))
    _, state = await research(folder, Scripted(Plan(reason="r", ideas=(idea,)), plan({"MATRIX_LR": "0.08"})))
    assert state.lineage[1] == "e1"
    assert "better" in state.sources[state.baseline]
